/* Packet MACs: RFC 4253 6.4, 6668, UMAC of nettle (draft-miller-secsh-umac), and the -etm forms (OpenSSH PROTOCOL 1.5). */
#pragma once

#include "base/err.h"
#include "base/view.h"

enum {
    MAC_MAX_BYTES = 64
};

struct mac_ops;
struct evp_md_st;

struct mac_desc {
    const char *name;
    uint16_t key_bytes, tag_bytes;
    bool etm; /* over the encrypted packet; the length bytes are then not encrypted */
    bool is_default;
    const struct mac_ops *ops; /* how it works, for mac*.c only: its family, and libcrypto's getter of the digest */
    const struct evp_md_st *(*evp)(void);
};

const struct mac_desc *mac_find(struct view name);
extern const struct mac_desc mac_table[]; /* order of preference, ended by a NULL name */

struct mac;
/* key has the length of the description (ERR_BUG else); copied. */
int mac_new(const struct mac_desc *desc, struct view key, struct mac **ret) MUST_USE;
void mac_free(struct mac *m);
DEFINE_FREEP(struct mac, mac_free)
/* ret_tag has desc->tag_bytes. Allocates nothing of ours (HMAC: see mac.c). */
int mac_compute(struct mac *m, uint32_t sequence, struct view data, uint8_t *ret_tag) MUST_USE;
