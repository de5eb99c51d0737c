/* Clients of the agent, and which request goes where. Knows the shape of frames; what is in them is the handlers' matter. */
#include "proto/agent/server_int.h"

#include "crypto/bcrypt_pbkdf.h"

#include <stdlib.h>

enum {
    READ_BYTES = 4096,  /* room offered when the length of a frame is not known yet */
    REMOVE_ALL_OLD = 9, /* of protocol 1; ssh-add -D sends it beside REMOVE_ALL and wants a yes */
    QUESTION_TEXT_BYTES = 8192,
};

int agent_server_new(const struct agent_server_config *config, struct agent_server **ret)
{
    struct agent_server *s = calloc(1, sizeof(*s));
    if (!s) return ERR_NOMEM;
    s->config = *config;
    *ret = s;
    return 0;
}

void agent_server_free(struct agent_server *s)
{
    if (!s) return;
    CHECK(!s->clients);
    agent_server_drop_keys(s);
    secret_done(&s->lock_hash);
    free(s);
}

/* ---- clients ---- */

int agent_client_new(struct agent_server *s, struct agent_client **ret)
{
    struct agent_client *c = calloc(1, sizeof(*c));
    if (!c) return ERR_NOMEM;
    c->server = s;
    c->in = (struct buf)BUF_INIT_SECRET(AGENT_FRAME_BYTES_MAX + 4);
    buf_init(&c->out, OUT_BYTES_MAX);
    buf_init(&c->request.text, QUESTION_TEXT_BYTES);
    c->request.until = MS_NEVER;
    c->next = s->clients;
    s->clients = c;
    *ret = c;
    return 0;
}

/* The request is over, whatever came of it. */
static void request_reset(struct agent_client *c)
{
    key_unref(c->request.key);
    c->request.key = NULL;
    buf_reset(&c->request.text);
    c->request.is_waiting = c->request.is_told = c->request.confirmed = c->request.guess_was_wrong = false;
    c->request.until = MS_NEVER;
    c->request.answer = NULL;
}

void agent_client_free(struct agent_client *c)
{
    if (!c) return;
    struct agent_client **at = &c->server->clients;
    while (*at != c) at = &(*at)->next;
    *at = c->next;
    request_reset(c);
    buf_done(&c->request.text);
    agent_client_sessions_done(c);
    buf_done(&c->in);
    buf_done(&c->out);
    free(c);
}

static bool takes_requests(const struct agent_client *c)
{
    return c->err == 0 && !c->request.is_waiting && buf_len(&c->out) < OUT_SOFT_BYTES;
}

void agent_client_input(struct agent_client *c, uint8_t **ret_area, size_t *ret_room)
{
    *ret_room = 0;
    if (!takes_requests(c)) return; /* the parked request's bytes must stay where they are */
    size_t room = MIN(buf_room(&c->in), (size_t)READ_BYTES);
    if (room == 0 || buf_reserve(&c->in, room, ret_area) < 0) return;
    *ret_room = room;
}

struct view agent_client_output(const struct agent_client *c) { return buf_view(&c->out); }
int agent_client_error(const struct agent_client *c) { return c->err; }

/* ---- answers ---- */

struct agent_reply agent_reply_open(struct agent_client *c, uint8_t number)
{
    struct agent_reply r = { .out = &c->out, .before = buf_len(&c->out), .w = wr_of(&c->out) };
    r.mark = wr_string_open(&r.w);
    wr_u8(&r.w, number);
    return r;
}

int agent_reply_close(struct agent_reply *r)
{
    wr_string_close(&r->w, r->mark);
    if (r->w.len > AGENT_FRAME_BYTES_MAX + 4) wr_fail(&r->w, ERR_LIMIT);
    int err = wr_end(&r->w);
    if (err < 0) buf_truncate(r->out, r->before);
    return err < 0 ? err : AGENT_SAID;
}

int agent_client_ask(struct agent_client *c, const struct agent_question *q)
{
    c->request.question = *q;
    c->request.question.id = ++c->server->last_question;
    c->request.is_waiting = true;
    c->request.is_told = false;
    return AGENT_PARKED;
}

int agent_client_wait(struct agent_client *c, ms until)
{
    c->request.is_waiting = c->request.is_told = true;
    c->request.question.id = 0;
    c->request.until = until;
    return AGENT_PARKED;
}

/* ---- locking ---- */

