/* A PKCS#11 module: loading it, its tokens, logging in. */
#include "prog/pkcs11-helper/module_int.h"

#include "base/vis.h"
#include "os/file.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ENTRY_POINT "C_GetFunctionList"

enum {
    LIBRARY_BYTES_MAX = 256 << 20,
    PIN_BYTES_MAX = 1024,
};

int module_fault_set(struct module_fault *fault, enum token_error error, int err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fault->error = error;
    vsnprintf(fault->text, sizeof fault->text, fmt, ap);
    va_end(ap);
    return err;
}

static const struct rv_row {
    CK_RV rv;
    enum token_error error;
    const char *text;
} rv_rows[] = {
    { CKR_PIN_INCORRECT, TOKEN_ERROR_PIN, "the PIN is wrong" },
    { CKR_PIN_INVALID, TOKEN_ERROR_PIN, "the PIN is wrong" },
    { CKR_PIN_LEN_RANGE, TOKEN_ERROR_PIN, "the PIN is wrong: too short or too long for this token" },
    { CKR_PIN_EXPIRED, TOKEN_ERROR_PIN, "the PIN has expired and must be changed with the token's own software" },
    { CKR_PIN_LOCKED, TOKEN_ERROR_PIN_LOCKED,
      "the PIN is locked after too many wrong ones; the token's own software can unlock it" },
    { CKR_USER_NOT_LOGGED_IN, TOKEN_ERROR_PIN, "the token wants a PIN" },
    { CKR_USER_PIN_NOT_INITIALIZED, TOKEN_ERROR_PIN, "the token has no PIN set yet" },
    { CKR_TOKEN_NOT_PRESENT, TOKEN_ERROR_NO_DEVICE, "the token is not there any more" },
    { CKR_DEVICE_REMOVED, TOKEN_ERROR_NO_DEVICE, "the token was removed" },
    { CKR_MECHANISM_INVALID, TOKEN_ERROR_UNSUPPORTED, "the token does not sign in this way" },
    { CKR_KEY_TYPE_INCONSISTENT, TOKEN_ERROR_UNSUPPORTED, "the token does not sign in this way" },
    { CKR_FUNCTION_NOT_SUPPORTED, TOKEN_ERROR_UNSUPPORTED, "the module does not support it" },
    { CKR_FUNCTION_CANCELED, TOKEN_ERROR_GENERAL, "it was cancelled at the token" },
};

int module_fault_rv(struct module_fault *fault, const char *doing, CK_RV rv)
{
    for (size_t i = 0; i < ARRAY_LEN(rv_rows); i++)
        if (rv_rows[i].rv == rv) return module_fault_set(fault, rv_rows[i].error, ERR_CRYPTO, "%s: %s", doing, rv_rows[i].text);
    return module_fault_set(fault, TOKEN_ERROR_GENERAL, ERR_CRYPTO, "%s: the module gives error 0x%lx", doing, (unsigned long)rv);
}

/* ---- the library ---- */

/* Whether the file says that it has the entry point: code of a library that is no module must not even be loaded, since loading
 * runs it. */
static int check_file(const char *path, struct module_fault *fault)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(LIBRARY_BYTES_MAX);
    int err = file_read(path, &file);
    if (err < 0) return module_fault_set(fault, TOKEN_ERROR_LIBRARY, err, "cannot read the library: %s", err_text(err));
    struct view all = buf_view(&file);
    if (all.len && memmem(all.p, all.len, ENTRY_POINT, sizeof ENTRY_POINT)) return 0;
    return module_fault_set(fault, TOKEN_ERROR_LIBRARY, ERR_FORMAT, "it is not a PKCS#11 library: it has no " ENTRY_POINT);
}

