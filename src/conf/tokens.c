/* Expansion of tokens; see the header. */
#include "conf/tokens.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ENV_NAME_MAX = 256
};

static int put_token(const struct conf_expand *x, char name, struct buf *out, char *ret_message, size_t cap)
{
    if (name == '%') return buf_put_u8(out, '%');
    for (size_t i = 0; i < x->n_tokens; i++)
        if (x->tokens[i].name == name && x->tokens[i].value) return buf_put_str(out, x->tokens[i].value);
    if (name == '\0')
        snprintf(ret_message, cap, "a %% stands at the end; %%%% is a plain one");
    else
        snprintf(ret_message, cap, "unknown key %%%c", name);
    return ERR_FORMAT;
}

/* text is behind "${". */
static int put_env(const struct conf_expand *x, const char *text, size_t *ret_used, struct buf *out, char *ret_message, size_t cap)
{
    char name[ENV_NAME_MAX];
    const char *end = strchr(text, '}');
    size_t len = end ? (size_t)(end - text) : 0;
    if (!end || len == 0 || len >= sizeof(name)) {
        snprintf(ret_message, cap, "environment variable without name or closing }");
        return ERR_FORMAT;
    }
    memcpy(name, text, len);
    name[len] = '\0';
    const char *value = x->get_env(x->arg, name);
    if (!value) {
        snprintf(ret_message, cap, "env var ${%s} has no value", name);
        return ERR_FORMAT;
    }
    *ret_used = len + 1;
    return buf_put_str(out, value);
}

static int expand(const struct conf_expand *x, const char *text, struct buf *out, char *ret_message, size_t cap)
{
    for (const char *p = text; *p; p++) {
        size_t used = 0;
        if (*p == '%') {
            TRY(put_token(x, p[1], out, ret_message, cap));
            p++;
        } else if (x->get_env && p[0] == '$' && p[1] == '{') {
            TRY(put_env(x, p + 2, &used, out, ret_message, cap));
            p += used + 1;
        } else {
            TRY(buf_put_u8(out, (uint8_t)*p));
        }
    }
    return 0;
}

int conf_expand(const struct conf_expand *x, const char *text, struct buf *out, char *ret_message, size_t message_cap)
{
    size_t before = buf_len(out);
    ret_message[0] = '\0';
    int err = expand(x, text, out, ret_message, message_cap);
    if (err < 0) buf_truncate(out, before);
    return err;
}

int conf_expand_str(const struct conf_expand *x, const char *text, char **ret, char *ret_message, size_t message_cap)
{
    CLEANUP(buf_done) struct buf out = BUF_INIT(CONF_EXPANDED_BYTES_MAX);
    TRY(conf_expand(x, text, &out, ret_message, message_cap));
    char *s = view_dup_str(buf_view(&out));
    if (!s) return ERR_NOMEM;
    *ret = s;
    return 0;
}

int conf_expand_home(const char *text, const char *home, char **ret)
{
    char *s = NULL;
    bool tilde = text[0] == '~' && (text[1] == '/' || text[1] == '\0');
    if (asprintf(&s, "%s%s", tilde ? home : "", tilde ? text + 1 : text) < 0) return ERR_NOMEM;
    *ret = s;
    return 0;
}