static bool is_locked(const struct agent_server *s) { return s->lock_hash.len != 0; }

static int hash_passphrase(const struct agent_server *s, struct view passphrase, struct secret *ret)
{
    CLEANUP(secret_done) struct secret hash = SECRET_INIT;
    TRY(secret_new(LOCK_HASH_BYTES, &hash));
    TRY(bcrypt_pbkdf(passphrase, view_of(s->lock_salt, sizeof(s->lock_salt)), LOCK_ROUNDS, hash.p, hash.len));
    *ret = hash;
    hash = (struct secret)SECRET_INIT;
    return 0;
}

static int on_lock(struct agent_client *c, struct rd *r)
{
    struct agent_server *s = c->server;
    struct view passphrase = rd_string(r);
    TRY(rd_end(r));
    TRY(random_fill(s->config.random, s->lock_salt, sizeof(s->lock_salt)));
    TRY(hash_passphrase(s, passphrase, &s->lock_hash)); /* refuses an empty one */
    s->wrong_guesses = 0;
    s->unlock_at = 0;
    return AGENT_DONE;
}

/* Guesses are looked at one at a time, however many clients make them, and each wrong one makes all of them wait longer. */
static int on_unlock(struct agent_client *c, struct rd *r)
{
    struct agent_server *s = c->server;
    CLEANUP(secret_done) struct secret hash = SECRET_INIT;
    struct view passphrase = rd_string(r);
    TRY(rd_end(r));
    if (c->request.guess_was_wrong) return ERR_PASSPHRASE;
    if (!is_locked(s)) return ERR_STATE;
    if (s->now < s->unlock_at) return agent_client_wait(c, s->unlock_at);
    int err = hash_passphrase(s, passphrase, &hash);
    if (err == 0 && ct_equal(hash.p, s->lock_hash.p, LOCK_HASH_BYTES)) {
        secret_done(&s->lock_hash);
        return AGENT_DONE;
    }
    s->wrong_guesses++;
    ms delay = MIN((ms)s->wrong_guesses * AGENT_SERVER_UNLOCK_STEP_MS, (ms)AGENT_SERVER_UNLOCK_WAIT_MS_MAX);
    s->unlock_at = s->now + delay;
    c->request.guess_was_wrong = true;
    return agent_client_wait(c, s->unlock_at);
}

/* ---- extensions ---- */

static int on_query(struct agent_client *c, struct rd *r);
static const struct extension {
    const char *name;
    agent_handler *fn;
    bool when_locked; /* 10.5: who binds a connection while the agent is locked must not lose that for later */
} extensions[] = {
    { "query", on_query, false },
    { "session-bind@openssh.com", agent_server_on_bind, true },
};

static int on_query(struct agent_client *c, struct rd *r)
{
    TRY(rd_end(r));
    struct agent_reply reply = agent_reply_open(c, AGENT_EXTENSION_RESPONSE);
    wr_cstr(&reply.w, "query");
    for (size_t i = 0; i < ARRAY_LEN(extensions); i++) wr_cstr(&reply.w, extensions[i].name);
    return agent_reply_close(&reply);
}

static int on_extension(struct agent_client *c, struct rd *r)
{
    struct view name = rd_cstring(r);
    TRY(rd_stop(r));
    for (size_t i = 0; i < ARRAY_LEN(extensions); i++) {
        if (!view_eq_str(name, extensions[i].name)) continue;
        if (is_locked(c->server) && !extensions[i].when_locked) return ERR_DENIED;
        return extensions[i].fn(c, r);
    }
    return ERR_UNSUPPORTED;
}

/* ---- requests ---- */

static int on_remove_all_old(UNUSED struct agent_client *c, UNUSED struct rd *r) { return AGENT_DONE; }

static int on_list_when_locked(struct agent_client *c, UNUSED struct rd *r)
{
    struct agent_reply reply = agent_reply_open(c, AGENT_IDENTITIES_ANSWER);
    wr_u32(&reply.w, 0);
    return agent_reply_close(&reply);
}

