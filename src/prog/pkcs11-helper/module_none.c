/* A build without PKCS#11. */
#include "prog/pkcs11-helper/module.h"

#include <stdio.h>

int module_open(const struct module_config *config UNUSED, struct module **ret UNUSED, struct module_fault *fault)
{
    fault->error = TOKEN_ERROR_UNSUPPORTED;
    snprintf(fault->text, sizeof fault->text, "this build has no support for PKCS#11 tokens (it was made without p11-kit)");
    return ERR_UNSUPPORTED;
}

void module_forget_pin(struct module *m UNUSED) {}
void module_free(struct module *m UNUSED) {}
size_t module_n_keys(const struct module *m UNUSED) { return 0; }
const struct key *module_key(const struct module *m UNUSED, size_t idx UNUSED) { return NULL; }
int module_sign(struct module *m UNUSED, size_t idx UNUSED, struct view algorithm UNUSED, struct view data UNUSED,
                struct buf *ret_signature UNUSED, struct module_fault *fault UNUSED)
{
    return ERR_UNSUPPORTED;
}
