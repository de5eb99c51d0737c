/* The inside of struct transport, for the files of this folder. packet_int.h is the layer below; the order of calls inside is
 * transport.c (events, table of messages) -> ident.c, kexinit.c, kex.c -> keys.c -> packet. */
#pragma once

#include "crypto/kex.h"
#include "proto/transport/packet_int.h"
#include "proto/transport/transport.h"
#include "wire/messages.h"

/* Which packets the peer may send now. What we may send is transport.out_closed. */
enum state {
    STATE_IDENT,       /* no packets yet */
    STATE_KEXINIT,     /* the first: ours is sent, theirs is not here */
    STATE_KEX_REPLY,   /* client: sent 30 */
    STATE_GEX_GROUP,   /* client: sent 34 */
    STATE_GEX_REPLY,   /* client: sent 32 */
    STATE_KEX_INIT,    /* server: waits for 30 */
    STATE_GEX_REQUEST, /* server: waits for 34 or the old 30 */
    STATE_GEX_INIT,    /* server: waits for 32 */
    STATE_NEWKEYS,     /* theirs is missing */
    STATE_RUN,
    STATE_RUN_KEXINIT, /* as RUN, but our KEXINIT for new keys is sent */
    STATE_MAX
};

enum question {
    QUESTION_NONE,
    QUESTION_HOST_KEY,
    QUESTION_HOST_KEY_BLOB,
    QUESTION_SIGN,
    QUESTION_GROUP,
    QUESTION_SERVICE,
};

/* The eight lists of KEXINIT that are chosen from, in wire order. */
enum slot {
    SLOT_KEX,
    SLOT_HOST_KEY,
    SLOT_CIPHER_C2S,
    SLOT_CIPHER_S2C,
    SLOT_MAC_C2S,
    SLOT_MAC_S2C,
    SLOT_COMPRESSION_C2S,
    SLOT_COMPRESSION_S2C,
    SLOT_MAX
};
static inline bool slot_is_s2c(enum slot s) { return s == SLOT_CIPHER_S2C || s == SLOT_MAC_S2C || s == SLOT_COMPRESSION_S2C; }

enum {
    HOST_KEY_NAME_BYTES = 128
};

/* What was agreed for one direction. */
struct direction {
    const struct cipher_desc *cipher;
    const struct mac_desc *mac; /* NULL with an AEAD */
    enum compression compression;
};

/* One key exchange. Reset when it is over, but for what is said to stay. */
struct kex {
    struct buf own_init, peer_init;          /* payloads; peer_init stays while it is the reason of ERR_NO_* */
    const struct kex_method *method;         /* stays */
    char host_key_name[HOST_KEY_NAME_BYTES]; /* negotiated algorithm; stays */
    struct direction c2s, s2c;               /* stay */
    enum slot failed_slot;
    const struct kex_method *guess;  /* a first packet for it is under way */
    bool ignore_next;                /* the peer's guess was wrong */
    struct kex_agreement *agreement; /* client */
    struct buf own_public, peer_public;
    bool gex_is_old;
    unsigned gex_min_bits, gex_bits, gex_max_bits; /* as the client asked */
    struct buf gex_p, gex_g;
    struct secret shared;           /* K as it enters the hash */
    uint8_t hash[DIGEST_MAX_BYTES]; /* H */
    size_t hash_len;
    struct packet_keys next_in, next_out;
};

struct transport {
    /* configuration */
    enum transport_role role;
    char *ident;
    char *lists[SLOT_MAX];
    char *server_sig_algs, *guess_kex, *guess_host_key;
    bool early_session; /* only for the first key exchange: not exported */
    uint64_t rekey_bytes;
    ms rekey_interval_ms;
    unsigned gex_min_bits, gex_max_bits;
    const struct random *rnd;
    const struct log *log;

    int err; /* sticky */
    enum state state;
    enum question question;
    ms now, keys_since;
    struct packet_in in;
    struct packet_out out;
    bool in_eof;
    bool peer_gone; /* DISCONNECT was handed out */

    /* identification */
    struct buf peer_ident;
    size_t ident_lines;

    /* key exchange */
    struct kex kex;
    uint8_t session_id[DIGEST_MAX_BYTES];
    size_t session_id_len;
    struct buf host_key; /* blob of the last key exchange */
    bool first_done;     /* NEWKEYS went both ways once */
    bool strict, peer_wants_ext_info;
    bool peer_first_choice; /* what was chosen is what the peer likes best: a guess would hold */
    uint64_t rekeys;

