/* ssh-sk-helper: one operation of a FIDO security key for ssh, ssh-agent or ssh-keygen: enrolling, signing, or listing what lives
 * on it. The client is on TOKEN_HELPER_FD; after the answer the helper ends. What is in this process besides our code is whatever
 * the middleware library is. */
#include "prog/sk-helper/provider.h"

#include "os/clock.h"
#include "os/fd.h"
#include "os/logsink.h"
#include "os/spawn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    EXIT_MISUSE = 1,
    EXIT_OWN_ERROR = 255,
    PIECE_BYTES_MAX = 12000, /* of what a library gives; five of them fit in a message */
    SMALL_BYTES_MAX = 1024,
    HANDLE_BYTES_MAX = 4096,
    RESIDENT_KEYS_MAX = 1024,
    PIN_BYTES_MAX = 8192,
};

static const char flags[] = "v";

struct helper {
    struct ipc client;
    struct logsink sink;
};

static int send_fault(struct helper *h, const struct provider_fault *fault)
{
    log_debug(&h->sink.log, "%s", fault->text);
    return IPC_SEND(&h->client, sk_failed, .error = fault->error, .text = view_str(fault->text));
}

static int send_api_error(struct helper *h, int got)
{
    static const struct api_error {
        enum sk_api_error api;
        struct provider_fault fault;
    } errors[] = {
        { SK_API_UNSUPPORTED, { TOKEN_ERROR_UNSUPPORTED, "requested feature not supported by the security key" } },
        { SK_API_PIN_REQUIRED, { TOKEN_ERROR_PIN, "the security key wants its PIN, or another one" } },
        { SK_API_DEVICE_NOT_FOUND,
          { TOKEN_ERROR_NO_DEVICE, "device not found: there is no security key, or none that has this key" } },
        { SK_API_CREDENTIAL_EXISTS,
          { TOKEN_ERROR_EXISTS, "the security key has a resident key of this application and user already" } },
    };
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if ((int)errors[i].api == got) return send_fault(h, &errors[i].fault);
    return send_fault(h, &(struct provider_fault){ TOKEN_ERROR_GENERAL, "the security key or its library refuses" });
}

static int send_bad_answer(struct helper *h)
{
    return send_fault(h, &(struct provider_fault){ TOKEN_ERROR_GENERAL, "the library's answer makes no sense" });
}

/* ---- what the library is called with ---- */

/* Strings with an end, and the options. */
struct call {
    char *provider, *application;
    struct buf pin;
    bool has_pin;
    char *device, *user;
    struct sk_option options[2], *option_list[3];
    struct sk_api api;
};

static void call_done(struct call *c)
{
    free(c->provider);
    free(c->application);
    free(c->device);
    free(c->user);
    buf_done(&c->pin);
}

static void add_option(struct call *c, const char *name, char *value)
{
    size_t i = 0;
    while (c->option_list[i]) i++;
    c->options[i] = (struct sk_option){ (char *)(uintptr_t)name, value, 1 };
    c->option_list[i] = &c->options[i];
}

static int call_init(struct call *c, struct view provider, struct view device, struct view user, struct view application,
                     bool has_pin, struct view pin)
{
    c->pin = (struct buf)BUF_INIT_SECRET(PIN_BYTES_MAX);
    c->has_pin = has_pin;
    c->provider = view_dup_str(provider);
    c->application = view_dup_str(application);
    c->device = view_dup_str(device);
    c->user = view_dup_str(user);
    if (!c->provider || !c->application || !c->device || !c->user) return ERR_NOMEM;
    TRY(buf_put_view(&c->pin, pin));
    if (device.len) add_option(c, "device", c->device);
    if (user.len) add_option(c, "user", c->user);
    return 0;
}

static const char *pin_of(struct call *c) { return c->has_pin ? buf_cstr(&c->pin) : NULL; }

/* NULL as options when there are none, as some libraries look no further than that. */
static struct sk_option **options_of(struct call *c) { return c->option_list[0] ? c->option_list : NULL; }