static const struct row {
    uint8_t number;
    agent_handler *fn;
    agent_handler *when_locked; /* NULL: refused then */
} rows[] = {
    { AGENT_REQUEST_IDENTITIES, agent_server_on_list, on_list_when_locked },
    { AGENT_SIGN_REQUEST, agent_server_on_sign, NULL },
    { AGENT_ADD_IDENTITY, agent_server_on_add, NULL },
    { AGENT_ADD_ID_CONSTRAINED, agent_server_on_add_constrained, NULL },
    { AGENT_REMOVE_IDENTITY, agent_server_on_remove, NULL },
    { AGENT_REMOVE_ALL, agent_server_on_remove_all, NULL },
    { REMOVE_ALL_OLD, on_remove_all_old, NULL },
    { AGENT_ADD_SMARTCARD, agent_server_on_token_add, NULL },
    { AGENT_ADD_SMARTCARD_CONSTRAINED, agent_server_on_token_add_constrained, NULL },
    { AGENT_REMOVE_SMARTCARD, agent_server_on_token_remove, NULL },
    { AGENT_LOCK, on_lock, NULL },
    { AGENT_UNLOCK, on_unlock, on_unlock },
    { AGENT_EXTENSION, on_extension, on_extension },
};

static int handle(struct agent_client *c, struct view body)
{
    struct rd r = rd_of(body);
    uint8_t number = rd_u8(&r);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].number != number) continue;
        agent_handler *fn = is_locked(c->server) ? rows[i].when_locked : rows[i].fn;
        return fn ? fn(c, &r) : ERR_DENIED;
    }
    return ERR_UNSUPPORTED;
}

/* Answers the request at the front, or parks it. False: it has to wait, or it is over with this client. */
static bool step(struct agent_client *c)
{
    struct view body;
    size_t used;
    int found = agent_frame_next(buf_view(&c->in), &body, &used);
    if (found < 0) c->err = found;
    if (found <= 0) return false;
    int verdict = handle(c, body);
    c->request.answer = NULL;
    if (verdict == AGENT_PARKED) return false;
    if (verdict < 0) log_debug(c->server->config.log, "request %u refused: %s", body.p[0], err_text(verdict));
    if (verdict != AGENT_SAID) {
        struct agent_reply reply = agent_reply_open(c, verdict == AGENT_DONE ? AGENT_SUCCESS : AGENT_FAILURE);
        int err = agent_reply_close(&reply);
        if (err < 0) c->err = err;
    }
    request_reset(c);
    buf_consume(&c->in, used);
    if (buf_len(&c->in) == 0) buf_reset(&c->in); /* wipes: passphrases and private keys came through here */
    return true;
}

static int run(struct agent_client *c)
{
    while (takes_requests(c) && step(c)) {
    }
    return c->err;
}

int agent_client_received(struct agent_client *c, size_t n)
{
    buf_commit(&c->in, n);
    return run(c);
}

int agent_client_sent(struct agent_client *c, size_t n)
{
    buf_consume(&c->out, n);
    return run(c);
}

/* ---- questions, time ---- */

bool agent_server_next(struct agent_server *s, struct agent_question *ret)
{
    for (struct agent_client *c = s->clients; c; c = c->next) {
        if (!c->request.is_waiting || c->request.is_told) continue;
        c->request.is_told = true;
        *ret = c->request.question;
        return true;
    }
    return false;
}

/* Looks at the parked request again. */
static void resume(struct agent_client *c, const struct agent_answer *answer)
{
    c->request.is_waiting = false;
    c->request.until = MS_NEVER;
    c->request.answer = answer;
    (void)!run(c); /* an error is kept in the client */
}

int agent_server_answer(struct agent_server *s, uint32_t id, const struct agent_answer *answer)
{
    for (struct agent_client *c = s->clients; c; c = c->next) {
        if (!c->request.is_waiting || !c->request.is_told || id == 0 || c->request.question.id != id) continue;
        resume(c, answer);
        return 0;
    }
    return ERR_NOT_FOUND;
}

static bool is_over(const struct agent_key *k, void *arg) { return k->limits.expires_at <= *(ms *)arg; }

void agent_server_tick(struct agent_server *s, ms now, int64_t wall_s)
{
    s->now = now;
    s->wall_s = wall_s;
    agent_server_remove(s, is_over, &now);
    for (struct agent_client *c = s->clients; c; c = c->next)
        if (c->request.is_waiting && c->request.until <= now) resume(c, NULL);
}

ms agent_server_deadline(const struct agent_server *s)
{
    ms least = MS_NEVER;
    for (const struct agent_key *k = s->keys; k; k = k->next) least = MIN(least, k->limits.expires_at);
    for (const struct agent_client *c = s->clients; c; c = c->next)
        if (c->request.is_waiting) least = MIN(least, c->request.until);
    return least;
}
