/* Errors, the one way: int results, 0 is good, negative codes are from err.def or, made in os/ only, ERR_SYS(errno).
 * Positive results are never errors. Library folders return them, the program says them once. */
#pragma once

#include "base/attr.h"

#define ERR(symbol, text, reason, severity) ERR_IDX_##symbol,
enum {
    ERR_IDX_OK,
#include "base/err.def"
    ERR_IDX_MAX
};
#undef ERR

#define ERR(symbol, text, reason, severity) ERR_##symbol = -ERR_IDX_##symbol,
enum err {
    ERR_OK = 0,
#include "base/err.def"
};
#undef ERR

enum err_severity {
    ERR_SEVERITY_GO_ON,
    ERR_SEVERITY_DISCONNECT,
    ERR_SEVERITY_FATAL,
    ERR_SEVERITY_BUG
};

/* System errors travel in a range of their own. */
#define ERR_SYS_BASE 10000
#define ERR_SYS(errno_value) (-(ERR_SYS_BASE + (errno_value)))
static inline bool err_is_sys(int err) { return err < -ERR_SYS_BASE; }
/* The errno in a system error, 0 for any other code. */
static inline int err_errno(int err) { return err_is_sys(err) ? -err - ERR_SYS_BASE : 0; }

/* Text for a user, without full stop; static, for system errors strerror's. "success" for 0. */
const char *err_text(int err);
/* SSH_DISCONNECT_* to send for it; 2 (PROTOCOL_ERROR) where the row has none. */
uint32_t err_disconnect_reason(int err);
enum err_severity err_severity_of(int err);

/* Hands a failure on. What the function holds is released by CLEANUP. */
#define TRY(call)                  \
    do {                           \
        int err_ = (call);         \
        if (err_ < 0) return err_; \
    } while (0)