/* 1: the provider is there; else send_fault's. */
static int open_provider(struct helper *h, struct call *c)
{
    struct provider_fault fault = {};
    if (provider_open(c->provider, &h->sink.log, &c->api, &fault) < 0) return send_fault(h, &fault);
    return 1;
}

static bool is_piece(const void *p, size_t len, size_t max) { return len <= max && (p || len == 0); }

/* ---- the three operations ---- */

static int send_enrolled(struct helper *h, const struct sk_enroll_response *r)
{
    bool is_good = r && is_piece(r->public_key, r->public_key_len, SMALL_BYTES_MAX) &&
                   is_piece(r->key_handle, r->key_handle_len, HANDLE_BYTES_MAX) && r->key_handle_len > 0 &&
                   is_piece(r->signature, r->signature_len, PIECE_BYTES_MAX) &&
                   is_piece(r->attestation_cert, r->attestation_cert_len, PIECE_BYTES_MAX) &&
                   is_piece(r->authdata, r->authdata_len, PIECE_BYTES_MAX);
    if (!is_good) return send_bad_answer(h);
    return IPC_SEND(&h->client, sk_enrolled, .public_key = view_of(r->public_key, r->public_key_len), .flags = r->flags,
                    .key_handle = view_of(r->key_handle, r->key_handle_len),
                    .attestation_cert = view_of(r->attestation_cert, r->attestation_cert_len),
                    .signature = view_of(r->signature, r->signature_len), .authdata = view_of(r->authdata, r->authdata_len));
}

static int enroll(struct helper *h, struct view fields)
{
    CLEANUP(call_done) struct call c = {};
    struct ipc_sk_enroll q;
    struct sk_enroll_response *r = NULL;
    TRY(ipc_sk_enroll_get(fields, &q));
    TRY(call_init(&c, q.provider, q.device, q.user, q.application, q.has_pin, q.pin));
    int err = open_provider(h, &c);
    if (err <= 0) return err;
    int got = c.api.enroll(q.algorithm, q.challenge.p, q.challenge.len, c.application, q.flags, pin_of(&c), options_of(&c), &r);
    err = got == 0 ? send_enrolled(h, r) : send_api_error(h, got);
    if (got == 0) sk_enroll_response_free(r);
    return err;
}

static int send_signed(struct helper *h, const struct sk_sign_response *r)
{
    if (!r || !is_piece(r->sig_r, r->sig_r_len, SMALL_BYTES_MAX) || !is_piece(r->sig_s, r->sig_s_len, SMALL_BYTES_MAX))
        return send_bad_answer(h);
    return IPC_SEND(&h->client, sk_signed, .flags = r->flags, .counter = r->counter, .r = view_of(r->sig_r, r->sig_r_len),
                    .s = view_of(r->sig_s, r->sig_s_len));
}

static int sign(struct helper *h, struct view fields)
{
    CLEANUP(call_done) struct call c = {};
    struct ipc_sk_sign q;
    struct sk_sign_response *r = NULL;
    TRY(ipc_sk_sign_get(fields, &q));
    TRY(call_init(&c, q.provider, q.device, VIEW_EMPTY, q.application, q.has_pin, q.pin));
    int err = open_provider(h, &c);
    if (err <= 0) return err;
    int got = c.api.sign(q.algorithm, q.data.p, q.data.len, c.application, q.key_handle.p, q.key_handle.len, q.flags, pin_of(&c),
                         options_of(&c), &r);
    err = got == 0 ? send_signed(h, r) : send_api_error(h, got);
    if (got == 0) sk_sign_response_free(r);
    return err;
}

