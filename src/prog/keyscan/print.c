/* What is found, as lines of known_hosts or of a DNS zone. */
#include "prog/keyscan/keyscan.h"

#include "base/vis.h"
#include "key/known_hosts.h"
#include "key/public_line.h"
#include "key/sshfp.h"
#include "os/random.h"

enum {
    OUT_BYTES_MAX = 256 * 1024
};

void print_banner(const struct keyscan_options *o, const char *host, struct view ident)
{
    char clean[1024];
    if (o->quiet) return;
    vis_line(ident, clean, sizeof(clean));
    fflush(stdout);
    fprintf(stderr, "%c %s:%u %s\n", o->sshfp ? ';' : '#', host, o->port, clean);
}

static int put_sshfp(const struct keyscan_options *o, struct view name, const struct key *k, struct buf *out)
{
    static const enum digest_alg hashes[] = { DIGEST_SHA1, DIGEST_SHA256 };
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++)
        if (!o->has_sshfp_hash || o->sshfp_hash == hashes[i]) TRY(sshfp_put(name, k, hashes[i], false, out));
    return 0;
}

static int put_line(const struct keyscan_options *o, struct view name, const struct key *k, struct buf *out)
{
    CLEANUP(buf_done) struct buf known = BUF_INIT(KEYSCAN_LINE_BYTES_MAX);
    if (key_type_of(k)->is_cert) { /* nothing that known_hosts takes: bare, as OpenSSH */
        TRY(public_line_put(k, out));
        return buf_put_u8(out, '\n');
    }
    TRY(known_hosts_name_put(name, o->port, &known));
    struct view one = buf_view(&known);
    return known_hosts_line_put(&one, 1, key_blob(k), o->hashed, &os_random, out);
}

bool print_key(const struct keyscan_options *o, const char *names, struct view blob)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    CLEANUP(buf_done) struct buf out = BUF_INIT(OUT_BYTES_MAX);
    struct view rest = view_str(names), name;
    int err = key_from_blob(blob, &k);
    while (err == 0 && view_next_in_list(&rest, &name))
        if (name.len) err = o->sshfp ? put_sshfp(o, name, k, &out) : put_line(o, name, k, &out);
    if (err < 0) return false;
    fwrite(buf_bytes(&out), 1, buf_len(&out), stdout);
    return true;
}
