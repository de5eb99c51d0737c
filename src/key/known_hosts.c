/* Looking hosts up in known_hosts. Every login reads the whole file, so what is done for a line that does not match is bounded by
 * its names: no allocation, no decoding, and for hashed names the four SHA-1 blocks that nobody can avoid. */
#include "key/known_hosts.h"

#include "base/base64.h"
#include "base/pattern.h"
#include "crypto/hmac_sha1.h"
#include "key/cert.h"
#include "key/key_int.h"
#include "key/line_int.h"
#include "key/public_line.h"

static const struct view hash_magic = VIEW_LIT("|1|");
enum {
    HASH_TEXT_BYTES = 28
}; /* base64 of 20 bytes */

static uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c; }

int known_hosts_name_put(struct view host, unsigned port, struct buf *out)
{
    bool bracket = port != 0 && port != 22;
    uint8_t *to;
    if (bracket) TRY(buf_put_u8(out, '['));
    TRY(buf_reserve(out, host.len, &to));
    for (size_t i = 0; i < host.len; i++) to[i] = lower(host.p[i]);
    buf_commit(out, host.len);
    return bracket ? buf_printf(out, "]:%u", port) : 0;
}

bool known_hosts_is_hashed(struct view names) { return names.len && names.p[0] == '|'; }

bool known_hosts_has_wildcard(struct view names)
{
    for (size_t i = 0; i < names.len; i++)
        if (names.p[i] == '*' || names.p[i] == '?' || names.p[i] == '!') return true;
    return false;
}

/* Cuts marker and names off the line. As known_hosts_line_parse. */
static int parse_head(struct view *rest, struct known_hosts_line *l)
{
    *rest = line_trim_left(*rest);
    if (rest->len == 0 || rest->p[0] == '#') return 0;
    l->marker = KNOWN_HOSTS_PLAIN;
    if (rest->p[0] == '@') {
        struct view marker = line_take_word(rest);
        if (view_eq_str(marker, "@cert-authority"))
            l->marker = KNOWN_HOSTS_CA;
        else if (view_eq_str(marker, "@revoked"))
            l->marker = KNOWN_HOSTS_REVOKED;
        else
            return ERR_FORMAT;
    }
    l->names = line_take_word(rest);
    return l->names.len ? 1 : ERR_FORMAT;
}

static int parse_key(struct view rest, struct known_hosts_line *l)
{
    struct public_line key;
    TRY(public_line_split(rest, &key));
    if (key.type.p[0] >= '0' && key.type.p[0] <= '9') return ERR_FORMAT; /* protocol 1: bits, exponent, modulus */
    l->type = key.type;
    l->base64 = key.base64;
    l->comment = key.comment;
    return 0;
}

int known_hosts_line_parse(struct view text, struct known_hosts_line *ret)
{
    struct known_hosts_line l = { .number = ret->number, .text = text };
    struct view rest = line_trim(text);
    int got = parse_head(&rest, &l);
    if (got <= 0) return got;
    TRY(parse_key(rest, &l));
    *ret = l;
    return 1;
}

/* "|1|salt|hash" */
static bool hashed_matches(struct view names, struct view name)
{
    if (names.len != hash_magic.len + 2 * HASH_TEXT_BYTES + 1 || !view_eq(view_sub(names, 0, hash_magic.len), hash_magic))
        return false;
    struct view salt_text = view_sub(names, hash_magic.len, HASH_TEXT_BYTES);
    struct view hash_text = view_sub(names, hash_magic.len + HASH_TEXT_BYTES + 1, HASH_TEXT_BYTES);
    uint8_t salt[HMAC_SHA1_BYTES + 1], wanted[HMAC_SHA1_BYTES + 1], mac[HMAC_SHA1_BYTES];
    size_t salt_len, wanted_len;
    if (base64_get_area(salt_text, salt, sizeof(salt), &salt_len) < 0 || salt_len != HMAC_SHA1_BYTES) return false;
    if (base64_get_area(hash_text, wanted, sizeof(wanted), &wanted_len) < 0 || wanted_len != HMAC_SHA1_BYTES) return false;
    if (hmac_sha1(view_of(salt, salt_len), name, mac) < 0) return false;
    return memcmp(mac, wanted, sizeof(mac)) == 0;
}

static bool equals_nocase(struct view a, struct view b)
{
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.p[i]) != lower(b.p[i])) return false;
    return true;
}

static bool has_byte(struct view v, char c) { return v.len && memchr(v.p, c, v.len); }

/* Most lists have neither patterns nor negation: found out by memchr, which goes through many bytes at once. */
static bool list_matches(struct view list, struct view name)
{
    struct view element;
    if (has_byte(list, '*') || has_byte(list, '?') || has_byte(list, '!')) return pattern_list_match_nocase(name, list) > 0;
    while (view_next_in_list(&list, &element))
        if (equals_nocase(element, name)) return name.len > 0;
    return false;
}

bool known_hosts_line_matches(const struct known_hosts_line *l, struct view name)
{
    return known_hosts_is_hashed(l->names) ? hashed_matches(l->names, name) : list_matches(l->names, name);
}

static bool any_matches(const struct known_hosts_line *l, const struct view *names, size_t n_names)
{
    for (size_t i = 0; i < n_names; i++)
        if (known_hosts_line_matches(l, names[i])) return true;
    return false;
}

