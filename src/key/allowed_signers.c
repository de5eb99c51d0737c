/* Lines of allowed_signers files and the three questions about them. */
#include "key/allowed_signers.h"

#include "base/base64.h"
#include "base/pattern.h"
#include "key/authorized_keys.h"
#include "key/cert.h"
#include "key/key_int.h"
#include "key/line_int.h"
#include "key/option_text_int.h"
#include "key/public_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    COMPLAINT_BYTES = 512
};

struct line {
    size_t number;
    char *principals, *namespaces;     /* namespaces NULL: any */
    int64_t valid_after, valid_before; /* 0: no bound */
    bool cert_authority;
    struct view key_text; /* "type base64 comment" */
    struct buf blob;      /* empty until asked for */
};

static void line_done(struct line *l)
{
    free(l->principals);
    free(l->namespaces);
    buf_done(&l->blob);
    *l = (struct line){ .blob = BUF_INIT(KEY_BLOB_BYTES_MAX) };
}

static void complain(const struct allowed_signers_query *q, const struct line *l, const char *text)
{
    if (q->complain) q->complain(q->arg, l->number, text);
}

/* ---- options ---- */

static int set_time(int64_t *to, const char *value, const char *name, const char **ret_reason)
{
    bool is_after = strcmp(name, "valid-after") == 0;
    if (*to) return option_refuse(ret_reason, is_after ? "multiple \"valid-after\" clauses" : "multiple \"valid-before\" clauses");
    if (authorized_keys_time_parse(view_str(value), to) < 0 || *to == 0)
        return option_refuse(ret_reason, is_after ? "invalid \"valid-after\" time" : "invalid \"valid-before\" time");
    return 0;
}

static int set_value(struct line *l, struct view name, struct view *text, const char **ret_reason)
{
    CLEANUP(freep) char *value = NULL;
    bool is_namespaces = option_name_is(name, "namespaces"), is_after = option_name_is(name, "valid-after");
    if (!is_namespaces && !is_after && !option_name_is(name, "valid-before"))
        return option_refuse(ret_reason, "unknown key option");
    TRY(option_take_quoted(text, &value, ret_reason));
    if (is_after) return set_time(&l->valid_after, value, "valid-after", ret_reason);
    if (!is_namespaces) return set_time(&l->valid_before, value, "valid-before", ret_reason);
    if (l->namespaces) return option_refuse(ret_reason, "multiple \"namespaces\" clauses");
    l->namespaces = TAKE(value);
    return 0;
}

static int set_flag(struct line *l, struct view name, const char **ret_reason)
{
    if (!option_name_is(name, "cert-authority")) return option_refuse(ret_reason, "unknown key option");
    l->cert_authority = true;
    return 0;
}

static int parse_options(struct line *l, struct view text, const char **ret_reason)
{
    while (text.len) {
        struct view name = option_take_name(&text);
        if (text.len && text.p[0] == '=') {
            text = view_sub(text, 1, text.len);
            TRY(set_value(l, name, &text, ret_reason));
        } else {
            TRY(set_flag(l, name, ret_reason));
        }
        TRY(option_take_comma(&text, ret_reason));
    }
    if (l->valid_after && l->valid_before && l->valid_before <= l->valid_after)
        return option_refuse(ret_reason, "\"valid-before\" time is before \"valid-after\"");
    return 0;
}

/* ---- lines ---- */

/* The first field, which may be in quotes, and what follows it. 1, or 0 for a blank line or comment. */
static int split_line(struct line *l, struct view text, struct view *ret_rest)
{
    const char *reason;
    text = line_trim(text);
    if (text.len == 0 || text.p[0] == '#') return 0;
    if (text.p[0] == '"') {
        TRY(option_take_quoted(&text, &l->principals, &reason));
    } else {
        l->principals = view_dup_str(line_take_word(&text));
        if (!l->principals) return ERR_NOMEM;
    }
    *ret_rest = line_trim_left(text);
    return 1;
}

