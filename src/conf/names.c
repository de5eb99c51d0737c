/* Keywords by name: the index used while parsing and the guess at what was meant. And the tables of enum values. */
#include "conf/conf_int.h"

#include <strings.h>

enum {
    NEAREST_NAME_MAX = 48,
    NEAREST_DISTANCE_MAX = 3
};

static uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }

bool conf_name_eq(struct view a, const char *b)
{
    for (size_t i = 0; i < a.len; i++)
        if (b[i] == '\0' || lower(a.p[i]) != lower((uint8_t)b[i])) return false;
    return b[a.len] == '\0';
}

static uint32_t hash_name(struct view name)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < name.len; i++) h = (h ^ (name.p[i] | 0x20u)) * 16777619u; /* letters in lower case */
    return h ^ (h >> 15);
}

static const char *name_of(const struct conf_table *t, size_t i)
{
    return i < t->n_options ? t->options[i].name : t->words[i - t->n_options].name;
}

void conf_index_init(struct conf_index *x, const struct conf_table *t)
{
    memset(x, 0, sizeof(*x));
    CHECK((t->n_options + t->n_words) * 2 < ARRAY_LEN(x->slots));
    for (size_t i = 0; i < t->n_options + t->n_words; i++) {
        uint32_t slot = hash_name(view_str(name_of(t, i))) % ARRAY_LEN(x->slots);
        while (x->slots[slot]) slot = (slot + 1) % ARRAY_LEN(x->slots);
        x->slots[slot] = (uint16_t)(i + 1);
    }
}

void conf_index_find(const struct conf_index *x, const struct conf_table *t, struct view name,
                     const struct conf_option **ret_option, const struct conf_word **ret_word)
{
    *ret_option = NULL;
    *ret_word = NULL;
    for (uint32_t slot = hash_name(name) % ARRAY_LEN(x->slots); x->slots[slot]; slot = (slot + 1) % ARRAY_LEN(x->slots)) {
        size_t i = x->slots[slot] - 1u;
        if (!conf_name_eq(name, name_of(t, i))) continue;
        if (i < t->n_options)
            *ret_option = &t->options[i];
        else
            *ret_word = &t->words[i - t->n_options];
        return;
    }
}

const struct conf_option *conf_option_find(const struct conf_table *t, struct view name)
{
    for (size_t i = 0; i < t->n_options; i++)
        if (conf_name_eq(name, t->options[i].name)) return &t->options[i];
    return NULL;
}

/* Edit distance with swaps of neighbours, on lower case. Both no longer than NEAREST_NAME_MAX. */
static unsigned distance(struct view a, struct view b)
{
    unsigned row[3][NEAREST_NAME_MAX + 1];
    unsigned *before = row[0], *last = row[1], *now = row[2];
    for (size_t j = 0; j <= b.len; j++) last[j] = (unsigned)j;
    for (size_t i = 1; i <= a.len; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            uint8_t ca = lower(a.p[i - 1]), cb = lower(b.p[j - 1]);
            unsigned d = last[j - 1] + (ca != cb);
            d = MIN(d, last[j] + 1);
            d = MIN(d, now[j - 1] + 1);
            if (i > 1 && j > 1 && ca == lower(b.p[j - 2]) && cb == lower(a.p[i - 2])) d = MIN(d, before[j - 2] + 1);
            now[j] = d;
        }
        unsigned *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b.len];
}

const char *conf_nearest(const struct conf_table *t, struct view name)
{
    const char *best = NULL;
    if (name.len < 2 || name.len > NEAREST_NAME_MAX) return NULL;
    unsigned best_distance = MIN((unsigned)name.len / 3, (unsigned)NEAREST_DISTANCE_MAX) + 1;
    for (size_t i = 0; i < t->n_options + t->n_words; i++) {
        const char *candidate = name_of(t, i);
        if (i >= t->n_options && t->words[i - t->n_options].kind < CONF_WORD_HOST) continue;
        if (strlen(candidate) > NEAREST_NAME_MAX) continue;
        unsigned d = distance(name, view_str(candidate));
        if (d >= best_distance) continue;
        best_distance = d;
        best = candidate;
    }
    return best;
}

/* The first name of a value is the one that is printed: OpenSSH's client prints true and false for enums, its server yes and no. */
#define END     \
    {           \
        NULL, 0 \
    }
const struct conf_name conf_names_address_family[] = {
    { "any", CONF_AF_ANY }, { "inet", CONF_AF_INET }, { "inet6", CONF_AF_INET6 }, END
};
const struct conf_name conf_names_canonicalize[] = { { "true", CONF_CANONICALIZE_YES },
                                                     { "false", CONF_CANONICALIZE_NO },
                                                     { "yes", CONF_CANONICALIZE_YES },
                                                     { "no", CONF_CANONICALIZE_NO },
                                                     { "always", CONF_CANONICALIZE_ALWAYS },
                                                     { "none", CONF_CANONICALIZE_NO },
                                                     END };
const struct conf_name conf_names_compression[] = { { "yes", CONF_YES }, { "no", CONF_NO }, { "delayed", CONF_YES }, END };
const struct conf_name conf_names_control_master[] = { { "true", CONF_MASTER_YES },         { "false", CONF_MASTER_NO },
                                                       { "yes", CONF_MASTER_YES },          { "no", CONF_MASTER_NO },
                                                       { "ask", CONF_MASTER_ASK },          { "auto", CONF_MASTER_AUTO },
                                                       { "autoask", CONF_MASTER_AUTO_ASK }, END };
const struct conf_name conf_names_fingerprint_hash[] = { { "MD5", CONF_HASH_MD5 },       { "SHA1", CONF_HASH_SHA1 },
                                                         { "SHA256", CONF_HASH_SHA256 }, { "SHA384", CONF_HASH_SHA384 },
                                                         { "SHA512", CONF_HASH_SHA512 }, END };
