/* Commands about where we are, here and there, and about sftp itself. */
#include "os/file.h"
#include "os/spawn.h"
#include "prog/sftp/sftp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- there ---- */

int change_dir(struct sftp *s, const char *path)
{
    CLEANUP(freep) char *real = NULL;
    struct sftp_attrs a;
    uint32_t status;
    TRY(remote_stat(s, path, &a, &status));
    if (status != SFTP_OK) return fail(s, "stat remote: %s", sftp_client_status_text(status));
    TRY(remote_realpath(s, path, &real));
    if (!(a.flags & SFTP_ATTR_PERMISSIONS)) return fail(s, "Can't change directory: Can't check target");
    if (!S_ISDIR(a.permissions)) return fail(s, "Can't change directory: \"%s\" is not a directory", real);
    free(s->pwd);
    s->pwd = TAKE(real);
    return 0;
}

int cmd_cd(struct sftp *s, const struct line *l)
{
    CLEANUP(freep) char *path = l->words.n ? remote_plain(s, l->words.v[0]) : view_dup_str(view_str(s->start_dir));
    return path ? change_dir(s, path) : ERR_NOMEM;
}

int cmd_pwd(struct sftp *s, const struct line *l)
{
    (void)l;
    say("Remote working directory: %s", s->pwd);
    return 0;
}

static int percent(uint64_t part, uint64_t whole) { return whole ? (int)((long double)part * 100 / (long double)whole) : 0; }

static void show_space(const struct body_sftp_statvfs *v, bool human)
{
    const uint64_t blocks[] = { v->blocks, v->blocks - MIN(v->blocks_free, v->blocks), v->blocks_available, v->blocks_free };
    if (human) {
        char text[4][SCALED_BYTES];
        for (size_t i = 0; i < 4; i++) {
            uint64_t unit = MAX(v->fragment_bytes, (uint64_t)1);
            scaled(blocks[i] > UINT64_MAX / unit ? UINT64_MAX : blocks[i] * unit, text[i]);
            char *end = text[i] + strlen(text[i]) - 1;
            if (*end == 'B') *end = 0;
        }
        printf("    Size     Used    Avail   (root)    %%Capacity\n%7sB %7sB %7sB %7sB         %3d%%\n", text[0], text[1], text[2],
               text[3], percent(blocks[1], v->blocks));
        return;
    }
    long double kib = (long double)v->fragment_bytes / 1024;
    printf("        Size         Used        Avail       (root)    %%Capacity\n%12.0Lf %12.0Lf %12.0Lf %12.0Lf         %3d%%\n",
           (long double)blocks[0] * kib, (long double)blocks[1] * kib, (long double)blocks[2] * kib, (long double)blocks[3] * kib,
           percent(blocks[1], v->blocks));
}

static void show_inodes(const struct body_sftp_statvfs *v)
{
    uint64_t used = v->files - MIN(v->files_free, v->files);
    printf("     Inodes        Used       Avail      (root)    %%Capacity\n%11llu %11llu %11llu %11llu         %3d%%\n",
           (unsigned long long)v->files, (unsigned long long)used, (unsigned long long)v->files_available,
           (unsigned long long)v->files_free, percent(used, v->files));
}

int cmd_df(struct sftp *s, const struct line *l)
{
    CLEANUP(sftp_reply_done) struct sftp_reply r = SFTP_REPLY_INIT;
    CLEANUP(buf_done) struct buf body = BUF_INIT(SFTP_PACKET_MAX_BYTES);
    CLEANUP(freep) char *path = remote_plain(s, l->words.n ? l->words.v[0] : s->pwd);
    struct wr w = wr_of(&body);
    struct body_sftp_statvfs v;
    if (!path) return ERR_NOMEM;
    TRY(need_extension(s, SFTP_EXT_STATVFS));
    const struct body_sftp_path m = { .path = view_str(path) };
    TRY(body_sftp_path_put(&w, &m));
    TRY(remote_extended(s, SFTP_EXT_STATVFS, buf_view(&body), &r));
    if (r.answer.type != MSG_sftp_extended_reply_NUMBER)
        return fail(s, "remote statvfs \"%s\": %s", path,
                    sftp_client_status_text(r.answer.status ? r.answer.status : SFTP_FAILURE));
    TRY(body_sftp_statvfs_get(r.answer.data, &v));
    if (l->flags['i'])
        show_inodes(&v);
    else
        show_space(&v, l->flags['h']);
    return 0;
}

