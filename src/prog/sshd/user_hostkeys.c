/* Rotation of host keys (OpenSSH PROTOCOL 2.5): after login the client is told all keys, and may ask for proof of those it does not
 * know. A proof is signed by the key holder, which puts the session's identifier into it itself. */
#include "prog/sshd/user_child.h"

#include "key/key.h"

#include <string.h>

enum {
    ANNOUNCEMENT_BYTES_MAX = 30 * 1024, /* what every client takes in one packet */
    PROOFS_MAX = 64,                    /* in one request: nobody needs more, and each costs the key holder a signature */
};

int user_announce_host_keys(struct user_child *c)
{
    if (c->setup.all_host_keys.len == 0 || c->setup.all_host_keys.len > ANNOUNCEMENT_BYTES_MAX) return 0;
    /* The list has the form of the request's data: strings, one behind the other. */
    return conn_global_request(conn_io_conn(c->conn_io), "hostkeys-00@openssh.com", false, 0, c->setup.all_host_keys);
}

static bool is_ours(const struct user_child *c, struct view key)
{
    struct rd r = rd_of(c->setup.all_host_keys);
    while (rd_left(&r))
        if (view_eq(rd_string(&r), key)) return true;
    return false;
}

/* RSA keys can sign in several ways: as in the key exchange, if it was by RSA, else with the better hash. */
static struct view algorithm_for(const struct user_child *c, struct view key)
{
    const char *used = transport_host_key_algorithm(wire_io_transport(c->wire));
    struct rd r = rd_of(key);
    struct view type = rd_string(&r);
    if (!view_eq_str(type, "ssh-rsa")) return type;
    return strncmp(used, "rsa-sha2-256", 12) == 0 ? VIEW_LIT("rsa-sha2-256") : VIEW_LIT("rsa-sha2-512");
}

static int prove(struct user_child *c, struct view key, struct wr *w)
{
    struct ipc_message m;
    struct ipc_user_signed answer;
    if (!is_ours(c, key)) return ERR_NOT_FOUND;
    TRY(IPC_SEND(&c->monitor, user_prove, .key = key, .algorithm = algorithm_for(c, key)));
    TRY(ipc_expect(&c->monitor, MS_NEVER, IPC_user_signed_NUMBER, &m));
    TRY(ipc_user_signed_get(m.fields, &answer));
    wr_string(w, answer.signature);
    return 0;
}

int user_prove_host_keys(struct user_child *c, struct view keys, struct buf *ret_signatures)
{
    struct rd r = rd_of(keys);
    struct wr w = wr_of(ret_signatures);
    for (int n = 0; rd_left(&r); n++) {
        struct view key = rd_string(&r);
        TRY(rd_stop(&r));
        TRY(n < PROOFS_MAX ? prove(c, key, &w) : ERR_LIMIT);
    }
    return wr_end(&w);
}
