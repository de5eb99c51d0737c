/* Questions to the user, and files read. */
#include "prog/keygen/keygen.h"

#include "base/vis.h"
#include "io/prompt.h"
#include "key/public_line.h"
#include "os/fd.h"
#include "os/file.h"
#include "os/user.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void say(const char *fmt, va_list args)
{
    char line[2 * PATH_BYTES_MAX], clean[2 * PATH_BYTES_MAX];
    vsnprintf(line, sizeof(line), fmt, args);
    vis_line(view_str(line), clean, sizeof(clean));
    fflush(stdout);
    fprintf(stderr, "%s\n", clean);
}

int say_fatal(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(fmt, args);
    va_end(args);
    return EXIT_FATAL;
}

void say_error(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(fmt, args);
    va_end(args);
}

const char *say_text(int err)
{
    if (err == ERR_PASSPHRASE || err == ERR_PASSPHRASE_NEEDED) return "incorrect passphrase supplied to decrypt private key";
    if (err == ERR_DENIED) return "bad permissions";
    return err_text(err);
}

void print_clean(struct view text)
{
    char clean[2 * PATH_BYTES_MAX];
    vis_line(text, clean, sizeof(clean));
    printf("%s", clean);
}

bool ask_line(const char *prompt, char *ret_line, size_t cap)
{
    printf("%s", prompt);
    fflush(stdout);
    if (!fgets(ret_line, (int)cap, stdin)) return false;
    ret_line[strcspn(ret_line, "\n")] = '\0';
    return true;
}

bool ask_overwrite(const char *path)
{
    if (!file_exists(path)) return true;
    char answer[16];
    printf("%s already exists.\n", path);
    return ask_line("Overwrite (y/n)? ", answer, sizeof(answer)) && (answer[0] == 'y' || answer[0] == 'Y');
}

const char *ask_home(void)
{
    static const struct user *me; /* lives as long as the program */
    if (!me) {
        struct user *u = NULL;
        if (user_by_uid(getuid(), &u) < 0) {
            say_error("No user exists for uid %lu", (unsigned long)getuid());
            return NULL;
        }
        me = u;
    }
    return me->home;
}

void ask_default_comment(char *ret_text, size_t cap)
{
    char host[HOST_NAME_MAX + 1] = "";
    struct user *u = NULL;
    (void)gethostname(host, sizeof(host) - 1);
    bool known = user_by_uid(getuid(), &u) == 0;
    snprintf(ret_text, cap, "%s@%s", known ? u->name : "nobody", host);
    user_free(u);
}

/* Where a key of the wanted type lives when nobody says. */
static int default_file(const struct keygen_options *o, char *ret_path, size_t cap)
{
    const char *home = ask_home(), *name = "id_ed25519";
    if (!home) return ERR_NOT_FOUND;
    if (o->type && strncasecmp(o->type, "ecdsa", 5) == 0) name = "id_ecdsa";
    if (o->type && (strcasecmp(o->type, "ed25519-sk") == 0 || strncasecmp(o->type, "sk-ssh-ed25519", 14) == 0))
        name = "id_ed25519_sk";
    if (o->type && (strcasecmp(o->type, "ecdsa-sk") == 0 || strncasecmp(o->type, "sk-ecdsa", 8) == 0)) name = "id_ecdsa_sk";
    if (o->type && (strncasecmp(o->type, "rsa", 3) == 0 || strcasecmp(o->type, "ssh-rsa") == 0)) name = "id_rsa";
    snprintf(ret_path, cap, "%s/.ssh/%s", home, name);
    return 0;
}

int ask_file(struct keygen_options *o, const char *prompt)
{
    if (o->file) return 0;
    static char path[PATH_BYTES_MAX]; /* o->file points here from now on */
    char question[PATH_BYTES_MAX + 128], answer[PATH_BYTES_MAX];
    TRY(default_file(o, path, sizeof(path)));
    snprintf(question, sizeof(question), "%s (%s): ", prompt, path);
    if (!ask_line(question, answer, sizeof(answer))) return ERR_CANCELLED;
    if (*answer) snprintf(path, sizeof(path), "%s", answer);
    o->file = path;
    return 0;
}

static void log_sink(UNUSED void *arg, UNUSED enum log_level level, const char *line) { fprintf(stderr, "%s\n", line); }

int ask_secret(const char *prompt, struct buf *out)
{
    const struct log log = { LOG_LEVEL_ERROR, log_sink, NULL };
    return prompt_ask(&(struct prompt){ .log = &log, .text = prompt, .may_be_piped = true }, out);
}