/* ---- here ---- */

/* ~ and ~/x, as a shell would have them. */
static char *local_plain(const char *word)
{
    char *path = remote_glob_unescape(word);
    const char *home = getenv("HOME");
    if (!path || path[0] != '~' || (path[1] && path[1] != '/') || !home || file_exists(path)) return path;
    char *full = remote_path_join(home, view_str(path[1] ? path + 2 : ""));
    free(path);
    return full;
}

int cmd_lcd(struct sftp *s, const struct line *l)
{
    CLEANUP(freep) char *path = local_plain(l->words.n ? l->words.v[0] : "~");
    if (!path) return ERR_NOMEM;
    if (chdir(path) == 0) return 0;
    return fail(s, "Couldn't change local directory to \"%s\": %s", path, strerror(errno));
}

int cmd_lpwd(struct sftp *s, const struct line *l)
{
    (void)l;
    CLEANUP(freep) char *here = getcwd(NULL, 0);
    if (!here) return fail(s, "Couldn't get local cwd: %s", strerror(errno));
    say("Local working directory: %s", here);
    return 0;
}

int cmd_lmkdir(struct sftp *s, const struct line *l)
{
    CLEANUP(freep) char *path = local_plain(l->words.v[0]);
    if (!path) return ERR_NOMEM;
    if (mkdir(path, 0777) == 0) return 0;
    return fail(s, "Couldn't create local directory \"%s\": %s", path, strerror(errno));
}

int cmd_lumask(struct sftp *s, const struct line *l)
{
    (void)s;
    (void)umask((mode_t)l->number);
    say("Local umask: %03lo", l->number);
    return 0;
}

static int run_shell(struct sftp *s, const char *command)
{
    const char *shell = getenv("SHELL");
    int status;
    pid_t pid;
    if (!shell || !*shell) shell = "/bin/sh";
    const char *const plain[] = { shell, NULL }, *const with_command[] = { shell, "-c", command, NULL };
    fflush(stdout);
    int err =
        spawn_run(&(struct spawn){ .path = shell, .search = true, .argv = command ? with_command : plain, .keep_std = true }, &pid);
    if (err < 0) return fail(s, "Couldn't execute \"%s\": %s", shell, err_text(err));
    err = spawn_wait(pid, &status);
    if (err < 0) return fail(s, "Couldn't wait for child: %s", err_text(err));
    if (!WIFEXITED(status))
        log_error(s->log, "Shell exited abnormally");
    else if (WEXITSTATUS(status))
        log_error(s->log, "Shell exited with status %d", WEXITSTATUS(status));
    return 0; /* a batch goes on: its author asked for the command's work, not for its status */
}

int cmd_lls(struct sftp *s, const struct line *l)
{
    CLEANUP(buf_done) struct buf command = BUF_INIT(2 * COMMAND_LINE_MAX_BYTES);
    TRY(buf_printf(&command, "ls %s", l->rest));
    const char *text = buf_cstr(&command);
    return text ? run_shell(s, text) : ERR_NOMEM;
}

int cmd_shell(struct sftp *s, const struct line *l) { return run_shell(s, *l->rest ? l->rest : NULL); }

/* ---- sftp itself ---- */

int cmd_help(struct sftp *s, const struct line *l)
{
    (void)s, (void)l;
    puts("Available commands:");
    for (size_t i = 0; i < n_commands; i++) {
        const struct command *c = &commands[i];
        if (!c->help) continue;
        int n = printf("%s%s%s", c->name, *c->help_args ? " " : "", c->help_args);
        printf("%*s%s\n", 35 - n, "", c->help);
    }
    puts("!command                           Execute 'command' in local shell\n"
         "!                                  Escape to local shell\n"
         "?                                  Synonym for help");
    return 0;
}

int cmd_version(struct sftp *s, const struct line *l)
{
    (void)l;
    say("SFTP protocol version %u", (unsigned)sftp_conn_facts(s->conn)->version);
    return 0;
}

int cmd_progress(struct sftp *s, const struct line *l)
{
    (void)l;
    s->progress = !s->progress;
    say("Progress meter %s", s->progress ? "enabled" : "disabled");
    return 0;
}

int cmd_quit(struct sftp *s, const struct line *l)
{
    (void)l;
    s->quit = true;
    return 0;
}
