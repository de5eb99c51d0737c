/* Signing with a key of ours or an agent's. */
#include "prog/keygen/signer.h"

#include "io/agent_io.h"
#include "io/token_pkcs11.h"
#include "os/fd.h"
#include "os/sock.h"

#include <stdlib.h>

void signer_done(struct signer *s)
{
    key_unref(s->key);
    fd_closep(&s->agent);
    token_pkcs11_free(s->token);
    *s = (struct signer)SIGNER_INIT;
}

int signer_connect(struct signer *s)
{
    const char *path = getenv("SSH_AUTH_SOCK");
    if (!path || !*path) return ERR_NOT_FOUND;
    return sock_connect_unix(path, &s->agent);
}

int signer_find(struct signer *s, struct key *public_key)
{
    CLEANUP(buf_done) struct buf request = BUF_INIT(AGENT_FRAME_BYTES_MAX), body = BUF_INIT(AGENT_FRAME_BYTES_MAX);
    struct agent_identities list;
    struct view blob, comment;
    TRY(agent_put_request_identities(&request));
    TRY(agent_io_call(s->agent, buf_view(&request), &body));
    TRY(agent_get_identities(buf_view(&body), &list));
    for (int got; (got = agent_identities_next(&list, &blob, &comment)) != 0;) {
        TRY(got);
        if (!view_eq(blob, key_blob(public_key))) continue;
        s->key = public_key;
        return 0;
    }
    return ERR_NOT_FOUND;
}

int signer_open_token(struct signer *s, const struct keygen_options *o, struct key *public_key)
{
    int status = token_open(o, &s->token);
    if (status) return status;
    for (size_t i = 0; i < token_pkcs11_n_keys(s->token); i++) {
        if (!key_equal_public(token_pkcs11_key(s->token, i), public_key)) continue;
        s->token_idx = i;
        s->key = public_key;
        return 0;
    }
    return say_fatal("No PKCS#11 key matching %s found", o->signing_file);
}

static int agent_sign(const struct signer *s, struct view algorithm, struct view data, struct buf *out)
{
    CLEANUP(buf_done) struct buf request = BUF_INIT(AGENT_FRAME_BYTES_MAX), body = BUF_INIT(AGENT_FRAME_BYTES_MAX);
    struct view signature;
    TRY(agent_put_sign(&request, key_blob(s->key), data, algorithm));
    TRY(agent_io_call(s->agent, buf_view(&request), &body));
    TRY(agent_get_signature(buf_view(&body), &signature));
    TRY(key_verify(s->key, VIEW_EMPTY, data, signature));
    return buf_put_view(out, signature);
}

int signer_sign(const struct signer *s, struct view algorithm, struct view data, struct buf *out)
{
    if (s->token) return token_sign(s->token, s->token_idx, algorithm, data, out);
    if (key_has_private(s->key) && key_type_of(s->key)->is_sk) return sk_sign(s->sk_provider, s->key, data, out);
    if (key_has_private(s->key)) return key_sign(s->key, algorithm, data, out);
    if (algorithm.len == 0 && key_type_of(s->key)->pkey == PKEY_RSA) algorithm = VIEW_LIT("rsa-sha2-512");
    return agent_sign(s, algorithm, data, out);
}
