/* known_hosts files (sshd(8) SSH_KNOWN_HOSTS FILE FORMAT) as bytes: looking hosts up, making lines, finding, removing and hashing
 * entries. Lookup goes through the file's bytes once; a line whose names do not match costs no decoding and no allocation. Broken
 * lines are passed over. */
#pragma once

#include "base/random.h"
#include "key/key.h"

enum known_hosts_marker {
    KNOWN_HOSTS_PLAIN,
    KNOWN_HOSTS_CA,
    KNOWN_HOSTS_REVOKED
};

/* One entry; all views lent by the file. */
struct known_hosts_line {
    size_t number;    /* 1-based */
    struct view text; /* whole line without newline */
    enum known_hosts_marker marker;
    struct view names;                 /* the list of patterns, or one hashed name */
    struct view type, base64, comment; /* not decoded: public_line_key makes a key of them */
};

/* The name that a host is looked up by: host in lower case, or "[host]:port" for a port other than 22 (0 counts as 22). Appends. */
int known_hosts_name_put(struct view host, unsigned port, struct buf *out) MUST_USE;

/* 1: an entry. 0: blank or comment. ERR_FORMAT: anything else. number is left alone. */
int known_hosts_line_parse(struct view text, struct known_hosts_line *ret) MUST_USE;
/* Whether the names of a line match (hashed, patterns with ! * ?). name as known_hosts_name_put makes it. A line for a port other
 * than 22 is only matched by a name with that port. */
bool known_hosts_line_matches(const struct known_hosts_line *l, struct view name);
bool known_hosts_is_hashed(struct view names);

/* Goes through the entries that match any of the names. names and file must stay. */
struct known_hosts_scan {
    struct view rest;
    const struct view *names;
    size_t n_names, number;
};
static inline struct known_hosts_scan known_hosts_scan_of(struct view file, const struct view *names, size_t n_names)
{
    return (struct known_hosts_scan){ .rest = file, .names = names, .n_names = n_names };
}
bool known_hosts_next(struct known_hosts_scan *s, struct known_hosts_line *ret);

enum known_hosts_status {
    KNOWN_HOSTS_NEW,     /* no entry of this type */
    KNOWN_HOSTS_CHANGED, /* only entries with another key of this type: `line` is the first of them */
    KNOWN_HOSTS_OK,      /* `line` has this key, or, for a certificate, is a @cert-authority with its CA */
    KNOWN_HOSTS_REFUSED, /* `line` is @revoked with this key, its certificate's CA or the certified key */
};
struct known_hosts_verdict {
    enum known_hosts_status status;
    struct known_hosts_line line;  /* number 0 for NEW */
    struct known_hosts_line other; /* NEW: the first plain entry of the host with another type; number 0 if none */
};
/* key_blob: plain key or certificate. For a certificate only @cert-authority lines can say OK, and it is never CHANGED: ask again
 * with its plain key (cert_plain_blob) when it is NEW. The caller verifies the certificate itself. Several files: the caller takes
 * the verdict with the highest status, REFUSED of any file wins. ERR_FORMAT etc. when key_blob is no key. */
int known_hosts_check(struct view file, const struct view *names, size_t n_names, struct view key_blob,
                      struct known_hosts_verdict *ret) MUST_USE;
/* The next plain line that has exactly this key (base64 text of its blob) under any name: "This host key is known by the following
 * other names/addresses". *rest and *number (0 at the start) are stepped on. */
bool known_hosts_next_with_key(struct view *rest, size_t *number, struct view base64, struct known_hosts_line *ret);

/* Which key types the host is known by, to order HostKeyAlgorithms. types[i] of at most cap; plain and, for @cert-authority,
 * has_ca. */
struct known_hosts_types {
    const struct key_type *plain[16]; /* each once, blob rows ("ssh-rsa") */
    size_t n_plain;
    bool has_ca;
};
/* Adds to *io, so that several files can be gone through. */
void known_hosts_types(struct view file, const struct view *names, size_t n_names, struct known_hosts_types *io);

/* "names type base64\n". hashed: each name becomes a line of its own with |1|salt|hash. Appends. random may be NULL when not
 * hashed. */
int known_hosts_line_put(const struct view *names, size_t n_names, struct view key_blob, bool hashed, const struct random *random,
                         struct buf *out) MUST_USE;
/* "|1|salt|hash" of a name. Appends. */
int known_hosts_hash_put(struct view name, const struct random *random, struct buf *out) MUST_USE;

/* What an edit meets on its way; called with the line. */
enum known_hosts_event {
    KNOWN_HOSTS_EVENT_CHANGED,  /* removed, or hashed */
    KNOWN_HOSTS_EVENT_WILDCARD, /* has patterns and cannot be hashed */
    KNOWN_HOSTS_EVENT_INVALID,  /* only number and text are set */
};
typedef void known_hosts_edit_fn(void *arg, enum known_hosts_event event, const struct known_hosts_line *l);
struct known_hosts_edit_result {
    size_t n_changed, n_invalid; /* with invalid lines OpenSSH leaves the file alone; out has them as they were */
    bool has_unhashed;           /* there are readable names in the input */
};
/* ssh-keygen -R: the file without the plain entries that match name (lines with markers stay). Lines end with a newline in out. fn
 * may be NULL. */
int known_hosts_remove(struct view file, struct view name, known_hosts_edit_fn *fn, void *arg, struct buf *out,
                       struct known_hosts_edit_result *ret) MUST_USE;
/* ssh-keygen -H: each plain name becomes a hashed line of its own; entries with patterns or markers stay as they are. */
int known_hosts_hash(struct view file, const struct random *random, known_hosts_edit_fn *fn, void *arg, struct buf *out,
                     struct known_hosts_edit_result *ret) MUST_USE;
/* The lines that stand for an entry when its names are hashed (1 line unless it has several). Appends, each with newline. An entry
 * with patterns or a marker, or hashed already, is copied. */
int known_hosts_line_put_hashed(const struct known_hosts_line *l, const struct random *random, struct buf *out) MUST_USE;
bool known_hosts_has_wildcard(struct view names);
