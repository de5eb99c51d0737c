/* Keys on FIDO security keys: made (-t ed25519-sk, ecdsa-sk), and the resident ones downloaded (-K). */
#include "prog/keygen/keygen.h"

#include "base/log.h"
#include "io/token_sk.h"
#include "os/file.h"
#include "os/random.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    CHALLENGE_BYTES = 32,
    CHALLENGE_BYTES_MAX = 4096,
    ATTESTATION_BYTES_MAX = 65536,
    PIN_TRIES = 3,
};

/* What -O says. */
struct sk_wish {
    const char *application, *device, *user, *challenge, *attestation;
    uint8_t flags;
};

static const struct sk_option {
    const char *name;
    bool takes_value;
    size_t offset; /* of what takes a value */
    uint8_t set, clear;
} sk_options[] = {
    { "application", true, offsetof(struct sk_wish, application), 0, 0 },
    { "challenge", true, offsetof(struct sk_wish, challenge), 0, 0 },
    { "device", true, offsetof(struct sk_wish, device), 0, 0 },
    { "user", true, offsetof(struct sk_wish, user), 0, 0 },
    { "write-attestation", true, offsetof(struct sk_wish, attestation), 0, 0 },
    { "no-touch-required", false, 0, 0, SK_USER_PRESENCE },
    { "resident", false, 0, SK_RESIDENT, 0 },
    { "verify-required", false, 0, SK_USER_VERIFICATION, 0 },
};

static bool take_option(struct sk_wish *w, const char *text)
{
    const char *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : strlen(text);
    for (size_t i = 0; i < ARRAY_LEN(sk_options); i++) {
        const struct sk_option *o = &sk_options[i];
        if (strlen(o->name) != len || memcmp(o->name, text, len) != 0 || o->takes_value != (equals != NULL)) continue;
        if (equals) *(const char **)((uint8_t *)w + o->offset) = equals + 1;
        w->flags = (uint8_t)((w->flags | o->set) & ~o->clear);
        return true;
    }
    return false;
}

static int parse_options(const struct keygen_options *o, struct sk_wish *ret)
{
    struct sk_wish w = { .application = SK_APPLICATION, .flags = SK_USER_PRESENCE };
    for (size_t i = 0; i < o->options.n; i++)
        if (!take_option(&w, o->options.v[i]))
            return say_fatal("Option \"%s\" is unsupported for FIDO authenticator enrollment", o->options.v[i]);
    if (!view_has_prefix(view_str(w.application), SK_APPLICATION))
        return say_fatal("FIDO application string must begin with \"" SK_APPLICATION "\"");
    *ret = w;
    return 0;
}

static int load_challenge(const struct sk_wish *w, struct buf *out)
{
    uint8_t *area;
    int err = w->challenge ? file_read(w->challenge, out) : buf_reserve(out, CHALLENGE_BYTES, &area);
    if (err < 0)
        return say_fatal("Unable to load FIDO enrollment challenge \"%s\": %s", w->challenge ? w->challenge : "", err_text(err));
    if (w->challenge) return 0;
    err = random_fill(&os_random, area, CHALLENGE_BYTES);
    buf_commit(out, CHALLENGE_BYTES);
    return err < 0 ? say_fatal("%s", err_text(err)) : 0;
}

static const char *provider_of(const char *given)
{
    const char *env = getenv("SSH_SK_PROVIDER");
    return given ? given : env && *env ? env : "internal";
}

static int ask_pin(const char *text, struct buf *out)
{
    buf_reset(out);
    TRY(ask_secret(text, out));
    return buf_cstr(out) ? 0 : ERR_NOMEM;
}

static void say_touch(const struct keygen_options *o, bool again, const char *what)
{
    if (!o->quiet) printf("You may need to touch your authenticator%s to authorize key %s.\n", again ? " again" : "", what);
    fflush(stdout);
}

/* ---- making ---- */

struct enrolment {
    const struct keygen_options *o;
    struct token_sk_config config;
    struct token_sk_enroll what;
    struct buf pin;
    int n_pins;
};

