/* All limits of the protocol, each with its reason. */
#pragma once

enum {
    LIMIT_IDENT_BYTES = 255,                    /* RFC 4253 4.2, with CR LF */
    LIMIT_IDENT_LINE_BYTES = 8192,              /* a line before the identification string, as OpenSSH */
    LIMIT_IDENT_LINES = 1024,                   /* such lines */
    LIMIT_PACKET_BYTES = 256 * 1024,            /* packet_length of a received packet, as OpenSSH; RFC 4253 6.1 asks for 35000 */
    LIMIT_PACKET_PREAUTH_BYTES = 64 * 1024,     /* the same before login: nothing there needs more */
    LIMIT_PACKET_PAYLOAD_BYTES = 250 * 1024,    /* largest payload we make */
    LIMIT_NAME_LIST_BYTES = 32 * 1024,          /* one list of a KEXINIT */
    LIMIT_HELD_BYTES = 1024 * 1024,             /* packets of upper layers that wait for the end of a key exchange */
    LIMIT_OUTPUT_BYTES = 16 * 1024 * 1024,      /* unsent bytes: a peer that floods requests and does not read is cut off here */
    LIMIT_OUTPUT_SOFT_BYTES = 512 * 1024,       /* unsent bytes from which on link_room gives 0 */
    LIMIT_PREAUTH_PACKETS = 1024,               /* packets of a peer before login */
    LIMIT_EXT_INFO = 1024,                      /* extensions in one EXT_INFO */
    LIMIT_EARLY_PACKETS = 64,                   /* of an early session: those of a failed request are passed over. A terminal, its
                                                   environment and a command are about 20 */
    LIMIT_EARLY_BYTES = 32 * 1024,              /* payload of such packets together */
    LIMIT_USER_BYTES = 255,                     /* user names longer than that exist nowhere */
    LIMIT_PASSWORD_BYTES = 1024,                /* as OpenSSH and PAM */
    LIMIT_PROMPTS = 64,                         /* of one INFO_REQUEST */
    LIMIT_AUTH_BANNER_BYTES = 64 * 1024,        /* shown to a user */
    LIMIT_CHANNELS = 16384,                     /* open at once on a connection, as OpenSSH */
    LIMIT_QUESTIONS = 4096,                     /* requests of a peer that wait for our answer, per connection */
    LIMIT_REPLIES = 4096,                       /* our requests that wait for a peer's reply */
    LIMIT_CHANNEL_PACKET_BYTES = 32 * 1024,     /* data in one packet, what we announce to peers other than ours */
    LIMIT_SFTP_CALLS = 2048,                    /* requests of an SFTP client in flight */
    LIMIT_WINDOW_START_BYTES = 2 * 1024 * 1024, /* first receive window of a channel, as OpenSSH */
    LIMIT_WINDOW_MAX_BYTES = 128 * 1024 * 1024, /* what one channel's window may grow to */
    LIMIT_WINDOW_BUDGET_BYTES =
        256 * 1024 * 1024, /* what the windows of one connection may grow to together, beyond their starts */
};
