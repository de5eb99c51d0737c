/* Specifications of forwards: of -L, -R and -D, and of the keywords LocalForward, RemoteForward and DynamicForward. */
#pragma once

#include "base/err.h"
#include "base/view.h"
#include "conf/values.h"

enum conf_forward_kind {
    CONF_FORWARD_LOCAL,
    CONF_FORWARD_REMOTE,
    CONF_FORWARD_DYNAMIC
};

/* "[bind:]port:host:port", "[bind:]port:socket", "socket:host:port", "socket:socket"; remote also "[bind:]port" or "socket" for
 * SOCKS; dynamic
 * "[bind:]port". A part with a / is a path, an IPv6 address stands in brackets. *ret is owned (conf_forward_done). ERR_FORMAT. */
int conf_forward_parse(enum conf_forward_kind kind, struct view spec, struct conf_forward *ret) MUST_USE;
/* The same in two words, as in files; target empty: none was given. */
int conf_forward_parse_words(enum conf_forward_kind kind, struct view listen, struct view target, struct conf_forward *ret)
    MUST_USE;
void conf_forward_done(struct conf_forward *f);
int conf_forward_copy(struct conf_forward *ret, const struct conf_forward *from) MUST_USE;
bool conf_forward_equal(const struct conf_forward *a, const struct conf_forward *b);

/* Whether one of "host:port", "[host]:port" permits this; the host * and the port * stand for any, nothing else is a pattern. */
bool conf_destinations_permit(const struct strv *list, const char *host, int port);
