/* The transport engine (RFC 4253, 8308; OpenSSH PROTOCOL: strict KEX, ping): identification, packets, key exchange, both roles. No
 * I/O: the owner reads bytes into the engine's own receive area, takes events until there are none, writes out what the engine has
 * queued, and calls tick when the deadline has come.
 *
 *   for (;;) {
 *       transport_input(t, &area, &room); n = read(fd, area, room); transport_received(t, n);
 *       while ((r = transport_next(t, now, &ev)) > 0) act on ev;
 *       out = transport_output(t); n = write(fd, out.p, out.len); transport_sent(t, n);
 *   }
 *
 * Errors are sticky: after the first one every call gives it again, and what transport_output still holds (a DISCONNECT, where the
 * error's row allows one) should be written before the socket is closed.
 * Files here: ident.c (4.2), packet.c (6, sealing and opening), kexinit.c (7.1, choice of algorithms), kex.c (8, states and
 * methods), keys.c (7.2), transport.c (the table of (state, message) and events), export.c. */
#pragma once

#include "base/buf.h"
#include "base/log.h"
#include "base/random.h"
#include "proto/link.h"

struct transport;

/* An extension of ours (RFC 8308, doc/protocol.md); the value that we know is "0". */
#define EXT_EARLY_SESSION "early-session@nacre.alt"

enum transport_role {
    TRANSPORT_CLIENT,
    TRANSPORT_SERVER
};

/* Name-lists in wire form, most preferred first, already expanded (no + - ^ or wildcards). Unknown names in them are
 * ERR_UNSUPPORTED. */
struct transport_algorithms {
    const char *kex;
    const char *host_key; /* client: accepted signature algorithms; server: those it has keys for */
    const char *cipher_c2s, *cipher_s2c;
    const char *mac_c2s, *mac_s2c;
    const char *compression_c2s, *compression_s2c; /* "none", "zlib@openssh.com", "zlib" */
};

struct transport_config { /* what it points to is copied by transport_new, except rnd and log, which must outlive the engine */
    enum transport_role role;
    const char *ident; /* ours, without CR LF: "SSH-2.0-Nacre_0.1" and an addendum */
    struct transport_algorithms algorithms;
    uint64_t rekey_bytes;                   /* 0: only by the ciphers' own limits */
    ms rekey_interval_ms;                   /* 0: never by time */
    const char *server_sig_algs;            /* server: what EXT_INFO says of accepted user signatures; NULL: none sent */
    bool early_session;                     /* server: EXT_INFO offers EXT_EARLY_SESSION; the owner keeps its rules */
    const char *guess_kex, *guess_host_key; /* client: what this server chose last time; a guess (4253 7) is sent when they are in
                                               our lists. NULL: none */
    unsigned gex_min_bits, gex_max_bits;    /* 0: 2048 and 8192 */
    const struct random *rnd;
    const struct log *log;
};

/* Queues the identification string and our KEXINIT at once, without waiting for the peer's. */
int transport_new(const struct transport_config *config, ms now, struct transport **ret) MUST_USE;
void transport_free(struct transport *t);
DEFINE_FREEP(struct transport, transport_free)

/* ---- bytes ---- */
/* Where to read to next. *ret_room is 0 only while an event's view lends the area or a question parks the engine with a full
 * buffer. */
void transport_input(struct transport *t, uint8_t **ret_area, size_t *ret_room);
void transport_received(struct transport *t, size_t n);
/* The peer closed its side: transport_next then ends with ERR_PEER_CLOSED once all complete packets were taken. */
void transport_input_eof(struct transport *t);
/* Lent until the next call that can queue. */
struct view transport_output(const struct transport *t);
void transport_sent(struct transport *t, size_t n);

/* ---- time ---- MS_NEVER when there is nothing to wait for. */
ms transport_deadline(const struct transport *t);
int transport_tick(struct transport *t, ms now) MUST_USE;

/* ---- events ---- */
enum transport_event_kind {
    TRANSPORT_PEER_IDENT,    /* fact: text = the peer's identification string */
    TRANSPORT_IDENT_LINE,    /* fact, client: text = a line before the identification string */
    TRANSPORT_ALGORITHMS,    /* fact: chosen; see transport_chosen */
    TRANSPORT_HOST_KEY,      /* question, client: is `key` this server's? answered by transport_answer_host_key */
    TRANSPORT_SIGN,          /* question, server: sign `data` (the exchange hash) with the host key for algorithm `text`;
                                transport_answer_sign */
    TRANSPORT_HOST_KEY_BLOB, /* question, server: the public key blob for algorithm `text`; transport_answer_host_key_blob */
    TRANSPORT_GROUP,         /* question, server: a DH group for gex bits below; transport_answer_group */
    TRANSPORT_KEYS_CHANGED,  /* fact: NEWKEYS went both ways; first = the first time */
    TRANSPORT_EXT_INFO,      /* fact: one extension of EXT_INFO: text = name, data = value */
    TRANSPORT_PACKET, /* a packet for the layer above (number >= 50, not local): data = payload. Not before the first NEWKEYS. */
    TRANSPORT_SERVICE_REQUEST, /* question, server: text = service; transport_accept_service or transport_disconnect */
    TRANSPORT_SERVICE_ACCEPT,  /* fact, client: text = service */
    TRANSPORT_UNIMPLEMENTED,   /* fact: the peer did not know our packet with this sequence number */
    TRANSPORT_PONG,            /* fact: data as in our ping */
    TRANSPORT_DEBUG,           /* fact: text, display */
    TRANSPORT_DISCONNECT,      /* fact: reason, text; ERR_PEER_DISCONNECTED follows */
};

