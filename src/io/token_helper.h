/* The processes that load the libraries of others, so that ssh, ssh-agent and ssh-keygen never do: one helper process for each
 * PKCS#11 module in use (token_pkcs11.h) and one for each operation of a security key (token_sk.h). Here: starting one, the end of
 * one, and what the two kinds have in common. Messages: ipc/messages.def.
 *
 * Both kinds are used in the same way: an operation is started; its descriptor becomes readable; ..._next gives what has happened,
 * without waiting; ..._wait does the same and waits, for programs that have nothing else to do. */
#pragma once

#include "ipc/ipc.h"
#include "key/key.h"

#include <sys/types.h>

enum {
    TOKEN_WHY_BYTES = 1024,
    TOKEN_KEYS_MAX = 1024, /* of one provider */
};

struct token_event {
    enum token_event_kind {
        TOKEN_PIN_WANTED, /* PKCS#11 only: answer with token_pkcs11_answer_pin */
        TOKEN_LOADED,     /* the keys are there to be asked for */
        TOKEN_SIGNED,
        TOKEN_ENROLLED, /* security keys only, as the next */
        TOKEN_LISTED,
        TOKEN_FAILED,
    } kind;
    struct view label;     /* PIN_WANTED: of the token; lent until the next call */
    bool has_keypad;       /* PIN_WANTED: it is typed at the token, no answer is awaited */
    struct view signature; /* SIGNED: a signature blob that was verified; lent until the next call */
    /* FAILED: ERR_PIN, ERR_PIN_LOCKED, ERR_DEVICE_NOT_FOUND, ERR_UNSUPPORTED, ERR_EXISTS, ERR_PROVIDER (the library cannot be
     * loaded), ERR_PEER_CLOSED (the helper has ended: so has the object, all that is left to do is to free it), others as they
     * come. */
    int err;
    const char *why; /* FAILED: a sentence without full stop, fit for a terminal; lent by the object */
};

/* The words in which the user is asked for a PIN: "Enter PIN for 'label': ", fit for a terminal. */
void token_pin_prompt(const struct token_event *pin_wanted, char *ret_text, size_t cap);

enum token_helper_kind {
    TOKEN_HELPER_PKCS11,
    TOKEN_HELPER_SK
};

struct token_helper {
    struct ipc ipc;
    enum token_helper_kind kind;
    pid_t pid;    /* 0: reaped */
    bool is_busy; /* in a call of the library, which nobody can end but a signal */
    char why[TOKEN_WHY_BYTES];
};

/* The program is the one that SSH_PKCS11_HELPER or SSH_SK_HELPER names, or ours beside this program or where it was installed.
 * verbose: it writes debugging lines to stderr. ERR_SYS: it cannot be started. */
int token_helper_start(enum token_helper_kind kind, bool verbose, struct token_helper *ret) MUST_USE;
/* Closes, and waits a short time for its end; one that is in a call of the library is killed. */
void token_helper_done(struct token_helper *h);
/* Makes a FAILED event of an error of the socket: how the helper ended, if it has. */
struct token_event token_helper_lost(struct token_helper *h, int err);
/* Makes a FAILED event of a helper's token_failed or sk_failed. */
struct token_event token_helper_failed(struct token_helper *h, uint32_t error, struct view text);

/* Whether a provider may be loaded: its path without links is matched against a list of patterns (ssh-agent -P); *ret_path is that
 * path, the caller's. "internal" needs no permission. ERR_DENIED; ERR_SYS: no such file. */
int token_provider_check(const char *provider, const char *patterns, char **ret_path) MUST_USE;
