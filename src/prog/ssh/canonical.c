/* CanonicalizeHostname: a short name becomes a full one before known_hosts and configuration are asked about it. Search lists of
 * the system's resolver play no part: each name that is looked up is complete. */
#include "prog/ssh/client.h"

#include "base/pattern.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_none(const char *value) { return !value || strcmp(value, "none") == 0; }

/* Names behind a proxy are its business, unless the configuration says "always". */
static bool is_wanted(const struct ssh_options *o)
{
    bool is_direct = is_none(o->proxy_command) && is_none(o->proxy_jump);
    return o->canonicalize_hostname == CONF_CANONICALIZE_ALWAYS || (o->canonicalize_hostname == CONF_CANONICALIZE_YES && is_direct);
}

static int count_dots(const char *name)
{
    int n = 0;
    for (; *name; name++) n += *name == '.';
    return n;
}

/* Whether it can be resolved, and the name that it is an alias of; NULL: of none. Never with a dot at its end. */
static bool look_up(const struct client *c, const char *name, char **ret_alias_of)
{
    static const int families[] = { [CONF_AF_ANY] = AF_UNSPEC, [CONF_AF_INET] = AF_INET, [CONF_AF_INET6] = AF_INET6 };
    CLEANUP(sock_addrs_done) struct sock_addrs addrs = SOCK_ADDRS_INIT;
    const struct sock_resolve how = { .family = families[c->options.address_family], .canonical = true };
    *ret_alias_of = NULL;
    if (sock_resolve(name, 0, &how, &addrs, NULL) < 0) return false;
    struct view target = view_str(addrs.canonical ? addrs.canonical : "");
    while (target.len && target.p[target.len - 1] == '.') target.len--;
    if (target.len) *ret_alias_of = view_dup_str(target);
    for (char *p = *ret_alias_of; p && *p; p++) *p = (char)tolower((unsigned char)*p);
    return true;
}

/* One rule of CanonicalizePermittedCNAMEs: source patterns:target patterns. */
static bool rule_permits(const char *rule, const char *from, const char *to)
{
    const char *colon = strchr(rule, ':');
    if (!colon) return false;
    return pattern_list_match_nocase(view_str(from), view_of(rule, (size_t)(colon - rule))) == 1 &&
           pattern_list_match_nocase(view_str(to), view_str(colon + 1)) == 1;
}

/* Takes the place of *io_name when a rule lets it. */
static bool follow_alias(const struct client *c, char *take_target, char **io_name)
{
    CLEANUP(freep) char *target = take_target;
    const struct strv *rules = &c->options.canonicalize_permitted_cnames;
    if (!target || strcmp(target, *io_name) == 0) return false;
    for (size_t i = 0; i < rules->n; i++) {
        if (!rule_permits(rules->v[i], *io_name, target)) continue;
        client_log(c, LOG_LEVEL_VERBOSE, "Canonicalized DNS aliased hostname \"%s\" => \"%s\"", *io_name, target);
        free(*io_name);
        *io_name = TAKE(target);
        return true;
    }
    return false;
}

/* 1: the name in one of the domains; 0: it is in none of them. */
static int search_domains(struct client *c, char **io_host)
{
    const struct strv *domains = &c->options.canonical_domains;
    for (size_t i = 0; i < domains->n; i++) {
        CLEANUP(freep) char *complete = NULL;
        char *full, *target;
        if (strcmp(domains->v[i], "none") == 0) break;
        if (asprintf(&complete, "%s.%s.", *io_host, domains->v[i]) < 0) return ERR_NOMEM;
        if (!look_up(c, complete, &target)) continue;
        complete[strlen(complete) - 1] = 0;
        full = TAKE(complete);
        if (!follow_alias(c, target, &full))
            client_log(c, LOG_LEVEL_DEBUG1, "Canonicalized hostname \"%s\" => \"%s\"", *io_host, full);
        free(*io_host);
        *io_host = full;
        return 1;
    }
    return 0;
}

int canonical_name(struct client *c, bool is_address, char **io_host)
{
    const struct ssh_options *o = &c->options;
    char *target;
    int found = 0;
    if (is_address || !is_wanted(o)) return 0;
    if (count_dots(*io_host) > o->canonicalize_max_dots) {
        client_log(c, LOG_LEVEL_DEBUG3, "not canonicalizing hostname \"%s\" (max dots %d)", *io_host, o->canonicalize_max_dots);
    } else {
        found = search_domains(c, io_host);
        TRY(found);
        if (!found && !o->canonicalize_fallback_local) {
            client_fatal(c, "ssh: Could not resolve host \"%s\"", *io_host);
            return ERR_NOT_FOUND;
        }
    }
    if (found || o->canonicalize_permitted_cnames.n == 0) return 0;
    if (look_up(c, *io_host, &target)) (void)follow_alias(c, target, io_host);
    return 0;
}
