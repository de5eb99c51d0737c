/* The grid of keystroke timing. Idle, or running: then `next` is the grid's next instant and each one sends something. */
#include "prog/ssh/keystrokes.h"

void keystrokes_init(struct keystrokes *k, ms interval_ms, const struct random *rnd)
{
    *k = (struct keystrokes){ .rnd = rnd, .interval_ms = interval_ms };
}

void keystrokes_stop(struct keystrokes *k) { *k = (struct keystrokes){ .rnd = k->rnd }; }

/* Without random bytes the chaff goes on for the longest time. */
static ms chaff_span(const struct keystrokes *k)
{
    uint16_t extra;
    if (random_fill(k->rnd, &extra, sizeof extra) < 0) extra = KEYSTROKES_CHAFF_SPAN_MS;
    return KEYSTROKES_CHAFF_MIN_MS + extra % (KEYSTROKES_CHAFF_SPAN_MS + 1);
}

bool keystrokes_typed(struct keystrokes *k, size_t n, ms now)
{
    if (!k->interval_ms || n == 0) return true;
    if (n >= KEYSTROKES_BULK_BYTES) {
        k->running = k->holding = false;
        return true;
    }
    k->chaff_end = now + chaff_span(k);
    bool at_once = !k->running;
    if (at_once) k->next = now + k->interval_ms;
    k->running = true;
    k->holding = !at_once;
    return at_once;
}

ms keystrokes_deadline(const struct keystrokes *k) { return k->running ? k->next : MS_NEVER; }

enum keystrokes_send keystrokes_tick(struct keystrokes *k, ms now)
{
    if (!k->running || now < k->next) return KEYSTROKES_SEND_NOTHING;
    /* Instants that were missed (a stopped process) are not made up for. */
    k->next += ((now - k->next) / k->interval_ms + 1) * k->interval_ms;
    if (k->holding) {
        k->holding = false;
        return KEYSTROKES_SEND_HELD;
    }
    if (now < k->chaff_end) return KEYSTROKES_SEND_CHAFF;
    k->running = false;
    return KEYSTROKES_SEND_NOTHING;
}
