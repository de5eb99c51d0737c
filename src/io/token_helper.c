/* Helper processes of tokens: start and end. */
#include "io/token_helper.h"

#include "base/pattern.h"
#include "base/vis.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/spawn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    END_WAIT_MS = 1000,
    TEXT_BYTES = 768 /* of what a helper says; the rest of a sentence is ours */
};

static const struct helper_kind {
    const char *program, *env, *folder; /* folder: beside the program's own, in a build directory */
    enum ipc_role role;
} kinds[] = {
    [TOKEN_HELPER_PKCS11] = { "ssh-pkcs11-helper", "SSH_PKCS11_HELPER", "pkcs11-helper", IPC_P },
    [TOKEN_HELPER_SK] = { "ssh-sk-helper", "SSH_SK_HELPER", "sk-helper", IPC_S },
};

static char *path_of(const struct helper_kind *k)
{
    CLEANUP(freep) char *self = NULL;
    const char *given = getenv(k->env);
    char path[4096];
    if (given && *given) return view_dup_str(view_str(given));
    char *slash = spawn_self_path(&self) == 0 ? strrchr(self, '/') : NULL;
    if (slash) *slash = '\0';
    const char *const dirs[][3] = { { self, "", "" }, { self, "/../", k->folder }, { self, "/../libexec/nacre", "" } };
    for (size_t i = 0; slash && i < ARRAY_LEN(dirs); i++) {
        int n = snprintf(path, sizeof path, "%s%s%s/%s", dirs[i][0], dirs[i][1], dirs[i][2], k->program);
        if (n > 0 && (size_t)n < sizeof path && access(path, X_OK) == 0) return view_dup_str(view_str(path));
    }
    snprintf(path, sizeof path, "%s/%s", NACRE_LIBEXECDIR, k->program);
    return view_dup_str(view_str(path));
}

int token_helper_start(enum token_helper_kind kind, bool verbose, struct token_helper *ret)
{
    const struct helper_kind *k = &kinds[kind];
    CLEANUP(freep) char *path = path_of(k);
    int ends[2];
    if (!path) return ERR_NOMEM;
    TRY(fd_socketpair(ends));
    CLEANUP(fd_closep) int ours = ends[0];
    CLEANUP(fd_closep) int theirs = ends[1];
    const char *argv[] = { path, verbose ? "-v" : NULL, NULL };
    const struct spawn_fd fds[] = { { theirs, TOKEN_HELPER_FD }, { STDERR_FILENO, STDERR_FILENO } };
    struct spawn how = {
        .path = path, .argv = argv, .fds = fds, .n_fds = ARRAY_LEN(fds), .not_dumpable = true, .die_with_parent = true
    };
    struct token_helper h = { .kind = kind };
    TRY(spawn_run(&how, &h.pid));
    int err = ipc_init(&h.ipc, fd_take(&ours), IPC_C, k->role);
    *ret = h;
    if (err < 0) token_helper_done(ret);
    return err;
}

void token_helper_done(struct token_helper *h)
{
    int status;
    ipc_done(&h->ipc);
    if (h->pid) (void)!spawn_wait_or_kill(h->pid, h->is_busy ? 0 : END_WAIT_MS, &status);
    h->pid = 0;
}

static struct token_event failed(const struct token_helper *h, int err)
{
    return (struct token_event){ .kind = TOKEN_FAILED, .err = err, .why = h->why };
}

struct token_event token_helper_lost(struct token_helper *h, int err)
{
    const char *program = kinds[h->kind].program;
    char how[128] = "";
    int status;
    if (h->pid && spawn_wait_or_kill(h->pid, err == ERR_PEER_CLOSED ? END_WAIT_MS : 0, &status) == 0) {
        spawn_status_text(status, how, sizeof how);
        h->pid = 0;
    }
    if (err == ERR_PEER_CLOSED)
        snprintf(h->why, sizeof h->why, "%s %s while it used the library", program, *how ? how : "ended");
    else
        snprintf(h->why, sizeof h->why, "%s gave no proper answer: %s", program, err_text(err));
    return failed(h, ERR_PEER_CLOSED);
}

struct token_event token_helper_failed(struct token_helper *h, uint32_t error, struct view text)
{
    static const int errors[TOKEN_ERROR_MAX] = {
        [TOKEN_ERROR_GENERAL] = ERR_CRYPTO,
        [TOKEN_ERROR_LIBRARY] = ERR_PROVIDER,
        [TOKEN_ERROR_NO_DEVICE] = ERR_DEVICE_NOT_FOUND,
        [TOKEN_ERROR_PIN] = ERR_PIN,
        [TOKEN_ERROR_PIN_LOCKED] = ERR_PIN_LOCKED,
        [TOKEN_ERROR_UNSUPPORTED] = ERR_UNSUPPORTED,
        [TOKEN_ERROR_EXISTS] = ERR_EXISTS,
    };
    vis_line(view_sub(text, 0, TEXT_BYTES), h->why, sizeof h->why);
    return failed(h, errors[error < TOKEN_ERROR_MAX ? error : TOKEN_ERROR_GENERAL]);
}

void token_pin_prompt(const struct token_event *pin_wanted, char *ret_text, size_t cap)
{
    char label[256];
    vis_line(pin_wanted->label, label, sizeof label);
    snprintf(ret_text, cap, pin_wanted->has_keypad ? "Enter PIN for '%s' on its keypad." : "Enter PIN for '%s': ", label);
}

int token_provider_check(const char *provider, const char *patterns, char **ret_path)
{
    CLEANUP(freep) char *path = NULL;
    if (strcmp(provider, "internal") == 0) {
        *ret_path = view_dup_str(view_str(provider));
        return *ret_path ? 0 : ERR_NOMEM;
    }
    TRY(file_real_path(provider, &path));
    if (pattern_list_match(view_str(path), view_str(patterns)) != 1) return ERR_DENIED;
    *ret_path = TAKE(path);
    return 0;
}
