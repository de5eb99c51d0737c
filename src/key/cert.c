/* Parsing certificates and what they say. */
#include "key/cert.h"

#include "base/pattern.h"
#include "key/key_int.h"

bool cert_next_principal(struct view *list, struct view *ret_name)
{
    if (list->len == 0) return false;
    struct rd r = rd_of(*list);
    *ret_name = rd_cstring(&r);
    *list = rd_rest(&r);
    return r.err == 0;
}

bool cert_next_option(struct view *list, struct cert_option *ret)
{
    if (list->len == 0) return false;
    struct rd r = rd_of(*list);
    ret->name = rd_cstring(&r);
    ret->data = rd_string(&r);
    *list = rd_rest(&r);
    return r.err == 0;
}

static int check_principals(struct view list, size_t *ret_n)
{
    struct rd r = rd_of(list);
    size_t n = 0;
    for (; rd_left(&r); n++) {
        if (n == CERT_PRINCIPALS_MAX) return ERR_LIMIT;
        rd_cstring(&r);
    }
    TRY(rd_end(&r));
    *ret_n = n;
    return 0;
}

static int check_options(struct view list)
{
    struct rd r = rd_of(list);
    for (size_t n = 0; rd_left(&r); n++) {
        if (n == CERT_OPTIONS_MAX) return ERR_LIMIT;
        rd_cstring(&r);
        rd_string(&r);
    }
    return rd_end(&r);
}

/* The CA's key: one that can sign, so no certificate again. */
static int check_ca(struct view ca_key)
{
    struct rd r = rd_of(ca_key);
    const struct key_type *t = key_type_read(&r);
    TRY(rd_stop(&r));
    return t && !t->is_cert ? 0 : ERR_KEY_TYPE;
}

static int read_signature_algorithm(struct cert *c)
{
    struct rd r = rd_of(c->signature);
    c->signature_algorithm = rd_string(&r);
    return rd_stop(&r);
}

int cert_parse(struct view blob, struct cert *ret)
{
    struct rd r = rd_of(blob);
    struct cert c = { .type = key_type_read(&r) };
    TRY(rd_stop(&r));
    if (!c.type || !c.type->is_cert) return ERR_KEY_TYPE;
    c.nonce = rd_string(&r);
    (void)key_fields_get(&r, c.type);
    c.serial = rd_u64(&r);
    uint32_t kind = rd_u32(&r);
    c.key_id = rd_string(&r);
    c.principals = rd_string(&r);
    c.valid_after = rd_u64(&r);
    c.valid_before = rd_u64(&r);
    c.critical = rd_string(&r);
    c.extensions = rd_string(&r);
    rd_string(&r); /* reserved */
    c.ca_key = rd_string(&r);
    c.signed_bytes = view_sub(blob, 0, blob.len - rd_left(&r));
    c.signature = rd_string(&r);
    TRY(rd_end(&r));
    if (kind != CERT_USER && kind != CERT_HOST) return ERR_FORMAT;
    c.kind = (enum cert_kind)kind;
    TRY(check_principals(c.principals, &c.n_principals));
    TRY(check_options(c.critical));
    TRY(check_options(c.extensions));
    TRY(check_ca(c.ca_key));
    TRY(read_signature_algorithm(&c));
    *ret = c;
    return 0;
}

int cert_verify_signature(const struct cert *c)
{
    return key_verify_blob(c->ca_key, c->signature_algorithm, c->signed_bytes, c->signature);
}

static bool has_principal(const struct cert *c, struct view wanted)
{
    struct view list = c->principals, name;
    while (cert_next_principal(&list, &name)) {
        if (c->kind == CERT_HOST ? pattern_matches_nocase(wanted, name) : view_eq(wanted, name)) return true;
    }
    return false;
}

static const char *refusal(const struct cert *c, enum cert_kind kind, struct view principal, int64_t now_s)
{
    uint64_t now = now_s < 0 ? 0 : (uint64_t)now_s;
    if (c->kind != kind)
        return kind == CERT_HOST ? "Certificate invalid: not a host certificate" : "Certificate invalid: not a user certificate";
    if (now < c->valid_after) return "Certificate invalid: not yet valid";
    if (now >= c->valid_before) return "Certificate invalid: expired";
    if (c->n_principals == 0) return "Certificate lacks principal list";
    if (principal.p && !has_principal(c, principal)) return "Certificate invalid: name is not a listed principal";
    return NULL;
}

