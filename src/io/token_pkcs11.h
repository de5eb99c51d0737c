/* Keys of a PKCS#11 module, for ssh, ssh-agent, ssh-add and ssh-keygen. The module lives in a helper process (token_helper.h); one
 * request at a time. */
#pragma once

#include "io/token_helper.h"

struct token_pkcs11;

/* Starts the helper and has it load the module: LOADED or FAILED comes later. pin.p not NULL: every token is logged into with it at
 * once; else a PIN is asked for when it is needed. ERR_SYS: the helper cannot be started. */
int token_pkcs11_open(const char *provider, struct view pin, bool verbose, struct token_pkcs11 **ret) MUST_USE;
void token_pkcs11_free(struct token_pkcs11 *t); /* NULL is fine */
DEFINE_FREEP(struct token_pkcs11, token_pkcs11_free)

/* After LOADED: the public keys, in the module's order; the comment is the token's label of the key. Lent by t. */
size_t token_pkcs11_n_keys(const struct token_pkcs11 *t);
struct key *token_pkcs11_key(const struct token_pkcs11 *t, size_t idx);

/* A request to sign: SIGNED or FAILED comes later. algorithm empty: the key's own. ERR_STATE: another request is under way;
 * ERR_PEER_CLOSED: the helper is gone. */
int token_pkcs11_sign(struct token_pkcs11 *t, size_t key_idx, struct view algorithm, struct view data) MUST_USE;
bool token_pkcs11_is_busy(const struct token_pkcs11 *t);

int token_pkcs11_fd(const struct token_pkcs11 *t); /* to be watched for reading */
/* Without waiting. True: *ret is what has happened. After a FAILED that is ERR_PEER_CLOSED, or one of loading, nothing more comes.
 */
bool token_pkcs11_next(struct token_pkcs11 *t, struct token_event *ret) MUST_USE;
/* pin.p NULL: there is none to be had; what needed it fails. */
int token_pkcs11_answer_pin(struct token_pkcs11 *t, struct view pin) MUST_USE;

/* Waits for LOADED, SIGNED or FAILED. ask gives the PIN of a token (prompt: "Enter PIN for 'label': ", fit for a terminal) into
 * out, or an error; with has_keypad it is to say so only. NULL: nobody to ask. */
typedef int token_pin_fn(void *arg, const char *prompt, bool has_keypad, struct buf *out);
struct token_event token_pkcs11_wait(struct token_pkcs11 *t, token_pin_fn *ask, void *arg);
