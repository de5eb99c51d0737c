/* The methods that sign: publickey (RFC 4252 7), its hostbound form (OpenSSH PROTOCOL 3.1) and hostbased (RFC 4252 9). Bodies of
 * both sides. Keys and signatures are bytes here: nothing is verified or made in this file. */
#include "proto/auth/auth_int.h"

int auth_signed_put(struct buf *out, const struct auth_signed *s)
{
    struct wr w = wr_of(out);
    wr_string(&w, s->session_id);
    struct msg_userauth_request m = { .user = s->user, .service = s->service, .method = s->method };
    msg_userauth_request_put(&w, &m);
    bool hostbased = view_eq_str(s->method, METHOD_HOSTBASED);
    if (!hostbased) wr_bool(&w, true);
    wr_string(&w, s->algorithm);
    wr_string(&w, s->key);
    if (view_eq_str(s->method, METHOD_HOSTBOUND)) wr_string(&w, s->host_key);
    if (hostbased) {
        wr_string(&w, s->client_host);
        wr_string(&w, s->client_user);
    }
    return wr_end(&w);
}

/* ---- client ---- */

int auth_client_query_publickey(struct auth_client *a, struct view algorithm, struct view key_blob)
{
    TRY(auth_client_check_free(a));
    buf_reset(&a->query_key);
    TRY(buf_put_view(&a->query_key, key_blob));
    struct wr w;
    TRY(auth_client_request_open(a, METHOD_PUBLICKEY, 1 + 4 + algorithm.len + 4 + key_blob.len, &w));
    struct body_auth_publickey b = { .has_signature = false, .algorithm = algorithm, .key = key_blob };
    body_auth_publickey_put(&w, &b);
    return auth_client_request_close(a, &w, CLIENT_QUERY);
}

int auth_client_on_pk_ok(struct auth_client *a, struct view payload, struct auth_client_event *ret)
{
    struct msg_userauth_pk_ok m;
    TRY(msg_userauth_pk_ok_get(payload, &m));
    /* The name of the algorithm is not compared: servers differ in whether they repeat ours or name the key's type. */
    if (!view_eq(m.key, buf_view(&a->query_key))) return ERR_UNEXPECTED_MESSAGE;
    auth_client_set_state(a, CLIENT_IDLE);
    *ret = (struct auth_client_event){ .kind = AUTH_CLIENT_PK_OK };
    return 1;
}

static int start_signing(struct auth_client *a, const struct auth_signed *s, struct view *ret_to_sign)
{
    buf_reset(&a->to_sign);
    int err = auth_signed_put(&a->to_sign, s);
    if (err < 0) {
        buf_reset(&a->to_sign);
        return err;
    }
    a->request_at = 4 + s->session_id.len;
    auth_client_set_state(a, CLIENT_SIGNING);
    *ret_to_sign = buf_view(&a->to_sign);
    return 0;
}

int auth_client_start_publickey(struct auth_client *a, struct view algorithm, struct view key_blob, struct view session_id,
                                struct view host_key, struct view *ret_to_sign)
{
    TRY(auth_client_check_free(a));
    struct auth_signed s = { .session_id = session_id,
                             .user = buf_view(&a->user),
                             .service = buf_view(&a->service),
                             .method = view_str(host_key.len ? METHOD_HOSTBOUND : METHOD_PUBLICKEY),
                             .algorithm = algorithm,
                             .key = key_blob,
                             .host_key = host_key };
    return start_signing(a, &s, ret_to_sign);
}

int auth_client_start_hostbased(struct auth_client *a, struct view algorithm, struct view key_blob, struct view session_id,
                                struct view client_host, struct view client_user, struct view *ret_to_sign)
{
    TRY(auth_client_check_free(a));
    struct auth_signed s = { .session_id = session_id,
                             .user = buf_view(&a->user),
                             .service = buf_view(&a->service),
                             .method = view_str(METHOD_HOSTBASED),
                             .algorithm = algorithm,
                             .key = key_blob,
                             .client_host = client_host,
                             .client_user = client_user };
    return start_signing(a, &s, ret_to_sign);
}

