/* A PAM transaction. All calls block as long as the modules do; the monitor has one connection and nothing else to do meanwhile.
 * What modules ask goes to a converse function, which may carry the questions to the user and wait for the answers. Errors:
 * ERR_DENIED with the module's reason in pam_reason; ERR_NOMEM; ERR_STATE. */
#pragma once

#include "base/buf.h"
#include "base/secret.h"
#include "base/strv.h"

struct pam;

enum {
    PAM_PROMPTS_MAX = 32,
    PAM_ANSWER_BYTES = 512 /* PAM_MAX_RESP_SIZE */
};
struct pam_prompt {
    const char *text; /* lent during the call */
    bool echo;
};
/* Answers n prompts: fills ret_answers[i] (owned by the caller of converse afterwards). An error makes the module fail. */
typedef int pam_converse_fn(void *arg, const struct pam_prompt *prompts, size_t n, struct secret *ret_answers);

struct pam_start {
    const char *service;  /* "sshd" */
    const char *log_name; /* under which modules write to syslog, with our process number; must stay */
    const char *user;
    const char *rhost;
    const char *tty;        /* "ssh" until there is a terminal */
    const struct strv *env; /* NULL or "K=V" put into the transaction: SSH_CONNECTION, SSH_AUTH_INFO_0 */
};
int pam_new(const struct pam_start *start, struct pam **ret) MUST_USE;
/* Closes a session and credentials that are open, ends the transaction. NULL is fine. */
void pam_free(struct pam *p);
DEFINE_FREEP(struct pam, pam_free)
/* Forgets the transaction without closing its session: for a forked child whose parent still has it. */
void pam_abandon(struct pam *p);

/* Who answers from now on. Without one, prompts fail. */
void pam_set_converse(struct pam *p, pam_converse_fn *fn, void *arg);
/* Password method: every prompt without echo is answered by this. The converse function for it: arg is a struct view of the
 * password. */
pam_converse_fn pam_converse_password;

/* allow_empty false: PAM_DISALLOW_NULL_AUTHTOK. For users who may not log in (refuse), modules run with the password made wrong so
 * that time and talk are the same, and the answer is ERR_DENIED whatever they say. */
struct pam_authenticate {
    bool allow_empty;
    bool refuse;
};
int pam_authenticate_user(struct pam *p, const struct pam_authenticate *how) MUST_USE;
enum pam_account {
    PAM_ACCOUNT_OK,
    PAM_ACCOUNT_NEW_PASSWORD /* expired: pam_change_password must come before a session */
};
int pam_check_account(struct pam *p, enum pam_account *ret) MUST_USE;
int pam_change_password(struct pam *p) MUST_USE; /* only the expired ones */
int pam_set_tty(struct pam *p, const char *tty) MUST_USE;
int pam_set_env(struct pam *p, const char *assignment) MUST_USE;
int pam_open_credentials(struct pam *p, bool again) MUST_USE; /* again: PAM_REINITIALIZE_CRED */
int pam_open_user_session(struct pam *p) MUST_USE;            /* before dropping rights */
int pam_close_user_session(struct pam *p) MUST_USE;
/* The environment that modules made. Appends. */
int pam_env(struct pam *p, struct strv *ret_env) MUST_USE;
/* A module may have changed who it is. Lent. */
const char *pam_user(struct pam *p);
/* The last failure in PAM's words ("Authentication failure", "User account has expired"). Lent, static. */
const char *pam_reason(const struct pam *p);
/* Text and error messages that modules sent, one a line, for the user: lent; pam_messages_reset when they are delivered. */
struct view pam_messages(const struct pam *p);
void pam_messages_reset(struct pam *p);
