/* Keys of one direction, and how long they may be used. */
#include "proto/transport/packet_int.h"

const char *const compression_names[COMPRESSION_MAX] = { "none", "zlib@openssh.com", "zlib" };

void packet_keys_done(struct packet_keys *k)
{
    cipher_free(k->cipher);
    mac_free(k->mac);
    secret_done(&k->mac_key);
    *k = (struct packet_keys){};
}

int packet_keys_set(struct packet_keys *k, bool for_sealing, struct view key, struct view iv, struct view mac_key)
{
    TRY(cipher_new(k->cipher_desc, key, iv, for_sealing, &k->cipher));
    if (!k->mac_desc) return 0;
    TRY(secret_dup(mac_key, &k->mac_key));
    return mac_new(k->mac_desc, mac_key, &k->mac);
}

uint64_t packet_keys_max_blocks(const struct packet_keys *k, uint64_t bytes)
{
    /* 4344 3.2: 2^(L/4) blocks of L bits; with shorter blocks 1 GB, before collisions tell something. */
    size_t block = packet_keys_block(k);
    uint64_t max = block >= 16 ? (uint64_t)1 << 32 : ((uint64_t)1 << 30) / block;
    if (bytes == 0) return max;
    return bytes < block ? 1 : MIN(max, bytes / block);
}

size_t packet_keys_tag(const struct packet_keys *k)
{
    if (!k->cipher_desc) return 0;
    return k->mac_desc ? k->mac_desc->tag_bytes : k->cipher_desc->tag_bytes;
}
