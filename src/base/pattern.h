/* Patterns of ssh_config(5) PATTERNS: `*` any run, `?` any one character; lists are comma-separated and `!` negates. */
#pragma once

#include "base/view.h"

/* No recursion, time O(len(text) * len(pattern)). */
bool pattern_matches(struct view text, struct view pattern);
bool pattern_matches_nocase(struct view text, struct view pattern);

/* 1 when some element matches and no negated one does, -1 when a negated one matches, 0 when none does. Host names: nocase. */
int pattern_list_match(struct view text, struct view list);
int pattern_list_match_nocase(struct view text, struct view list);
