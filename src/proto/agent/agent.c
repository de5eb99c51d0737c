/* Requests to an agent and its answers. */
#include "proto/agent/agent.h"

#include "base/wr.h"
#include "key/private_blob.h"

enum {
    CONSTRAIN_LIFETIME = 1,
    CONSTRAIN_CONFIRM = 2,
    CONSTRAIN_EXTENSION = 255
};

int agent_frame_next(struct view bytes, struct view *ret_body, size_t *ret_used)
{
    if (bytes.len < 4) return 0;
    struct rd r = rd_of(bytes);
    uint32_t len = rd_u32(&r);
    if (len == 0 || len > AGENT_FRAME_BYTES_MAX) return ERR_LIMIT;
    if (rd_left(&r) < len) return 0;
    *ret_body = rd_bytes(&r, len);
    *ret_used = 4 + (size_t)len;
    return 1;
}

/* A frame being written: opened, filled through w, closed. */
struct frame {
    struct buf *out;
    size_t before, mark;
    struct wr w;
};

static struct frame frame_open(struct buf *out, uint8_t number)
{
    struct frame f = { .out = out, .before = buf_len(out), .w = wr_of(out) };
    f.mark = wr_string_open(&f.w);
    wr_u8(&f.w, number);
    return f;
}

static int frame_close(struct frame *f)
{
    wr_string_close(&f->w, f->mark);
    if (f->w.len > 4 + AGENT_FRAME_BYTES_MAX) wr_fail(&f->w, ERR_LIMIT);
    int err = wr_end(&f->w);
    if (err < 0) buf_truncate(f->out, f->before);
    return err;
}

static int put_bare(struct buf *out, uint8_t number)
{
    struct frame f = frame_open(out, number);
    return frame_close(&f);
}

int agent_put_request_identities(struct buf *out) { return put_bare(out, AGENT_REQUEST_IDENTITIES); }
int agent_put_remove_all(struct buf *out) { return put_bare(out, AGENT_REMOVE_ALL); }

static uint32_t sign_flags(struct view algorithm)
{
    const struct key_type *t = key_type_find(algorithm);
    if (!t || t->pkey != PKEY_RSA) return 0;
    return t->digest == DIGEST_SHA512 ? AGENT_SIGN_RSA_SHA512 : t->digest == DIGEST_SHA256 ? AGENT_SIGN_RSA_SHA256 : 0;
}

int agent_put_sign(struct buf *out, struct view blob, struct view data, struct view algorithm)
{
    struct frame f = frame_open(out, AGENT_SIGN_REQUEST);
    wr_string(&f.w, blob);
    wr_string(&f.w, data);
    wr_u32(&f.w, sign_flags(algorithm));
    return frame_close(&f);
}

static void put_extension_constraint(struct wr *w, const char *name, struct view data)
{
    wr_u8(w, CONSTRAIN_EXTENSION);
    wr_cstr(w, name);
    wr_string(w, data);
}

static bool has_constraints(const struct agent_constraints *c)
{
    return c && (c->lifetime_s || c->confirm || c->sk_provider.len || c->destinations.len || c->certs.len || c->certs_only);
}

static void put_constraints(struct wr *w, const struct agent_constraints *c)
{
    if (c->lifetime_s) {
        wr_u8(w, CONSTRAIN_LIFETIME);
        wr_u32(w, c->lifetime_s);
    }
    if (c->confirm) wr_u8(w, CONSTRAIN_CONFIRM);
    if (c->sk_provider.len) { /* the one extension whose data is a bare string */
        wr_u8(w, CONSTRAIN_EXTENSION);
        wr_cstr(w, "sk-provider@openssh.com");
        wr_string(w, c->sk_provider);
    }
    if (c->destinations.len) put_extension_constraint(w, "restrict-destination-v00@openssh.com", c->destinations);
    if (c->certs.len || c->certs_only) { /* and one whose data is two fields */
        wr_u8(w, CONSTRAIN_EXTENSION);
        wr_cstr(w, "associated-certs-v00@openssh.com");
        wr_bool(w, c->certs_only);
        wr_string(w, c->certs);
    }
}

