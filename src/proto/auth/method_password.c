/* The password method (RFC 4252 8), bodies of both sides. A password passes through: no copy of it stays in an engine. */
#include "proto/auth/auth_int.h"

/* ---- client ---- */

static int send_passwords(struct auth_client *a, bool is_change, struct view first, struct view second)
{
    TRY(auth_client_check_free(a));
    if (first.len > LIMIT_PASSWORD_BYTES || second.len > LIMIT_PASSWORD_BYTES) return ERR_LIMIT;
    struct wr w;
    TRY(auth_client_request_open(a, METHOD_PASSWORD, 1 + 4 + first.len + 4 + second.len, &w));
    wr_bool(&w, is_change);
    wr_string(&w, first);
    if (is_change) wr_string(&w, second);
    return auth_client_request_close(a, &w, CLIENT_PASSWORD);
}

int auth_client_try_password(struct auth_client *a, struct view password) { return send_passwords(a, false, password, VIEW_EMPTY); }

int auth_client_change_password(struct auth_client *a, struct view old_password, struct view new_password)
{
    return send_passwords(a, true, old_password, new_password);
}

int auth_client_on_changereq(struct auth_client *a, struct view payload, struct auth_client_event *ret)
{
    struct msg_userauth_passwd_changereq m;
    TRY(msg_userauth_passwd_changereq_get(payload, &m));
    /* It counts as the answer to the attempt: what follows is a new request. */
    auth_client_set_state(a, CLIENT_IDLE);
    *ret = (struct auth_client_event){ .kind = AUTH_CLIENT_PASSWD_CHANGEREQ, .text = m.prompt };
    return 1;
}

/* ---- server ---- */

int auth_server_read_password(UNUSED struct auth_server *a, struct view data, struct auth_server_event *ret)
{
    struct body_auth_password b;
    TRY(body_auth_password_get(data, &b));
    struct rd r = rd_of(b.passwords);
    ret->secret = rd_string(&r);
    if (b.is_change) ret->new_secret = rd_string(&r);
    TRY(rd_end(&r));
    ret->kind = b.is_change ? AUTH_SERVER_PASSWORD_CHANGE : AUTH_SERVER_PASSWORD;
    /* An overlong one costs hashing time and cannot be right. */
    if (ret->secret.len > LIMIT_PASSWORD_BYTES || ret->new_secret.len > LIMIT_PASSWORD_BYTES) auth_server_refuse(ret);
    return 0;
}