/* What to do after a failure: 0: try again with what was changed; else the exit status, after saying why. */
static int after_failure(struct enrolment *e, const struct token_event *event)
{
    if (event->err == ERR_EXISTS) {
        char answer[16];
        say_error("A resident key scoped to '%s' with user id '%s' already exists.", e->what.application,
                  e->what.user ? e->what.user : "null");
        if (!ask_line("Overwrite key in token (y/n)? ", answer, sizeof answer) || (answer[0] != 'y' && answer[0] != 'Y'))
            return EXIT_SAID_NO;
        e->what.flags |= SK_FORCE;
        return 0;
    }
    if (event->err != ERR_PIN) return say_fatal("Key enrollment failed: %s", event->why);
    if (e->n_pins) say_error("PIN incorrect");
    if (e->n_pins++ == PIN_TRIES) return say_fatal("Too many incorrect PINs");
    int err = ask_pin("Enter PIN for authenticator: ", &e->pin);
    if (err < 0) return say_fatal("Key enrollment failed: the authenticator wants a PIN: %s", err_text(err));
    e->config.pin = buf_view(&e->pin);
    return 0;
}

static int enroll(struct enrolment *e, struct token_sk **ret)
{
    for (bool again = false;; again = true) {
        CLEANUP(token_sk_freep) struct token_sk *s = NULL;
        say_touch(e->o, again, "generation");
        int err = token_sk_start_enroll(&e->config, &e->what, &s);
        if (err < 0) return say_fatal("Key enrollment failed: ssh-sk-helper does not start: %s", err_text(err));
        struct token_event event = token_sk_wait(s);
        if (event.kind == TOKEN_ENROLLED) {
            *ret = TAKE(s);
            return 0;
        }
        int status = after_failure(e, &event);
        if (status) return status;
    }
}

static int save_attestation(const struct token_sk *s, const char *path)
{
    CLEANUP(buf_done) struct buf out = BUF_INIT(ATTESTATION_BYTES_MAX);
    int err = token_sk_attestation(s, &out);
    if (err == 0) err = file_write(path, buf_view(&out), &(struct file_write){ .mode = 0644 });
    if (err < 0) return say_fatal("Unable to write attestation data to \"%s\": %s", path, err_text(err));
    printf("Your FIDO attestation certificate has been saved in %s\n", path);
    return 0;
}

int sk_enroll_key(const struct keygen_options *o, const struct key_type *type, struct key **ret)
{
    CLEANUP(buf_done) struct buf challenge = BUF_INIT(CHALLENGE_BYTES_MAX);
    CLEANUP(token_sk_freep) struct token_sk *s = NULL;
    struct sk_wish w;
    int status = parse_options(o, &w);
    if (status == 0) status = load_challenge(&w, &challenge);
    if (status) return status;
    struct enrolment e = { .o = o,
                           .config = { .provider = provider_of(o->sk_provider), .device = w.device, .verbose = o->verbose > 0 },
                           .what = { .algorithm = type->pkey == PKEY_ED25519 ? SK_ED25519 : SK_ECDSA,
                                     .flags = w.flags,
                                     .application = w.application,
                                     .user = w.user,
                                     .challenge = buf_view(&challenge) },
                           .pin = BUF_INIT_SECRET(PASSPHRASE_BYTES_MAX) };
    status = enroll(&e, &s);
    buf_done(&e.pin);
    if (status == 0 && w.attestation) status = save_attestation(s, w.attestation);
    if (status) return status;
    struct key *k = token_sk_key(s, 0).key;
    int err = sk_key_set_flags(k, w.flags); /* SK_FORCE is not part of a key */
    if (err < 0) return say_fatal("%s", err_text(err));
    *ret = key_ref(k);
    return 0;
}

/* ---- signing ---- */

static int announce_touch(const struct key *k)
{
    CLEANUP(freep) char *fingerprint = NULL;
    TRY(key_fingerprint(key_blob(k), DIGEST_SHA256, &fingerprint));
    say_error("Confirm user presence for key %s %s", key_type_of(k)->short_name, fingerprint);
    return 0;
}

int sk_sign(const char *provider, struct key *k, struct view data, struct buf *ret_signature)
{
    struct sk_key_parts parts;
    char question[128];
    TRY(sk_key_parts(k, &parts));
    snprintf(question, sizeof question, "Enter PIN for %s key: ", key_type_of(k)->short_name);
    for (bool asks = parts.flags & SK_USER_VERIFICATION;; asks = true) {
        CLEANUP(buf_done) struct buf pin = BUF_INIT_SECRET(PASSPHRASE_BYTES_MAX);
        CLEANUP(token_sk_freep) struct token_sk *s = NULL;
        if (asks) TRY(ask_pin(question, &pin));
        struct token_sk_config config = { .provider = provider_of(provider), .pin = asks ? buf_view(&pin) : VIEW_EMPTY };
        TRY(token_sk_start_sign(&config, k, data, &s));
        if (parts.flags & SK_USER_PRESENCE) TRY(announce_touch(k));
        struct token_event e = token_sk_wait(s);
        if (e.kind == TOKEN_SIGNED) return buf_put_view(ret_signature, e.signature);
        if (e.err == ERR_PIN && !asks) continue; /* only the token knew that it wants one */
        say_error("%s", e.why);
        return e.err;
    }
}