const struct conf_name conf_names_forwarding[] = { { "yes", CONF_FORWARDING_YES },       { "no", CONF_FORWARDING_NO },
                                                   { "all", CONF_FORWARDING_YES },       { "local", CONF_FORWARDING_LOCAL },
                                                   { "remote", CONF_FORWARDING_REMOTE }, END };
const struct conf_name conf_names_gateway_ports[] = {
    { "yes", CONF_GATEWAY_YES }, { "no", CONF_GATEWAY_NO }, { "clientspecified", CONF_GATEWAY_CLIENT }, END
};
const struct conf_name conf_names_ignore_rhosts[] = {
    { "yes", CONF_RHOSTS_IGNORE }, { "no", CONF_RHOSTS_USE }, { "shosts-only", CONF_RHOSTS_SHOSTS_ONLY }, END
};
const struct conf_name conf_names_permit_root_login[] = { { "yes", CONF_ROOT_YES },
                                                          { "no", CONF_ROOT_NO },
                                                          { "without-password", CONF_ROOT_NO_PASSWORD },
                                                          { "prohibit-password", CONF_ROOT_NO_PASSWORD },
                                                          { "forced-commands-only", CONF_ROOT_FORCED_COMMANDS },
                                                          END };
const struct conf_name conf_names_pubkey_auth_options[] = {
    { "none", 0 }, { "touch-required", CONF_PUBKEY_TOUCH_REQUIRED }, { "verify-required", CONF_PUBKEY_VERIFY_REQUIRED }, END
};
const struct conf_name conf_names_pubkey_authentication[] = { { "true", CONF_PUBKEY_YES },
                                                              { "false", CONF_PUBKEY_NO },
                                                              { "yes", CONF_PUBKEY_YES },
                                                              { "no", CONF_PUBKEY_NO },
                                                              { "unbound", CONF_PUBKEY_UNBOUND },
                                                              { "host-bound", CONF_PUBKEY_HOST_BOUND },
                                                              END };
const struct conf_name conf_names_request_tty[] = { { "true", CONF_TTY_YES },
                                                    { "false", CONF_TTY_NO },
                                                    { "yes", CONF_TTY_YES },
                                                    { "no", CONF_TTY_NO },
                                                    { "force", CONF_TTY_FORCE },
                                                    { "auto", CONF_TTY_AUTO },
                                                    END };
const struct conf_name conf_names_session_type[] = {
    { "none", CONF_SESSION_NONE }, { "subsystem", CONF_SESSION_SUBSYSTEM }, { "default", CONF_SESSION_DEFAULT }, END
};
const struct conf_name conf_names_strict_host_key_checking[] = { { "true", CONF_HOST_KEYS_YES },
                                                                 { "false", CONF_HOST_KEYS_NO },
                                                                 { "yes", CONF_HOST_KEYS_YES },
                                                                 { "no", CONF_HOST_KEYS_NO },
                                                                 { "ask", CONF_HOST_KEYS_ASK },
                                                                 { "off", CONF_HOST_KEYS_NO },
                                                                 { "accept-new", CONF_HOST_KEYS_ACCEPT_NEW },
                                                                 END };
const struct conf_name conf_names_syslog_facility[] = { { "DAEMON", CONF_FACILITY_DAEMON },
                                                        { "USER", CONF_FACILITY_USER },
                                                        { "AUTH", CONF_FACILITY_AUTH },
                                                        { "AUTHPRIV", CONF_FACILITY_AUTHPRIV },
                                                        { "LOCAL0", CONF_FACILITY_LOCAL0 },
                                                        { "LOCAL1", CONF_FACILITY_LOCAL0 + 1 },
                                                        { "LOCAL2", CONF_FACILITY_LOCAL0 + 2 },
                                                        { "LOCAL3", CONF_FACILITY_LOCAL0 + 3 },
                                                        { "LOCAL4", CONF_FACILITY_LOCAL0 + 4 },
                                                        { "LOCAL5", CONF_FACILITY_LOCAL0 + 5 },
                                                        { "LOCAL6", CONF_FACILITY_LOCAL0 + 6 },
                                                        { "LOCAL7", CONF_FACILITY_LOCAL0 + 7 },
                                                        END };
const struct conf_name conf_names_tunnel[] = { { "ethernet", CONF_TUNNEL_ETHERNET },
                                               { "point-to-point", CONF_TUNNEL_POINTOPOINT },
                                               { "true", CONF_TUNNEL_POINTOPOINT },
                                               { "yes", CONF_TUNNEL_POINTOPOINT },
                                               { "false", CONF_TUNNEL_NO },
                                               { "no", CONF_TUNNEL_NO },
                                               END };
const struct conf_name conf_names_permit_tunnel[] = { { "yes", CONF_TUNNEL_YES },
                                                      { "no", CONF_TUNNEL_NO },
                                                      { "ethernet", CONF_TUNNEL_ETHERNET },
                                                      { "point-to-point", CONF_TUNNEL_POINTOPOINT },
                                                      END };
const struct conf_name conf_names_warn_weak_crypto[] = {
    { "yes", CONF_WEAK_CRYPTO_WARN },     { "no", CONF_WEAK_CRYPTO_SILENT },           { "true", CONF_WEAK_CRYPTO_WARN },
    { "false", CONF_WEAK_CRYPTO_SILENT }, { "no-pq-kex", CONF_WEAK_CRYPTO_NO_PQ_KEX }, END
};
const struct conf_name conf_names_yes_no_ask[] = { { "true", CONF_YES }, { "false", CONF_NO }, { "yes", CONF_YES },
                                                   { "no", CONF_NO },    { "ask", CONF_ASK },  END };
