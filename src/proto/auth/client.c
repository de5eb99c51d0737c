/* The client's engine (RFC 4252): its states, the table of what the server may say in each, and the frame of a request. Which
 * method is tried next, and with what, is its owner's business. At most one attempt is open, so an answer never needs to be
 * matched. */
#include "proto/auth/auth_int.h"

#include <stdlib.h>

static const char *const state_names[CLIENT_STATE_MAX] = {
    [CLIENT_IDLE] = "idle",         [CLIENT_SIGNING] = "signing", [CLIENT_SENT] = "sent",         [CLIENT_QUERY] = "query",
    [CLIENT_PASSWORD] = "password", [CLIENT_KBDINT] = "kbdint",   [CLIENT_PROMPTED] = "prompted", [CLIENT_DONE] = "done",
};

void auth_client_set_state(struct auth_client *a, enum client_state state)
{
    log_debug3(a->log, "auth client: %s -> %s", state_names[a->state], state_names[state]);
    a->state = state;
    if (state != CLIENT_SIGNING) buf_reset(&a->to_sign);
    if (state != CLIENT_PROMPTED) a->prompts = VIEW_EMPTY, a->n_prompts = 0;
}

int auth_client_new(const struct auth_client_config *config, struct auth_client **ret)
{
    if (config->user.len > LIMIT_USER_BYTES || config->service.len > LIMIT_USER_BYTES) return ERR_LIMIT;
    if (view_has_nul(config->user) || view_has_nul(config->service)) return ERR_FORMAT;
    CLEANUP(auth_client_freep) struct auth_client *a = calloc(1, sizeof(*a));
    if (!a) return ERR_NOMEM;
    a->link = config->link;
    a->log = config->log;
    buf_init(&a->user, LIMIT_USER_BYTES);
    buf_init(&a->service, LIMIT_USER_BYTES);
    buf_init(&a->to_sign, AUTH_SIGNED_DATA_BYTES);
    buf_init(&a->query_key, AUTH_ANY_KEY_BYTES);
    TRY(buf_put_view(&a->user, config->user));
    TRY(buf_put_view(&a->service, config->service));
    *ret = TAKE(a);
    return 0;
}

void auth_client_free(struct auth_client *a)
{
    if (!a) return;
    buf_done(&a->user);
    buf_done(&a->service);
    buf_done(&a->to_sign);
    buf_done(&a->query_key);
    free(a);
}

int auth_client_check_free(const struct auth_client *a)
{
    /* 4256 3.1: a new request in the middle of a dialogue ends the dialogue, and only the new one is answered. */
    return a->state == CLIENT_IDLE || a->state == CLIENT_PROMPTED ? 0 : ERR_STATE;
}

int auth_client_request_open(struct auth_client *a, const char *method, size_t data_max, struct wr *ret_w)
{
    struct msg_userauth_request m = { .user = buf_view(&a->user), .service = buf_view(&a->service), .method = view_str(method) };
    size_t max = 1 + 4 + m.user.len + 4 + m.service.len + 4 + m.method.len + data_max;
    if (data_max > LIMIT_PACKET_PAYLOAD_BYTES || max > LIMIT_PACKET_PAYLOAD_BYTES) return ERR_LIMIT;
    uint8_t *area;
    TRY(link_reserve(&a->link, max, &area));
    *ret_w = wr_area(area, max);
    return msg_userauth_request_put(ret_w, &m);
}

int auth_client_request_close(struct auth_client *a, const struct wr *w, enum client_state next)
{
    TRY(wr_end(w));
    TRY(link_commit(&a->link, w->len));
    auth_client_set_state(a, next);
    return 0;
}

int auth_client_try_none(struct auth_client *a)
{
    TRY(auth_client_check_free(a));
    struct wr w;
    TRY(auth_client_request_open(a, METHOD_NONE, 0, &w));
    return auth_client_request_close(a, &w, CLIENT_SENT);
}

static int on_banner(UNUSED struct auth_client *a, struct view payload, struct auth_client_event *ret)
{
    struct msg_userauth_banner m;
    TRY(msg_userauth_banner_get(payload, &m));
    if (m.text.len > LIMIT_AUTH_BANNER_BYTES) return ERR_LIMIT;
    *ret = (struct auth_client_event){ .kind = AUTH_CLIENT_BANNER, .text = m.text };
    return 1;
}

static int on_failure(struct auth_client *a, struct view payload, struct auth_client_event *ret)
{
    struct msg_userauth_failure m;
    TRY(msg_userauth_failure_get(payload, &m));
    auth_client_set_state(a, CLIENT_IDLE);
    *ret = (struct auth_client_event){ .kind = AUTH_CLIENT_FAILURE, .methods = m.methods, .partial = m.partial };
    return 1;
}

static int on_success(struct auth_client *a, struct view payload, struct auth_client_event *ret)
{
    struct msg_userauth_success m;
    TRY(msg_userauth_success_get(payload, &m));
    auth_client_set_state(a, CLIENT_DONE);
    *ret = (struct auth_client_event){ .kind = AUTH_CLIENT_SUCCESS };
    return 1;
}

#define IN(state) (1u << CLIENT_##state)
enum {
    WAITING = IN(SENT) | IN(QUERY) | IN(PASSWORD) | IN(KBDINT),
    /* A query is never answered by success: nothing was proved. */
    MAY_SUCCEED = IN(SENT) | IN(PASSWORD) | IN(KBDINT),
    BEFORE_LOGIN = WAITING | IN(IDLE) | IN(SIGNING) | IN(PROMPTED),
};

/* What the server may say, and when: all else ends the connection. Number 60 means what the open attempt makes of it. */
static const struct {
    uint8_t number;
    unsigned states;
    int (*handler)(struct auth_client *a, struct view payload, struct auth_client_event *ret);
} table[] = {
    { MSG_userauth_banner_NUMBER, BEFORE_LOGIN, on_banner },
    { MSG_userauth_failure_NUMBER, WAITING, on_failure },
    { MSG_userauth_success_NUMBER, MAY_SUCCEED, on_success },
    { MSG_userauth_pk_ok_NUMBER, IN(QUERY), auth_client_on_pk_ok },
    { MSG_userauth_passwd_changereq_NUMBER, IN(PASSWORD), auth_client_on_changereq },
    { MSG_userauth_info_request_NUMBER, IN(KBDINT), auth_client_on_info_request },
};

/* Numbers that RFC 4252 and 4256 give a meaning, be it only in the other direction; the rest of 50..79 is free. */
static bool number_is_known(uint8_t number)
{
    return (number >= MSG_userauth_request_NUMBER && number <= MSG_userauth_banner_NUMBER) || number == MSG_userauth_pk_ok_NUMBER ||
           number == MSG_userauth_info_response_NUMBER;
}

int auth_client_packet(struct auth_client *a, struct view payload, struct auth_client_event *ret)
{
    if (payload.len == 0) return ERR_TRUNCATED;
    uint8_t number = payload.p[0];
    if (number < MSG_AUTH_MIN || number > MSG_AUTH_MAX) return ERR_UNEXPECTED_MESSAGE;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].number == number && (table[i].states & (1u << a->state))) return table[i].handler(a, payload, ret);
    log_debug(a->log, "auth client: message %u in state %s", number, state_names[a->state]);
    return number_is_known(number) || a->state == CLIENT_DONE ? ERR_UNEXPECTED_MESSAGE : ERR_UNSUPPORTED;
}