/* ---- resident keys ---- */

/* A word of a file's name: what a token has stored becomes no path. */
static void put_word(struct buf *out, struct view text)
{
    while (text.len && text.p[text.len - 1] == 0) text.len--;
    if (text.len) (void)!buf_put_u8(out, '_');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.p[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr(".,-_@+:", c);
        (void)!buf_put_u8(out, c && is_word ? c : '_');
    }
}

static int save_resident(struct keygen_options *o, const struct token_sk_key *resident, struct view passphrase)
{
    CLEANUP(buf_done) struct buf path = BUF_INIT(PATH_BYTES_MAX);
    struct sk_key_parts parts;
    char public_path[PATH_BYTES_MAX + 8], comment[PATH_BYTES_MAX];
    int err = sk_key_parts(resident->key, &parts);
    if (err < 0) return say_fatal("%s", err_text(err));
    struct view application = view_sub(parts.application, sizeof SK_APPLICATION - 1, parts.application.len);
    if (!view_has_prefix(parts.application, SK_APPLICATION)) return EXIT_DONE; /* of another program */
    err = buf_put_str(&path, parts.algorithm == SK_ED25519 ? "id_ed25519_sk_rk" : "id_ecdsa_sk_rk");
    put_word(&path, application);
    put_word(&path, resident->user);
    const char *name = buf_cstr(&path);
    if (err < 0 || !name) return say_fatal("%s", err_text(ERR_NOMEM));
    if (!ask_overwrite(name)) return EXIT_SAID_NO;
    snprintf(comment, sizeof comment, "%.*s", VIEW_ARG(parts.application));
    if (key_set_comment(resident->key, view_str(o->comment ? o->comment : comment)) < 0)
        return say_fatal("%s", err_text(ERR_NOMEM));
    snprintf(public_path, sizeof public_path, "%s.pub", name);
    if (!save_private(o, resident->key, name, passphrase, false) || !save_public(resident->key, public_path)) return EXIT_SAID_NO;
    if (o->quiet) return EXIT_DONE;
    printf("Saved %s key%s", key_type_of(resident->key)->short_name, application.len ? " " : "");
    if (application.len) print_clean(parts.application);
    printf(" to %s\n", name);
    return EXIT_DONE;
}

static int list_residents(const struct keygen_options *o, struct token_sk **ret)
{
    CLEANUP(buf_done) struct buf pin = BUF_INIT_SECRET(PASSPHRASE_BYTES_MAX);
    struct sk_wish w;
    int status = parse_options(o, &w);
    if (status) return status;
    int err = ask_pin("Enter PIN for authenticator: ", &pin);
    if (err < 0) return say_fatal("Unable to load resident keys: a PIN is needed: %s", err_text(err));
    say_touch(o, false, "download");
    struct token_sk_config config = {
        .provider = provider_of(o->sk_provider), .device = w.device, .pin = buf_view(&pin), .verbose = o->verbose > 0
    };
    CLEANUP(token_sk_freep) struct token_sk *s = NULL;
    err = token_sk_start_list(&config, &s);
    if (err < 0) return say_fatal("Unable to load resident keys: ssh-sk-helper does not start: %s", err_text(err));
    struct token_event e = token_sk_wait(s);
    if (e.kind != TOKEN_LISTED) return say_fatal("Unable to load resident keys: %s", e.why);
    *ret = TAKE(s);
    return 0;
}

int sk_download(struct keygen_options *o)
{
    CLEANUP(token_sk_freep) struct token_sk *s = NULL;
    CLEANUP(buf_done) struct buf passphrase = BUF_INIT_SECRET(PASSPHRASE_BYTES_MAX);
    int status = list_residents(o, &s);
    if (status) return status;
    if (token_sk_n_keys(s) == 0) {
        if (!o->quiet) printf("No keys to download\n");
        return EXIT_DONE;
    }
    int err = ask_key_passphrase(o, &passphrase);
    if (err < 0) return say_fatal("No passphrase: %s", err_text(err));
    for (size_t i = 0; status == EXIT_DONE && i < token_sk_n_keys(s); i++) {
        struct token_sk_key resident = token_sk_key(s, i);
        status = save_resident(o, &resident, buf_view(&passphrase));
    }
    return status;
}
