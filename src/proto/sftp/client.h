/* The client's half of SFTP 3 (draft-ietf-secsh-filexfer-02, OpenSSH PROTOCOL 4): requests leave with an id each, answers come back
 * in any order and find who asked. Up to LIMIT_SFTP_CALLS are in flight at once, so that neither a long path nor many small files
 * cost a round trip each. Bytes in and out; no files, no clock, no waiting.
 *
 * At first sends init, and behind the server's version limits@openssh.com where the server has it; requests are taken from the
 * start on and wait for that. An answer that nobody asked for, of a kind that its request cannot have, or malformed, is an error
 * that stays: the stream cannot be trusted any more. */
#pragma once

#include "base/log.h"
#include "proto/sftp/sftp.h"

struct sftp_client;

int sftp_client_new(const struct log *log, struct sftp_client **ret) MUST_USE;
void sftp_client_free(struct sftp_client *c);
DEFINE_FREEP(struct sftp_client, sftp_client_free)

/* ---- bytes from the server: fill the area, say how much, take answers until there is none ---- */
/* Room for at least one whole packet. Lent until the next call. */
int sftp_client_area(struct sftp_client *c, uint8_t **ret_area, size_t *ret_room) MUST_USE;
void sftp_client_received(struct sftp_client *c, size_t n);

struct sftp_answer {
    void *call;   /* as given with the request; NULL: nobody waits for it (sftp_client_forget) */
    uint8_t type; /* MSG_sftp_*_NUMBER of status, handle, data, name, attrs, extended_reply; MSG_sftp_version_NUMBER with call NULL
                     once: the server's facts are known (sftp_client_facts) */
    /* By type; everything lent until the next call of this engine. */
    uint32_t status;     /* SFTP_OK for all but status packets */
    struct view message; /* of a status: the server's words, not to be shown unescaped */
    struct view data;    /* handle, data, or an extended reply's body */
    uint32_t n_names;    /* of a name; an extended request may have one too (expand-path, home-directory) */
    struct rd names;     /* sftp_name_read n_names times; its error is the reader's to check */
    struct sftp_attrs attrs;
};
/* 1: *ret is the next; 0: none now; negative: the error that ends it (ERR_PACKET_LENGTH, ERR_FORMAT, ERR_UNEXPECTED_MESSAGE,
 * ERR_UNSUPPORTED: the server speaks another version than 3). */
int sftp_client_next(struct sftp_client *c, struct sftp_answer *ret) MUST_USE;

/* A status as sftp(1) and scp(1) put it: "No such file or directory". Servers' own words differ. */
const char *sftp_client_status_text(uint32_t status);

/* ---- bytes for the server ---- */
struct view sftp_client_output(const struct sftp_client *c);
void sftp_client_sent(struct sftp_client *c, size_t n);

/* ---- what the server can ---- */
enum sftp_extension {
    SFTP_EXT_POSIX_RENAME,
    SFTP_EXT_STATVFS,
    SFTP_EXT_FSTATVFS,
    SFTP_EXT_HARDLINK,
    SFTP_EXT_FSYNC,
    SFTP_EXT_LSETSTAT,
    SFTP_EXT_LIMITS,
    SFTP_EXT_EXPAND_PATH,
    SFTP_EXT_COPY_DATA,
    SFTP_EXT_HOME_DIRECTORY,
    SFTP_EXT_USERS_GROUPS,
    SFTP_EXT_MAX
};
/* As it stands in an extended request. */
const char *sftp_extension_name(enum sftp_extension e);
struct sftp_client_facts {
    bool known; /* until then the rest is what every server can */
    bool has[SFTP_EXT_MAX];
    uint32_t version; /* the server's, once it was said */
    size_t read_max_bytes,
        write_max_bytes;  /* of one request; 32 KiB where the server does not say, never over SFTP_DATA_MAX_BYTES */
    uint64_t handles_max; /* open at once; 0: not known */
};
const struct sftp_client_facts *sftp_client_facts(const struct sftp_client *c);

/* ---- requests. call comes back in the answer; NULL: its failure interests nobody. ERR_AGAIN: no room now, try again after answers
 * or output have moved. ERR_LIMIT: too long for a packet. ---- */
/* SFTP_CALL(client, call, sftp_lstat, .path = path): a row of messages.def, without its id. */
#define SFTP_CALL(client_, call_, name_, ...)                                          \
    ({                                                                                 \
        struct sftp_client *c_ = (client_);                                            \
        uint32_t id_;                                                                  \
        int result_ = sftp_client_begin(c_, &id_);                                     \
        if (result_ == 0) {                                                            \
            result_ = SFTP_PUT(sftp_client_out(c_), name_, .id = id_, ##__VA_ARGS__);  \
            if (result_ == 0) sftp_client_end(c_, id_, MSG_##name_##_NUMBER, (call_)); \
        }                                                                              \
        result_;                                                                       \
    })
/* The parts of SFTP_CALL. */
int sftp_client_begin(struct sftp_client *c, uint32_t *ret_id) MUST_USE;
struct buf *sftp_client_out(struct sftp_client *c);
void sftp_client_end(struct sftp_client *c, uint32_t id, uint8_t type, void *call);

/* A write whose data is put straight into the output: at most want bytes at *ret_area, *ret_len says how many may be; then commit
 * with how many there are. Nothing happens until commit; a commit of 0 sends nothing. */
int sftp_client_write_reserve(struct sftp_client *c, struct view handle, uint64_t offset, size_t want, uint8_t **ret_area,
                              size_t *ret_len) MUST_USE;
void sftp_client_write_commit(struct sftp_client *c, size_t len, void *call);

/* Answers for this call will come with call NULL: its owner is gone. */
void sftp_client_forget(struct sftp_client *c, const void *call);
/* How many requests wait for their answer. */
size_t sftp_client_pending(const struct sftp_client *c);
