/* The client's side of the security key helper. */
#include "io/token_sk.h"

#include "os/clock.h"
#include "os/fd.h"

#include <stdlib.h>

enum {
    SIGNATURE_BYTES_MAX = 16384,
    DATA_BYTES_MAX = 1 << 20,
    TEXT_BYTES_MAX = 4096, /* provider, device, application, user, PIN */
    ATTESTATION_BYTES_MAX = 65536,
};

struct token_sk {
    struct token_helper helper;
    bool is_over;
    char *application;  /* enroll */
    uint32_t algorithm; /* enroll */
    struct key *signer; /* sign */
    struct buf data, signature;
    struct buf attestation[3]; /* enroll: certificate, signature, authenticator data */
    struct token_sk_key *keys;
    size_t n_keys;
};

static bool is_long(const char *text) { return text && strlen(text) > TEXT_BYTES_MAX; }

static int start(const struct token_sk_config *config, struct token_sk **ret)
{
    CLEANUP(token_sk_freep) struct token_sk *s = calloc(1, sizeof *s);
    if (!s) return ERR_NOMEM;
    s->helper.ipc.fd = -1;
    buf_init(&s->data, DATA_BYTES_MAX);
    buf_init(&s->signature, SIGNATURE_BYTES_MAX);
    for (size_t i = 0; i < ARRAY_LEN(s->attestation); i++) buf_init(&s->attestation[i], ATTESTATION_BYTES_MAX);
    if (is_long(config->provider) || is_long(config->device) || config->pin.len > TEXT_BYTES_MAX) return ERR_LIMIT;
    TRY(token_helper_start(TOKEN_HELPER_SK, config->verbose, &s->helper));
    s->helper.is_busy = true; /* as soon as it is asked */
    *ret = TAKE(s);
    return 0;
}

void token_sk_free(struct token_sk *s)
{
    if (!s) return;
    token_helper_done(&s->helper);
    for (size_t i = 0; i < s->n_keys; i++) {
        key_unref(s->keys[i].key);
        free((void *)(uintptr_t)s->keys[i].user.p);
    }
    for (size_t i = 0; i < ARRAY_LEN(s->attestation); i++) buf_done(&s->attestation[i]);
    free(s->keys);
    free(s->application);
    key_unref(s->signer);
    buf_done(&s->data);
    buf_done(&s->signature);
    free(s);
}

int token_sk_start_enroll(const struct token_sk_config *config, const struct token_sk_enroll *what, struct token_sk **ret)
{
    CLEANUP(token_sk_freep) struct token_sk *s = NULL;
    if (is_long(what->application) || is_long(what->user) || what->challenge.len > TEXT_BYTES_MAX) return ERR_LIMIT;
    TRY(start(config, &s));
    s->algorithm = what->algorithm;
    s->application = view_dup_str(view_str(what->application));
    if (!s->application) return ERR_NOMEM;
    TRY(IPC_SEND(&s->helper.ipc, sk_enroll, .provider = view_str(config->provider), .device = view_str(config->device),
                 .algorithm = what->algorithm, .flags = what->flags, .application = view_str(what->application),
                 .user = view_str(what->user), .challenge = what->challenge, .has_pin = config->pin.p != NULL, .pin = config->pin));
    s->helper.ipc.state = IPC_SK_ENROLLING;
    *ret = TAKE(s);
    return 0;
}

int token_sk_start_sign(const struct token_sk_config *config, struct key *k, struct view data, struct token_sk **ret)
{
    CLEANUP(token_sk_freep) struct token_sk *s = NULL;
    struct sk_key_parts parts;
    TRY(sk_key_parts(k, &parts));
    if (parts.application.len > TEXT_BYTES_MAX || parts.handle.len > SK_HANDLE_BYTES_MAX) return ERR_LIMIT;
    TRY(start(config, &s));
    s->signer = key_ref(k);
    TRY(buf_put_view(&s->data, data));
    TRY(IPC_SEND(&s->helper.ipc, sk_sign, .provider = view_str(config->provider), .device = view_str(config->device),
                 .algorithm = parts.algorithm, .flags = parts.flags, .application = parts.application, .key_handle = parts.handle,
                 .data = data, .has_pin = config->pin.p != NULL, .pin = config->pin));
    s->helper.ipc.state = IPC_SK_SIGNING;
    *ret = TAKE(s);
    return 0;
}

int token_sk_start_list(const struct token_sk_config *config, struct token_sk **ret)
{
    CLEANUP(token_sk_freep) struct token_sk *s = NULL;
    TRY(start(config, &s));
    TRY(IPC_SEND(&s->helper.ipc, sk_load_resident, .provider = view_str(config->provider), .device = view_str(config->device),
                 .has_pin = config->pin.p != NULL, .pin = config->pin));
    s->helper.ipc.state = IPC_SK_LISTING;
    *ret = TAKE(s);
    return 0;
}

int token_sk_fd(const struct token_sk *s) { return s->helper.ipc.fd; }
size_t token_sk_n_keys(const struct token_sk *s) { return s->n_keys; }
struct token_sk_key token_sk_key(const struct token_sk *s, size_t idx) { return s->keys[idx]; }

/* ---- what the helper says: 1: it is over, with an event; 0: more comes; negative: it broke the rules ---- */