/* 1: told; 0: left out; negative: the client is gone. */
static int send_resident(struct helper *h, const struct sk_resident_key *k)
{
    bool is_good = k && k->application && strlen(k->application) <= SMALL_BYTES_MAX &&
                   is_piece(k->user_id, k->user_id_len, SMALL_BYTES_MAX) &&
                   is_piece(k->key.public_key, k->key.public_key_len, SMALL_BYTES_MAX) &&
                   is_piece(k->key.key_handle, k->key.key_handle_len, HANDLE_BYTES_MAX) && k->key.key_handle_len > 0;
    if (!is_good) {
        log_error(&h->sink.log, "a resident key is left out: the library's answer makes no sense");
        return 0;
    }
    TRY(IPC_SEND(&h->client, sk_resident, .algorithm = k->alg, .application = view_str(k->application),
                 .user_id = view_of(k->user_id, k->user_id_len), .public_key = view_of(k->key.public_key, k->key.public_key_len),
                 .flags = k->flags, .key_handle = view_of(k->key.key_handle, k->key.key_handle_len)));
    return 1;
}

static int send_residents(struct helper *h, struct sk_resident_key **keys, size_t n)
{
    uint32_t n_sent = 0;
    if (n > RESIDENT_KEYS_MAX || (n && !keys)) return send_bad_answer(h);
    for (size_t i = 0; i < n; i++) {
        int got = send_resident(h, keys[i]);
        TRY(got);
        n_sent += (uint32_t)got;
    }
    return IPC_SEND(&h->client, sk_resident_end, .n_keys = n_sent);
}

static int load_resident(struct helper *h, struct view fields)
{
    CLEANUP(call_done) struct call c = {};
    struct ipc_sk_load_resident q;
    struct sk_resident_key **keys = NULL;
    size_t n = 0;
    TRY(ipc_sk_load_resident_get(fields, &q));
    TRY(call_init(&c, q.provider, q.device, VIEW_EMPTY, VIEW_EMPTY, q.has_pin, q.pin));
    int err = open_provider(h, &c);
    if (err <= 0) return err;
    int got = c.api.load_resident_keys(pin_of(&c), options_of(&c), &keys, &n);
    err = got == 0 ? send_residents(h, keys, n) : send_api_error(h, got);
    if (got == 0) sk_resident_keys_free(keys, n);
    return err;
}

static int run(struct helper *h)
{
    struct ipc_message m;
    TRY(ipc_recv(&h->client, MS_NEVER, &m));
    switch (m.number) {
    case IPC_sk_enroll_NUMBER:
        return enroll(h, m.fields);
    case IPC_sk_sign_NUMBER:
        return sign(h, m.fields);
    default:
        return load_resident(h, m.fields);
    }
}

static bool is_started_by_ssh(void)
{
    struct stat st;
    return fstat(TOKEN_HELPER_FD, &st) == 0 && S_ISSOCK(st.st_mode);
}

int main(int argc, char **argv)
{
    struct helper h = {};
    int verbose = 0, flag;
    while ((flag = getopt(argc, argv, flags)) != -1) {
        if (flag != 'v') {
            fprintf(stderr, "usage: ssh-sk-helper [-v]\n");
            return EXIT_MISUSE;
        }
        verbose++;
    }
    if (!is_started_by_ssh()) {
        fprintf(stderr, "ssh-sk-helper: started by ssh, ssh-agent and ssh-keygen for a security key, not by hand\n");
        return EXIT_MISUSE;
    }
    logsink_init_fd(&h.sink, verbose ? LOG_LEVEL_DEBUG1 : LOG_LEVEL_ERROR, STDERR_FILENO);
    int err = ipc_init(&h.client, TOKEN_HELPER_FD, IPC_S, IPC_C);
    if (err == 0) err = fd_cloexec(TOKEN_HELPER_FD, true); /* a library may start programs */
    if (err == 0) err = spawn_hide_memory();
    if (err == 0) err = spawn_no_new_privs();
    if (err == 0) err = run(&h);
    ipc_done(&h.client);
    if (err == 0 || err == ERR_PEER_CLOSED) return 0;
    fprintf(stderr, "ssh-sk-helper: %s\n", err_text(err));
    return EXIT_OWN_ERROR;
}