static int load(struct module *m, struct module_fault *fault)
{
    CK_RV (*get_functions)(CK_FUNCTION_LIST_PTR_PTR list);
    TRY(check_file(m->config.path, fault));
    m->library = dlopen(m->config.path, RTLD_NOW | RTLD_LOCAL);
    if (!m->library) {
        const char *why = dlerror();
        return module_fault_set(fault, TOKEN_ERROR_LIBRARY, ERR_FORMAT, "the library does not load: %s",
                                why ? why : "no reason given");
    }
    *(void **)&get_functions = dlsym(m->library, ENTRY_POINT);
    if (!get_functions)
        return module_fault_set(fault, TOKEN_ERROR_LIBRARY, ERR_FORMAT, "it is not a PKCS#11 library: it has no " ENTRY_POINT);
    CK_RV rv = get_functions(&m->f);
    if (rv != CKR_OK || !m->f) return module_fault_rv(fault, ENTRY_POINT, rv);
    rv = m->f->C_Initialize(NULL);
    if (rv != CKR_OK) return module_fault_rv(fault, "C_Initialize", rv);
    m->is_initialized = true;
    return 0;
}

/* Fixed fields of PKCS#11 are filled up with spaces. */
static void text_of(const uint8_t *field, size_t len, char *ret_text, size_t cap)
{
    while (len && (field[len - 1] == ' ' || field[len - 1] == 0)) len--;
    vis_line(view_of(field, len), ret_text, cap);
}

static void log_info_of(struct module *m)
{
    CK_INFO info;
    char maker[129], description[129];
    if (!log_wants(m->config.log, LOG_LEVEL_DEBUG1) || m->f->C_GetInfo(&info) != CKR_OK) return;
    text_of(info.manufacturerID, sizeof info.manufacturerID, maker, sizeof maker);
    text_of(info.libraryDescription, sizeof info.libraryDescription, description, sizeof description);
    log_debug(m->config.log, "provider %s: manufacturerID <%s> cryptokiVersion %d.%d libraryDescription <%s> libraryVersion %d.%d",
              m->config.path, maker, info.cryptokiVersion.major, info.cryptokiVersion.minor, description, info.libraryVersion.major,
              info.libraryVersion.minor);
}

/* ---- tokens ---- */

/* A session with each initialized token. One that gives none is left out. */
static void add_token(struct module *m, CK_SLOT_ID slot)
{
    struct module_token t = { .slot = slot };
    CK_TOKEN_INFO info;
    CK_RV rv = m->f->C_GetTokenInfo(slot, &info);
    if (rv == CKR_OK && !(info.flags & CKF_TOKEN_INITIALIZED)) return;
    if (rv == CKR_OK) rv = m->f->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &t.session);
    if (rv != CKR_OK) {
        log_error(m->config.log, "provider %s slot %lu: no session with the token: error 0x%lx", m->config.path,
                  (unsigned long)slot, (unsigned long)rv);
        return;
    }
    t.flags = info.flags;
    text_of(info.label, sizeof info.label, t.label, sizeof t.label);
    log_debug(m->config.log, "provider %s slot %lu: label <%s> flags 0x%lx", m->config.path, (unsigned long)slot, t.label,
              (unsigned long)info.flags);
    m->tokens[m->n_tokens++] = t;
}

static int add_tokens(struct module *m, struct module_fault *fault)
{
    CK_SLOT_ID slots[MODULE_TOKENS_MAX];
    CK_ULONG n = ARRAY_LEN(slots);
    CK_RV rv = m->f->C_GetSlotList(1, slots, &n);
    if (rv == CKR_BUFFER_TOO_SMALL)
        return module_fault_set(fault, TOKEN_ERROR_GENERAL, ERR_LIMIT, "more than %d tokens", MODULE_TOKENS_MAX);
    if (rv != CKR_OK || n > ARRAY_LEN(slots)) return module_fault_rv(fault, "C_GetSlotList", rv);
    for (CK_ULONG i = 0; i < n; i++) add_token(m, slots[i]);
    return m->n_tokens ? 0 : module_fault_set(fault, TOKEN_ERROR_NO_DEVICE, ERR_NOT_FOUND, "no token is there");
}

/* ---- logging in ---- */

