/* Lines typed at a terminal: libedit, with a history, and completion by complete.c. While it waits for a key the connection is
 * looked after. */
#include "os/tty.h"
#include "base/vis.h"
#include "prog/sftp/sftp.h"

#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

enum {
    HISTORY_LINES = 100
};

struct editor {
    struct sftp *s;
    EditLine *el;
    History *history;
    HistEvent event;
    struct loop_fd *keys;
    bool has_key;
    char *line;
};

static char *prompt(EditLine *el)
{
    static char text[] = "sftp> ";
    (void)el;
    return text;
}

/* ---- keys ---- */

static void on_keys(void *arg, int fd, unsigned events)
{
    struct editor *e = arg;
    (void)fd, (void)events;
    e->has_key = true;
}

static int wait_for_key(struct editor *e)
{
    e->has_key = false;
    TRY(loop_fd_set(e->keys, LOOP_READ));
    while (!e->has_key && !e->s->interrupted) TRY(sftp_conn_turn(e->s->conn));
    return loop_fd_set(e->keys, 0);
}

/* For libedit: 1 and a character, 0 at the end, -1 when it is over otherwise. */
static int get_key(EditLine *el, wchar_t *ret)
{
    struct editor *e;
    mbstate_t state = { 0 };
    if (el_get(el, EL_CLIENTDATA, &e) < 0) return -1;
    for (;;) {
        char c;
        if (wait_for_key(e) < 0 || e->s->interrupted) return -1;
        ssize_t n = read(STDIN_FILENO, &c, 1);
        if (n <= 0) return (int)n;
        size_t got = mbrtowc(ret, &c, 1, &state);
        if (got == (size_t)-2) continue; /* more of it is to come */
        if (got == (size_t)-1) *ret = L'?';
        if (got == 0) *ret = 0;
        return 1;
    }
}

/* ---- completion ---- */

static size_t common_prefix(const struct strv *names)
{
    size_t len = strlen(names->v[0]);
    for (size_t i = 1; i < names->n; i++) {
        size_t same = 0;
        while (same < len && names->v[i][same] == names->v[0][same]) same++;
        len = same;
    }
    while (len && (names->v[0][len] & 0xc0) == 0x80) len--; /* whole characters */
    return len;
}

static const char *last_of(const char *name)
{
    size_t len = strlen(name);
    while (len && name[len - 1] == '/') len--;
    while (len && name[len - 1] != '/') len--;
    return name + len;
}

static void show_choices(const struct strv *names)
{
    CLEANUP(strv_done) struct strv shown = STRV_INIT;
    char text[16384];
    for (size_t i = 0; i < names->n; i++) {
        vis_line(view_str(last_of(names->v[i])), text, sizeof text);
        if (strv_add(&shown, view_str(text)) < 0) return;
    }
    putchar('\n');
    print_columns((const char *const *)shown.v, shown.n, tty_width(STDOUT_FILENO));
    fflush(stdout);
}

/* The last word becomes text; finished: it is all of one, so the word ends. */
static bool replace_word(EditLine *el, const struct last_word *last, size_t typed_len, const char *text, bool finished)
{
    CLEANUP(freep) char *quoted = word_quote(text, last->quote);
    CLEANUP(buf_done) struct buf b = BUF_INIT(8 * COMMAND_LINE_MAX_BYTES);
    if (!quoted) return false;
    if (last->quote && buf_put_u8(&b, (uint8_t)last->quote) < 0) return false;
    if (buf_put_str(&b, quoted) < 0) return false;
    size_t len = strlen(text);
    if (finished && len && text[len - 1] != '/') {
        if (last->quote && buf_put_u8(&b, (uint8_t)last->quote) < 0) return false;
        if (buf_put_u8(&b, ' ') < 0) return false;
    }
    const char *all = buf_cstr(&b);
    if (!all) return false;
    if (typed_len) el_deletestr(el, (int)typed_len);
    return el_insertstr(el, all) == 0;
}