bool known_hosts_next(struct known_hosts_scan *s, struct known_hosts_line *ret)
{
    struct view text;
    while (public_file_next_line(&s->rest, &text)) {
        s->number++;
        struct known_hosts_line l = { .number = s->number, .text = text };
        struct view rest = text;
        if (parse_head(&rest, &l) <= 0 || !any_matches(&l, s->names, s->n_names)) continue;
        if (parse_key(rest, &l) < 0) continue;
        *ret = l;
        return true;
    }
    return false;
}

/* What is looked for, as it stands in lines. */
struct wanted {
    bool is_cert;
    const char *type, *ca_type; /* blob names */
    struct buf base64, ca_base64;
};
#define WANTED_INIT                                                                               \
    {                                                                                             \
        .base64 = BUF_INIT(2 * KEY_BLOB_BYTES_MAX), .ca_base64 = BUF_INIT(2 * KEY_BLOB_BYTES_MAX) \
    }

static void wanted_done(struct wanted *w)
{
    buf_done(&w->base64);
    buf_done(&w->ca_base64);
}

static int wanted_make(struct view blob, struct wanted *w)
{
    struct rd r = rd_of(blob);
    const struct key_type *t = key_type_read(&r);
    TRY(rd_stop(&r));
    if (!t) return ERR_KEY_TYPE;
    w->is_cert = t->is_cert;
    w->type = key_type_plain(t)->name;
    CLEANUP(buf_done) struct buf plain = BUF_INIT(KEY_BLOB_BYTES_MAX);
    TRY(cert_plain_blob(blob, &plain));
    TRY(base64_put(&w->base64, buf_view(&plain)));
    if (!t->is_cert) return 0;
    struct cert c;
    TRY(cert_parse(blob, &c));
    struct rd ca = rd_of(c.ca_key);
    w->ca_type = key_type_read(&ca)->name; /* cert_parse has checked that it is one */
    return base64_put(&w->ca_base64, c.ca_key);
}

static bool has_key(const struct known_hosts_line *l, const char *type, const struct buf *base64)
{
    return type && view_eq_str(l->type, type) && view_eq(l->base64, buf_view(base64));
}

static enum known_hosts_status judge(const struct known_hosts_line *l, const struct wanted *w)
{
    switch (l->marker) {
    case KNOWN_HOSTS_REVOKED:
        return has_key(l, w->type, &w->base64) || has_key(l, w->ca_type, &w->ca_base64) ? KNOWN_HOSTS_REFUSED : KNOWN_HOSTS_NEW;
    case KNOWN_HOSTS_CA:
        return has_key(l, w->ca_type, &w->ca_base64) ? KNOWN_HOSTS_OK : KNOWN_HOSTS_NEW;
    case KNOWN_HOSTS_PLAIN:
        break;
    }
    if (w->is_cert || !view_eq_str(l->type, w->type)) return KNOWN_HOSTS_NEW;
    return has_key(l, w->type, &w->base64) ? KNOWN_HOSTS_OK : KNOWN_HOSTS_CHANGED;
}

int known_hosts_check(struct view file, const struct view *names, size_t n_names, struct view key_blob_,
                      struct known_hosts_verdict *ret)
{
    CLEANUP(wanted_done) struct wanted w = WANTED_INIT;
    TRY(wanted_make(key_blob_, &w));
    struct known_hosts_scan scan = known_hosts_scan_of(file, names, n_names);
    struct known_hosts_verdict v = {};
    struct known_hosts_line l;
    while (known_hosts_next(&scan, &l)) {
        enum known_hosts_status status = judge(&l, &w);
        if (status > v.status) {
            v.status = status;
            v.line = l;
        }
        if (l.marker == KNOWN_HOSTS_PLAIN && v.other.number == 0 && !view_eq_str(l.type, w.type) && key_type_find(l.type))
            v.other = l;
    }
    *ret = v;
    return 0;
}

bool known_hosts_next_with_key(struct view *rest, size_t *number, struct view base64, struct known_hosts_line *ret)
{
    while (base64.len && rest->len) {
        /* most lines are stepped over without being looked at */
        const uint8_t *hit = memmem(rest->p, rest->len, base64.p, base64.len);
        if (!hit) break;
        struct view text = VIEW_EMPTY;
        while (public_file_next_line(rest, &text)) {
            ++*number;
            if (text.p + text.len > hit) break;
        }
        struct known_hosts_line l = { .number = *number };
        if (known_hosts_line_parse(text, &l) <= 0 || l.marker != KNOWN_HOSTS_PLAIN || !view_eq(l.base64, base64)) continue;
        *ret = l;
        return true;
    }
    return false;
}

static void add_type(const struct key_type *t, struct known_hosts_types *io)
{
    for (size_t i = 0; i < io->n_plain; i++)
        if (io->plain[i] == t) return;
    if (io->n_plain < ARRAY_LEN(io->plain)) io->plain[io->n_plain++] = t;
}

void known_hosts_types(struct view file, const struct view *names, size_t n_names, struct known_hosts_types *io)
{
    struct known_hosts_scan scan = known_hosts_scan_of(file, names, n_names);
    struct known_hosts_line l;
    while (known_hosts_next(&scan, &l)) {
        const struct key_type *t = key_type_find(l.type);
        if (l.marker == KNOWN_HOSTS_CA) io->has_ca = true;
        if (l.marker == KNOWN_HOSTS_PLAIN && t && !t->sig_only && !t->is_cert) add_type(t, io);
    }
}
