/* The private halves of the user's keys: files with their permissions and passphrases, the agent, and which signature a server
 * takes. */
#include "prog/ssh/client.h"

#include "key/private_file.h"
#include "os/fd.h"
#include "os/file.h"
#include "proto/agent/agent.h"

#include <fcntl.h>

enum {
    PASSPHRASE_BYTES_MAX = 1024
};

static int read_private(struct client *c, const char *path, struct buf *out)
{
    CLEANUP(fd_closep) int fd = -1;
    mode_t mode;
    TRY(file_open(path, O_RDONLY, 0, &fd));
    int err = file_check_private(fd, &mode);
    if (err == ERR_DENIED) {
        log_error(&c->sink.log, "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@");
        log_error(&c->sink.log, "@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @");
        log_error(&c->sink.log, "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@");
        log_error(&c->sink.log, "Permissions %04o for '%s' are too open.", mode & 07777, path);
        log_error(&c->sink.log, "A private key that others may read is not used; the remedy is: chmod 600 \"%s\"", path);
    }
    TRY(err);
    return file_read_fd(fd, out);
}

static int ask_passphrase(struct client *c, struct identity *id, struct view file)
{
    CLEANUP(buf_done) struct buf question = BUF_INIT(8192);
    if (c->options.batch_mode) return ERR_PASSPHRASE_NEEDED;
    TRY(buf_printf(&question, "Enter passphrase for key '%s': ", id->path));
    const char *text = buf_cstr(&question);
    for (int i = 0; text && i < c->options.number_of_password_prompts; i++) {
        CLEANUP(buf_done) struct buf passphrase = BUF_INIT_SECRET(PASSPHRASE_BYTES_MAX);
        TRY(prompt_secret(c, text, false, &passphrase));
        if (buf_len(&passphrase) == 0) return ERR_CANCELLED; /* an empty one: go on to the next key */
        int err = private_file_parse(file, buf_view(&passphrase), &id->private);
        if (err != ERR_PASSPHRASE) return err;
        client_log(c, LOG_LEVEL_DEBUG1, "bad passphrase given, try again...");
    }
    return ERR_PASSPHRASE;
}

static int read_and_open(struct client *c, struct identity *id, bool may_ask)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT_SECRET(PRIVATE_FILE_BYTES_MAX);
    TRY(read_private(c, id->path, &file));
    int err = private_file_parse(buf_view(&file), view_of(NULL, 0), &id->private);
    if (err == ERR_PASSPHRASE_NEEDED) {
        id->is_encrypted = true;
        if (may_ask) err = ask_passphrase(c, id, buf_view(&file));
    }
    TRY(err);
    if (!id->public || key_equal_public(id->public, id->private)) return 0;
    key_unref(id->private);
    id->private = NULL;
    return ERR_KEY_MISMATCH;
}

static void say_not_loaded(struct client *c, const struct identity *id, int err)
{
    if (err == ERR_KEY_MISMATCH)
        log_error(&c->sink.log, "Load key \"%s\": private key contents do not match public (%s.pub belongs to another key)",
                  id->path, id->path);
    else
        log_error(&c->sink.log, "Load key \"%s\": %s", id->path, err == ERR_DENIED ? "bad permissions" : err_text(err));
}

/* Whether another try may go better: when somebody is there to ask, or the passphrase is right. */
static bool is_about_passphrase(int err)
{
    return err == ERR_PASSPHRASE_NEEDED || err == ERR_PASSPHRASE || err == ERR_CANCELLED || err == ERR_NOT_FOUND;
}

static int load_private(struct client *c, struct identity *id, bool may_ask)
{
    if (id->private) return 0;
    if (!id->path) return ERR_NOT_FOUND;
    TRY(id->load_err);
    int err = read_and_open(c, id, may_ask);
    if (err < 0 && !is_about_passphrase(err)) {
        id->load_err = err;
        if (!file_err_is_missing(err)) say_not_loaded(c, id, err);
    }
    TRY(err);
    if (!id->public) {
        id->public = key_ref(id->private);
        id->blob = key_blob(id->public);
    }
    return 0;
}

bool identity_is_orphan(const struct client *c, const struct identity *id)
{
    if (!id->is_certificate_file || id->in_agent || id->signer) return false;
    client_log(c, LOG_LEVEL_DEBUG1, "sign_and_send_pubkey: no separate private key for certificate \"%s\"", id->path);
    return true;
}

