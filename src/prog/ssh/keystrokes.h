/* Hides the rhythm of typing (ObscureKeystrokeTiming, OpenSSH PROTOCOL: ping): while somebody types, packets leave at the instants
 * of a fixed grid, with chaff where there is no keystroke, and go on for a random while after the last one. A pure machine: told
 * the time, it says when and what to send; the owner holds the bytes. The first keystroke after a pause leaves at once and starts
 * the grid, so that only what follows waits, for less than one interval. Much at once is a paste, whose rhythm says nothing: it is
 * not held. */
#pragma once

#include "base/random.h"

enum {
    KEYSTROKES_BULK_BYTES = 64,      /* from here on it is no typing */
    KEYSTROKES_CHAFF_MIN_MS = 1024,  /* how long chaff goes on after the last keystroke */
    KEYSTROKES_CHAFF_SPAN_MS = 2048, /* and at most this much longer */
    KEYSTROKES_CHAFF_BYTES = 5,      /* data of a PING that is as long as one keystroke's CHANNEL_DATA */
};

struct keystrokes {
    const struct random *rnd;
    ms interval_ms; /* 0: off, everything leaves at once */
    ms next, chaff_end;
    bool running, holding;
};

void keystrokes_init(struct keystrokes *k, ms interval_ms, const struct random *rnd);
/* No hiding from now on: the peer cannot take chaff. What is held is to be sent. */
void keystrokes_stop(struct keystrokes *k);
/* n bytes were typed, those still held included. True: send all that is held, and these, now. False: hold them until a tick says
 * send. */
bool keystrokes_typed(struct keystrokes *k, size_t n, ms now);
/* When to call tick; MS_NEVER: not at all. */
ms keystrokes_deadline(const struct keystrokes *k);
enum keystrokes_send {
    KEYSTROKES_SEND_NOTHING,
    KEYSTROKES_SEND_HELD,
    KEYSTROKES_SEND_CHAFF
};
enum keystrokes_send keystrokes_tick(struct keystrokes *k, ms now);