static int add_key(struct token_sk *s, struct key *take_key, struct view user)
{
    CLEANUP(key_unrefp) struct key *k = take_key;
    if (s->n_keys == TOKEN_KEYS_MAX) return ERR_LIMIT;
    struct token_sk_key *more = realloc(s->keys, (s->n_keys + 1) * sizeof *more);
    if (!more) return ERR_NOMEM;
    s->keys = more;
    char *copy = view_dup_str(user);
    if (!copy) return ERR_NOMEM;
    s->keys[s->n_keys++] = (struct token_sk_key){ TAKE(k), view_of(copy, user.len) };
    return 0;
}

static int on_enrolled(struct token_sk *s, struct view fields, struct token_event *ret)
{
    struct ipc_sk_enrolled m;
    struct key *k;
    TRY(ipc_sk_enrolled_get(fields, &m));
    TRY(sk_key_make(s->algorithm, m.public_key, view_str(s->application), m.flags, m.key_handle, &k));
    TRY(add_key(s, k, VIEW_EMPTY));
    TRY(buf_put_view(&s->attestation[0], m.attestation_cert));
    TRY(buf_put_view(&s->attestation[1], m.signature));
    TRY(buf_put_view(&s->attestation[2], m.authdata));
    *ret = (struct token_event){ .kind = TOKEN_ENROLLED };
    return 1;
}

static int on_signed(struct token_sk *s, struct view fields, struct token_event *ret)
{
    struct ipc_sk_signed m;
    TRY(ipc_sk_signed_get(fields, &m));
    TRY(sk_signature_put(s->signer, m.flags, m.counter, m.r, m.s, &s->signature));
    if (key_verify(s->signer, VIEW_EMPTY, buf_view(&s->data), buf_view(&s->signature)) < 0)
        *ret = token_helper_failed(&s->helper, TOKEN_ERROR_GENERAL, VIEW_LIT("the security key's signature is wrong"));
    else
        *ret = (struct token_event){ .kind = TOKEN_SIGNED, .signature = buf_view(&s->signature) };
    return 1;
}

static int on_resident(struct token_sk *s, struct view fields)
{
    struct ipc_sk_resident m;
    struct key *k;
    TRY(ipc_sk_resident_get(fields, &m));
    TRY(sk_key_make(m.algorithm, m.public_key, m.application, m.flags, m.key_handle, &k));
    return add_key(s, k, m.user_id);
}

static int on_resident_end(struct token_sk *s, struct view fields, struct token_event *ret)
{
    struct ipc_sk_resident_end m;
    TRY(ipc_sk_resident_end_get(fields, &m));
    if (m.n_keys != s->n_keys) return ERR_FORMAT;
    *ret = (struct token_event){ .kind = TOKEN_LISTED };
    return 1;
}

static int on_failed(struct token_sk *s, struct view fields, struct token_event *ret)
{
    struct ipc_sk_failed m;
    TRY(ipc_sk_failed_get(fields, &m));
    *ret = token_helper_failed(&s->helper, m.error, m.text);
    return 1;
}

static int on_message(struct token_sk *s, const struct ipc_message *m, struct token_event *ret)
{
    switch (m->number) {
    case IPC_sk_enrolled_NUMBER:
        return on_enrolled(s, m->fields, ret);
    case IPC_sk_signed_NUMBER:
        return on_signed(s, m->fields, ret);
    case IPC_sk_resident_NUMBER:
        return on_resident(s, m->fields);
    case IPC_sk_resident_end_NUMBER:
        return on_resident_end(s, m->fields, ret);
    default:
        return on_failed(s, m->fields, ret);
    }
}

bool token_sk_next(struct token_sk *s, struct token_event *ret)
{
    while (!s->is_over) {
        struct ipc_message m;
        int got = ipc_next(&s->helper.ipc, &m);
        if (got > 0) {
            got = on_message(s, &m, ret);
            if (got == 0) continue;
        } else if (got == 0) {
            got = ipc_fill(&s->helper.ipc);
            if (got == ERR_AGAIN) return false;
            if (got == 0) continue;
        }
        if (got < 0) *ret = token_helper_lost(&s->helper, got);
        s->helper.is_busy = false;
        s->is_over = true;
        return true;
    }
    return false;
}

struct token_event token_sk_wait(struct token_sk *s)
{
    struct token_event e;
    while (!token_sk_next(s, &e)) {
        int err = s->is_over ? ERR_STATE : fd_wait(s->helper.ipc.fd, false, MS_NEVER);
        if (err == 0) continue;
        s->is_over = true;
        return token_helper_lost(&s->helper, err);
    }
    return e;
}

/* PROTOCOL.u2f: string "ssh-sk-attest-v01", certificate, enrollment signature, authenticator data (CBOR), u32 0, string "". */
int token_sk_attestation(const struct token_sk *s, struct buf *out)
{
    struct wr w = wr_of(out);
    wr_cstr(&w, "ssh-sk-attest-v01");
    for (size_t i = 0; i < ARRAY_LEN(s->attestation); i++) wr_string(&w, buf_view(&s->attestation[i]));
    wr_u32(&w, 0);
    wr_cstr(&w, "");
    return wr_end(&w);
}
