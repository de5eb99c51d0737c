/* Host certificates (OpenSSH's PROTOCOL.certkeys): what they say of themselves. */
#include "prog/ssh/host_key_int.h"

#include "base/rd.h"
#include "base/vis.h"
#include "key/cert.h"
#include "os/clock.h"

#include <stdio.h>

enum {
    TEXT_BYTES = 1 << 16,
    TIME_BYTES = 64
};

bool host_cert_is(struct view key)
{
    struct rd r = rd_of(key);
    const struct key_type *t = key_type_find(rd_string(&r));
    return t && t->is_cert;
}

static void time_text(uint64_t at_s, char ret[TIME_BYTES])
{
    if (at_s > INT64_MAX)
        snprintf(ret, TIME_BYTES, "the end of time");
    else
        clock_text((int64_t)at_s, "%Y-%m-%dT%H:%M:%S", ret, TIME_BYTES);
}

int cert_put_validity(const struct cert *cert, struct buf *out)
{
    char after[TIME_BYTES], before[TIME_BYTES];
    bool from = cert->valid_after != 0, to = cert->valid_before != UINT64_MAX;
    time_text(cert->valid_after, after);
    time_text(cert->valid_before, before);
    if (from && to) return buf_printf(out, "from %s to %s", after, before);
    if (from) return buf_printf(out, "after %s", after);
    if (to) return buf_printf(out, "before %s", before);
    return buf_put_str(out, "forever");
}

int cert_put_principals(const struct cert *cert, struct buf *out)
{
    struct view list = cert->principals, name;
    for (bool is_first = true; cert_next_principal(&list, &name); is_first = false) {
        TRY(buf_put_str(out, is_first ? "" : ", "));
        TRY(vis_text(name, out));
    }
    return 0;
}

void host_cert_log(const struct client *c, struct view key)
{
    struct cert cert;
    CLEANUP(buf_done) struct buf valid = BUF_INIT(TEXT_BYTES);
    if (!log_wants(&c->sink.log, LOG_LEVEL_DEBUG1) || cert_parse(key, &cert) < 0 || cert_put_validity(&cert, &valid) < 0) return;
    CLEANUP(freep) char *print = host_key_fingerprint(c, key);
    CLEANUP(freep) char *ca_print = host_key_fingerprint(c, cert.ca_key);
    struct rd ca = rd_of(cert.ca_key);
    struct view ca_type = rd_string(&ca), list = cert.principals, name;
    client_log(c, LOG_LEVEL_DEBUG1, "Server host certificate: %s %s, serial %llu ID \"%.*s\" CA %.*s %s valid %s", cert.type->name,
               print ? print : "", (unsigned long long)cert.serial, VIEW_ARG(cert.key_id), VIEW_ARG(ca_type),
               ca_print ? ca_print : "", buf_cstr(&valid));
    while (cert_next_principal(&list, &name))
        client_log(c, LOG_LEVEL_DEBUG2, "Server host certificate hostname: %.*s", VIEW_ARG(name));
}

/* OpenSSH's sentence, and behind it what was there and what was expected. */
static void say_refusal(const struct client *c, const struct cert *cert, const char *reason, const char *name)
{
    CLEANUP(buf_done) struct buf valid = BUF_INIT(TEXT_BYTES), names = BUF_INIT(TEXT_BYTES);
    char now[TIME_BYTES];
    time_text((uint64_t)clock_wall_s(), now);
    if (cert_put_validity(cert, &valid) < 0 || cert_put_principals(cert, &names) < 0) return;
    const char *of = cert->n_principals ? buf_cstr(&names) : "nobody";
    if (strstr(reason, "principal"))
        log_error(&c->sink.log, "%s (the server was called \"%s\", its certificate is for: %s)", reason, name, of ? of : "");
    else if (strstr(reason, "expired") || strstr(reason, "yet"))
        log_error(&c->sink.log, "%s (valid %s, here it is %s)", reason, buf_cstr(&valid), now);
    else
        log_error(&c->sink.log, "%s", reason);
}

/* Critical options of host certificates are not defined: any is one that we do not know. */
bool host_cert_is_valid(const struct client *c, struct view key)
{
    struct cert cert;
    const char *reason = "", *name = c->options.host_key_alias ? c->options.host_key_alias : c->host;
    int err = cert_parse(key, &cert);
    if (err == 0 && cert_check(&cert, CERT_HOST, view_str(name), clock_wall_s(), &reason) < 0) {
        say_refusal(c, &cert, reason, name);
        return false;
    }
    if (err == 0 && cert.critical.len) {
        log_error(&c->sink.log, "Certificate contains unsupported critical options");
        return false;
    }
    if (err == 0 && !view_list_has(view_str(c->options.ca_signature_algorithms), cert.signature_algorithm)) {
        log_error(&c->sink.log, "Certificate signed with disallowed algorithm (%.*s, which CASignatureAlgorithms does not name)",
                  VIEW_ARG(cert.signature_algorithm));
        return false;
    }
    if (err == 0) err = cert_verify_signature(&cert);
    if (err < 0) log_error(&c->sink.log, "Host certificate: %s", err_text(err));
    return err == 0;
}
