/* Signing with security keys: a helper process for each signature (io/token_sk.h), a notice to touch the key, and PINs asked for.
 */
#include "prog/agent/agent.h"

#include "io/prompt.h"
#include "io/token_sk.h"
#include "os/fd.h"
#include "os/spawn.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PIN_BYTES_MAX = 1024
};

/* ---- a PIN, asked for by askpass ---- */

struct agent_pin {
    struct agent *agent;
    struct loop_fd *watch;
    struct buf answer;
    int fd;
    pid_t pid;
    agent_pin_fn *fn;
    void *arg;
};

void agent_pin_free(struct agent_pin *p)
{
    int status;
    if (!p) return;
    loop_fd_free(p->watch);
    fd_close(p->fd);
    if (p->pid) (void)!spawn_wait_or_kill(p->pid, 0, &status);
    buf_done(&p->answer);
    free(p);
}

/* At its end of file: the status tells whether there is an answer. */
static void pin_over(struct agent_pin *p)
{
    CLEANUP(buf_done) struct buf pin = BUF_INIT_SECRET(PIN_BYTES_MAX);
    int status = -1;
    if (spawn_wait_or_kill(p->pid, 1000, &status) < 0) status = -1;
    p->pid = 0;
    struct view line = prompt_first_line(buf_view(&p->answer));
    bool is_given = status == 0 && buf_put_view(&pin, line) == 0 && buf_cstr(&pin);
    agent_pin_fn *fn = p->fn;
    void *arg = p->arg;
    agent_pin_free(p);
    fn(arg, is_given ? buf_view(&pin) : view_of(NULL, 0));
}

static void on_askpass(void *arg, int fd, UNUSED unsigned events)
{
    struct agent_pin *p = arg;
    uint8_t *area;
    size_t n;
    agent_tick(p->agent);
    int err = buf_reserve(&p->answer, MIN(buf_room(&p->answer), 256u), &area);
    if (err == 0) err = buf_room(&p->answer) ? fd_read(fd, area, MIN(buf_room(&p->answer), 256u), &n) : ERR_LIMIT;
    if (err == ERR_AGAIN) return;
    if (err == 0 && n > 0)
        buf_commit(&p->answer, n);
    else
        pin_over(p);
}

int agent_pin_ask(struct agent *a, const char *text, agent_pin_fn *fn, void *arg, struct agent_pin **ret)
{
    struct agent_pin *p = calloc(1, sizeof(*p));
    if (!p) return ERR_NOMEM;
    *p = (struct agent_pin){ .agent = a, .fd = -1, .fn = fn, .arg = arg, .answer = BUF_INIT_SECRET(PIN_BYTES_MAX) };
    int err = prompt_secret_start(&a->sink.log, text, &p->fd, &p->pid);
    if (err == 0) err = fd_nonblock(p->fd, true);
    if (err == 0) err = loop_fd_new(a->loop, p->fd, LOOP_READ, on_askpass, p, &p->watch);
    if (err < 0)
        agent_pin_free(p);
    else
        *ret = p;
    return err;
}

/* ---- signing ---- */

struct agent_sk {
    struct agent_sk *next;
    struct agent *agent;
    uint32_t question;
    char *provider;
    struct key *key;
    struct buf data;
    struct agent_pin *pin_asked;
    struct buf pin;
    bool has_pin;
    struct token_sk *operation;
    struct loop_fd *watch;
    pid_t notice;
};

static void sk_free(struct agent_sk *s)
{
    loop_fd_free(s->watch);
    token_sk_free(s->operation);
    prompt_notice_end(s->notice);
    agent_pin_free(s->pin_asked);
    key_unref(s->key);
    buf_done(&s->data);
    buf_done(&s->pin);
    free(s->provider);
    free(s);
}

static void sk_end(struct agent_sk *s)
{
    struct agent_sk **at = &s->agent->sk;
    while (*at != s) at = &(*at)->next;
    *at = s->next;
    sk_free(s);
}

static void sk_refuse(struct agent_sk *s, const char *why)
{
    log_error(&s->agent->sink.log, "security key: %s", why);
    agent_tokens_refuse(s->agent, s->question);
    sk_end(s);
}

