/* Keys that are not in files: those of a PKCS#11 module (PKCS11Provider), and what signs for the files of security keys
 * (SecurityKeyProvider). Libraries are loaded by helper processes only. */
#include "prog/ssh/client.h"

#include "io/prompt.h"
#include "io/token_pkcs11.h"
#include "io/token_sk.h"
#include "os/tty.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PIN_BYTES_MAX = 1024
};

static bool is_verbose(const struct client *c) { return log_wants(&c->sink.log, LOG_LEVEL_DEBUG1); }

/* ---- PKCS#11 ---- */

static int ask_pin(void *arg, const char *prompt, bool has_keypad, struct buf *out)
{
    struct client *c = arg;
    if (!has_keypad) return prompt_secret(c, prompt, false, out);
    client_log(c, LOG_LEVEL_INFO, "%s", prompt);
    return 0;
}

static int add_key(struct token_pkcs11 *t, size_t idx, struct identity **tail)
{
    struct key *k = token_pkcs11_key(t, idx);
    struct identity *id = calloc(1, sizeof *id);
    char *label = view_dup_str(view_str(key_comment(k)));
    if (!id || !label) {
        free(id);
        free(label);
        return ERR_NOMEM;
    }
    *id = (struct identity){ .path = label, .public = key_ref(k), .blob = key_blob(k), .token = t, .token_idx = idx };
    *tail = id;
    return 0;
}

int identity_token_list(struct client *c, struct identity **ret)
{
    const char *provider = c->options.pkcs11_provider;
    CLEANUP(token_pkcs11_freep) struct token_pkcs11 *t = NULL;
    if (!provider || !*provider) return 0;
    int err = token_pkcs11_open(provider, VIEW_EMPTY, is_verbose(c), &t);
    if (err < 0) {
        log_error(&c->sink.log, "PKCS11Provider %s: ssh-pkcs11-helper does not start: %s", provider, err_text(err));
        return err == ERR_NOMEM ? err : 0;
    }
    struct token_event e = token_pkcs11_wait(t, ask_pin, c);
    if (e.kind != TOKEN_LOADED) {
        log_error(&c->sink.log, "PKCS11Provider %s: %s", provider, e.why);
        return 0;
    }
    c->token = TAKE(t);
    for (size_t i = 0; i < token_pkcs11_n_keys(c->token); i++) {
        while (*ret) ret = &(*ret)->next;
        TRY(add_key(c->token, i, ret));
    }
    return 0;
}

int identity_token_sign(struct client *c, const struct identity *id, const char *algorithm, struct view data,
                        struct buf *ret_signature)
{
    TRY(token_pkcs11_sign(id->token, id->token_idx, view_str(algorithm), data));
    struct token_event e = token_pkcs11_wait(id->token, ask_pin, c);
    if (e.kind == TOKEN_SIGNED) return buf_put_view(ret_signature, e.signature);
    log_error(&c->sink.log, "PKCS11Provider %s: %s", c->options.pkcs11_provider, e.why);
    return e.err;
}

/* ---- security keys ---- */

const char *identity_sk_provider(const struct client *c)
{
    const char *given = c->options.security_key_provider, *value;
    if (!given || given[0] != '$' || !given[1]) return given;
    value = getenv(given + 1);
    return value && *value ? value : NULL;
}

static int ask_sk_pin(struct client *c, const struct identity *id, struct buf *out)
{
    CLEANUP(buf_done) struct buf question = BUF_INIT(8192);
    TRY(buf_printf(&question, "Enter PIN for %s key %s: ", key_short_name(id->blob), id->path));
    const char *text = buf_cstr(&question);
    TRY(text ? prompt_secret(c, text, false, out) : ERR_NOMEM);
    return buf_cstr(out) ? 0 : ERR_NOMEM;
}

/* On the terminal, or in askpass's window where there is none; nobody reads what a script's standard error gets in time. */
static pid_t announce_touch(struct client *c, const struct identity *id)
{
    CLEANUP(freep) char *fingerprint = NULL;
    char text[512];
    pid_t pid = 0;
    if (key_fingerprint(id->blob, c->options.fingerprint_hash == CONF_HASH_MD5 ? DIGEST_MD5 : DIGEST_SHA256, &fingerprint) < 0)
        return 0;
    snprintf(text, sizeof text, "Confirm user presence for key %s %s", key_short_name(id->blob), fingerprint);
    if (tty_is(STDERR_FILENO) || prompt_notice_start(&c->sink.log, text, &pid) < 0) client_log(c, LOG_LEVEL_INFO, "%s", text);
    return pid;
}

static struct token_event sign_once(struct client *c, struct identity *id, struct view data, struct view pin, struct token_sk **ret)
{
    struct token_sk_config config = { .provider = identity_sk_provider(c), .pin = pin, .verbose = is_verbose(c) };
    struct sk_key_parts parts;
    struct token_event failed = { .kind = TOKEN_FAILED, .why = "SecurityKeyProvider names none" };
    failed.err = sk_key_parts(id->private, &parts);
    if (failed.err == 0) failed.err = config.provider ? token_sk_start_sign(&config, id->private, data, ret) : ERR_PROVIDER;
    if (failed.err < 0) {
        if (config.provider) failed.why = "ssh-sk-helper does not start";
        return failed;
    }
    bool wants_touch = parts.flags & SK_USER_PRESENCE;
    pid_t notice = wants_touch ? announce_touch(c, id) : 0;
    struct token_event e = token_sk_wait(*ret);
    prompt_notice_end(notice);
    if (wants_touch && e.kind == TOKEN_SIGNED) client_log(c, LOG_LEVEL_INFO, "User presence confirmed");
    return e;
}

int identity_sk_sign(struct client *c, struct identity *id, struct view data, struct buf *ret_signature)
{
    struct sk_key_parts parts;
    TRY(sk_key_parts(id->private, &parts));
    bool asks = parts.flags & SK_USER_VERIFICATION;
    for (;; asks = true) {
        CLEANUP(buf_done) struct buf pin = BUF_INIT_SECRET(PIN_BYTES_MAX);
        CLEANUP(token_sk_freep) struct token_sk *operation = NULL;
        if (asks) TRY(ask_sk_pin(c, id, &pin));
        struct token_event e = sign_once(c, id, data, asks ? buf_view(&pin) : VIEW_EMPTY, &operation);
        if (e.kind == TOKEN_SIGNED) return buf_put_view(ret_signature, e.signature);
        if (e.err == ERR_PIN && !asks) continue; /* only the token knew that it wants one */
        log_error(&c->sink.log, "key \"%s\": %s", id->path, e.why);
        return e.err;
    }
}