static int get_pin(struct module *m, const struct module_token *t, bool has_keypad, struct buf *pin)
{
    if (m->config.pin.p && !has_keypad) return buf_put_view(pin, m->config.pin);
    return m->config.ask(m->config.arg, view_str(t->label), has_keypad, pin);
}

int module_login(struct module *m, struct module_token *t, CK_USER_TYPE user, struct module_fault *fault)
{
    CLEANUP(buf_done) struct buf pin = BUF_INIT_SECRET(PIN_BYTES_MAX);
    bool has_keypad = t->flags & CKF_PROTECTED_AUTHENTICATION_PATH;
    if (user == CKU_USER && (t->is_logged_in || !(t->flags & CKF_LOGIN_REQUIRED))) return 0;
    int err = get_pin(m, t, has_keypad, &pin);
    if (err < 0) return module_fault_set(fault, TOKEN_ERROR_PIN, err, "token \"%s\" wants a PIN and nobody gives one", t->label);
    uint8_t none = 0, *typed = buf_len(&pin) ? buf_bytes(&pin) : &none;
    CK_RV rv = m->f->C_Login(t->session, user, has_keypad ? NULL : typed, has_keypad ? 0 : buf_len(&pin));
    if (rv != CKR_OK && rv != CKR_USER_ALREADY_LOGGED_IN) {
        char doing[96];
        snprintf(doing, sizeof doing, "token \"%s\"", t->label);
        return module_fault_rv(fault, doing, rv);
    }
    if (user == CKU_USER) t->is_logged_in = true;
    return 0;
}

/* With a PIN at hand: log in first. Without: what is to be seen without one, and if that is nothing, what is to be seen with one.
 */
static int list_token(struct module *m, struct module_token *t, struct module_fault *fault)
{
    size_t n_before = m->n_keys;
    if (m->config.pin.p) TRY(module_login(m, t, CKU_USER, fault));
    TRY(module_list_keys(m, t, fault));
    if (m->n_keys > n_before || t->is_logged_in || !(t->flags & CKF_LOGIN_REQUIRED)) return 0;
    log_debug(m->config.log, "token \"%s\" shows no keys before login", t->label);
    TRY(module_login(m, t, CKU_USER, fault));
    return module_list_keys(m, t, fault);
}

static int list_tokens(struct module *m, struct module_fault *fault)
{
    int err = 0;
    for (size_t i = 0; i < m->n_tokens; i++) {
        int got = list_token(m, &m->tokens[i], fault);
        if (got < 0) {
            err = got;
            log_error(m->config.log, "provider %s: %s", m->config.path, fault->text);
        }
    }
    if (m->n_keys) return 0;
    return err < 0 ? err : module_fault_set(fault, TOKEN_ERROR_NO_DEVICE, ERR_NOT_FOUND, "no token has keys that could be used");
}

int module_open(const struct module_config *config, struct module **ret, struct module_fault *fault)
{
    struct module *m = calloc(1, sizeof *m);
    if (!m) return module_fault_set(fault, TOKEN_ERROR_GENERAL, ERR_NOMEM, "out of memory");
    m->config = *config;
    int err = load(m, fault);
    if (err == 0) {
        log_info_of(m);
        err = add_tokens(m, fault);
    }
    if (err == 0) err = list_tokens(m, fault);
    if (err < 0) {
        module_free(m);
        return err;
    }
    *ret = m;
    return 0;
}

void module_forget_pin(struct module *m) { m->config.pin = view_of(NULL, 0); }

/* The library stays loaded: modules leave threads and handlers behind, and the process ends soon. */
void module_free(struct module *m)
{
    if (!m) return;
    for (size_t i = 0; i < m->n_keys; i++) {
        key_unref(m->keys[i].key);
        free(m->keys[i].id);
    }
    for (size_t i = 0; i < m->n_tokens; i++) (void)m->f->C_CloseSession(m->tokens[i].session);
    if (m->is_initialized) (void)m->f->C_Finalize(NULL);
    free(m);
}
