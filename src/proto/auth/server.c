/* The server's engine (RFC 4252): its states, the tables of what a client may say in each and of which verdict answers which
 * question. It knows no accounts and no keys; each request becomes one question to its owner. */
#include "proto/auth/auth_int.h"

#include <stdlib.h>

static const char *const state_names[SERVER_STATE_MAX] = {
    [SERVER_IDLE] = "idle",       [SERVER_QUESTION] = "question", [SERVER_PROMPTED] = "prompted",
    [SERVER_REFUSED] = "refused", [SERVER_DONE] = "done",
};

static void set_state(struct auth_server *a, enum server_state state)
{
    log_debug3(a->log, "auth server: %s -> %s", state_names[a->state], state_names[state]);
    a->state = state;
    a->n_early = a->early_bytes = 0;
    if (state == SERVER_QUESTION) return;
    a->responses = VIEW_EMPTY;
    a->n_responses = 0;
    buf_reset(&a->signed_data);
}

int auth_server_new(const struct auth_server_config *config, struct auth_server **ret)
{
    CLEANUP(auth_server_freep) struct auth_server *a = calloc(1, sizeof(*a));
    if (!a) return ERR_NOMEM;
    a->link = config->link;
    a->log = config->log;
    a->early_session = config->early_session;
    buf_init(&a->session_id, AUTH_SESSION_ID_BYTES);
    buf_init(&a->host_key, AUTH_ANY_KEY_BYTES);
    buf_init(&a->user, LIMIT_USER_BYTES);
    buf_init(&a->query_algorithm, AUTH_ANY_KEY_BYTES);
    buf_init(&a->query_key, AUTH_ANY_KEY_BYTES);
    buf_init(&a->signed_data, AUTH_SIGNED_DATA_BYTES);
    TRY(buf_put_view(&a->session_id, config->session_id));
    TRY(buf_put_view(&a->host_key, config->host_key));
    *ret = TAKE(a);
    return 0;
}

void auth_server_free(struct auth_server *a)
{
    if (!a) return;
    buf_done(&a->session_id);
    buf_done(&a->host_key);
    buf_done(&a->user);
    buf_done(&a->query_algorithm);
    buf_done(&a->query_key);
    buf_done(&a->signed_data);
    free(a);
}

void auth_server_refuse(struct auth_server_event *e)
{
    *e = (struct auth_server_event){
        .kind = AUTH_SERVER_OTHER, .user = e->user, .service = e->service, .method = e->method, .text = e->method
    };
}

static int read_none(UNUSED struct auth_server *a, struct view data, struct auth_server_event *ret)
{
    if (data.len) return ERR_TRAILING;
    ret->kind = AUTH_SERVER_NONE;
    return 0;
}

static const struct {
    const char *name;
    int (*read)(struct auth_server *a, struct view data, struct auth_server_event *ret);
} methods[] = {
    { METHOD_NONE, read_none },
    { METHOD_PUBLICKEY, auth_server_read_publickey },
    { METHOD_HOSTBOUND, auth_server_read_hostbound },
    { METHOD_PASSWORD, auth_server_read_password },
    { METHOD_KBDINT, auth_server_read_kbdint },
    { METHOD_HOSTBASED, auth_server_read_hostbased },
};

static int read_method(struct auth_server *a, struct view data, struct auth_server_event *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (view_eq_str(ret->method, methods[i].name)) return methods[i].read(a, data, ret);
    auth_server_refuse(ret);
    return 0;
}

static int ask(struct auth_server *a, const struct auth_server_event *e)
{
    a->question = e->kind;
    set_state(a, SERVER_QUESTION);
    return 1;
}

/* 4256 3.1: a request in the middle of a dialogue ends the dialogue; the owner sees that by any event but KBDINT_RESPONSE. */
static int on_request(struct auth_server *a, struct view payload, struct auth_server_event *ret)
{
    struct msg_userauth_request m;
    TRY(msg_userauth_request_get(payload, &m));
    if (!view_eq_str(m.service, "ssh-connection")) return ERR_SERVICE;
    struct auth_server_event e = { .user = m.user, .service = m.service, .method = m.method };
    if (m.user.len > LIMIT_USER_BYTES) {
        e.user = VIEW_EMPTY;
        auth_server_refuse(&e);
    } else {
        TRY(read_method(a, m.data, &e));
    }
    *ret = e;
    return ask(a, ret);
}

static int on_info_response(struct auth_server *a, struct view payload, struct auth_server_event *ret)
{
    struct auth_server_event e = {};
    TRY(auth_server_read_info_response(a, payload, &e));
    *ret = e;
    return ask(a, ret);
}

/* 4252 5.3: requests behind the one that succeeded are ignored. */
static int on_late(UNUSED struct auth_server *a, UNUSED struct view payload, UNUSED struct auth_server_event *ret) { return 0; }

/* doc/protocol.md, early-session: it was meant for the user of a request that failed, and nobody gets it. */
static int on_early(struct auth_server *a, struct view payload, UNUSED struct auth_server_event *ret)
{
    a->n_early++;
    a->early_bytes += payload.len;
    return a->n_early > LIMIT_EARLY_PACKETS || a->early_bytes > LIMIT_EARLY_BYTES ? ERR_LIMIT : 0;
}

#define IN(state) (1u << SERVER_##state)

