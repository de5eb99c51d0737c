/* PAM transactions over Linux-PAM. */
#include "os/pam.h"

#include <security/pam_appl.h>
#include <stdlib.h>
#include <syslog.h>

enum {
    MESSAGES_MAX_BYTES = 64 * 1024
};
_Static_assert(PAM_PROMPTS_MAX >= PAM_MAX_NUM_MSG && PAM_ANSWER_BYTES == PAM_MAX_RESP_SIZE, "Linux-PAM's own bounds");

struct pam {
    pam_handle_t *h;
    int last; /* PAM_* of the latest call */
    pam_converse_fn *converse;
    void *converse_arg;
    struct buf messages;
    bool refuse, session_open, credentials_open;
};

static int result(struct pam *p, int code)
{
    p->last = code;
    if (code == PAM_SUCCESS) return 0;
    return code == PAM_BUF_ERR ? ERR_NOMEM : ERR_DENIED;
}

/* --- the conversation --- */

static void keep_message(struct pam *p, const char *text)
{
    if (!text || !*text) return;
    size_t before = buf_len(&p->messages);
    if (buf_put_str(&p->messages, text) < 0 || buf_put_u8(&p->messages, '\n') < 0) buf_truncate(&p->messages, before);
}

static bool is_prompt(const struct pam_message *m)
{
    return m->msg_style == PAM_PROMPT_ECHO_OFF || m->msg_style == PAM_PROMPT_ECHO_ON;
}

/* For a user who is to be refused: as long as what was typed, and nobody's password. */
static void spoil(struct secret *answer) { memset(answer->p, '\b', answer->len); }

static char *heap_string(const struct secret *answer)
{
    if (answer->len >= PAM_ANSWER_BYTES || view_has_nul(secret_view(answer))) return NULL;
    return view_dup_str(secret_view(answer));
}

static void free_responses(struct pam_response *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (r[i].resp) secret_wipe(r[i].resp, strlen(r[i].resp));
        free(r[i].resp);
    }
    free(r);
}

/* The answers, in order, to those of the messages that ask. */
static bool put_answers(struct pam *p, const struct pam_message **m, size_t n, struct secret *answers, struct pam_response *r)
{
    for (size_t i = 0, a = 0; i < n; i++) {
        if (!is_prompt(m[i])) continue;
        if (p->refuse && m[i]->msg_style == PAM_PROMPT_ECHO_OFF) spoil(&answers[a]);
        r[i].resp = heap_string(&answers[a++]);
        if (!r[i].resp) return false;
    }
    return true;
}

static int on_converse(int n_messages, const struct pam_message **m, struct pam_response **ret, void *arg)
{
    struct pam *p = arg;
    struct pam_prompt prompts[PAM_PROMPTS_MAX];
    struct secret answers[PAM_PROMPTS_MAX] = { 0 };
    size_t n = (size_t)n_messages, asked = 0;
    if (n_messages <= 0 || n > PAM_PROMPTS_MAX) return PAM_CONV_ERR;
    for (size_t i = 0; i < n; i++) {
        if (is_prompt(m[i]))
            prompts[asked++] = (struct pam_prompt){ m[i]->msg ? m[i]->msg : "", m[i]->msg_style == PAM_PROMPT_ECHO_ON };
        else if (m[i]->msg_style == PAM_TEXT_INFO || m[i]->msg_style == PAM_ERROR_MSG)
            keep_message(p, m[i]->msg);
        else
            return PAM_CONV_ERR;
    }
    bool answered = asked == 0 || (p->converse && p->converse(p->converse_arg, prompts, asked, answers) == 0);
    struct pam_response *r = calloc(n, sizeof *r);
    bool good = answered && r && put_answers(p, m, n, answers, r);
    for (size_t i = 0; i < asked; i++) secret_done(&answers[i]);
    if (!good) {
        if (r) free_responses(r, n);
        return r ? PAM_CONV_ERR : PAM_BUF_ERR;
    }
    *ret = r;
    return PAM_SUCCESS;
}

int pam_converse_password(void *arg, const struct pam_prompt *prompts, size_t n, struct secret *ret_answers)
{
    const struct view *password = arg;
    for (size_t i = 0; i < n; i++)
        if (prompts[i].echo) return ERR_UNSUPPORTED; /* a question to the user, who cannot be asked here */
    for (size_t i = 0; i < n; i++) {
        int err = secret_dup(*password, &ret_answers[i]);
        if (err == 0) continue;
        while (i-- > 0) secret_done(&ret_answers[i]);
        return err;
    }
    return 0;
}

