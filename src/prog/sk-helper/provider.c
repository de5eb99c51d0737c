/* Middleware libraries: loading one, and freeing what it gave. */
#include "prog/sk-helper/provider.h"

#include "os/file.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY_POINT "sk_api_version"

enum {
    LIBRARY_BYTES_MAX = 256 << 20
};

static int PRINTF(3, 4) refuse(struct provider_fault *fault, enum token_error error, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fault->error = error;
    vsnprintf(fault->text, sizeof fault->text, fmt, ap);
    va_end(ap);
    return ERR_PROVIDER;
}

/* Whether the file says that it has the entry point: code of a library that is no middleware must not even be loaded, since loading
 * runs it. */
static int check_file(const char *path, struct provider_fault *fault)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(LIBRARY_BYTES_MAX);
    int err = file_read(path, &file);
    if (err < 0) return refuse(fault, TOKEN_ERROR_LIBRARY, "cannot read the library: %s", err_text(err));
    struct view all = buf_view(&file);
    if (all.len && memmem(all.p, all.len, ENTRY_POINT, sizeof ENTRY_POINT)) return 0;
    return refuse(fault, TOKEN_ERROR_LIBRARY, "it is not a security key library: it has no " ENTRY_POINT);
}

static int load(const char *path, struct sk_api *ret, struct provider_fault *fault)
{
    const struct symbol {
        const char *name;
        void **to;
    } symbols[] = { { ENTRY_POINT, (void **)&ret->version },
                    { "sk_enroll", (void **)&ret->enroll },
                    { "sk_sign", (void **)&ret->sign },
                    { "sk_load_resident_keys", (void **)&ret->load_resident_keys } };
    TRY(check_file(path, fault));
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        return refuse(fault, TOKEN_ERROR_LIBRARY, "the library does not load: %s", why ? why : "no reason given");
    }
    for (size_t i = 0; i < ARRAY_LEN(symbols); i++) {
        *symbols[i].to = dlsym(library, symbols[i].name);
        if (!*symbols[i].to)
            return refuse(fault, TOKEN_ERROR_LIBRARY, "it is not a security key library: it has no %s", symbols[i].name);
    }
    return 0;
}

int provider_open(const char *name, const struct log *log, struct sk_api *ret, struct provider_fault *fault)
{
    if (strcmp(name, "internal") == 0) {
        *ret = provider_internal;
        return ret->version ? 0
                            : refuse(fault, TOKEN_ERROR_UNSUPPORTED,
                                     "this build has no support for security keys of its own (it was made "
                                     "without libfido2): a middleware library has to be named");
    }
    TRY(load(name, ret, fault));
    uint32_t version = ret->version();
    log_debug(log, "provider %s: version 0x%08x", name, version);
    if ((version & SK_API_VERSION_MAJOR_MASK) == SK_API_VERSION_MAJOR) return 0;
    return refuse(fault, TOKEN_ERROR_LIBRARY, "the library is of version 0x%08x of the interface, 0x%08x is needed", version,
                  SK_API_VERSION_MAJOR);
}

static void free_enroll_parts(struct sk_enroll_response *r)
{
    free(r->public_key);
    free(r->key_handle);
    free(r->signature);
    free(r->attestation_cert);
    free(r->authdata);
}

void sk_enroll_response_free(struct sk_enroll_response *r)
{
    if (!r) return;
    free_enroll_parts(r);
    free(r);
}

void sk_sign_response_free(struct sk_sign_response *r)
{
    if (!r) return;
    free(r->sig_r);
    free(r->sig_s);
    free(r);
}

void sk_resident_keys_free(struct sk_resident_key **keys, size_t n)
{
    for (size_t i = 0; keys && i < n; i++) {
        if (!keys[i]) continue;
        free(keys[i]->application);
        free(keys[i]->user_id);
        free_enroll_parts(&keys[i]->key);
        free(keys[i]);
    }
    free(keys);
}
