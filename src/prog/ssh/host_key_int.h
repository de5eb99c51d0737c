/* Host keys, for their own files: known_files.c (what the files and KnownHostsCommand say), host_key_cert.c (certificates),
 * host_key_dns.c (SSHFP), host_key_say.c (what the user is told and asked), host_key.c (what follows from it), host_keys_update.c
 * (further keys that the server proves to have). */
#pragma once

#include "prog/ssh/client.h"

#include "key/known_hosts.h"

enum {
    KNOWN_FILES_MAX = 72 /* two options of 32 each, and a command for each reason */
};

enum known_source {
    KNOWN_FROM_USER,
    KNOWN_FROM_SYSTEM,
    KNOWN_FROM_COMMAND
};

struct known_file {
    char *path; /* of a command "KnownHostsCommand-" and its reason */
    struct buf bytes;
    enum known_source source;
};
struct known_files {
    struct known_file v[KNOWN_FILES_MAX];
    size_t n, n_user; /* the user's come first */
};
void known_files_done(struct known_files *f);
/* UserKnownHostsFile and GlobalKnownHostsFile, as they were when host_key_algorithms read them, if it did; a file that cannot be
 * read is an empty one. */
int known_files_load(struct client *c, struct known_files *f) MUST_USE;
/* What KnownHostsCommand prints, if there is one. reason: %I. key empty: none is known yet. ERR_CANCELLED: it failed (said), and
 * nothing can be trusted without it. */
int known_files_run_command(struct client *c, const char *reason, const char *name, struct view key, struct known_files *f)
    MUST_USE;

struct finding {
    struct known_hosts_verdict verdict;
    const struct known_file *file; /* NULL: nothing was found */
};
int known_files_look_up(const struct known_files *files, const char *name, struct view key, struct finding *ret) MUST_USE;
/* Adds to the user's first file. What fails is said. */
int known_files_remember(struct client *c, const struct known_files *files, const struct view *names, size_t n_names,
                         struct view key) MUST_USE;
/* c->known_name, c->known_address */
int known_files_set_names(struct client *c) MUST_USE;
bool known_files_is_loopback(const struct client *c);

/* ---- host_key_cert.c ---- */
bool host_cert_is(struct view key);
/* At debug1, what it says. */
void host_cert_log(const struct client *c, struct view key);
/* By its own word: time, names, how it is signed. That the CA is trusted was found before. What is wrong is said. */
bool host_cert_is_valid(const struct client *c, struct view key);

/* ---- host_key_dns.c ---- */
enum host_dns {
    HOST_DNS_NOTHING, /* no record, or not asked */
    HOST_DNS_MATCH,
    HOST_DNS_SECURE_MATCH, /* and the answer is authenticated by DNSSEC */
    HOST_DNS_MISMATCH
};
enum host_dns host_dns_verify(struct client *c, struct view plain_key);

/* ---- host_key_say.c ---- */
char *host_key_fingerprint(const struct client *c, struct view key); /* NULL: no memory */
void host_key_say_framed(const struct client *c, const char *title);
void host_key_say_changed(const struct client *c, const struct finding *f, const char *name, struct view key);
void host_key_say_revoked(const struct client *c, const struct finding *f, struct view key);
/* VisualHostKey, for a key that nobody asks about. */
void host_key_show(const struct client *c, struct view key);
/* A question for yes or no, or the fingerprint if there is one to type. */
bool host_key_confirm(struct client *c, const char *question, const char *fingerprint);
/* Whether the user takes a key that no file knows. */
bool host_key_ask(struct client *c, const struct known_files *files, struct view key, enum host_dns dns);

/* ---- host_keys_update.c ---- */
/* No further keys are learnt from this server; the reason is for debug1. */
void host_keys_no_update(struct client *c, const char *why);
