/* authorized_keys files (sshd(8) AUTHORIZED_KEYS FILE FORMAT) and principals files' options as bytes. Finding a key compares its
 * base64 text before anything of a line is parsed. Whether the options let this connection in (from=, expiry, principals) is
 * decided with the helpers below, by the caller. */
#pragma once

#include "base/strv.h"
#include "key/key.h"

enum {
    AUTHORIZED_KEYS_LIST_MAX = 4096, /* permitopen, permitlisten: entries of one line, as OpenSSH */
    AUTHORIZED_KEYS_ENVIRONMENT_MAX = 1024,
};

/* Options of one line. Owns its strings; {} is "no options" only after authorized_keys_options_init. */
struct authorized_keys_options {
    bool permit_pty, permit_port_forwarding, permit_agent, permit_x11, permit_user_rc; /* true unless taken away */
    bool restricted;                                                                   /* "restrict" stood there */
    bool cert_authority, no_touch_required, verify_required;
    char *command;           /* NULL: none */
    char *from;              /* pattern list; NULL: anywhere */
    char *principals;        /* comma-separated list; NULL: none. cert_authority only */
    struct strv environment; /* "NAME=value" */
    struct strv permitopen,
        permitlisten;  /* "host:port", "[host]:port", port number or "*"; permitlisten may be a port alone, stored as "*:port" */
    int tunnel_device; /* -1: none; 0x7fffffff: any */
    int64_t expiry_s;  /* wall time; 0: never */
};
void authorized_keys_options_init(struct authorized_keys_options *o);
void authorized_keys_options_done(struct authorized_keys_options *o); /* for CLEANUP */
/* text: what stands before the key type, without surrounding space; empty is fine. On ERR_FORMAT (unknown, duplicate, missing
 * quote, bad value) *ret_reason is static text for a log line ("unknown key option"). *ret must be initialised or done before; it
 * is whole on failure too and may be _done. */
int authorized_keys_options_parse(struct view text, struct authorized_keys_options *ret, const char **ret_reason) MUST_USE;
/* What two of them permit together is what both permit: a login by several keys, a line for a CA and what its certificate asks, a
 * line of a principals file. *more is taken apart and left initialised. ERR_DENIED: they force different commands. */
int authorized_keys_options_merge(struct authorized_keys_options *io, struct authorized_keys_options *take_more) MUST_USE;

/* One line. Views lent by it. */
struct authorized_keys_line {
    size_t number;       /* 1-based */
    struct view options; /* empty: none */
    struct view type, base64, comment;
};
/* 1: an entry (its options are not parsed, only stepped over). 0: blank or comment. ERR_FORMAT. */
int authorized_keys_line_parse(struct view text, struct authorized_keys_line *ret) MUST_USE;

/* A line of a principals file (AuthorizedPrincipalsFile): options, if any, then the name. A # outside of quotes begins a comment.
 * Views lent by the line. 1, or 0 for a blank line. */
int principals_line_parse(struct view text, struct view *ret_options, struct view *ret_principal) MUST_USE;

/* Goes through the lines that have a key: for a plain key those with that key, for a certificate those with its CA's key. In the
 * second case (and only then) the caller requires options.cert_authority, in the first that it is absent. */
struct authorized_keys_scan {
    struct view rest;
    size_t number;
    struct buf base64; /* of the wanted key */
    const struct key_type *type;
    bool is_cert;
};
/* key_blob: plain or certificate. authorized_keys_scan_done afterwards, also after failure. */
int authorized_keys_scan_init(struct authorized_keys_scan *s, struct view file, struct view key_blob) MUST_USE;
void authorized_keys_scan_done(struct authorized_keys_scan *s);
bool authorized_keys_next(struct authorized_keys_scan *s, struct authorized_keys_line *ret);

/* "YYYYMMDD", "YYYYMMDDHHMM" or "YYYYMMDDHHMMSS", with Z for UTC, else in the process's time zone. ERR_FORMAT. */
int authorized_keys_time_parse(struct view text, int64_t *ret_wall_s) MUST_USE;
