/* Keys of PKCS#11 modules: which libraries may be named, one helper process for each that is loaded (io/token_pkcs11.h), and the
 * requests that wait for it. Security keys are in tokens_sk.c. */
#include "prog/agent/agent.h"

#include "io/token_pkcs11.h"
#include "os/file.h"

#include <stdlib.h>

static const char default_providers[] = "/usr/lib*/*,/usr/local/lib*/*";

enum {
    PROVIDERS_MAX = 32,
    WAITING_MAX = 1024, /* requests for one token, which does one at a time */
    PIN_BYTES_MAX = 1024,
};

/* A request to sign that waits for its turn. */
struct waiting {
    struct waiting *next;
    uint32_t question;
    size_t key_idx;
    struct buf algorithm, data;
};

struct provider {
    struct provider *next;
    struct agent *agent;
    char *path;
    struct token_pkcs11 *token;
    struct loop_fd *watch;
    struct agent_pin *pin; /* being asked for; NULL: none */
    uint32_t question;     /* that the token works on; 0: none */
    bool is_loaded;
    struct waiting *waiting;
    size_t n_waiting;
};

void agent_tokens_refuse(struct agent *a, uint32_t question)
{
    (void)!agent_server_answer(a->server, question, &(struct agent_answer){});
}

/* ---- providers ---- */

static void waiting_free(struct waiting *w)
{
    buf_done(&w->algorithm);
    buf_done(&w->data);
    free(w);
}

/* Whoever waits for it is refused. */
static void provider_free(struct provider *p)
{
    if (p->question) agent_tokens_refuse(p->agent, p->question);
    for (struct waiting *next, *w = p->waiting; w; w = next) {
        next = w->next;
        agent_tokens_refuse(p->agent, w->question);
        waiting_free(w);
    }
    agent_pin_free(p->pin);
    loop_fd_free(p->watch);
    token_pkcs11_free(p->token);
    free(p->path);
    free(p);
}

static void provider_unlink(struct provider *p)
{
    struct provider **at = &p->agent->providers;
    while (*at != p) at = &(*at)->next;
    *at = p->next;
}

static void provider_end(struct provider *p)
{
    provider_unlink(p);
    provider_free(p);
}

static struct provider *provider_find(struct agent *a, struct view path)
{
    for (struct provider *p = a->providers; p; p = p->next)
        if (p->is_loaded && view_eq_str(path, p->path)) return p;
    return NULL;
}

/* The resolved path, if -P allows it. The caller frees. */
static char *allowed_path(struct agent *a, struct view provider)
{
    CLEANUP(freep) char *given = view_dup_str(provider), *path = NULL;
    int err =
        given ? token_provider_check(given, a->options.providers ? a->options.providers : default_providers, &path) : ERR_NOMEM;
    if (err == 0) return TAKE(path);
    if (err == ERR_DENIED)
        log_error(&a->sink.log, "refusing provider \"%s\": not among those that are allowed (ssh-agent -P)", given);
    else
        log_error(&a->sink.log, "provider %s: %s", given ? given : "", err_text(err));
    return NULL;
}

/* ---- what a token says ---- */

static void start_next(struct provider *p)
{
    while (p->waiting && !token_pkcs11_is_busy(p->token)) {
        struct waiting *w = p->waiting;
        p->waiting = w->next;
        p->n_waiting--;
        int err = token_pkcs11_sign(p->token, w->key_idx, buf_view(&w->algorithm), buf_view(&w->data));
        if (err == 0)
            p->question = w->question;
        else
            agent_tokens_refuse(p->agent, w->question);
        waiting_free(w);
    }
}

/* Loaded anew, it takes the place of the old one. False: nobody wants its keys any more. */
static bool tell_keys(struct provider *p)
{
    struct agent *a = p->agent;
    size_t n = token_pkcs11_n_keys(p->token);
    struct agent_token_key *keys = calloc(n ? n : 1, sizeof(*keys));
    struct provider *old = provider_find(a, view_str(p->path));
    if (!keys) return false;
    for (size_t i = 0; i < n; i++) {
        struct key *k = token_pkcs11_key(p->token, i);
        keys[i] = (struct agent_token_key){ .key = k, .comment = *key_comment(k) ? key_comment(k) : p->path };
    }
    const struct agent_answer answer = { .yes = true, .provider = p->path, .keys = keys, .n_keys = n };
    int err = agent_server_answer(a->server, p->question, &answer);
    p->question = 0;
    free(keys);
    if (err < 0) return false;
    if (old) provider_end(old);
    p->is_loaded = true;
    return true;
}

static void on_pin(void *arg, struct view pin)
{
    struct provider *p = arg;
    p->pin = NULL;
    if (token_pkcs11_answer_pin(p->token, pin) < 0) provider_end(p);
}

static void ask_pin(struct provider *p, const struct token_event *e)
{
    char text[512];
    token_pin_prompt(e, text, sizeof(text));
    if (e->has_keypad) {
        log_info(&p->agent->sink.log, "%s", text);
        return;
    }
    int err = agent_pin_ask(p->agent, text, on_pin, p, &p->pin);
    if (err == 0) return;
    log_error(&p->agent->sink.log, "provider %s: a PIN is wanted and nobody can be asked: %s", p->path, err_text(err));
    on_pin(p, view_of(NULL, 0));
}

/* False: it is over with the provider. */
static bool on_event(struct provider *p, const struct token_event *e)
{
    struct agent *a = p->agent;
    const struct agent_answer signature = { .yes = true, .signature = e->signature };
    switch (e->kind) {
    case TOKEN_LOADED:
        return tell_keys(p);
    case TOKEN_SIGNED:
        (void)!agent_server_answer(a->server, p->question, &signature);
        break;
    default:
        log_error(&a->sink.log, "provider %s: %s", p->path, e->why);
        if (p->question) agent_tokens_refuse(a, p->question);
        p->question = 0;
        return p->is_loaded && e->err != ERR_PEER_CLOSED;
    }
    p->question = 0;
    return true;
}

