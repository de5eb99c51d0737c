/* What the parts of scp share. main.c reads the command line; copy.c says who copies what and has the ways that need no connection;
 * sftp_copy.c copies by SFTP; old_copy.c by the old protocol, with old_sink.c and old_source.c, which are the far end of others'
 * scp too. */
#pragma once

#include "base/log.h"
#include "io/meter.h"
#include "io/ssh_start.h"
#include "proto/scp/scp.h"

enum {
    SCP_GOOD = 0,
    SCP_FAILED = 1 /* as exit status */
};

struct scp_options {
    bool recursive, preserve, quiet, verbose, old, direct, any_name;
    bool is_sink, is_source, must_be_dir; /* -t, -f, -d: run by another scp */
    uint64_t limit_bits_s;                /* 0: none */
    size_t requests_max, request_bytes;   /* -X; 0: not said */
    const char *program, *server_path;    /* -S, -D; NULL: not said */
    int port;                             /* 0: not said */
    struct strv ssh_options;              /* for ssh, as they were given */
};

struct scp {
    struct scp_options o;
    struct log log; /* errors with the program's name before them, which is how OpenSSH's scp looks by SFTP */
    struct loop *loop;
    struct meter *meter; /* NULL: none is shown */
    bool failed;         /* something was not copied, and that was said */
};

/* A source or the target. */
struct scp_place {
    bool remote;
    struct ssh_destination at; /* if remote; path is never NULL then */
    const char *path;          /* where: at.path, or what was given */
};
/* ERR_FORMAT: cannot be; it was said. */
int scp_place_parse(struct scp *s, const char *text, struct scp_place *ret) MUST_USE;
void scp_place_done(struct scp_place *p);
bool scp_place_same_host(const struct scp_place *a, const struct scp_place *b);

/* Says it on stderr, foreign bytes escaped, without the program's name, as the old protocol's errors look. Something has failed. */
void scp_say(struct scp *s, const char *fmt, ...) PRINTF(2, 3);
/* The same with the program's name. */
void scp_fail(struct scp *s, const char *fmt, ...) PRINTF(2, 3);

/* ---- copy.c ---- */
/* All of the command line's work. */
void scp_copy(struct scp *s, const struct scp_place *sources, size_t n_sources, const struct scp_place *target);
/* Starts ssh, or the server of -D, to say SFTP (command NULL) or to run a command. batch: it may not ask anything. */
int scp_connect(struct scp *s, const struct scp_place *to, const char *command, bool batch, struct ssh_child *ret) MUST_USE;
/* Its end; a bad one is a failure. */
void scp_disconnect(struct scp *s, pid_t pid);
/* The last component of a path without slashes at its end; "." for one that names no file of its own ("/", "..", ""). */
struct view scp_base_name(const char *path);
/* dir/name. Caller frees; NULL: no memory. */
char *scp_join(const char *dir, struct view name);

/* ---- sftp_copy.c ---- */
struct sftp_copy;
/* Copies to one target; what is given is copied at the latest at the end, as far as it can be told in one go. */
int sftp_copy_new(struct scp *s, const struct scp_place *target, struct sftp_copy **ret) MUST_USE;
/* One source, of which at least one end is remote. Errors have been said. */
void sftp_copy_add(struct sftp_copy *c, const struct scp_place *source);
/* What was added is done; connections end. */
void sftp_copy_end(struct sftp_copy *c);

/* ---- old_copy.c ---- */
/* The bytes between us and the other scp: descriptors that wait. */
struct old_wire {
    struct scp *s;
    int in_fd, out_fd; /* -1: none */
    pid_t pid;         /* of ssh; 0: we are the far end ourselves, and failures are the other's to show */
    bool lost;         /* the other is gone, or not to be trusted: said */
    bool is_deaf;      /* it does not read any more; what it said before may still come */
    uint8_t *area;     /* OLD_AREA_BYTES each, for what comes and for what goes */
    struct view in;    /* of area: what has come and is not taken yet */
    ms rate_since;
    uint64_t rate_bytes;
};
enum {
    OLD_AREA_BYTES = 256 * 1024
};
/* Waits for bytes in w->in. False: there will be none. */
bool old_wire_read(struct old_wire *w);
/* False: the other does not read. */
bool old_wire_write(struct old_wire *w, struct view bytes);
/* Sends and empties it. */
void old_wire_flush(struct old_wire *w, struct buf *out);
/* After len bytes have moved: waits as long as -l wants it. */
void old_wire_limit(struct old_wire *w, size_t len);
/* "lost connection", once. */
void old_wire_lost(struct old_wire *w);

struct old_copy {
    struct scp *s;
    const struct scp_place *target;
    struct old_wire up; /* to the target, once something was sent */
    struct scp_source source;
};
void old_copy_init(struct old_copy *c, struct scp *s, const struct scp_place *target);
/* One source, of which at least one end is remote; it is done then. */
void old_copy_add(struct old_copy *c, const struct scp_place *source);
void old_copy_end(struct old_copy *c);
/* As the far end: stdin and stdout are the other scp. args: what to send, or the target alone. */
void old_serve(struct scp *s, char **args, size_t n_args);

/* Takes what comes and writes it to target; wanted as in proto/scp/scp.h. */
void old_sink(struct old_wire *w, const char *target, const struct strv *wanted);
/* The sink's answer to the last step. False: there will be no more. */
bool old_source_hear(struct old_wire *w, struct scp_source *source, struct scp_answer *ret);
/* One file or tree. */
void old_source(struct old_wire *w, struct scp_source *source, const char *path);