int ask_passphrase(const char *prompt, struct buf *out)
{
    int err = ask_secret(prompt, out);
    /* nobody there, or the end of stdin: an empty one, which scripts that give /dev/null count on */
    return err == ERR_CANCELLED || err == ERR_NOT_FOUND ? 0 : err;
}

int ask_new_passphrase(const char *first, const char *mismatch, bool again_on_mismatch, struct buf *out)
{
    CLEANUP(buf_done) struct buf again = BUF_INIT_SECRET(PASSPHRASE_BYTES_MAX);
    for (;;) {
        buf_reset(out);
        buf_reset(&again);
        TRY(ask_passphrase(first, out));
        TRY(ask_passphrase("Enter same passphrase again: ", &again));
        if (view_eq(buf_view(out), buf_view(&again))) return 0;
        printf("%s\n", mismatch);
        if (!again_on_mismatch) return ERR_DENIED;
    }
}

int load_file(const char *path, struct buf *out)
{
    return strcmp(path, "-") == 0 ? file_read_fd(STDIN_FILENO, out) : file_read(path, out);
}

static void say_open_permissions(const char *path, mode_t mode)
{
    say_error("@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@");
    say_error("@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @");
    say_error("@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@");
    say_error("Permissions 0%3.3o for '%s' are too open.", (unsigned)mode & 0777, path);
    say_error("It is required that your private key files are NOT accessible by others.");
    say_error("This private key will be ignored. To mend it: chmod 600 %s", path);
}

static int read_private(const char *path, struct buf *out)
{
    CLEANUP(fd_closep) int fd = -1;
    mode_t mode;
    TRY(file_open(path, O_RDONLY, 0, &fd));
    int err = file_check_private(fd, &mode);
    if (err == ERR_DENIED) say_open_permissions(path, mode);
    TRY(err);
    return file_read_fd(fd, out);
}

static int open_private(const struct keygen_options *o, const char *prompt, struct view file, struct buf *passphrase,
                        struct key **ret)
{
    int err = private_file_parse(file, view_str(""), ret);
    if (err != ERR_PASSPHRASE && err != ERR_PASSPHRASE_NEEDED) return err;
    if (o->passphrase)
        TRY(buf_put_str(passphrase, o->passphrase));
    else
        TRY(ask_passphrase(prompt ? prompt : "Enter passphrase: ", passphrase));
    return private_file_parse(file, view_of(buf_cstr(passphrase), buf_len(passphrase)), ret);
}

int load_private(const struct keygen_options *o, const char *prompt, const char *said_as, bool said_quoted, struct buf *used,
                 struct key **ret)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT_SECRET(PRIVATE_FILE_BYTES_MAX);
    CLEANUP(buf_done) struct buf passphrase = BUF_INIT_SECRET(PASSPHRASE_BYTES_MAX);
    if (!file_exists(o->file)) {
        say_error("%s: %s", o->file, strerror(ENOENT));
        return ERR_NOT_FOUND;
    }
    int err = read_private(o->file, &file);
    if (err == 0) err = open_private(o, prompt, buf_view(&file), &passphrase, ret);
    if (err == 0 && used) err = buf_put_view(used, buf_view(&passphrase));
    if (err < 0) say_error(said_quoted ? "%s \"%s\": %s" : "%s %s: %s", said_as, o->file, say_text(err));
    return err;
}

bool has_private(struct view file) { return file.p && memmem(file.p, file.len, "PRIVATE KEY-----", 16) != NULL; }

static int public_of_bytes(struct view file, struct key **ret)
{
    int err = private_file_public(file, ret);
    return err < 0 && err != ERR_PASSPHRASE_NEEDED ? public_file_parse(file, ret) : err;
}

int load_public(const char *path, struct key **ret)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT_SECRET(PRIVATE_FILE_BYTES_MAX), beside = BUF_INIT(PRIVATE_FILE_BYTES_MAX);
    char public_path[PATH_BYTES_MAX + 8];
    snprintf(public_path, sizeof(public_path), "%s.pub", path);
    int err = load_file(path, &file);
    if (file_err_is_missing(err)) { /* the private half may be elsewhere, in an agent for one */
        if (file_read(public_path, &beside) < 0) return err;
        return public_file_parse(buf_view(&beside), ret);
    }
    TRY(err);
    bool is_private = has_private(buf_view(&file));
    if (is_private && file_read(public_path, &beside) == 0 && public_file_parse(buf_view(&beside), ret) == 0) return 0;
    /* an unencrypted file has the comment, which its clear half has not */
    if (is_private && private_file_parse(buf_view(&file), VIEW_EMPTY, ret) == 0) return 0;
    return public_of_bytes(buf_view(&file), ret);
}
