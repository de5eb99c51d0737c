/* Times of certificates as people write them. */
#include "key/cert_validity.h"

#include "key/authorized_keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CLOCK_SKEW_S = 59,
    MINUTE_S = 60,
    HEX_CHARS_MAX = 2 + 16
};

static int unit_s(uint8_t c)
{
    static const struct {
        char letter;
        int seconds;
    } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if ((c | 32) == units[i].letter) return units[i].seconds;
    return 0;
}

/* 1w2d3, in seconds. */
static int parse_span(struct view text, int64_t *ret_s)
{
    int64_t sum = 0;
    if (text.len == 0) return ERR_FORMAT;
    for (size_t i = 0; i < text.len;) {
        int64_t n = 0, seconds = 1;
        size_t digits = i;
        for (; i < text.len && text.p[i] >= '0' && text.p[i] <= '9'; i++) {
            n = n * 10 + (text.p[i] - '0');
            if (n > INT32_MAX) return ERR_FORMAT;
        }
        if (i == digits) return ERR_FORMAT;
        if (i < text.len) seconds = unit_s(text.p[i++]);
        if (seconds == 0) return ERR_FORMAT;
        sum += n * seconds;
        if (sum > (int64_t)1 << 40) return ERR_FORMAT;
    }
    *ret_s = sum;
    return 0;
}

static int parse_relative(struct view text, int64_t now_s, uint64_t *ret)
{
    int64_t span;
    TRY(parse_span(view_sub(text, 1, text.len), &span));
    int64_t at = text.p[0] == '-' ? now_s - span : now_s + span;
    if (at < 0) return ERR_FORMAT;
    *ret = (uint64_t)at;
    return 0;
}

static int parse_time(struct view text, int64_t now_s, const char *endless, uint64_t endless_value, uint64_t *ret)
{
    int64_t at;
    if (view_eq_str(text, endless)) {
        *ret = endless_value;
        return 0;
    }
    if (text.len && (text.p[0] == '+' || text.p[0] == '-')) return parse_relative(text, now_s, ret);
    if (text.len > 2 && text.len <= HEX_CHARS_MAX && view_has_prefix(text, "0x")) {
        char digits[HEX_CHARS_MAX + 1], *end;
        snprintf(digits, sizeof(digits), "%.*s", (int)text.len, (const char *)text.p);
        errno = 0;
        *ret = strtoull(digits + 2, &end, 16);
        return *end || errno || digits[2] == '-' || digits[2] == '+' || digits[2] == ' ' ? ERR_FORMAT : 0;
    }
    TRY(authorized_keys_time_parse(text, &at));
    *ret = (uint64_t)at;
    return 0;
}

static int refuse(char *why, const char *what, struct view text, const char *quote)
{
    snprintf(why, CERT_VALIDITY_WHY_BYTES, "%s %s%.*s%s", what, quote, (int)MIN(text.len, (size_t)80), (const char *)text.p, quote);
    return ERR_FORMAT;
}

int cert_validity_parse(struct view text, int64_t now_s, uint64_t *ret_after, uint64_t *ret_before,
                        char ret_why[CERT_VALIDITY_WHY_BYTES])
{
    uint64_t after, before;
    const uint8_t *colon = text.len ? memchr(text.p, ':', text.len) : NULL;
    size_t n = colon ? (size_t)(colon - text.p) : 0;
    struct view from = view_sub(text, 0, n), to = colon ? view_sub(text, n + 1, text.len) : VIEW_EMPTY;
    if (!colon && text.len && text.p[0] == '+') {
        int64_t start = now_s - CLOCK_SKEW_S;
        after = (uint64_t)(start - start % MINUTE_S);
        if (parse_relative(text, now_s, &before) < 0) return refuse(ret_why, "Invalid relative certificate life", text, "");
    } else {
        if (from.len == 0 || to.len == 0) return refuse(ret_why, "Invalid certificate life specification", text, "");
        if (parse_time(from, now_s, "always", 0, &after) < 0) return refuse(ret_why, "Invalid from time", from, "\"");
        if (parse_time(to, now_s, "forever", UINT64_MAX, &before) < 0) return refuse(ret_why, "Invalid to time", to, "\"");
    }
    if (before <= after) {
        snprintf(ret_why, CERT_VALIDITY_WHY_BYTES, "Empty certificate validity interval");
        return ERR_FORMAT;
    }
    *ret_after = after;
    *ret_before = before;
    return 0;
}
