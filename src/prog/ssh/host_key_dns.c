/* VerifyHostKeyDNS: fingerprints of host keys in SSHFP records (RFC 4255, 6594, 7479). */
#include "prog/ssh/host_key_int.h"

#include "base/rd.h"
#include "key/sshfp.h"
#include "os/dns.h"

struct sshfp_search {
    const struct client *c;
    struct view key;
    unsigned algorithm;
    unsigned n, n_of_type, n_sha256, n_matching, n_matching_sha256;
};

/* A record that we cannot read says nothing, neither yes nor no. */
static int on_record(void *arg, struct view rdata)
{
    struct sshfp_search *s = arg;
    uint8_t digest[DIGEST_MAX_BYTES];
    struct rd r = rd_of(rdata);
    unsigned algorithm = rd_u8(&r), kind = rd_u8(&r);
    struct view theirs = rd_rest(&r);
    enum digest_alg alg = kind == SSHFP_SHA256 ? DIGEST_SHA256 : DIGEST_SHA1;
    s->n++;
    client_log(s->c, LOG_LEVEL_DEBUG1, "checking SSHFP type %u fptype %u", algorithm, kind);
    if (r.err < 0 || algorithm != s->algorithm || (kind != SSHFP_SHA1 && kind != SSHFP_SHA256)) return 0;
    if (theirs.len != digest_len(alg)) {
        client_log(s->c, LOG_LEVEL_VERBOSE, "Error parsing fingerprint from DNS.");
        return 0;
    }
    TRY(digest_parts(alg, &s->key, 1, digest));
    bool same = view_eq(theirs, view_of(digest, digest_len(alg)));
    client_log(s->c, LOG_LEVEL_DEBUG1, "%s SSHFP type %d fptype %d", same ? "matched" : "failed", algorithm, kind);
    s->n_of_type++;
    s->n_matching += same;
    s->n_sha256 += kind == SSHFP_SHA256;
    s->n_matching_sha256 += same && kind == SSHFP_SHA256;
    return 0;
}

/* RFC 6594 4: where there is a SHA-256 fingerprint, SHA-1 counts for nothing. */
static bool is_match(const struct sshfp_search *s) { return s->n_sha256 ? s->n_matching_sha256 > 0 : s->n_matching > 0; }

static bool is_numeric(const char *host)
{
    CLEANUP(sock_addrs_done) struct sock_addrs addrs = SOCK_ADDRS_INIT;
    struct sock_resolve how = { .family = AF_UNSPEC, .numeric = true };
    return sock_resolve(host, 0, &how, &addrs, NULL) == 0;
}

static void say_mismatch(struct client *c, struct view key)
{
    CLEANUP(freep) char *fingerprint = host_key_fingerprint(c, key);
    host_key_say_framed(c, "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!");
    log_error(&c->sink.log, "The %s key sent by the remote host, %s,", key_short_name(key), fingerprint ? fingerprint : "");
    log_error(&c->sink.log, "is none of those that DNS (SSHFP) has for %s.", c->host);
    log_error(&c->sink.log, "Update the SSHFP RR in DNS with the new host key to get rid of this message.");
}

enum host_dns host_dns_verify(struct client *c, struct view plain_key)
{
    struct rd r = rd_of(plain_key);
    const struct key_type *type = key_type_find(rd_string(&r));
    struct sshfp_search s = { .c = c, .key = plain_key, .algorithm = type ? sshfp_algorithm(type) : 0 };
    bool is_authentic = false;
    if (c->options.verify_host_key_dns == CONF_NO) return HOST_DNS_NOTHING;
    if (is_numeric(c->host)) {
        client_log(c, LOG_LEVEL_DEBUG1, "skipped DNS lookup for numerical hostname");
        return HOST_DNS_NOTHING;
    }
    int err = dns_query(c->host, DNS_TYPE_SSHFP, on_record, &s, &is_authentic);
    if (err < 0) {
        client_log(c, LOG_LEVEL_VERBOSE, "DNS lookup error: %s", err == ERR_NOT_FOUND ? "name does not exist" : err_text(err));
        return HOST_DNS_NOTHING;
    }
    client_log(c, LOG_LEVEL_DEBUG1, "found %u %s fingerprints in DNS", s.n, is_authentic ? "secure" : "insecure");
    if (s.n_of_type == 0) {
        client_log(c, LOG_LEVEL_DEBUG1, "no host key fingerprint found in DNS");
        return HOST_DNS_NOTHING;
    }
    if (is_match(&s)) {
        client_log(c, LOG_LEVEL_DEBUG1, "matching host key fingerprint found in DNS");
        return is_authentic ? HOST_DNS_SECURE_MATCH : HOST_DNS_MATCH;
    }
    client_log(c, LOG_LEVEL_DEBUG1, "mismatching host key fingerprint found in DNS");
    say_mismatch(c, plain_key);
    return HOST_DNS_MISMATCH;
}
