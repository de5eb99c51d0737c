/* An SFTP client engine (proto/sftp/client.h) over a pair of descriptors in a loop: to a running "ssh -s HOST sftp", or to a server
 * of our own. Requests are answered by function; or, where somebody has to wait for the answer anyway, by waiting in the loop. */
#pragma once

#include "os/loop.h"
#include "proto/sftp/client.h"

struct sftp_conn;

/* Who asked; a member of whatever waits for the answer. The answer's views are lent for the call. */
struct sftp_call {
    void (*fn)(struct sftp_call *call, const struct sftp_answer *answer);
};

/* The descriptors become the connection's; they may be the same. Returns at once: the server's version is waited for by
 * sftp_conn_hello. */
int sftp_conn_new(struct loop *loop, int take_in_fd, int take_out_fd, const struct log *log, struct sftp_conn **ret) MUST_USE;
void sftp_conn_free(struct sftp_conn *c); /* not from within an answer or room */
DEFINE_FREEP(struct sftp_conn, sftp_conn_free)
/* fn is called in each turn in which anything moved: requests that got ERR_AGAIN may be tried again. NULL: nobody waits. */
void sftp_conn_on_room(struct sftp_conn *c, void (*fn)(void *arg), void *arg);
/* Waits until the server's facts are known. Errors as sftp_conn_err. */
int sftp_conn_hello(struct sftp_conn *c) MUST_USE;

/* For SFTP_CALL(sftp_conn_client(c), &mine->call, ...) with a struct sftp_call. */
struct sftp_client *sftp_conn_client(struct sftp_conn *c);
const struct sftp_client_facts *sftp_conn_facts(struct sftp_conn *c);
/* 0, or why it is over: ERR_PEER_CLOSED, what broke the protocol, a system error. Nothing is answered afterwards. */
int sftp_conn_err(const struct sftp_conn *c);
/* Something was asked outside of an answer or of room: it goes out in this turn. */
void sftp_conn_wake(struct sftp_conn *c);

/* An answer that was waited for, with bytes of its own. */
struct sftp_reply {
    struct sftp_answer answer; /* lent by bytes; call is NULL */
    struct buf bytes;
};
void sftp_reply_done(struct sftp_reply *r);
#define SFTP_REPLY_INIT                              \
    {                                                \
        .bytes = BUF_INIT(SFTP_PACKET_MAX_BYTES + 4) \
    }
/* SFTP_ASK(conn, &reply, sftp_lstat, .path = path): asks and turns the loop until the answer is there. 0 says that there is an
 * answer, not that it is a good one (reply.answer.status). */
#define SFTP_ASK(conn_, reply_, name_, ...)                                                              \
    ({                                                                                                   \
        struct sftp_conn *k_ = (conn_);                                                                  \
        struct sftp_wait wait_ = sftp_wait_for(reply_);                                                  \
        int e_;                                                                                          \
        while ((e_ = SFTP_CALL(sftp_conn_client(k_), &wait_.call, name_, ##__VA_ARGS__)) == ERR_AGAIN) { \
            e_ = sftp_conn_turn(k_);                                                                     \
            if (e_ < 0) break;                                                                           \
        }                                                                                                \
        e_ == 0 ? sftp_wait_end(k_, &wait_) : e_;                                                        \
    })
/* The parts of SFTP_ASK. */
struct sftp_wait {
    struct sftp_call call;
    struct sftp_reply *reply;
    bool done;
    int err;
};
struct sftp_wait sftp_wait_for(struct sftp_reply *reply);
int sftp_wait_end(struct sftp_conn *c, struct sftp_wait *w) MUST_USE;
/* One turn of the loop; the error that ended the connection. */
int sftp_conn_turn(struct sftp_conn *c) MUST_USE;
