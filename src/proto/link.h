/* How the layers in proto/ meet: what a layer sees of the one below it. Packets go down by reserve and commit, so that
 * they are built where they are sealed; they come up as views through the upper layer's own *_packet function.
 * Auth and connection are layers over a link; a transport gives one, and so can anything else that carries packets (mux, tests). */
#pragma once

#include "base/err.h"
#include "base/view.h"

struct link_ops {
    /* Room for one packet with a payload of at most payload_max bytes (<= LIMIT_PACKET_PAYLOAD_BYTES). The area is writable until
     * commit or the next reserve, which forgets it. ERR_LIMIT when the bound on unsent bytes is reached: the peer does not read. */
    int (*reserve)(void *lower, size_t payload_max, uint8_t **ret_payload);
    /* Seals and queues the first payload_len bytes of the area. */
    int (*commit)(void *lower, size_t payload_len);
    /* How many payload bytes of bulk data it is sensible to add now: 0 while keys are exchanged or the output is full. Control
     * messages may always be sent; they count against the hard bound only. */
    size_t (*room)(void *lower);
};

struct link {
    const struct link_ops *ops;
    void *lower;
};

MUST_USE static inline int link_reserve(const struct link *l, size_t payload_max, uint8_t **ret_payload)
{
    return l->ops->reserve(l->lower, payload_max, ret_payload);
}
MUST_USE static inline int link_commit(const struct link *l, size_t payload_len) { return l->ops->commit(l->lower, payload_len); }
static inline size_t link_room(const struct link *l) { return l->ops->room(l->lower); }

/* Sends one message of wire/messages.h, at most payload_max bytes: LINK_SEND(link, 64, channel_eof, .recipient = id) */
#define LINK_SEND(link_, payload_max_, name_, ...)           \
    ({                                                       \
        const struct link *l_ = (link_);                     \
        size_t max_ = (payload_max_);                        \
        uint8_t *area_;                                      \
        int err__ = link_reserve(l_, max_, &area_);          \
        if (err__ == 0) {                                    \
            struct wr w_ = wr_area(area_, max_);             \
            struct msg_##name_ m_ = { __VA_ARGS__ };         \
            err__ = msg_##name_##_put(&w_, &m_);             \
            if (err__ == 0) err__ = link_commit(l_, w_.len); \
        }                                                    \
        err__;                                               \
    })