struct transport_event {
    enum transport_event_kind kind;
    struct view text, data; /* lent until the next transport_next */
    struct view key;        /* HOST_KEY: public key blob; data is then its signature (algorithm, signature) of the exchange hash */
    uint32_t reason;
    uint32_t sequence;
    unsigned gex_min_bits, gex_bits, gex_max_bits;
    bool first, display;
};

/* 1: *ret is an event. 0: none until bytes, an answer or a tick come. Negative: the sticky error. */
int transport_next(struct transport *t, ms now, struct transport_event *ret) MUST_USE;

/* ---- answers. Each question exactly once; ERR_STATE else. While open, the key exchange is parked; nothing blocks. ---- */
/* The signature was verified before the question. Not accepted: DISCONNECT is queued, and ERR_HOST_KEY_REJECTED is returned and
 * sticky. */
int transport_answer_host_key(struct transport *t, bool accept) MUST_USE;
int transport_answer_host_key_blob(struct transport *t, struct view blob) MUST_USE;
int transport_answer_sign(struct transport *t, struct view signature_blob) MUST_USE; /* string algorithm, string signature */
int transport_answer_group(struct transport *t, struct view p, struct view g) MUST_USE;
int transport_accept_service(struct transport *t) MUST_USE;

/* How a client verifies the server's signature: key/ knows key types, the engine asks through this so that it needs no more of key/
 * than key_signature_verify_blob(). See key/key.h. */

/* ---- requests ---- */
/* Client: may be called before the first key exchange ends (it is held and goes out right behind NEWKEYS, in one flight with
 * packets sent over the link after it). */
int transport_request_service(struct transport *t, const char *service) MUST_USE;
int transport_rekey(struct transport *t) MUST_USE; /* starts one unless one is under way; OpenSSH's sshd takes none before login */
int transport_ping(struct transport *t, struct view data)
    MUST_USE; /* ERR_UNSUPPORTED when the peer did not announce ping@openssh.com */
int transport_ignore(struct transport *t, size_t n_random_bytes) MUST_USE;
int transport_debug(struct transport *t, const char *text) MUST_USE;
/* Says that the peer's last packet given out as TRANSPORT_PACKET had a number that the upper layer does not know (4253 11.4). */
int transport_unimplemented(struct transport *t) MUST_USE;
/* Queues DISCONNECT and ends the engine: later calls give ERR_CANCELLED. */
void transport_disconnect(struct transport *t, uint32_t reason, const char *text);
/* An upper layer failed with err: DISCONNECT by its row, or nothing where the row says FATAL. */
void transport_fail(struct transport *t, int err, const char *text);
/* Both: from now on compression negotiated as delayed is on (client: SUCCESS was received; server: SUCCESS is queued), and the
 * larger packet limit holds. */
void transport_authenticated(struct transport *t);

/* For the layer above. Lives as long as t. Upper layer packets committed before the first NEWKEYS or while keys are exchanged are
 * held and sent in order afterwards. */
struct link transport_link(struct transport *t);

/* ---- facts ---- */
struct transport_chosen { /* names; "" before they are chosen. For AEAD ciphers mac is "<implicit>". */
    const char *kex, *host_key, *cipher_c2s, *cipher_s2c, *mac_c2s, *mac_s2c, *compression_c2s, *compression_s2c;
    bool strict, kex_is_post_quantum;
    bool guess_would_hold; /* kex and host_key are what the peer names first: worth giving as guess_* next time (4253 7) */
};
void transport_chosen(const struct transport *t, struct transport_chosen *ret); /* lent by t */
struct view transport_session_id(const struct transport *t);                    /* empty before the first key exchange */
struct view transport_peer_ident(const struct transport *t);
const char *transport_host_key_algorithm(const struct transport *t); /* negotiated in the last key exchange; "" before it */
struct view transport_host_key(const struct transport *t);           /* blob used in the last key exchange */
/* The peer's KEXINIT list for the slot that had nothing in common (ERR_NO_*): "their offer". */
struct view transport_peer_offer(const struct transport *t, int err);
/* A packet is here in part. */
bool transport_has_part(const struct transport *t);
/* Of the packet that ended it all with ERR_PACKET_LENGTH: what it said of its length. */
uint32_t transport_bad_length(const struct transport *t);
bool transport_in_kex(const struct transport *t);
int transport_error(const struct transport *t); /* the sticky error or 0 */
struct transport_traffic {
    uint64_t bytes_in, bytes_out, packets_in, packets_out, rekeys;
};
void transport_traffic(const struct transport *t, struct transport_traffic *ret);

/* ---- state is data ---- */
/* Everything a process needs to go on: configuration, keys, sequence numbers, counters, compression state, bytes received and not
 * yet handed out, bytes queued and not yet sent. Not while a key exchange is under way or a question is open or an EXT_INFO is half
 * handed out (ERR_AGAIN); ERR_UNSUPPORTED when the peer's compressor stands where zlib cannot be entered again. The form is for our
 * own processes of one build. Appends; out should be a secret buf. The exported engine must not be used further. */
int transport_export(struct transport *t, struct buf *out) MUST_USE;
int transport_import(struct view data, const struct random *rnd, const struct log *log, ms now, struct transport **ret) MUST_USE;