bool identity_is_ready(struct client *c, struct identity *id)
{
    if (id->signer) return identity_is_ready(c, id->signer);
    if (id->in_agent || id->token || id->is_encrypted || load_private(c, id, false) < 0) return false;
    return !key_type_of(id->private)->is_sk;
}

bool identity_is_too_small(const struct client *c, const struct identity *id)
{
    return key_type_of(id->public)->pkey == PKEY_RSA && key_bits(id->public) < (unsigned)c->options.required_rsa_size;
}

/* The names of an RSA key's signatures, and of those with its certificates. */
static const char *rsa_algorithm(const struct client *c, bool is_cert)
{
    static const char *const plain[] = { "rsa-sha2-512", "rsa-sha2-256", "ssh-rsa" };
    static const char *const certified[] = { "rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com",
                                             "ssh-rsa-cert-v01@openssh.com" };
    struct view accepted = view_str(c->options.pubkey_accepted_algorithms), server = buf_view(&c->server_sig_algs);
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        const char *name = is_cert ? certified[i] : plain[i];
        bool server_can = server.len == 0 || view_list_has(server, view_str(plain[i])) || view_list_has(server, view_str(name));
        if (view_list_has(accepted, view_str(name)) && server_can) return name;
    }
    return NULL;
}

const char *identity_algorithm(const struct client *c, const struct identity *id)
{
    const struct key_type *type = key_type_of(id->public);
    if (identity_is_too_small(c, id)) return NULL;
    if (type->pkey == PKEY_RSA && !type->is_sk) return rsa_algorithm(c, type->is_cert);
    return view_list_has(view_str(c->options.pubkey_accepted_algorithms), view_str(type->name)) ? type->name : NULL;
}

static int sign_by_agent(struct client *c, const struct identity *id, const char *algorithm, struct view data,
                         struct buf *ret_signature)
{
    CLEANUP(buf_done) struct buf request = BUF_INIT(AGENT_FRAME_BYTES_MAX + 4), body = BUF_INIT(AGENT_FRAME_BYTES_MAX);
    struct view signature;
    TRY(agent_put_sign(&request, id->blob, data, view_str(algorithm)));
    TRY(agent_call(c, buf_view(&request), &body));
    TRY(agent_get_signature(buf_view(&body), &signature));
    return buf_put_view(ret_signature, signature);
}

static int sign_by_file(struct client *c, struct identity *id, const char *algorithm, struct view data, struct buf *ret_signature)
{
    TRY(load_private(c, id, true));
    if (key_type_of(id->private)->is_sk) return identity_sk_sign(c, id, data, ret_signature);
    return key_sign(id->private, view_str(algorithm), data, ret_signature);
}

static int sign(struct client *c, struct identity *id, const char *algorithm, struct view data, struct buf *ret_signature)
{
    int err = id->in_agent ? sign_by_agent(c, id, algorithm, data, ret_signature)
              : id->token  ? identity_token_sign(c, id, algorithm, data, ret_signature)
                           : sign_by_file(c, id, algorithm, data, ret_signature);
    if (err < 0 && !id->in_agent && (is_about_passphrase(err) || id->load_err))
        client_log(c, LOG_LEVEL_DEBUG1, "%s: no private key to sign with: %s", id->path ? id->path : "", err_text(err));
    else if (err < 0)
        log_error(&c->sink.log, "sign_and_send_pubkey: signing failed for %s \"%s\"%s: %s", key_short_name(id->blob),
                  id->path ? id->path : "", id->in_agent ? " from agent" : "", err_text(err));
    return err;
}

int identity_sign(struct client *c, struct identity *id, const char *algorithm, struct view data, struct buf *ret_signature)
{
    const struct key_type *type = key_type_find(view_str(algorithm));
    struct identity *signer = id->signer ? id->signer : id;
    bool is_cert = id->public && key_type_of(id->public)->is_cert;
    if (!is_cert || id->in_agent) return sign(c, id, algorithm, data, ret_signature);
    client_log(c, LOG_LEVEL_DEBUG1, "sign_and_send_pubkey: using private key \"%s\"%s for certificate", signer->path,
               signer->in_agent ? " from agent" : "");
    return sign(c, signer, type ? type->plain_name : algorithm, data, ret_signature);
}

void identity_was_accepted(struct client *c, const struct identity *id)
{
    const struct identity *signer = id->signer ? id->signer : id;
    if (signer->private) agent_add_key(c, signer->private, signer->path);
}
