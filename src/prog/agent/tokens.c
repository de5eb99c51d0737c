/* Keys that are not in this process: of PKCS#11 modules, and security keys. Which libraries may be named is decided here; loading
 * them and signing with them is for helper processes, which this version does not have: it says so. */
#include "prog/agent/agent.h"

#include "base/pattern.h"
#include "os/file.h"

#include <stdlib.h>

static const char default_providers[] = "/usr/lib*/*,/usr/local/lib*/*";

static void refuse(struct agent *a, const struct agent_question *q)
{
    (void)!agent_server_answer(a->server, q->id, &(struct agent_answer){});
}

/* The resolved path, if -P allows it. The caller frees. */
static char *allowed_path(struct agent *a, struct view provider)
{
    CLEANUP(freep) char *given = view_dup_str(provider), *path = NULL;
    const char *patterns = a->options.providers ? a->options.providers : default_providers;
    if (!given) return NULL;
    int err = file_real_path(given, &path);
    if (err < 0) {
        log_error(&a->sink.log, "provider %s: %s", given, err_text(err));
        return NULL;
    }
    if (pattern_list_match(view_str(path), view_str(patterns)) == 1) return TAKE(path);
    log_error(&a->sink.log, "refusing provider \"%s\": not among those that are allowed (ssh-agent -P)", path);
    return NULL;
}

static void on_provider(struct agent *a, const struct agent_question *q)
{
    bool is_internal = view_eq_str(q->provider, "internal");
    CLEANUP(freep) char *path = is_internal ? NULL : allowed_path(a, q->provider);
    const struct agent_answer answer = { .yes = is_internal || path, .provider = is_internal ? "internal" : path };
    (void)!agent_server_answer(a->server, q->id, &answer);
}

static void on_token(struct agent *a, const struct agent_question *q)
{
    CLEANUP(freep) char *path = allowed_path(a, q->provider);
    if (path) log_error(&a->sink.log, "provider %s: PKCS#11 tokens are not supported by this version", path);
    refuse(a, q);
}

void agent_tokens_ask(struct agent *a, const struct agent_question *q)
{
    if (q->kind == AGENT_QUESTION_PROVIDER) {
        on_provider(a, q);
    } else if (q->kind == AGENT_QUESTION_SIGN) {
        log_error(&a->sink.log, "signing with security keys is not supported by this version");
        refuse(a, q);
    } else {
        on_token(a, q);
    }
}
