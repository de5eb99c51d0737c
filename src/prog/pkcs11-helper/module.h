/* A PKCS#11 module (2.40; Ed25519 of 3.0) and the keys on its tokens. For ssh-pkcs11-helper alone: what is loaded here is somebody
 * else's code in our process. */
#pragma once

#include "base/log.h"
#include "ipc/ipc.h"
#include "key/key.h"

/* Why something could not be done. */
struct module_fault {
    enum token_error error;
    char text[768];
};

/* Asks for the PIN of a token. ERR_NOT_FOUND: nobody gives one. has_keypad: it is only announced. */
typedef int module_pin_fn(void *arg, struct view token_label, bool has_keypad, struct buf *out);

struct module;
struct module_config {
    const char *path;
    struct view pin; /* p NULL: ask when it is needed */
    module_pin_fn *ask;
    void *arg;
    const struct log *log;
};

/* Loads the library, opens all tokens and lists their keys. Negative: *fault says why. A token that cannot be used is left out if
 * another has keys. config is lent until module_free. */
int module_open(const struct module_config *config, struct module **ret, struct module_fault *fault) MUST_USE;
/* The PIN of the config is gone; later ones are asked for. */
void module_forget_pin(struct module *m);
void module_free(struct module *m);

size_t module_n_keys(const struct module *m);
const struct key *module_key(const struct module *m, size_t idx); /* the comment is its label */
/* Appends a signature blob. Negative: *fault says why. */
int module_sign(struct module *m, size_t idx, struct view algorithm, struct view data, struct buf *ret_signature,
                struct module_fault *fault) MUST_USE;
