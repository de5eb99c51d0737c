/* Numbers, times and ports as configuration files write them. */
#include "conf/conf_int.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TIME_SECONDS_MAX = INT32_MAX
};

int conf_number(struct view text, long min, long max, long *ret)
{
    long n = 0;
    size_t i = 0;
    bool negative = text.len && text.p[0] == '-';
    if (negative) i = 1;
    if (i == text.len) return ERR_FORMAT;
    for (; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') return ERR_FORMAT;
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, text.p[i] - '0', &n)) n = LONG_MAX / 16;
    }
    if (negative) n = -n;
    if (n < min || n > max) return ERR_RANGE;
    *ret = n;
    return 0;
}

static int64_t unit_ms(uint8_t c)
{
    switch (c | 0x20) {
    case 's':
        return 1000;
    case 'm':
        return 60 * 1000;
    case 'h':
        return 3600 * 1000;
    case 'd':
        return 86400 * 1000;
    case 'w':
        return 7 * 86400 * 1000;
    default:
        return 0;
    }
}

int conf_time(struct view text, bool fraction, int64_t *ret_ms)
{
    int64_t total = 0;
    size_t i = 0;
    if (text.len == 0) return ERR_FORMAT;
    while (i < text.len) {
        int64_t n = 0, thousandths = 0, place = 100;
        size_t start = i;
        for (; i < text.len && text.p[i] >= '0' && text.p[i] <= '9'; i++)
            if ((n = n * 10 + (text.p[i] - '0')) > TIME_SECONDS_MAX) return ERR_FORMAT;
        if (i == start) return ERR_FORMAT;
        if (fraction && i < text.len && text.p[i] == '.')
            for (i++; i < text.len && text.p[i] >= '0' && text.p[i] <= '9'; i++, place /= 10)
                thousandths += (text.p[i] - '0') * place;
        int64_t unit = 1000;
        if (i < text.len && (unit = unit_ms(text.p[i++])) == 0) return ERR_FORMAT;
        total += n * unit + thousandths * unit / 1000;
        if (total > (int64_t)TIME_SECONDS_MAX * 1000) return ERR_FORMAT;
    }
    *ret_ms = total;
    return 0;
}

/* The services a port may be named after; the services database would be I/O. */
static const struct conf_name services[] = {
    { "ssh", 22 },    { "ftp", 21 },    { "telnet", 23 },  { "smtp", 25 },    { "domain", 53 },       { "http", 80 },
    { "pop3", 110 },  { "imap2", 143 }, { "imap", 143 },   { "ldap", 389 },   { "https", 443 },       { "ldaps", 636 },
    { "imaps", 993 }, { "pop3s", 995 }, { "socks", 1080 }, { "mysql", 3306 }, { "postgresql", 5432 }, { "x11", 6000 },
    { "rsync", 873 }, { "nfs", 2049 },  { NULL, 0 }
};

int conf_port(struct view text, long min, int *ret)
{
    long n;
    int err = conf_number(text, min, 65535, &n);
    if (err == 0) {
        *ret = (int)n;
        return 0;
    }
    for (const struct conf_name *s = services; s->name; s++) {
        if (!view_eq_str(text, s->name)) continue;
        *ret = s->value;
        return 0;
    }
    return err;
}

int conf_complain(struct conf_parse_ctx *ctx, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(ctx->message, sizeof(ctx->message), fmt, ap);
    va_end(ap);
    return ERR_FORMAT;
}

int conf_strv_printf(struct strv *words, const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    return n < 0 ? ERR_NOMEM : strv_add_take(words, s);
}
