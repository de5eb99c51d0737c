/* Lines from a file, a pipe or a terminal, one command after the other. */
#include "os/tty.h"
#include "prog/sftp/sftp.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PATIENCE = 3 /* interrupts after which something hangs that does not look at them */
};

/* ---- signals ---- */

static void on_signal(void *arg, int number)
{
    struct sftp *s = arg;
    if (number == SIGINT && !s->interrupted && s->running) {
        meter_make_way(s->meter);
        fputs("Interrupt\n", stderr);
    }
    if (number != SIGINT) s->deadly = number;
    s->interrupted = true;
    if (s->running) transfer_stop(s->running);
    if (++s->n_interrupts < PATIENCE) return;
    (void)!loop_signal(s->loop, number, NULL, NULL);
    (void)raise(number);
}

int signals_listen(struct sftp *s, bool on)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) TRY(loop_signal(s->loop, numbers[i], on ? on_signal : NULL, s));
    return 0;
}

/* ---- one line ---- */

static int run_command(struct sftp *s, const struct line *l)
{
    s->interrupted = false;
    s->n_interrupts = 0;
    TRY(signals_listen(s, true));
    int err = l->command->run(s, l);
    fflush(stdout);
    if (l->command->flags == NULL) (void)!loop_turn(s->loop, 0); /* an interrupt was meant for the command that ran here */
    TRY(signals_listen(s, false));
    if (sftp_conn_err(s->conn) < 0) return sftp_conn_err(s->conn);
    if (err < 0 && err != ERR_DENIED && err != ERR_CANCELLED) return fail(s, "%s: %s", l->command->name, err_text(err));
    return err;
}

static int run_line(struct sftp *s, const char *text, bool echo, bool *ret_may_fail)
{
    CLEANUP(line_done) struct line l;
    char why[COMMAND_WHY_BYTES];
    int err = line_parse(text, &l, why);
    *ret_may_fail = l.may_fail;
    if (echo && !l.quiet) {
        printf("sftp> %s\n", text);
        fflush(stdout);
    }
    if (err == ERR_FORMAT) return fail(s, "%s", why);
    TRY(err);
    return l.command ? run_command(s, &l) : 0;
}

/* ---- all of them ---- */

static int read_file_line(FILE *from, char **line, size_t *cap)
{
    ssize_t n = getline(line, cap, from);
    if (n < 0) return ERR_NOT_FOUND;
    if (n && (*line)[n - 1] == '\n') (*line)[--n] = 0;
    return strlen(*line) == (size_t)n ? 0 : ERR_FORMAT;
}

static int run_typed(struct sftp *s)
{
    CLEANUP(editor_freep) struct editor *editor = NULL;
    bool may_fail;
    TRY(editor_new(s, &editor));
    while (!s->quit && !s->deadly) {
        const char *line;
        int err = editor_read(editor, &line);
        if (err == ERR_NOT_FOUND) break;
        if (err == ERR_CANCELLED) continue;
        TRY(err);
        (void)run_line(s, line, false, &may_fail);
        TRY(sftp_conn_err(s->conn));
    }
    return 0;
}

int run_lines(struct sftp *s, FILE *from, bool is_batch)
{
    CLEANUP(freep) char *line = NULL;
    size_t cap = 0;
    bool may_fail;
    if (!is_batch && tty_is(STDIN_FILENO) && tty_is(STDOUT_FILENO)) return run_typed(s);
    while (!s->quit && !s->deadly) {
        int err = read_file_line(from, &line, &cap);
        if (err == ERR_NOT_FOUND) return 0;
        if (err == ERR_FORMAT) {
            err = fail(s, "A line has a NUL character.");
            may_fail = false;
        } else {
            err = run_line(s, line, true, &may_fail);
        }
        TRY(sftp_conn_err(s->conn));
        if (err < 0 && is_batch && (!may_fail || err == ERR_CANCELLED)) return ERR_DENIED;
    }
    return 0;
}
