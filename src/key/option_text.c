/* Names, quotes and commas of the options before a key. */
#include "key/option_text_int.h"

#include "key/line_int.h"

#include <stdlib.h>
#include <strings.h>

size_t option_text_len(struct view line)
{
    bool quoted = false;
    size_t i = 0;
    for (; i < line.len && (quoted || !line_is_space(line.p[i])); i++) {
        if (line.p[i] == '\\' && i + 1 < line.len && line.p[i + 1] == '"')
            i++;
        else if (line.p[i] == '"')
            quoted = !quoted;
    }
    return MIN(i, line.len);
}

struct view option_take_name(struct view *text)
{
    size_t n = 0;
    while (n < text->len && text->p[n] != ',' && text->p[n] != '=') n++;
    struct view name = view_sub(*text, 0, n);
    *text = view_sub(*text, n, text->len);
    return name;
}

bool option_name_is(struct view name, const char *s)
{
    return name.len == strlen(s) && strncasecmp((const char *)name.p, s, name.len) == 0;
}

int option_refuse(const char **ret_reason, const char *reason)
{
    *ret_reason = reason;
    return ERR_FORMAT;
}

int option_take_quoted(struct view *text, char **ret, const char **ret_reason)
{
    if (text->len == 0 || text->p[0] != '"') return option_refuse(ret_reason, "missing start quote");
    CLEANUP(freep) char *value = malloc(text->len);
    if (!value) return ERR_NOMEM;
    size_t n = 0, i = 1;
    for (; i < text->len && text->p[i] != '"'; i++) {
        if (text->p[i] == '\\' && i + 1 < text->len && text->p[i + 1] == '"') i++;
        value[n++] = (char)text->p[i];
    }
    value[n] = '\0';
    if (i == text->len) return option_refuse(ret_reason, "missing end quote");
    if (strlen(value) != n) return option_refuse(ret_reason, "invalid character");
    *text = view_sub(*text, i + 1, text->len);
    *ret = TAKE(value);
    return 0;
}

int option_take_comma(struct view *text, const char **ret_reason)
{
    if (text->len == 0) return 0;
    if (text->p[0] != ',') return option_refuse(ret_reason, "invalid option list");
    *text = view_sub(*text, 1, text->len);
    return text->len ? 0 : option_refuse(ret_reason, "unexpected end-of-options");
}