static char *fingerprint_of(const struct agent_sk *s)
{
    char *text = NULL;
    return key_fingerprint(key_blob(s->key), s->agent->options.server.fingerprint_hash, &text) == 0 ? text : NULL;
}

static int sk_start(struct agent_sk *s);

static void on_pin(void *arg, struct view pin)
{
    struct agent_sk *s = arg;
    s->pin_asked = NULL;
    s->has_pin = pin.p && buf_put_view(&s->pin, pin) == 0 && buf_cstr(&s->pin);
    int err = s->has_pin ? sk_start(s) : ERR_PIN;
    if (err < 0) sk_refuse(s, err_text(err));
}

static int sk_ask_pin(struct agent_sk *s)
{
    CLEANUP(freep) char *fingerprint = fingerprint_of(s);
    char text[512];
    snprintf(text, sizeof(text), "Enter PIN for %s key %s: ", key_type_of(s->key)->short_name, fingerprint ? fingerprint : "");
    return agent_pin_ask(s->agent, text, on_pin, s, &s->pin_asked);
}

static void on_operation(void *arg, UNUSED int fd, UNUSED unsigned events)
{
    struct agent_sk *s = arg;
    struct token_event e;
    agent_tick(s->agent);
    if (!token_sk_next(s->operation, &e)) return;
    if (e.kind == TOKEN_SIGNED) {
        (void)!agent_server_answer(s->agent->server, s->question, &(struct agent_answer){ .yes = true, .signature = e.signature });
        sk_end(s);
        return;
    }
    if (e.err != ERR_PIN || s->has_pin) {
        sk_refuse(s, e.why);
        return;
    }
    /* only the token knew that it wants one */
    loop_fd_free(s->watch);
    s->watch = NULL;
    token_sk_free(TAKE(s->operation));
    prompt_notice_end(s->notice);
    s->notice = 0;
    int err = sk_ask_pin(s);
    if (err < 0) sk_refuse(s, "it wants a PIN, and nobody can be asked");
}

static void give_notice(struct agent_sk *s)
{
    CLEANUP(freep) char *fingerprint = fingerprint_of(s);
    char text[512];
    snprintf(text, sizeof(text), "Confirm user presence for key %s %s", key_type_of(s->key)->short_name,
             fingerprint ? fingerprint : "");
    if (prompt_notice_start(&s->agent->sink.log, text, &s->notice) < 0) log_info(&s->agent->sink.log, "%s", text);
}

static int sk_start(struct agent_sk *s)
{
    struct sk_key_parts parts;
    struct token_sk_config config = { .provider = s->provider, .verbose = s->agent->options.debug };
    if (s->has_pin) config.pin = buf_view(&s->pin);
    TRY(sk_key_parts(s->key, &parts));
    TRY(token_sk_start_sign(&config, s->key, buf_view(&s->data), &s->operation));
    TRY(loop_fd_new(s->agent->loop, token_sk_fd(s->operation), LOOP_READ, on_operation, s, &s->watch));
    if (parts.flags & SK_USER_PRESENCE) give_notice(s);
    return 0;
}

static int sk_begin(struct agent_sk *s, const struct agent_question *q)
{
    struct sk_key_parts parts;
    s->provider = view_dup_str(q->provider);
    if (!s->provider) return ERR_NOMEM;
    TRY(buf_put_view(&s->data, q->data));
    TRY(sk_key_parts(s->key, &parts));
    return parts.flags & SK_USER_VERIFICATION ? sk_ask_pin(s) : sk_start(s);
}

void agent_sk_sign(struct agent *a, const struct agent_question *q)
{
    struct agent_sk *s = calloc(1, sizeof(*s));
    if (!s) {
        agent_tokens_refuse(a, q->id);
        return;
    }
    *s = (struct agent_sk){ .agent = a,
                            .question = q->id,
                            .key = key_ref(q->key),
                            .data = BUF_INIT(AGENT_FRAME_BYTES_MAX),
                            .pin = BUF_INIT_SECRET(PIN_BYTES_MAX),
                            .next = a->sk };
    a->sk = s;
    int err = sk_begin(s, q);
    if (err < 0) sk_refuse(s, err_text(err));
}

void agent_sk_done(struct agent *a)
{
    while (a->sk) sk_end(a->sk);
}