static size_t characters(const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) n += (text[i] & 0xc0) != 0x80;
    return n;
}

static unsigned char on_tab(EditLine *el, int key)
{
    struct editor *e;
    CLEANUP(strv_done) struct strv names = STRV_INIT;
    struct last_word last = { .word = NULL };
    (void)key;
    if (el_get(el, EL_CLIENTDATA, &e) < 0) return CC_ERROR;
    const LineInfo *info = el_line(el);
    struct view before = view_of(info->buffer, (size_t)(info->cursor - info->buffer));
    if (complete(e->s, before, &names, &last) < 0 || names.n == 0) {
        free(last.word);
        return CC_REFRESH_BEEP;
    }
    size_t typed = characters((const char *)before.p + last.begin, before.len - last.begin), known = strlen(last.word);
    size_t common = common_prefix(&names);
    unsigned char answer = CC_REFRESH;
    if (common > known || names.n == 1) {
        names.v[0][common] = 0;
        if (!replace_word(el, &last, typed, names.v[0], names.n == 1)) answer = CC_ERROR;
    } else {
        show_choices(&names);
        answer = CC_REDISPLAY;
    }
    free(last.word);
    return answer;
}

/* ---- life ---- */

static int set_up(struct editor *e)
{
    e->el = el_init("sftp", stdin, stdout, stderr);
    e->history = history_init();
    if (!e->el || !e->history) return ERR_NOMEM;
    (void)history(e->history, &e->event, H_SETSIZE, HISTORY_LINES);
    (void)el_set(e->el, EL_HIST, history, e->history);
    (void)el_set(e->el, EL_PROMPT, prompt);
    (void)el_set(e->el, EL_EDITOR, "emacs");
    (void)el_set(e->el, EL_TERMINAL, NULL);
    (void)el_set(e->el, EL_SIGNAL, 1);
    (void)el_set(e->el, EL_CLIENTDATA, e);
    (void)el_set(e->el, EL_GETCFN, get_key);
    (void)el_source(e->el, NULL);
    (void)el_set(e->el, EL_ADDFN, "ftp-complete", "Context sensitive argument completion", on_tab);
    (void)el_set(e->el, EL_BIND, "^I", "ftp-complete", NULL);
    /* Control with the arrows moves by words. */
    (void)el_set(e->el, EL_BIND, "\\e[1;5C", "em-next-word", NULL);
    (void)el_set(e->el, EL_BIND, "\\e[1;5D", "ed-prev-word", NULL);
    return loop_fd_new(e->s->loop, STDIN_FILENO, 0, on_keys, e, &e->keys);
}

int editor_new(struct sftp *s, struct editor **ret)
{
    CLEANUP(editor_freep) struct editor *e = calloc(1, sizeof *e);
    if (!e) return ERR_NOMEM;
    e->s = s;
    TRY(set_up(e));
    *ret = TAKE(e);
    return 0;
}

void editor_free(struct editor *e)
{
    if (!e) return;
    loop_fd_free(e->keys);
    if (e->el) el_end(e->el);
    if (e->history) history_end(e->history);
    free(e->line);
    free(e);
}

int editor_read(struct editor *e, const char **ret_line)
{
    int n = 0;
    struct sftp *s = e->s;
    s->interrupted = false;
    s->n_interrupts = 0;
    TRY(signals_listen(s, true));
    const char *line = el_gets(e->el, &n);
    TRY(signals_listen(s, false));
    if (s->interrupted || !line || n <= 0) putchar('\n');
    fflush(stdout);
    TRY(sftp_conn_err(s->conn));
    if (s->interrupted) {
        el_reset(e->el);
        return ERR_CANCELLED;
    }
    if (!line || n <= 0) return ERR_NOT_FOUND;
    (void)history(e->history, &e->event, H_ENTER, line);
    free(e->line);
    e->line = strndup(line, strcspn(line, "\r\n"));
    *ret_line = e->line;
    return e->line ? 0 : ERR_NOMEM;
}
