/* Wildcard matching with one remembered star: backtracking to the latest star alone is enough. */
#include "base/pattern.h"

#include <ctype.h>

static bool same(uint8_t a, uint8_t b, bool nocase) { return nocase ? tolower(a) == tolower(b) : a == b; }

static bool matches(struct view text, struct view pat, bool nocase)
{
    size_t t = 0, p = 0, star = SIZE_MAX, star_text = 0;
    while (t < text.len) {
        if (p < pat.len && pat.p[p] == '*') {
            star = p++;
            star_text = t;
        } else if (p < pat.len && (pat.p[p] == '?' || same(pat.p[p], text.p[t], nocase))) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++star_text;
        } else
            return false;
    }
    while (p < pat.len && pat.p[p] == '*') p++;
    return p == pat.len;
}

static int list_match(struct view text, struct view list, bool nocase)
{
    int result = 0;
    struct view one;
    while (view_next_in_list(&list, &one)) {
        bool negated = one.len && one.p[0] == '!';
        if (!matches(text, negated ? view_sub(one, 1, one.len) : one, nocase)) continue;
        if (negated) return -1;
        result = 1;
    }
    return result;
}

bool pattern_matches(struct view text, struct view pattern) { return matches(text, pattern, false); }
bool pattern_matches_nocase(struct view text, struct view pattern) { return matches(text, pattern, true); }
int pattern_list_match(struct view text, struct view list) { return list_match(text, list, false); }
int pattern_list_match_nocase(struct view text, struct view list) { return list_match(text, list, true); }
