/* A module inside: module.c opens it and its tokens, module_keys.c lists and uses keys. */
#pragma once

#include "prog/pkcs11-helper/module.h"

#include <p11-kit/pkcs11.h>

enum {
    MODULE_TOKENS_MAX = 64,
    MODULE_KEYS_MAX = 1024,
    MODULE_ATTRIBUTE_BYTES_MAX = 65536,
};

struct module_token {
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session;
    CK_FLAGS flags;
    char label[33]; /* without the spaces behind it; escaped */
    bool is_logged_in;
};

struct module_key {
    struct key *key;
    struct module_token *token;
    uint8_t *id; /* CKA_ID, which the private half shares */
    size_t id_len;
};

struct module {
    struct module_config config;
    void *library;
    CK_FUNCTION_LIST_PTR f;
    bool is_initialized;
    struct module_token tokens[MODULE_TOKENS_MAX];
    size_t n_tokens;
    struct module_key keys[MODULE_KEYS_MAX];
    size_t n_keys;
};

/* Fills *fault with the words for a module's return value; gives the error to hand on. */
int module_fault_rv(struct module_fault *fault, const char *doing, CK_RV rv);
int module_fault_set(struct module_fault *fault, enum token_error error, int err, const char *fmt, ...) PRINTF(4, 5);

/* Logs in if the token wants that and it was not done. */
int module_login(struct module *m, struct module_token *t, CK_USER_TYPE user, struct module_fault *fault);
/* Adds the token's keys to m's. */
int module_list_keys(struct module *m, struct module_token *t, struct module_fault *fault);