int agent_put_add(struct buf *out, const struct key *k, struct view comment, const struct agent_constraints *constraints)
{
    bool constrained = has_constraints(constraints);
    struct frame f = frame_open(out, constrained ? AGENT_ADD_ID_CONSTRAINED : AGENT_ADD_IDENTITY);
    int err = private_blob_put(k, &f.w);
    if (err < 0) wr_fail(&f.w, err);
    wr_string(&f.w, comment);
    if (constrained) put_constraints(&f.w, constraints);
    return frame_close(&f);
}

int agent_put_token_add(struct buf *out, struct view provider, struct view pin, const struct agent_constraints *constraints)
{
    bool constrained = has_constraints(constraints);
    struct frame f = frame_open(out, constrained ? AGENT_ADD_SMARTCARD_CONSTRAINED : AGENT_ADD_SMARTCARD);
    wr_string(&f.w, provider);
    wr_string(&f.w, pin);
    if (constrained) put_constraints(&f.w, constraints);
    return frame_close(&f);
}

int agent_put_token_remove(struct buf *out, struct view provider, struct view pin)
{
    struct frame f = frame_open(out, AGENT_REMOVE_SMARTCARD);
    wr_string(&f.w, provider);
    wr_string(&f.w, pin);
    return frame_close(&f);
}

static int put_string(struct buf *out, uint8_t number, struct view string)
{
    struct frame f = frame_open(out, number);
    wr_string(&f.w, string);
    return frame_close(&f);
}

int agent_put_remove(struct buf *out, struct view blob) { return put_string(out, AGENT_REMOVE_IDENTITY, blob); }
int agent_put_lock(struct buf *out, struct view passphrase, bool lock)
{
    return put_string(out, lock ? AGENT_LOCK : AGENT_UNLOCK, passphrase);
}
int agent_put_query(struct buf *out) { return put_string(out, AGENT_EXTENSION, view_str("query")); }

int agent_put_session_bind(struct buf *out, struct view host_key, struct view session_id, struct view signature, bool is_forwarding)
{
    struct frame f = frame_open(out, AGENT_EXTENSION);
    wr_cstr(&f.w, "session-bind@openssh.com");
    wr_string(&f.w, host_key);
    wr_string(&f.w, session_id);
    wr_string(&f.w, signature);
    wr_bool(&f.w, is_forwarding);
    return frame_close(&f);
}

/* Reads the number; a refusal has nothing behind it that matters. */
static int answer_open(struct view body, uint8_t expected, struct rd *r)
{
    *r = rd_of(body);
    uint8_t number = rd_u8(r);
    TRY(rd_stop(r));
    if (number == expected) return 0;
    return number == AGENT_FAILURE || number == AGENT_EXTENSION_FAILURE ? ERR_AGENT_REFUSED : ERR_UNEXPECTED_MESSAGE;
}

int agent_get_success(struct view body)
{
    struct rd r;
    return answer_open(body, AGENT_SUCCESS, &r);
}

int agent_get_identities(struct view body, struct agent_identities *ret)
{
    struct rd r;
    TRY(answer_open(body, AGENT_IDENTITIES_ANSWER, &r));
    uint32_t n = rd_u32(&r);
    TRY(rd_stop(&r));
    if (n > AGENT_IDENTITIES_MAX) return ERR_LIMIT;
    *ret = (struct agent_identities){ n, r };
    return 0;
}

int agent_identities_next(struct agent_identities *list, struct view *ret_blob, struct view *ret_comment)
{
    if (list->n == 0) return rd_end(&list->rest);
    struct view blob = rd_string(&list->rest), comment = rd_string(&list->rest);
    TRY(rd_stop(&list->rest));
    list->n--;
    *ret_blob = blob;
    *ret_comment = comment;
    return 1;
}

int agent_get_signature(struct view body, struct view *ret_signature)
{
    struct rd r;
    TRY(answer_open(body, AGENT_SIGN_RESPONSE, &r));
    struct view signature = rd_string(&r);
    TRY(rd_end(&r));
    *ret_signature = signature;
    return 0;
}

int agent_get_extension_response(struct view body, struct view *ret_name, struct view *ret_data)
{
    struct rd r;
    TRY(answer_open(body, AGENT_EXTENSION_RESPONSE, &r));
    struct view name = rd_string(&r), data = rd_rest(&r);
    TRY(rd_stop(&r));
    *ret_name = name;
    *ret_data = data;
    return 0;
}