/* What follows the principals. False: complained. */
static bool parse_rest(const struct allowed_signers_query *q, struct line *l, struct view rest)
{
    const char *reason = "out of memory";
    struct view after = rest, first = line_take_word(&after);
    if (!key_type_find(first)) {
        size_t n = option_text_len(rest);
        if (n == 0 || line_trim(view_sub(rest, n, rest.len)).len == 0) {
            complain(q, l, "missing key");
            return false;
        }
        if (parse_options(l, view_sub(rest, 0, n), &reason) < 0) {
            char text[COMPLAINT_BYTES];
            snprintf(text, sizeof(text), "bad options: %s", reason);
            complain(q, l, text);
            return false;
        }
        rest = line_trim_left(view_sub(rest, n, rest.len));
    }
    l->key_text = rest;
    return true;
}

/* The key stays a blob: files are long, and those that nobody asks about need not be on their curve. */
static int decode_key(struct line *l, const struct public_line *split)
{
    TRY(base64_get(split->base64, &l->blob));
    struct rd r = rd_of(buf_view(&l->blob));
    const struct key_type *t = key_type_read(&r);
    TRY(rd_stop(&r));
    return t && view_eq_str(split->type, t->name) ? 0 : ERR_KEY_TYPE;
}

static bool parse_key(const struct allowed_signers_query *q, struct line *l)
{
    struct public_line split;
    if (public_line_split(l->key_text, &split) < 0) {
        complain(q, l, "missing key");
        return false;
    }
    if (decode_key(l, &split) == 0) return true;
    complain(q, l, "invalid key");
    return false;
}

/* The next line with its principals; the rest of it lies in *ret_rest. 0 at the end, 1, or negative. */
static int next_line(const struct allowed_signers_query *q, struct view *file, struct line *l, struct view *ret_rest)
{
    struct view text;
    size_t number = l->number;
    while (public_file_next_line(file, &text)) {
        line_done(l);
        l->number = ++number;
        int got = split_line(l, text, ret_rest);
        if (got == ERR_FORMAT) complain(q, l, "invalid line");
        if (got == 0 || got == ERR_FORMAT) continue;
        return got;
    }
    return 0;
}

/* ---- what a line permits ---- */

static bool is_in_time(const struct allowed_signers_query *q, const struct line *l)
{
    bool early = l->valid_after && q->at_s < l->valid_after, late = l->valid_before && q->at_s > l->valid_before;
    if (!early && !late) return true;
    char now[32] = "", bound[32] = "", text[COMPLAINT_BYTES];
    time_t at = (time_t)q->at_s, limit = (time_t)(early ? l->valid_after : l->valid_before);
    struct tm tm;
    if (localtime_r(&at, &tm)) strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%S", &tm);
    if (localtime_r(&limit, &tm)) strftime(bound, sizeof(bound), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text, sizeof(text),
             early ? "key is not yet valid: verify time %s < valid-after %s" : "key has expired: verify time %s > valid-before %s",
             now, bound);
    complain(q, l, text);
    return false;
}

/* The line's key is the signer's, or the CA of the signer's certificate, whose signature is checked here. */
static bool has_key(const struct allowed_signers_query *q, const struct line *l, struct cert *ret_cert)
{
    if (!l->cert_authority) return view_eq(buf_view(&l->blob), q->key_blob);
    return cert_parse(q->key_blob, ret_cert) == 0 && view_eq(buf_view(&l->blob), ret_cert->ca_key) &&
           cert_verify_signature(ret_cert) == 0;
}

static bool cert_permits(const struct allowed_signers_query *q, const struct line *l, const struct cert *c, struct view principal)
{
    const char *reason = "";
    char text[COMPLAINT_BYTES];
    if (cert_check(c, CERT_USER, principal, q->at_s, &reason) == 0) return true;
    snprintf(text, sizeof(text), "certificate not authorized: %s", reason);
    complain(q, l, text);
    return false;
}

