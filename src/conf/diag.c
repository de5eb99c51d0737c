/* Collected errors and warnings. */
#include "conf/conf_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DIAG_LINE_BYTES_MAX = 2048
};

void conf_diag_done(struct conf_diag *d)
{
    strv_done(&d->errors);
    strv_done(&d->warnings);
    d->n_errors = 0;
}

static void diag_add(struct strv *to, const char *fmt, va_list ap)
{
    char line[DIAG_LINE_BYTES_MAX];
    if (to->n >= CONF_DIAG_MAX) return;
    vsnprintf(line, sizeof(line), fmt, ap);
    int err = strv_add(to, view_str(line));
    (void)err; /* the line is lost; errors are counted besides */
}

void conf_diag_error(struct conf_diag *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    diag_add(&d->errors, fmt, ap);
    va_end(ap);
    d->n_errors++;
}

void conf_diag_warn(struct conf_diag *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    diag_add(&d->warnings, fmt, ap);
    va_end(ap);
}

void conf_diag_at(const struct conf_where *where, const char *fmt, ...)
{
    char message[DIAG_LINE_BYTES_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    conf_diag_error(where->diag, "%s line %u: %s", where->file, where->line, message);
}

const char *conf_shown(bool is_server, struct view keyword, char buf[CONF_KEYWORD_MAX])
{
    size_t n = MIN(keyword.len, (size_t)CONF_KEYWORD_MAX - 1);
    for (size_t i = 0; i < n; i++) {
        uint8_t c = keyword.p[i];
        if (!is_server && c >= 'A' && c <= 'Z') c += 32;
        buf[i] = c < ' ' || c > '~' ? '?' : (char)c;
    }
    buf[n] = '\0';
    return buf;
}

/* Two messages are common to all types and stand here with their keyword. */
void conf_diag_option_error(const struct conf_where *where, const struct conf_parse_ctx *ctx)
{
    char shown[CONF_KEYWORD_MAX];
    conf_shown(where->program == CONF_SSHD, ctx->keyword, shown);
    if (strcmp(ctx->message, "no argument") == 0)
        conf_diag_at(where, "no argument after keyword \"%s\"", shown);
    else if (strcmp(ctx->message, "extra arguments") == 0)
        conf_diag_at(where, "keyword %s extra arguments at end of line", shown);
    else
        conf_diag_at(where, "%s", ctx->message);
}