/* What a client may say, and when: all else ends the connection. */
static const struct {
    uint8_t number;
    unsigned states;
    int (*handler)(struct auth_server *a, struct view payload, struct auth_server_event *ret);
} table[] = {
    { MSG_userauth_request_NUMBER, IN(IDLE) | IN(PROMPTED) | IN(REFUSED), on_request },
    { MSG_userauth_info_response_NUMBER, IN(PROMPTED), on_info_response },
    { MSG_userauth_request_NUMBER, IN(DONE), on_late },
    { MSG_userauth_info_response_NUMBER, IN(DONE), on_late },
    { MSG_channel_open_NUMBER, IN(REFUSED), on_early },
    { MSG_channel_request_NUMBER, IN(REFUSED), on_early },
};

/* Numbers that RFC 4252 and 4256 give a meaning, be it only in the other direction; the rest of 50..79 is free. */
static bool number_is_known(uint8_t number)
{
    return (number >= MSG_userauth_request_NUMBER && number <= MSG_userauth_banner_NUMBER) || number == MSG_userauth_pk_ok_NUMBER ||
           number == MSG_userauth_info_response_NUMBER;
}

int auth_server_packet(struct auth_server *a, struct view payload, struct auth_server_event *ret)
{
    if (a->state == SERVER_QUESTION) return ERR_STATE;
    if (payload.len == 0) return ERR_TRUNCATED;
    uint8_t number = payload.p[0];
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].number == number && (table[i].states & (1u << a->state))) return table[i].handler(a, payload, ret);
    log_debug(a->log, "auth server: message %u in state %s", number, state_names[a->state]);
    bool is_ours = number >= MSG_AUTH_MIN && number <= MSG_AUTH_MAX;
    return !is_ours || number_is_known(number) ? ERR_UNEXPECTED_MESSAGE : ERR_UNSUPPORTED;
}

/* ---- answers ---- */

static int send_failure(struct auth_server *a, const struct auth_server_answer *answer)
{
    return LINK_SEND(&a->link, 1 + 4 + answer->methods.len + 1, userauth_failure, .methods = answer->methods,
                     .partial = answer->verdict == AUTH_VERDICT_PARTIAL);
}

static int send_success(struct auth_server *a, UNUSED const struct auth_server_answer *answer)
{
    return LINK_SEND(&a->link, 1, userauth_success, );
}

static int send_pk_ok(struct auth_server *a, UNUSED const struct auth_server_answer *answer)
{
    return LINK_SEND(&a->link, 1 + 4 + buf_len(&a->query_algorithm) + 4 + buf_len(&a->query_key), userauth_pk_ok,
                     .algorithm = buf_view(&a->query_algorithm), .key = buf_view(&a->query_key));
}

static int send_changereq(struct auth_server *a, const struct auth_server_answer *answer)
{
    if (answer->text.len > LIMIT_PACKET_PREAUTH_BYTES / 2) return ERR_LIMIT;
    return LINK_SEND(&a->link, 1 + 4 + answer->text.len + 4, userauth_passwd_changereq, .prompt = answer->text);
}

#define Q(kind) (1u << AUTH_SERVER_##kind)
enum {
    CAN_PASS = Q(NONE) | Q(PUBLICKEY) | Q(PASSWORD) | Q(PASSWORD_CHANGE) | Q(KBDINT_START) | Q(KBDINT_RESPONSE) | Q(HOSTBASED),
    CAN_FAIL = CAN_PASS | Q(PUBLICKEY_QUERY) | Q(OTHER),
};

/* Which questions a verdict answers. A query or an unknown method can never log anybody in. */
static const struct {
    unsigned questions;
    enum server_state next;
    int (*send)(struct auth_server *a, const struct auth_server_answer *answer);
} verdicts[] = {
    [AUTH_VERDICT_FAILURE] = { CAN_FAIL, SERVER_IDLE, send_failure },
    [AUTH_VERDICT_PARTIAL] = { CAN_PASS, SERVER_IDLE, send_failure },
    [AUTH_VERDICT_SUCCESS] = { CAN_PASS, SERVER_DONE, send_success },
    [AUTH_VERDICT_PK_OK] = { Q(PUBLICKEY_QUERY), SERVER_IDLE, send_pk_ok },
    [AUTH_VERDICT_CHANGEREQ] = { Q(PASSWORD) | Q(PASSWORD_CHANGE), SERVER_IDLE, send_changereq },
    [AUTH_VERDICT_INFO_REQUEST] = { Q(KBDINT_START) | Q(KBDINT_RESPONSE), SERVER_PROMPTED, auth_server_send_info_request },
};

int auth_server_answer(struct auth_server *a, const struct auth_server_answer *answer)
{
    if (a->state != SERVER_QUESTION || (unsigned)answer->verdict >= ARRAY_LEN(verdicts)) return ERR_STATE;
    if (!(verdicts[answer->verdict].questions & (1u << a->question))) return ERR_STATE;
    TRY(verdicts[answer->verdict].send(a, answer));
    enum server_state next = verdicts[answer->verdict].next;
    bool early_may_follow = a->early_session && a->question == AUTH_SERVER_PUBLICKEY && next == SERVER_IDLE;
    set_state(a, early_may_follow ? SERVER_REFUSED : next);
    return 0;
}

int auth_server_banner(struct auth_server *a, struct view text)
{
    /* 4252 5.4: before success only. */
    if (a->state == SERVER_DONE) return ERR_STATE;
    if (text.len > LIMIT_AUTH_BANNER_BYTES - 64) return ERR_LIMIT;
    return LINK_SEND(&a->link, 1 + 4 + text.len + 4, userauth_banner, .text = text);
}
