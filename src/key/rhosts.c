/* hosts.equiv(5) */
#include "key/rhosts.h"

#include "key/line_int.h"
#include "key/public_line.h"

#include <strings.h>

enum {
    NAME_BYTES_MAX = 1024
};

/* One word of a line. */
struct pattern {
    bool is_negated, is_group, is_wild;
    char name[NAME_BYTES_MAX + 1];
};

/* False: too long, or not text. */
static bool read_pattern(struct view word, struct pattern *ret)
{
    *ret = (struct pattern){ .is_wild = view_eq_str(word, "+") };
    if (word.len && (word.p[0] == '-' || word.p[0] == '+')) {
        ret->is_negated = word.p[0] == '-';
        word = view_sub(word, 1, word.len);
    }
    if (word.len && word.p[0] == '@') {
        ret->is_group = true;
        word = view_sub(word, 1, word.len);
        if (word.len == 0) return false;
    }
    if (word.len > NAME_BYTES_MAX || view_has_nul(word)) return false;
    if (word.len) memcpy(ret->name, word.p, word.len);
    return true;
}

static bool in_group(const struct rhosts_question *q, const char *group, struct view host, struct view user)
{
    struct pattern text; /* for a string with a NUL */
    struct view who = host.p ? host : user;
    if (!q->in_netgroup || who.len == 0 || who.len > NAME_BYTES_MAX || view_has_nul(who)) return false;
    memcpy(text.name, who.p, who.len);
    text.name[who.len] = 0;
    return q->in_netgroup(q->arg, group, host.p ? text.name : NULL, host.p ? NULL : text.name);
}

static bool same_host(struct view a, const char *b) { return a.len == strlen(b) && strncasecmp((const char *)a.p, b, a.len) == 0; }

static bool host_matches(const struct rhosts_question *q, const struct pattern *p)
{
    if (p->name[0] == 0) return false;
    if (p->is_group) return in_group(q, p->name, q->host, VIEW_EMPTY) || in_group(q, p->name, q->address, VIEW_EMPTY);
    return (q->host.len && same_host(q->host, p->name)) || (q->address.len && same_host(q->address, p->name));
}

static bool user_matches(const struct rhosts_question *q, const struct pattern *p)
{
    if (p->name[0] == 0) return view_eq(q->client_user, q->server_user);
    if (p->is_group) return in_group(q, p->name, VIEW_EMPTY, q->client_user);
    return view_eq_str(q->client_user, p->name);
}

static enum rhosts_verdict check_line(struct view line, const struct rhosts_question *q)
{
    struct pattern host, user;
    line = line_trim(line);
    if (line.len == 0 || line.p[0] == '#') return RHOSTS_NONE;
    struct view host_word = line_take_word(&line), user_word = line_take_word(&line);
    if (user_word.len && user_word.p[0] == '#') user_word = line = VIEW_EMPTY;
    line = line_trim(line);
    if (line.len && line.p[0] != '#') return RHOSTS_NONE; /* three words are no line of such a file */
    if (!read_pattern(host_word, &host) || !read_pattern(user_word, &user)) return RHOSTS_NONE;
    if (host.is_wild || user.is_wild || !host_matches(q, &host) || !user_matches(q, &user)) return RHOSTS_NONE;
    return host.is_negated || user.is_negated ? RHOSTS_REFUSED : RHOSTS_TRUSTED;
}

enum rhosts_verdict rhosts_check(struct view file, const struct rhosts_question *q)
{
    struct view line;
    enum rhosts_verdict verdict = RHOSTS_NONE;
    while (verdict == RHOSTS_NONE && public_file_next_line(&file, &line)) verdict = check_line(line, q);
    return verdict;
}
