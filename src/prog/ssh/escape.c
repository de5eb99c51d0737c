/* Escapes: one table of characters. */
#include "prog/ssh/escape.h"

#include <ctype.h>
#include <stdio.h>

static const struct row {
    uint8_t character;
    enum escape_action action;
    const char *shown; /* behind the escape character in the help; NULL: has no line of its own */
    const char *help;
} rows[] = {
    { '.', ESCAPE_TERMINATE, ".", "end the connection and every session on it" },
    { 'B', ESCAPE_BREAK, "B", "send a BREAK to the other machine" },
    { 'C', ESCAPE_COMMAND_LINE, "C", "open a command line" },
    { 'I', ESCAPE_INFO, "I", "show facts about the connection" },
    { 'R', ESCAPE_REKEY, "R", "exchange new keys now" },
    { 'V', ESCAPE_QUIETER, "V/v", "say less / more in the log (LogLevel)" },
    { 'v', ESCAPE_LOUDER, NULL, NULL },
    { 'Z' & 0x1f, ESCAPE_SUSPEND, "^Z", "suspend ssh" },
    { '#', ESCAPE_LIST, "#", "list the open connections" },
    { '&', ESCAPE_BACKGROUND, "&", "go to the background (when only forwarded connections are left)" },
    { '?', ESCAPE_HELP, "?", "this list" },
};

void escape_init(struct escape *e, int character) { *e = (struct escape){ .character = character, .at_line_start = true }; }

static enum escape_action action_of(uint8_t c)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].character == c) return rows[i].action;
    return ESCAPE_NONE;
}

/* A character that is sent as it is. */
static int pass(struct escape *e, uint8_t c, struct buf *out)
{
    e->at_line_start = c == '\r' || c == '\n';
    return buf_put_u8(out, c);
}

static int step(struct escape *e, uint8_t c, struct buf *out, enum escape_action *ret_action)
{
    if (!e->pending && e->at_line_start && c == e->character) {
        e->pending = true;
        return 0;
    }
    if (!e->pending) return pass(e, c, out);
    e->pending = false;
    *ret_action = action_of(c);
    if (*ret_action != ESCAPE_NONE) return 0; /* still at the start of the line */
    if (c != e->character) TRY(buf_put_u8(out, (uint8_t)e->character));
    return pass(e, c, out);
}

int escape_feed(struct escape *e, struct view in, struct buf *out, size_t *ret_used, enum escape_action *ret_action)
{
    struct escape saved = *e;
    size_t before = buf_len(out), used = 0;
    enum escape_action action = ESCAPE_NONE;
    int err = 0;
    if (e->character == ESCAPE_OFF) {
        err = buf_put_view(out, in);
        used = in.len;
    }
    while (err == 0 && used < in.len && action == ESCAPE_NONE) err = step(e, in.p[used++], out, &action);
    if (err < 0) {
        *e = saved;
        buf_truncate(out, before);
        return err;
    }
    *ret_used = used;
    *ret_action = action;
    return 0;
}

void escape_name(const struct escape *e, char ret_name[ESCAPE_NAME_BYTES])
{
    int c = e->character;
    if (c >= 0 && c < 0x20)
        snprintf(ret_name, ESCAPE_NAME_BYTES, "^%c", c + '@');
    else if (c == 0x7f)
        snprintf(ret_name, ESCAPE_NAME_BYTES, "^?");
    else if (c >= 0 && c < 0x7f)
        snprintf(ret_name, ESCAPE_NAME_BYTES, "%c", c);
    else
        snprintf(ret_name, ESCAPE_NAME_BYTES, "\\%03o", (unsigned)c & 0xff);
}

int escape_help(const struct escape *e, escape_is_possible_fn *is_possible, const void *arg, struct buf *out)
{
    char name[ESCAPE_NAME_BYTES];
    escape_name(e, name);
    TRY(buf_put_str(out, "Supported escape sequences:\r\n"));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!rows[i].shown || !is_possible(arg, rows[i].action)) continue;
        TRY(buf_printf(out, " %s%-4s- %s\r\n", name, rows[i].shown, rows[i].help));
    }
    TRY(buf_printf(out, " %s%-4s- send the escape character itself\r\n", name, name));
    return buf_put_str(out, "(An escape is only seen at the start of a line.)\r\n");
}
