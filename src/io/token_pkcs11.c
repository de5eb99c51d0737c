/* The client's side of the PKCS#11 helper. What the helper says is checked: the module in it is somebody else's. */
#include "io/token_pkcs11.h"

#include "base/vis.h"
#include "os/clock.h"
#include "os/fd.h"

#include <stdlib.h>

enum {
    SIGNATURE_BYTES_MAX = 16384,
    PIN_BYTES_MAX = 1024,
    PROVIDER_BYTES_MAX = 4096,
    PROMPT_BYTES = 512,
};

struct token_pkcs11 {
    struct token_helper helper;
    bool is_dead, is_loaded;
    struct key *keys[TOKEN_KEYS_MAX];
    size_t n_keys;
    size_t sign_idx; /* of the request under way */
    struct buf sign_algorithm, sign_data, signature;
};

int token_pkcs11_open(const char *provider, struct view pin, bool verbose, struct token_pkcs11 **ret)
{
    CLEANUP(token_pkcs11_freep) struct token_pkcs11 *t = calloc(1, sizeof *t);
    if (!t) return ERR_NOMEM;
    t->helper.ipc.fd = -1;
    if (strlen(provider) > PROVIDER_BYTES_MAX || pin.len > PIN_BYTES_MAX) return ERR_LIMIT;
    buf_init(&t->sign_algorithm, 256);
    buf_init(&t->sign_data, 1 << 20);
    buf_init(&t->signature, SIGNATURE_BYTES_MAX);
    TRY(token_helper_start(TOKEN_HELPER_PKCS11, verbose, &t->helper));
    TRY(IPC_SEND(&t->helper.ipc, token_load, .provider = view_str(provider), .has_pin = pin.p != NULL, .pin = pin));
    t->helper.ipc.state = IPC_TOKEN_LOADING;
    t->helper.is_busy = true;
    *ret = TAKE(t);
    return 0;
}

void token_pkcs11_free(struct token_pkcs11 *t)
{
    if (!t) return;
    token_helper_done(&t->helper);
    for (size_t i = 0; i < t->n_keys; i++) key_unref(t->keys[i]);
    buf_done(&t->sign_algorithm);
    buf_done(&t->sign_data);
    buf_done(&t->signature);
    free(t);
}

size_t token_pkcs11_n_keys(const struct token_pkcs11 *t) { return t->is_loaded ? t->n_keys : 0; }
struct key *token_pkcs11_key(const struct token_pkcs11 *t, size_t idx) { return t->keys[idx]; }
int token_pkcs11_fd(const struct token_pkcs11 *t) { return t->helper.ipc.fd; }
bool token_pkcs11_is_busy(const struct token_pkcs11 *t) { return t->helper.is_busy; }

int token_pkcs11_sign(struct token_pkcs11 *t, size_t key_idx, struct view algorithm, struct view data)
{
    if (t->is_dead) return ERR_PEER_CLOSED;
    if (!t->is_loaded || t->helper.is_busy || key_idx >= t->n_keys) return ERR_STATE;
    buf_reset(&t->sign_algorithm);
    buf_reset(&t->sign_data);
    TRY(buf_put_view(&t->sign_algorithm, algorithm));
    TRY(buf_put_view(&t->sign_data, data));
    TRY(IPC_SEND(&t->helper.ipc, token_sign, .key_idx = (uint32_t)key_idx, .algorithm = algorithm, .data = data));
    t->sign_idx = key_idx;
    t->helper.ipc.state = IPC_TOKEN_SIGNING;
    t->helper.is_busy = true;
    return 0;
}

int token_pkcs11_answer_pin(struct token_pkcs11 *t, struct view pin)
{
    if (pin.len > PIN_BYTES_MAX) pin = VIEW_EMPTY; /* nobody's PIN */
    return IPC_SEND(&t->helper.ipc, token_pin, .is_given = pin.p != NULL, .pin = pin);
}

/* ---- what the helper says: 1: an event, 0: none of it, negative: it broke the rules ---- */

static int on_key(struct token_pkcs11 *t, struct view fields)
{
    struct ipc_token_key m;
    CLEANUP(key_unrefp) struct key *k = NULL;
    char label[512];
    TRY(ipc_token_key_get(fields, &m));
    if (t->n_keys == TOKEN_KEYS_MAX) return ERR_LIMIT;
    if (m.key_idx != t->n_keys) return ERR_FORMAT;
    TRY(key_from_blob(m.blob, &k));
    if (key_type_of(k)->is_cert || key_type_of(k)->is_sk) return ERR_KEY_TYPE;
    vis_line(m.label, label, sizeof label);
    TRY(key_set_comment(k, view_str(label)));
    t->keys[t->n_keys++] = TAKE(k);
    return 0;
}

