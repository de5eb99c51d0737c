/* Asking the user, who in batch mode is nobody. */
#include "prog/ssh/client.h"

#include "io/prompt.h"

static int ask(struct client *c, const char *text, bool echo, struct buf *out)
{
    if (c->options.batch_mode) return ERR_CANCELLED;
    return prompt_ask(&(struct prompt){ .log = &c->sink.log, .text = text, .echo = echo }, out);
}

int prompt_secret(struct client *c, const char *text, bool echo, struct buf *out) { return ask(c, text, echo, out); }
int prompt_line(struct client *c, const char *text, struct buf *out) { return ask(c, text, true, out); }