static void on_token(void *arg, UNUSED int fd, UNUSED unsigned events)
{
    struct provider *p = arg;
    struct token_event e;
    agent_tick(p->agent);
    while (token_pkcs11_next(p->token, &e)) {
        if (e.kind == TOKEN_PIN_WANTED) {
            ask_pin(p, &e); /* which may end it */
            return;
        }
        if (on_event(p, &e)) continue;
        provider_end(p);
        return;
    }
    start_next(p);
}

/* ---- questions ---- */

static int provider_start(struct agent *a, const char *path, const struct agent_question *q)
{
    struct provider *p = calloc(1, sizeof(*p));
    if (!p) return ERR_NOMEM;
    p->agent = a;
    p->path = view_dup_str(view_str(path));
    /* an empty PIN is none: what is to be seen without one, as OpenSSH */
    int err = p->path ? token_pkcs11_open(path, q->pin.len ? q->pin : VIEW_EMPTY, a->options.debug, &p->token) : ERR_NOMEM;
    if (err == 0) err = loop_fd_new(a->loop, token_pkcs11_fd(p->token), LOOP_READ, on_token, p, &p->watch);
    if (err < 0) {
        provider_free(p);
        return err;
    }
    p->question = q->id;
    p->next = a->providers;
    a->providers = p;
    return 0;
}

static void on_add(struct agent *a, const struct agent_question *q)
{
    CLEANUP(freep) char *path = allowed_path(a, q->provider);
    size_t n = 0;
    for (const struct provider *p = a->providers; p; p = p->next) n++;
    int err = !path ? ERR_DENIED : n >= PROVIDERS_MAX ? ERR_LIMIT : provider_start(a, path, q);
    if (err == 0) return;
    if (path) log_error(&a->sink.log, "provider %s: %s", path, err_text(err));
    agent_tokens_refuse(a, q->id);
}

/* By the path as it was then: the library may be gone by now. */
static void on_remove(struct agent *a, const struct agent_question *q)
{
    CLEANUP(freep) char *given = view_dup_str(q->provider), *path = NULL;
    if (given && file_real_path(given, &path) < 0) path = view_dup_str(q->provider);
    struct provider *p = path ? provider_find(a, view_str(path)) : NULL;
    if (!p) {
        log_error(&a->sink.log, "provider %s is not loaded", path ? path : "");
        agent_tokens_refuse(a, q->id);
        return;
    }
    (void)!agent_server_answer(a->server, q->id, &(struct agent_answer){ .yes = true, .provider = path });
    provider_end(p);
}

static int enqueue(struct provider *p, const struct agent_question *q, size_t key_idx)
{
    struct waiting *w = p->n_waiting < WAITING_MAX ? calloc(1, sizeof(*w)) : NULL;
    if (!w) return ERR_LIMIT;
    *w = (struct waiting){
        .question = q->id, .key_idx = key_idx, .algorithm = BUF_INIT(256), .data = BUF_INIT(AGENT_FRAME_BYTES_MAX)
    };
    int err = buf_put_view(&w->algorithm, q->algorithm);
    if (err == 0) err = buf_put_view(&w->data, q->data);
    if (err < 0) {
        waiting_free(w);
        return err;
    }
    struct waiting **at = &p->waiting;
    while (*at) at = &(*at)->next;
    *at = w;
    p->n_waiting++;
    start_next(p);
    return 0;
}

static int sign_by_token(struct agent *a, const struct agent_question *q)
{
    struct provider *p = provider_find(a, q->provider);
    if (!p) return ERR_NOT_FOUND;
    for (size_t i = 0; i < token_pkcs11_n_keys(p->token); i++)
        if (key_equal_public(token_pkcs11_key(p->token, i), q->key)) return enqueue(p, q, i);
    return ERR_NOT_FOUND;
}

static void on_sign(struct agent *a, const struct agent_question *q)
{
    if (key_type_of(q->key)->is_sk) {
        agent_sk_sign(a, q);
        return;
    }
    int err = sign_by_token(a, q);
    if (err == 0) return;
    log_error(&a->sink.log, "provider %.*s: %s", VIEW_ARG(q->provider),
              err == ERR_NOT_FOUND ? "it is not loaded any more; ssh-add -s loads it again" : err_text(err));
    agent_tokens_refuse(a, q->id);
}

static void on_provider(struct agent *a, const struct agent_question *q)
{
    CLEANUP(freep) char *path = allowed_path(a, q->provider);
    (void)!agent_server_answer(a->server, q->id, &(struct agent_answer){ .yes = path != NULL, .provider = path });
}

void agent_tokens_ask(struct agent *a, const struct agent_question *q)
{
    switch (q->kind) {
    case AGENT_QUESTION_PROVIDER:
        on_provider(a, q);
        return;
    case AGENT_QUESTION_SIGN:
        on_sign(a, q);
        return;
    case AGENT_QUESTION_TOKEN_ADD:
        on_add(a, q);
        return;
    case AGENT_QUESTION_TOKEN_REMOVE:
        on_remove(a, q);
        return;
    default:
        agent_tokens_refuse(a, q->id);
    }
}

void agent_tokens_sweep(struct agent *a)
{
    for (struct provider *next, *p = a->providers; p; p = next) {
        next = p->next;
        if (p->is_loaded && !agent_server_has_provider(a->server, p->path)) provider_end(p);
    }
}

void agent_tokens_done(struct agent *a)
{
    while (a->providers) provider_end(a->providers);
    agent_sk_done(a);
}