static int on_loaded(struct token_pkcs11 *t, struct view fields, struct token_event *ret)
{
    struct ipc_token_loaded m;
    TRY(ipc_token_loaded_get(fields, &m));
    if (m.n_keys != t->n_keys) return ERR_FORMAT;
    t->is_loaded = true;
    *ret = (struct token_event){ .kind = TOKEN_LOADED };
    return 1;
}

static int on_signed(struct token_pkcs11 *t, struct view fields, struct token_event *ret)
{
    struct ipc_token_signed m;
    TRY(ipc_token_signed_get(fields, &m));
    struct view algorithm = buf_view(&t->sign_algorithm);
    if (key_verify(t->keys[t->sign_idx], algorithm, buf_view(&t->sign_data), m.signature) < 0) {
        *ret = token_helper_failed(&t->helper, TOKEN_ERROR_GENERAL, VIEW_LIT("the token's signature is wrong"));
        return 1;
    }
    buf_reset(&t->signature);
    TRY(buf_put_view(&t->signature, m.signature));
    *ret = (struct token_event){ .kind = TOKEN_SIGNED, .signature = buf_view(&t->signature) };
    return 1;
}

static int on_pin_wanted(struct view fields, struct token_event *ret)
{
    struct ipc_token_pin_wanted m;
    TRY(ipc_token_pin_wanted_get(fields, &m));
    *ret = (struct token_event){ .kind = TOKEN_PIN_WANTED, .label = m.token_label, .has_keypad = m.has_keypad };
    return 1;
}

static int on_failed(struct token_pkcs11 *t, struct view fields, struct token_event *ret)
{
    struct ipc_token_failed m;
    TRY(ipc_token_failed_get(fields, &m));
    *ret = token_helper_failed(&t->helper, m.error, m.text);
    return 1;
}

static int on_message(struct token_pkcs11 *t, const struct ipc_message *m, struct token_event *ret)
{
    switch (m->number) {
    case IPC_token_key_NUMBER:
        return on_key(t, m->fields);
    case IPC_token_pin_wanted_NUMBER:
        return on_pin_wanted(m->fields, ret);
    case IPC_token_loaded_NUMBER:
        return on_loaded(t, m->fields, ret);
    case IPC_token_signed_NUMBER:
        return on_signed(t, m->fields, ret);
    default:
        return on_failed(t, m->fields, ret);
    }
}

/* The request under way is over with all but a question for the PIN. */
static void settle(struct token_pkcs11 *t, const struct token_event *e)
{
    if (e->kind == TOKEN_PIN_WANTED) return;
    t->helper.is_busy = false;
    t->helper.ipc.state = IPC_IDLE;
    buf_reset(&t->sign_data);
    if (e->kind == TOKEN_FAILED && (!t->is_loaded || e->err == ERR_PEER_CLOSED)) t->is_dead = true;
}

bool token_pkcs11_next(struct token_pkcs11 *t, struct token_event *ret)
{
    if (t->is_dead) return false;
    for (;;) {
        struct ipc_message m;
        int got = ipc_next(&t->helper.ipc, &m);
        if (got > 0)
            got = on_message(t, &m, ret);
        else if (got == 0 && (got = ipc_fill(&t->helper.ipc)) == ERR_AGAIN)
            return false;
        if (got == 0) continue;
        if (got < 0) *ret = token_helper_lost(&t->helper, got);
        settle(t, ret);
        return true;
    }
}

/* ---- waiting ---- */

static int ask_pin(struct token_pkcs11 *t, const struct token_event *e, token_pin_fn *ask, void *arg)
{
    CLEANUP(buf_done) struct buf pin = BUF_INIT_SECRET(PIN_BYTES_MAX);
    char prompt[PROMPT_BYTES];
    token_pin_prompt(e, prompt, sizeof prompt);
    int err = ask ? ask(arg, prompt, e->has_keypad, &pin) : ERR_NOT_FOUND;
    if (e->has_keypad) return 0;
    const char *given = err == 0 ? buf_cstr(&pin) : NULL;
    return token_pkcs11_answer_pin(t, view_of(given, given ? buf_len(&pin) : 0));
}

struct token_event token_pkcs11_wait(struct token_pkcs11 *t, token_pin_fn *ask, void *arg)
{
    struct token_event e;
    for (;;) {
        int err = 0;
        if (t->is_dead) return token_helper_lost(&t->helper, ERR_PEER_CLOSED);
        if (!token_pkcs11_next(t, &e))
            err = fd_wait(t->helper.ipc.fd, false, MS_NEVER);
        else if (e.kind != TOKEN_PIN_WANTED)
            return e;
        else
            err = ask_pin(t, &e, ask, arg);
        if (err < 0) {
            e = token_helper_lost(&t->helper, err);
            settle(t, &e);
            return e;
        }
    }
}
