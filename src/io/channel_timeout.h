/* ChannelTimeout: tells which channels have been silent for longer than their type may be, and when all of them together have. */
#pragma once

#include "conf/values.h"
#include "os/loop.h"
#include "proto/conn/conn.h"

struct channel_timeouts;
struct channel_timeouts_config {
    struct loop *loop;
    struct conn *conn;
    const struct log *log;
    const struct conf_channel_timeouts *list;  /* outlives the object */
    void (*expired)(void *arg, channel_id ch); /* is to close it */
    void *arg;
};
/* *ret is NULL when the list has nothing; the calls below take that. */
int channel_timeouts_new(const struct channel_timeouts_config *config, struct channel_timeouts **ret) MUST_USE;
void channel_timeouts_free(struct channel_timeouts *t);
/* Every event of the conn: a number that is used again begins anew. */
void channel_timeouts_event(struct channel_timeouts *t, const struct conn_event *e);
