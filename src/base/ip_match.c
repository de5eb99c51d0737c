/* Address lists; see the header. inet_pton of libc reads the addresses: it knows no short forms, which would be ambiguous with
 * patterns. */
#include "base/ip_match.h"

#include "base/pattern.h"

#include <arpa/inet.h>

enum {
    IP_TEXT_MAX = 128
};

static void ip_unmap(struct ip_addr *a)
{
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    if (a->len != 16 || memcmp(a->bytes, mapped, sizeof(mapped)) != 0) return;
    memmove(a->bytes, a->bytes + 12, 4);
    a->len = 4;
}

static int ip_parse_raw(struct view text, struct ip_addr *ret)
{
    char s[IP_TEXT_MAX];
    if (text.len == 0 || text.len >= sizeof(s) || view_has_nul(text)) return ERR_FORMAT;
    memcpy(s, text.p, text.len);
    s[text.len] = '\0';
    struct ip_addr a = { 0 };
    if (inet_pton(AF_INET, s, a.bytes) == 1) {
        a.len = 4;
    } else {
        char *scope = strchr(s, '%');
        if (scope) *scope = '\0';
        if (inet_pton(AF_INET6, s, a.bytes) != 1) return ERR_FORMAT;
        a.len = 16;
    }
    *ret = a;
    return 0;
}

int ip_parse(struct view text, struct ip_addr *ret)
{
    struct ip_addr a;
    TRY(ip_parse_raw(text, &a));
    ip_unmap(&a);
    *ret = a;
    return 0;
}

static int parse_bits(struct view text, unsigned *ret)
{
    unsigned n = 0;
    if (text.len == 0 || text.len > 3) return ERR_FORMAT;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') return ERR_FORMAT;
        n = n * 10 + (text.p[i] - '0');
    }
    *ret = n;
    return 0;
}

static bool has_host_bits(const struct ip_addr *a, unsigned bits)
{
    for (unsigned i = bits; i < a->len * 8u; i++)
        if (a->bytes[i / 8] & (0x80u >> (i % 8))) return true;
    return false;
}

int ip_parse_cidr(struct view text, struct ip_addr *ret, unsigned *ret_bits)
{
    const uint8_t *slash = text.len ? memchr(text.p, '/', text.len) : NULL;
    size_t n = slash ? (size_t)(slash - text.p) : text.len;
    struct ip_addr a;
    TRY(ip_parse_raw(view_of(text.p, n), &a));
    unsigned bits = a.len * 8u;
    if (slash) {
        TRY(parse_bits(view_sub(text, n + 1, SIZE_MAX), &bits));
        if (bits > a.len * 8u || has_host_bits(&a, bits)) return ERR_RANGE;
    }
    uint8_t len_before = a.len;
    /* ::ffff:0:0/96 and longer ranges lie within IPv4; shorter ones stay IPv6 */
    if (bits >= 96) ip_unmap(&a);
    *ret_bits = a.len == len_before ? bits : bits - 96;
    *ret = a;
    return 0;
}

bool ip_in_cidr(const struct ip_addr *a, const struct ip_addr *net, unsigned bits)
{
    if (a->len != net->len) return false;
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a->bytes, net->bytes, whole) != 0) return false;
    return rest == 0 || ((a->bytes[whole] ^ net->bytes[whole]) >> (8 - rest)) == 0;
}

/* Whether one element, without its '!', matches. */
static int element_match(struct view text, const struct ip_addr *a, struct view element, bool *ret)
{
    struct ip_addr net;
    unsigned bits;
    int err = ip_parse_cidr(element, &net, &bits);
    if (err == ERR_RANGE) return err;
    if (err < 0)
        *ret = pattern_matches_nocase(text, element);
    else
        *ret = a->len != 0 && ip_in_cidr(a, &net, bits);
    return 0;
}

static bool take_negation(struct view *element)
{
    if (!view_has_prefix(*element, "!")) return false;
    *element = view_sub(*element, 1, SIZE_MAX);
    return true;
}

int ip_list_match(struct view address, struct view list, int *ret_verdict)
{
    struct ip_addr a = { 0 };
    if (ip_parse(address, &a) < 0) a.len = 0; /* only patterns can match it */
    int verdict = 0;
    struct view element;
    while (view_next_in_list(&list, &element)) {
        bool negated = take_negation(&element), matches = false;
        TRY(element_match(address, &a, element, &matches));
        if (!matches) continue;
        if (negated)
            verdict = -1;
        else if (verdict == 0)
            verdict = 1;
    }
    *ret_verdict = verdict;
    return 0;
}

int ip_list_check(struct view list, bool strict)
{
    struct view element;
    while (view_next_in_list(&list, &element)) {
        struct ip_addr net;
        unsigned bits;
        take_negation(&element);
        if (strict && element.len == 0) return ERR_FORMAT;
        int err = ip_parse_cidr(element, &net, &bits);
        if (err == ERR_RANGE || (err < 0 && strict)) return err;
    }
    return 0;
}