int cert_check(const struct cert *c, enum cert_kind kind, struct view principal, int64_t now_s, const char **ret_reason)
{
    const char *reason = refusal(c, kind, principal, now_s);
    if (!reason) return 0;
    *ret_reason = reason;
    return ERR_DENIED;
}

/* Options with an argument hold one string, flags hold nothing. */
struct option_row {
    const char *name;
    size_t offset;
    bool is_text;
};
#define ROW(name_, member_, is_text_)                                \
    {                                                                \
        name_, offsetof(struct cert_user_options, member_), is_text_ \
    }
static const struct option_row critical_rows[] = {
    ROW("force-command", force_command, true),
    ROW("source-address", source_address, true),
    ROW("verify-required", verify_required, false),
    {},
};
static const struct option_row extension_rows[] = {
    ROW("permit-X11-forwarding", permit_x11, false),
    ROW("permit-agent-forwarding", permit_agent, false),
    ROW("permit-port-forwarding", permit_port_forwarding, false),
    ROW("permit-pty", permit_pty, false),
    ROW("permit-user-rc", permit_user_rc, false),
    ROW("no-touch-required", no_touch_required, false),
    {},
};

/* ERR_NOT_FOUND for a name without row. */
static int take_option(const struct option_row *rows, const struct cert_option *o, struct cert_user_options *to)
{
    for (const struct option_row *row = rows; row->name; row++) {
        if (!view_eq_str(o->name, row->name)) continue;
        struct rd r = rd_of(o->data);
        if (row->is_text) {
            struct view *text = (struct view *)((char *)to + row->offset);
            if (text->p) return ERR_FORMAT; /* twice: which one should hold? */
            *text = rd_cstring(&r);
        } else {
            *(bool *)((char *)to + row->offset) = true;
        }
        return rd_end(&r);
    }
    return ERR_NOT_FOUND;
}

bool cert_extension_is_known(struct view name)
{
    for (const struct option_row *row = extension_rows; row->name; row++)
        if (view_eq_str(name, row->name)) return true;
    return false;
}

int cert_user_options_get(const struct cert *c, struct cert_user_options *ret, struct view *ret_unknown)
{
    struct cert_user_options options = {};
    struct cert_option o;
    struct view list = c->critical;
    while (cert_next_option(&list, &o)) {
        int err = take_option(critical_rows, &o, &options);
        if (err == ERR_NOT_FOUND) {
            *ret_unknown = o.name;
            return ERR_UNSUPPORTED;
        }
        TRY(err);
    }
    list = c->extensions;
    while (cert_next_option(&list, &o)) {
        int err = take_option(extension_rows, &o, &options);
        if (err < 0 && err != ERR_NOT_FOUND) return err;
    }
    *ret = options;
    return 0;
}

int cert_join(const struct key *k, struct view cert_blob, struct key **ret)
{
    CLEANUP(key_unrefp) struct key *cert = NULL;
    TRY(key_from_blob(cert_blob, &cert));
    if (!cert->type->is_cert) return ERR_KEY_TYPE;
    if (!key_equal_public(k, cert)) return ERR_KEY_MISMATCH;
    CLEANUP(key_unrefp) struct key *joined = NULL;
    TRY(key_make(cert->type, pkey_ref(k->pkey), buf_view(&k->application), cert_blob, &joined));
    TRY(secret_dup(secret_view(&k->sk_private), &joined->sk_private));
    TRY(key_set_comment(joined, view_str(key_comment(k))));
    *ret = TAKE(joined);
    return 0;
}

int cert_plain_blob(struct view blob, struct buf *out)
{
    struct rd r = rd_of(blob);
    const struct key_type *t = key_type_read(&r);
    TRY(rd_stop(&r));
    if (!t) return ERR_KEY_TYPE;
    if (!t->is_cert) return buf_put_view(out, blob);
    rd_string(&r);
    struct key_fields f = key_fields_get(&r, t);
    TRY(rd_stop(&r));
    CLEANUP(buf_done) struct buf plain = BUF_INIT(KEY_BLOB_BYTES_MAX);
    struct wr w = wr_of(&plain);
    wr_cstr(&w, key_type_plain(t)->name);
    key_fields_put(&w, t, &f);
    TRY(wr_end(&w));
    return buf_put_view(out, buf_view(&plain));
}
