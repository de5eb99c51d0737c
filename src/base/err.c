/* The error table in words. See err.def. */
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *text;
    uint8_t reason;
    uint8_t severity;
} rows[ERR_IDX_MAX] = {
    [ERR_IDX_OK] = { "success", 0, ERR_SEVERITY_GO_ON },
#define ERR(symbol, text, reason, severity) [ERR_IDX_##symbol] = { text, reason, ERR_SEVERITY_##severity },
#include "base/err.def"
#undef ERR
};

static bool has_row(int err) { return err <= 0 && err > -ERR_IDX_MAX; }

const char *err_text(int err)
{
    if (err_is_sys(err)) return strerror(err_errno(err));
    return has_row(err) ? rows[-err].text : "unknown error";
}

uint32_t err_disconnect_reason(int err)
{
    uint32_t reason = has_row(err) ? rows[-err].reason : 0;
    return reason != 0 ? reason : 2;
}

enum err_severity err_severity_of(int err)
{
    if (err_is_sys(err)) return ERR_SEVERITY_FATAL;
    return has_row(err) ? (enum err_severity)rows[-err].severity : ERR_SEVERITY_BUG;
}

void check_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, cond);
    abort();
}

void freep(void *pointer_to_pointer)
{
    void **p = pointer_to_pointer;
    free(*p);
    *p = NULL;
}