static bool permits(const struct allowed_signers_query *q, struct line *l, struct view rest)
{
    struct cert c;
    char text[COMPLAINT_BYTES];
    if (!parse_rest(q, l, rest) || !parse_key(q, l) || !has_key(q, l, &c)) return false;
    if (l->cert_authority && !cert_permits(q, l, &c, q->principal)) return false;
    if (l->namespaces && pattern_list_match(q->name_space, view_str(l->namespaces)) != 1) {
        snprintf(text, sizeof(text), "key is not permitted for use in signature namespace \"%.*s\"",
                 (int)MIN(q->name_space.len, (size_t)COMPLAINT_BYTES / 2), (const char *)q->name_space.p);
        complain(q, l, text);
        return false;
    }
    return is_in_time(q, l);
}

int allowed_signers_check(const struct allowed_signers_query *q)
{
    CLEANUP(line_done) struct line l = { .blob = BUF_INIT(KEY_BLOB_BYTES_MAX) };
    struct view file = q->file, rest = VIEW_EMPTY;
    int got;
    while ((got = next_line(q, &file, &l, &rest)) > 0)
        if (pattern_list_match(q->principal, view_str(l.principals)) == 1 && permits(q, &l, rest)) return 0;
    return got < 0 ? got : ERR_NOT_FOUND;
}

/* The first element of the list that matches. */
static struct view first_match(struct view name, struct view list)
{
    struct view element;
    while (view_next_in_list(&list, &element))
        if (pattern_matches(name, element)) return element;
    return VIEW_EMPTY;
}

/* Of a certificate's names those that the line allows, in the line's order. */
static int put_certified(const struct allowed_signers_query *q, const struct line *l, const struct cert *c, struct buf *out)
{
    struct view wanted = view_str(l->principals), elements = wanted, element, name;
    size_t before = buf_len(out);
    const char *reason;
    while (view_next_in_list(&elements, &element)) {
        struct view list = c->principals;
        while (cert_next_principal(&list, &name)) {
            if (first_match(name, wanted).p != element.p || pattern_list_match(name, wanted) != 1) continue;
            if (cert_check(c, CERT_USER, name, q->at_s, &reason) < 0) continue;
            TRY(buf_put_view(out, name));
            TRY(buf_put_u8(out, '\n'));
        }
    }
    if (buf_len(out) == before) complain(q, l, "no valid principals found");
    return 0;
}

static int put_principals(const struct line *l, struct buf *out)
{
    struct view list = view_str(l->principals), name;
    while (view_next_in_list(&list, &name)) {
        TRY(buf_put_view(out, name));
        TRY(buf_put_u8(out, '\n'));
    }
    return 0;
}

int allowed_signers_find(const struct allowed_signers_query *q, struct buf *out)
{
    CLEANUP(line_done) struct line l = { .blob = BUF_INIT(KEY_BLOB_BYTES_MAX) };
    struct view file = q->file, rest = VIEW_EMPTY;
    struct cert c;
    size_t before = buf_len(out);
    int got;
    while ((got = next_line(q, &file, &l, &rest)) > 0) {
        if (!parse_rest(q, &l, rest) || !parse_key(q, &l) || !has_key(q, &l, &c) || !is_in_time(q, &l)) continue;
        TRY(l.cert_authority ? put_certified(q, &l, &c, out) : put_principals(&l, out));
        if (buf_len(out) > before) return 0;
    }
    return got < 0 ? got : ERR_NOT_FOUND;
}

int allowed_signers_match(const struct allowed_signers_query *q, struct buf *out)
{
    CLEANUP(line_done) struct line l = { .blob = BUF_INIT(KEY_BLOB_BYTES_MAX) };
    struct view file = q->file, rest = VIEW_EMPTY;
    size_t before = buf_len(out);
    int got;
    while ((got = next_line(q, &file, &l, &rest)) > 0)
        if (pattern_list_match(q->principal, view_str(l.principals)) == 1 && parse_rest(q, &l, rest) && parse_key(q, &l))
            TRY(buf_printf(out, "%s\n", l.principals));
    return got < 0 ? got : buf_len(out) > before ? 0 : ERR_NOT_FOUND;
}
