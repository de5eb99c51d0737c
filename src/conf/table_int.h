/* Turns rows of the .def files into struct conf_option and struct conf_word. The including file has set CONF_OPTIONS (the struct),
 * CONF_IDX (the enum prefix) and includes its .def behind this. */
#include "conf/conf_int.h"

#include <limits.h>
#include <stdio.h>

#ifndef CONF_ETC
#define CONF_ETC "/etc/ssh"
#endif

#define CONF_JOIN_(a, b) a##b
#define CONF_JOIN(a, b) CONF_JOIN_(a, b)

#define NO_ARGS .min = 0
#define RANGE(lo, hi) .min = (lo), .max = (hi)
#define NAMES(table) .names = conf_names_##table
#define ALGORITHMS(kind) .algs = CONF_ALGS_##kind
#define NONE_UNSETS .none_unsets = true
#define NONE_UNSETS_UP_TO(n) .none_unsets = true, .max = (n)
#define ABSOLUTE_OR_NONE .none_unsets = true, .absolute = true
#define WORKS .state = CONF_STATE_WORKS
#define HARMLESS .state = CONF_STATE_HARMLESS
#define LATER(feature) .state = CONF_STATE_LATER, .lacks = (feature)

#define CONF_OPTION_ROW(name_, field_, type_, args_, default_, unset_, combine_, scope_, state_, manual_) \
    [CONF_JOIN(CONF_IDX, field_)] = { .name = #name_,                                                     \
                                      .field = #field_,                                                   \
                                      .type = &conf_type_##type_,                                         \
                                      .offset = offsetof(struct CONF_OPTIONS, field_),                    \
                                      .idx = CONF_JOIN(CONF_IDX, field_),                                 \
                                      args_,                                                              \
                                      .default_text = default_,                                           \
                                      .unset_text = unset_,                                               \
                                      .combine = CONF_##combine_,                                         \
                                      .scope = CONF_SCOPE_##scope_,                                       \
                                      state_,                                                             \
                                      .manual = manual_ },
#define CONF_WORD_ROW(name_, kind_, target_, advice_) \
    { .name = #name_, .kind = CONF_WORD_##kind_, .target = CONF_JOIN(CONF_IDX, target_), .advice = advice_ },
