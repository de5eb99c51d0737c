/* Peers against lists. */
#include "key/addr_match.h"

#include "base/ip_match.h"
#include "base/pattern.h"

int addr_match_host_list(struct view host, struct view address, struct view list)
{
    int by_address;
    TRY(ip_list_match(address, list, &by_address));
    int by_name = pattern_list_match_nocase(host, list);
    if (by_address < 0 || by_name < 0) return ADDR_MATCH_NEGATED;
    return by_address > 0 || by_name > 0 ? ADDR_MATCH_YES : ADDR_MATCH_NONE;
}

int addr_match_cidr_list(struct view address, struct view list)
{
    struct ip_addr a, net;
    unsigned bits;
    bool is_numeric = ip_parse(address, &a) == 0;
    int verdict = ADDR_MATCH_NONE;
    struct view element;
    if (list.len == 0) return verdict;
    while (view_next_in_list(&list, &element)) { /* to the end: one bad element spoils the list */
        TRY(ip_parse_cidr(element, &net, &bits));
        if (is_numeric && ip_in_cidr(&a, &net, bits)) verdict = ADDR_MATCH_YES;
    }
    return verdict;
}