    /* what we send */
    bool out_closed; /* packets of upper layers are held: from our KEXINIT to our NEWKEYS */
    bool authenticated;
    struct buf held; /* u32 length and payload, each */
    size_t held_reserved;
    bool peer_has_ping, service_requested;
    struct buf service; /* server: what the peer asked for */

    /* what we received */
    bool lent;              /* an event's views stand in the receive area */
    bool newkeys_came;      /* the next packet is the first under new keys */
    bool is_after_newkeys;  /* the packet last taken is */
    uint32_t last_sequence; /* of the packet last taken */
    struct rd extensions;   /* of an EXT_INFO that is being handed out */
    uint32_t n_extensions;
    bool has_event;
    struct transport_event event; /* made outside of transport_next: to be handed out by it */
};

static inline bool transport_is_server(const struct transport *t) { return t->role == TRANSPORT_SERVER; }

/* An engine without configuration or output. */
int transport_alloc(const struct random *rnd, const struct log *log, ms now, struct transport **ret) MUST_USE;
/* Makes err the sticky error, once, and queues a DISCONNECT where its row wants one. Returns the sticky error. */
int transport_set_error(struct transport *t, int err, const char *text);
/* An event for transport_next to hand out; with a question it parks the engine until its answer. */
void transport_post(struct transport *t, enum question question, const struct transport_event *event);
/* The open question is `question`: closes it. ERR_STATE else, or the sticky error. */
int transport_answered(struct transport *t, enum question question) MUST_USE;
/* Compression of one direction, if it is negotiated and its time has come. */
int transport_start_compression(struct transport *t, bool inbound) MUST_USE;
/* Starts a key exchange if the keys were used enough; before login that is an error. */
int transport_check_rekey(struct transport *t) MUST_USE;

/* ---- send.c ---- */
/* A link that does not hold: key exchange and DISCONNECT. */
struct link transport_direct_link(struct transport *t);
/* Sends what was held, in order. After our NEWKEYS. */
int transport_release_held(struct transport *t) MUST_USE;

/* ---- ident.c ---- 1: *ret holds an event. 0: bytes lack, or (t->state left STATE_IDENT) all is done. */
int ident_next(struct transport *t, struct transport_event *ret) MUST_USE;

/* ---- kexinit.c ---- */
/* Checks that every name of the lists is known. ERR_UNSUPPORTED. */
int kexinit_check_lists(struct transport *t) MUST_USE;
/* Makes and queues our KEXINIT, with the guess if there is one; holds the upper layers from here. */
int kexinit_send(struct transport *t) MUST_USE;
/* The peer's payload came: chooses. ERR_NO_*. Sets kex.method and the rest, strict, peer_wants_ext_info, kex.ignore_next. */
int kexinit_choose(struct transport *t, struct view payload) MUST_USE;

/* ---- kex.c ---- */
/* Client: makes the ephemeral key for m and queues its first message. Server: nothing to send. Sets the state. */
int kex_begin(struct transport *t) MUST_USE;
int kex_send_guess(struct transport *t) MUST_USE;
/* The messages; payload as the table of transport.c has checked it. */
int kex_on_reply(struct transport *t, struct view payload) MUST_USE;
int kex_on_init(struct transport *t, struct view payload) MUST_USE;
int kex_on_gex_request(struct transport *t, struct view payload) MUST_USE;
int kex_on_gex_request_old(struct transport *t, struct view payload) MUST_USE;
int kex_on_gex_group(struct transport *t, struct view payload) MUST_USE;
int kex_on_gex_init(struct transport *t, struct view payload) MUST_USE;
int kex_on_gex_reply(struct transport *t, struct view payload) MUST_USE;
int kex_on_newkeys(struct transport *t, struct view payload) MUST_USE;
/* Frees all, also what stays. */
void kex_done(struct kex *k);

/* ---- keys.c ---- */
/* H (4253 8, 4419 3, 5656 4) from what kex holds; sets the session id when it is the first. */
int keys_exchange_hash(struct transport *t) MUST_USE;
/* Keys of both directions (4253 7.2) into kex.next_in and next_out; K is wiped. */
int keys_derive(struct transport *t) MUST_USE;