void pam_set_converse(struct pam *p, pam_converse_fn *fn, void *arg)
{
    p->converse = fn;
    p->converse_arg = arg;
}

/* --- life --- */

static int set_items(struct pam *p, const struct pam_start *s)
{
    if (s->rhost) TRY(result(p, pam_set_item(p->h, PAM_RHOST, s->rhost)));
    if (s->tty) TRY(result(p, pam_set_item(p->h, PAM_TTY, s->tty)));
    for (size_t i = 0; s->env && i < s->env->n; i++) TRY(result(p, pam_putenv(p->h, s->env->v[i])));
    return 0;
}

int pam_new(const struct pam_start *start, struct pam **ret)
{
    CLEANUP(pam_freep) struct pam *p = calloc(1, sizeof *p);
    if (!p) return ERR_NOMEM;
    buf_init(&p->messages, MESSAGES_MAX_BYTES);
    struct pam_conv conv = { on_converse, p };
    if (start->log_name) openlog(start->log_name, LOG_PID, LOG_AUTHPRIV); /* else it would be our title in ps */
    TRY(result(p, pam_start(start->service, start->user, &conv, &p->h)));
    TRY(set_items(p, start));
    *ret = TAKE(p);
    return 0;
}

void pam_free(struct pam *p)
{
    if (!p) return;
    if (p->h) {
        (void)!pam_close_user_session(p);
        if (p->credentials_open) p->last = pam_setcred(p->h, PAM_DELETE_CRED | PAM_SILENT);
        pam_end(p->h, p->last);
    }
    buf_done(&p->messages);
    free(p);
}

void pam_abandon(struct pam *p)
{
    if (!p) return;
    pam_end(p->h, p->last | (int)PAM_DATA_SILENT);
    buf_done(&p->messages);
    free(p);
}

/* --- steps --- */

int pam_authenticate_user(struct pam *p, const struct pam_authenticate *how)
{
    p->refuse = how->refuse;
    int err = result(p, pam_authenticate(p->h, how->allow_empty ? 0 : PAM_DISALLOW_NULL_AUTHTOK));
    p->refuse = false;
    if (err == 0 && how->refuse) err = result(p, PAM_AUTH_ERR);
    return err;
}

int pam_check_account(struct pam *p, enum pam_account *ret)
{
    int code = pam_acct_mgmt(p->h, 0);
    if (code == PAM_NEW_AUTHTOK_REQD) {
        p->last = code;
        *ret = PAM_ACCOUNT_NEW_PASSWORD;
        return 0;
    }
    TRY(result(p, code));
    *ret = PAM_ACCOUNT_OK;
    return 0;
}

int pam_change_password(struct pam *p) { return result(p, pam_chauthtok(p->h, PAM_CHANGE_EXPIRED_AUTHTOK)); }
int pam_set_tty(struct pam *p, const char *tty) { return result(p, pam_set_item(p->h, PAM_TTY, tty)); }
int pam_set_env(struct pam *p, const char *assignment) { return result(p, pam_putenv(p->h, assignment)); }

int pam_open_credentials(struct pam *p, bool again)
{
    TRY(result(p, pam_setcred(p->h, again ? PAM_REINITIALIZE_CRED : PAM_ESTABLISH_CRED)));
    p->credentials_open = true;
    return 0;
}

int pam_open_user_session(struct pam *p)
{
    if (p->session_open) return ERR_STATE;
    TRY(result(p, pam_open_session(p->h, 0)));
    p->session_open = true;
    return 0;
}

int pam_close_user_session(struct pam *p)
{
    if (!p->session_open) return 0;
    p->session_open = false;
    return result(p, pam_close_session(p->h, PAM_SILENT));
}

/* --- what modules left --- */

int pam_env(struct pam *p, struct strv *ret_env)
{
    char **list = pam_getenvlist(p->h);
    if (!list) return ERR_NOMEM;
    int err = 0;
    for (char **i = list; *i; i++) {
        if (err == 0)
            err = strv_add_take(ret_env, *i);
        else
            free(*i);
    }
    free(list);
    return err;
}

const char *pam_user(struct pam *p)
{
    const void *name = NULL;
    return pam_get_item(p->h, PAM_USER, &name) == PAM_SUCCESS && name ? name : "";
}

const char *pam_reason(const struct pam *p) { return pam_strerror(p->h, p->last); }
struct view pam_messages(const struct pam *p) { return buf_view(&p->messages); }
void pam_messages_reset(struct pam *p) { buf_reset(&p->messages); }
