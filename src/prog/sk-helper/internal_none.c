/* A build without libfido2. */
#include "prog/sk-helper/provider.h"

const struct sk_api provider_internal = { NULL, NULL, NULL, NULL };
