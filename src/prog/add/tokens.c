/* Keys on tokens: -s and -e name a PKCS#11 library for the agent to load, -K adds what lives on a security key. */
#include "prog/add/add.h"

#include "io/token_sk.h"
#include "key/public_line.h"
#include "os/file.h"
#include "proto/agent/agent.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    CERTS_BYTES_MAX = AGENT_FRAME_BYTES_MAX / 2,
    CERT_FILE_BYTES_MAX = 1 << 20,
};

const char *token_sk_provider(const struct add *a)
{
    const char *env = getenv("SSH_SK_PROVIDER");
    return a->options.sk_provider ? a->options.sk_provider : env && *env ? env : "internal";
}

/* ---- PKCS#11 ---- */

/* Certificates for the token's keys, one file each. */
static int load_certs(int n_files, char **files, struct buf *out)
{
    struct wr w = wr_of(out);
    for (int i = 0; i < n_files; i++) {
        CLEANUP(buf_done) struct buf file = BUF_INIT(CERT_FILE_BYTES_MAX);
        CLEANUP(key_unrefp) struct key *k = NULL;
        int err = file_read(files[i], &file);
        if (err == 0) err = public_file_parse(buf_view(&file), &k);
        if (err == 0 && !key_type_of(k)->is_cert) err = ERR_KEY_TYPE;
        if (err < 0) {
            say("Error loading certificate \"%s\": %s", files[i], err == ERR_KEY_TYPE ? "it is no certificate" : err_text(err));
            return err;
        }
        wr_string(&w, key_blob(k));
    }
    return wr_end(&w);
}

static int send_token(struct add *a, bool add, const char *path, struct view pin, struct view certs)
{
    const struct agent_constraints limits = { .lifetime_s = a->options.lifetime_s,
                                              .confirm = a->options.confirm,
                                              .destinations = buf_view(&a->options.limits),
                                              .certs = certs,
                                              .certs_only = a->options.certs_only };
    TRY(add ? agent_put_token_add(&a->request, view_str(path), pin, &limits)
            : agent_put_token_remove(&a->request, view_str(path), pin));
    TRY(agent_ask(a));
    return agent_get_success(buf_view(&a->answer));
}

int token_do_card(struct add *a, int n_files, char **files)
{
    const struct add_options *o = &a->options;
    bool add = o->action == ACTION_CARD_ADD;
    CLEANUP(buf_done) struct buf pin = BUF_INIT_SECRET(PASSPHRASE_BYTES_MAX), certs = BUF_INIT(CERTS_BYTES_MAX);
    CLEANUP(freep) char *real = NULL;
    if (load_certs(n_files, files, &certs) < 0) return EXIT_FAILED;
    int err = add ? ask_secret(a, "Enter passphrase for PKCS#11: ", &pin) : 0;
    /* the agent works in another directory; a name that is no file here it may still know */
    if (err == 0 && file_real_path(o->card, &real) < 0) real = view_dup_str(view_str(o->card));
    if (err == 0) err = real ? send_token(a, add, real, buf_view(&pin), buf_view(&certs)) : ERR_NOMEM;
    if (err < 0) {
        say("Could not %s card \"%s\": %s", add ? "add" : "remove", o->card, err_text(err));
        return EXIT_FAILED;
    }
    say_done(a, "Card %s: %s", add ? "added" : "removed", o->card);
    return EXIT_DONE;
}

/* ---- security keys ---- */

static int add_resident(struct add *a, const struct key *k)
{
    CLEANUP(freep) char *fingerprint = NULL;
    const struct agent_constraints limits = { .lifetime_s = a->options.lifetime_s,
                                              .confirm = a->options.confirm,
                                              .destinations = buf_view(&a->options.limits),
                                              .sk_provider = view_str(token_sk_provider(a)) };
    TRY(key_fingerprint(key_blob(k), a->options.hash, &fingerprint));
    TRY(agent_put_add(&a->request, k, VIEW_EMPTY, &limits));
    int err = agent_ask(a);
    if (err == 0) err = agent_get_success(buf_view(&a->answer));
    if (err < 0)
        say("Unable to add key %s %s: %s", key_type_of(k)->short_name, fingerprint, err_text(err));
    else
        say_done(a, "Resident identity added: %s %s", key_type_of(k)->short_name, fingerprint);
    return err;
}

int token_do_residents(struct add *a)
{
    CLEANUP(buf_done) struct buf pin = BUF_INIT_SECRET(PASSPHRASE_BYTES_MAX);
    CLEANUP(token_sk_freep) struct token_sk *s = NULL;
    int status = EXIT_DONE, err = ask_secret(a, "Enter PIN for authenticator: ", &pin);
    if (err == 0 && !buf_cstr(&pin)) err = ERR_NOMEM;
    struct token_sk_config config = { .provider = token_sk_provider(a),
                                      .pin = buf_view(&pin),
                                      .verbose = log_wants(&a->sink.log, LOG_LEVEL_DEBUG1) };
    if (err == 0) err = token_sk_start_list(&config, &s);
    struct token_event e = { .kind = TOKEN_FAILED, .why = err_text(err) };
    if (err == 0) e = token_sk_wait(s);
    if (e.kind != TOKEN_LISTED) {
        say("Unable to load resident keys: %s", e.why);
        return EXIT_FAILED;
    }
    if (token_sk_n_keys(s) == 0) say("No keys to add");
    for (size_t i = 0; i < token_sk_n_keys(s); i++)
        if (add_resident(a, token_sk_key(s, i).key) < 0) status = EXIT_FAILED;
    return status;
}