int auth_client_finish_publickey(struct auth_client *a, struct view signature_blob)
{
    if (a->state != CLIENT_SIGNING) return ERR_STATE;
    struct view to_sign = buf_view(&a->to_sign);
    struct view request = view_sub(to_sign, a->request_at, to_sign.len);
    if (signature_blob.len > LIMIT_PACKET_PAYLOAD_BYTES - 4 || request.len > LIMIT_PACKET_PAYLOAD_BYTES - 4 - signature_blob.len)
        return ERR_LIMIT;
    size_t max = request.len + 4 + signature_blob.len;
    uint8_t *area;
    TRY(link_reserve(&a->link, max, &area));
    struct wr w = wr_area(area, max);
    wr_bytes(&w, request);
    wr_string(&w, signature_blob);
    return auth_client_request_close(a, &w, CLIENT_SENT);
}

void auth_client_abandon_publickey(struct auth_client *a)
{
    if (a->state == CLIENT_SIGNING) auth_client_set_state(a, CLIENT_IDLE);
}

/* ---- server ---- */

/* The signature that ends a request, which must be all that is left of it. */
static int read_signature(struct view rest, struct auth_server_event *e)
{
    struct rd r = rd_of(rest);
    e->signature = rd_string(&r);
    return rd_end(&r);
}

static int fill_signed_data(struct auth_server *a, struct view host_key, struct auth_server_event *e)
{
    struct auth_signed s = { .session_id = buf_view(&a->session_id),
                             .user = e->user,
                             .service = e->service,
                             .method = e->method,
                             .algorithm = e->algorithm,
                             .key = e->key,
                             .host_key = host_key,
                             .client_host = e->client_host,
                             .client_user = e->client_user };
    buf_reset(&a->signed_data);
    TRY(auth_signed_put(&a->signed_data, &s));
    e->signed_data = buf_view(&a->signed_data);
    return 0;
}

/* PK_OK repeats what was asked, and the packet may be gone when the owner has made up its mind. */
static int keep_query(struct auth_server *a, const struct auth_server_event *e)
{
    buf_reset(&a->query_algorithm);
    buf_reset(&a->query_key);
    TRY(buf_put_view(&a->query_algorithm, e->algorithm));
    return buf_put_view(&a->query_key, e->key);
}

static int finish_key_event(struct auth_server *a, bool has_signature, struct view host_key, struct view rest,
                            struct auth_server_event *e)
{
    if (!has_signature) {
        if (rest.len) return ERR_TRAILING;
        e->kind = AUTH_SERVER_PUBLICKEY_QUERY;
        return keep_query(a, e);
    }
    e->kind = AUTH_SERVER_PUBLICKEY;
    TRY(read_signature(rest, e));
    return fill_signed_data(a, host_key, e);
}

int auth_server_read_publickey(struct auth_server *a, struct view data, struct auth_server_event *ret)
{
    struct body_auth_publickey b;
    TRY(body_auth_publickey_get(data, &b));
    ret->algorithm = b.algorithm;
    ret->key = b.key;
    return finish_key_event(a, b.has_signature, VIEW_EMPTY, b.signature, ret);
}

int auth_server_read_hostbound(struct auth_server *a, struct view data, struct auth_server_event *ret)
{
    struct body_auth_publickey_hostbound b;
    TRY(body_auth_publickey_hostbound_get(data, &b));
    ret->algorithm = b.algorithm;
    ret->key = b.key;
    ret->hostbound = true;
    TRY(finish_key_event(a, b.has_signature, b.host_key, b.signature, ret));
    /* A key bound to another server was meant for that one: somebody passes it on. */
    if (buf_len(&a->host_key) == 0 || !view_eq(b.host_key, buf_view(&a->host_key))) auth_server_refuse(ret);
    return 0;
}

int auth_server_read_hostbased(struct auth_server *a, struct view data, struct auth_server_event *ret)
{
    struct body_auth_hostbased b;
    TRY(body_auth_hostbased_get(data, &b));
    ret->kind = AUTH_SERVER_HOSTBASED;
    ret->algorithm = b.algorithm;
    ret->key = b.key;
    ret->client_host = b.client_host;
    ret->client_user = b.client_user;
    ret->signature = b.signature;
    return fill_signed_data(a, VIEW_EMPTY, ret);
}
