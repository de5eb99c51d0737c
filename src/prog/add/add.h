/* ssh-add's parts, for the files of its folder only: main.c (command line), keys.c (key files into the agent and out of it),
 * agent.c (what is asked of the agent besides), destinations.c (-h), tokens.c (-s, -e,
 * -K). What an agent or a file says is escaped before it is shown. */
#pragma once

#include "base/strv.h"
#include "crypto/digest.h"
#include "key/key.h"
#include "os/logsink.h"

enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_NO_AGENT = 2,
    EXIT_FATAL = 255,
    PASSPHRASE_BYTES_MAX = 1024,
    LINE_BYTES_MAX = 2 * 4096,
};

struct add_options {
    enum {
        ACTION_FILES,
        ACTION_LIST,        /* -l, -L */
        ACTION_LOCK,        /* -x, -X */
        ACTION_EMPTY,       /* -D */
        ACTION_TEST,        /* -T */
        ACTION_QUERY,       /* -Q */
        ACTION_CARD_ADD,    /* -s */
        ACTION_CARD_REMOVE, /* -e */
        ACTION_RESIDENT,    /* -K */
    } action;
    unsigned n_actions;
    char letter; /* of the action, where it has two */
    bool delete, plain_only, certs_only, quiet, confirm, no_cert_expiry;
    uint32_t lifetime_s;     /* 0: for ever */
    const char *card;        /* -s, -e: the library */
    const char *sk_provider; /* -S */
    enum digest_alg hash;
    struct strv destinations, host_key_files; /* -h, -H */
    struct buf limits;                        /* destinations as the agent's protocol has them */
};

struct add {
    struct add_options options;
    struct logsink sink;
    int agent;
    struct buf request, answer;
    struct buf passphrase; /* that opened the last file: tried for the next ones */
};

/* ---- main.c ---- */
/* stderr, one line. */
void say(const char *fmt, ...) PRINTF(1, 2);
/* What became of a thing; nothing with -q. */
#define say_done(a, ...) ((a)->options.quiet ? (void)0 : say(__VA_ARGS__))
int say_fatal(const char *fmt, ...) PRINTF(1, 2); /* gives EXIT_FATAL */
/* Asks on standard input or by askpass; nobody there is the empty answer. Into out, which is secret. */
int ask_secret(struct add *a, const char *question, struct buf *out) MUST_USE;

/* ---- agent.c ---- */
/* Sends what is in a->request; the answer's body is in a->answer. The request is wiped. */
int agent_ask(struct add *a) MUST_USE;
/* Each gives the exit status. */
int agent_list(struct add *a);
int agent_lock(struct add *a);
int agent_empty(struct add *a);
int agent_query(struct add *a);
int agent_test(struct add *a, const char *path);

/* ---- keys.c ---- */
/* One file by its name, added or removed; or all default ones. The exit status. */
int keys_do_file(struct add *a, const char *path);
int keys_do_defaults(struct add *a);
/* The public key of a file: itself, the clear half of a private one, or FILE.pub. */
int keys_load_public(const char *path, struct key **ret) MUST_USE;

/* ---- tokens.c ---- each gives the exit status */
int token_do_card(struct add *a, int n_files, char **files);
int token_do_residents(struct add *a);
/* -S, the environment's, or internal. */
const char *token_sk_provider(const struct add *a);

/* ---- destinations.c ---- */
/* Fills options.limits. 0, or the exit status after a sentence. */
int destinations_make(struct add *a);
