/* Specification lines of revocation lists. */
#include "key/krl_spec.h"

#include "base/base64.h"
#include "key/line_int.h"
#include "key/option_text_int.h"
#include "key/public_line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    NUMBER_CHARS_MAX = 32
};

struct context {
    struct krl *k;
    const struct krl_spec_ca *ca;
    char *why;
};

static int refuse(struct context *c, const char *what, struct view value)
{
    snprintf(c->why, KRL_SPEC_WHY_BYTES, "%s \"%.*s\"", what, (int)MIN(value.len, (size_t)128), (const char *)value.p);
    return ERR_FORMAT;
}

static int refuse_key(struct context *c, int err)
{
    if (err == ERR_NOMEM || err == ERR_LIMIT) return err;
    snprintf(c->why, KRL_SPEC_WHY_BYTES, "invalid key: %s", err_text(err));
    return ERR_FORMAT;
}

static int need_ca(struct context *c, const char *what)
{
    if (c->ca->is_given) return 0;
    snprintf(c->why, KRL_SPEC_WHY_BYTES, "revoking certificates by %s requires specification of a CA key", what);
    return ERR_NOT_FOUND;
}

/* Decimal, 0x hexadecimal or 0 octal; nothing else. */
static bool parse_serial(struct view text, uint64_t *ret)
{
    char digits[NUMBER_CHARS_MAX], *end;
    if (text.len == 0 || text.len >= sizeof(digits) || text.p[0] < '0' || text.p[0] > '9') return false;
    snprintf(digits, sizeof(digits), "%.*s", (int)text.len, (const char *)text.p);
    errno = 0;
    *ret = strtoull(digits, &end, 0);
    return errno == 0 && *end == '\0' && end == digits + text.len;
}

static int add_serials(struct context *c, struct view value)
{
    struct krl_serials s;
    const uint8_t *dash = value.len ? memchr(value.p, '-', value.len) : NULL;
    size_t n = dash ? (size_t)(dash - value.p) : value.len;
    struct view first = view_sub(value, 0, n), last = dash ? view_sub(value, n + 1, value.len) : first;
    TRY(need_ca(c, "serial number"));
    if (!parse_serial(first, &s.first)) return refuse(c, "invalid serial", first);
    if (!parse_serial(last, &s.last)) return refuse(c, "invalid serial", last);
    int err = krl_add_serials(c->k, c->ca->blob, s);
    return err == ERR_RANGE ? refuse(c, s.first == 0 ? "serial 0 cannot be revoked:" : "invalid serial range", value) : err;
}

static int add_id(struct context *c, struct view value)
{
    TRY(need_ca(c, "key ID"));
    int err = krl_add_key_id(c->k, c->ca->blob, value);
    return err == ERR_FORMAT ? refuse(c, "invalid key ID", value) : err;
}

static int add_hash(struct context *c, struct view value)
{
    uint8_t digest[DIGEST_MAX_BYTES];
    size_t len;
    if (!view_has_prefix(value, "SHA256:")) return refuse(c, "unsupported hash algorithm", value);
    int err = base64_get_area(view_sub(value, 7, value.len), digest, sizeof(digest), &len);
    if (err == 0) err = krl_add_digest(c->k, DIGEST_SHA256, view_of(digest, len));
    return err == ERR_FORMAT ? refuse(c, "invalid hash", value) : err;
}

static int add_key_line(struct context *c, struct view value, int add(struct krl *, struct view blob))
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    int err = public_line_parse(value, &k);
    return err < 0 ? refuse_key(c, err) : add(c->k, key_blob(k));
}

static int add_by_sha1(struct krl *k, struct view blob) { return krl_add_key_by_digest(k, DIGEST_SHA1, blob); }
static int add_by_sha256(struct krl *k, struct view blob) { return krl_add_key_by_digest(k, DIGEST_SHA256, blob); }
static int add_as_it_is(struct krl *k, struct view blob)
{
    int err = krl_add_certificate(k, blob);
    return err == ERR_KEY_TYPE ? krl_add_key(k, blob) : err;
}

static int add_key(struct context *c, struct view value) { return add_key_line(c, value, krl_add_key); }
static int add_sha1(struct context *c, struct view value) { return add_key_line(c, value, add_by_sha1); }
static int add_sha256(struct context *c, struct view value) { return add_key_line(c, value, add_by_sha256); }

static const struct word_row {
    const char *word;
    int (*add)(struct context *c, struct view value);
} word_rows[] = {
    { "serial", add_serials }, { "id", add_id },         { "key", add_key },
    { "sha1", add_sha1 },      { "sha256", add_sha256 }, { "hash", add_hash },
};

static int add_line(struct context *c, struct view line)
{
    const uint8_t *comment = line.len ? memchr(line.p, '#', line.len) : NULL;
    if (comment) line.len = (size_t)(comment - line.p);
    line = line_trim(line_trim_left(line));
    if (line.len == 0) return 0;
    const uint8_t *colon = memchr(line.p, ':', line.len);
    size_t n = colon ? (size_t)(colon - line.p) : 0;
    for (size_t i = 0; colon && i < ARRAY_LEN(word_rows); i++)
        if (option_name_is(view_sub(line, 0, n), word_rows[i].word))
            return word_rows[i].add(c, line_trim_left(view_sub(line, n + 1, line.len)));
    return add_key_line(c, line, add_as_it_is);
}

int krl_spec_add(struct krl *k, const struct krl_spec_ca *ca, struct view text, size_t *ret_line, char ret_why[KRL_SPEC_WHY_BYTES])
{
    struct context c = { k, ca, ret_why };
    struct view line;
    ret_why[0] = '\0';
    for (size_t number = 1; public_file_next_line(&text, &line); number++) {
        int err = add_line(&c, line);
        if (err == 0) continue;
        *ret_line = err == ERR_FORMAT ? number : 0;
        return err;
    }
    return 0;
}
