/* The listener's own parts, for the files of its folder only. */
#pragma once

#include "conf/sshd_options.h"
#include "io/algorithms.h"
#include "ipc/ipc.h"
#include "os/daemon.h"
#include "os/logsink.h"
#include "os/loop.h"
#include "os/sock.h"
#include "prog/sshd/command_line.h"
#include "prog/sshd/penalties.h"

struct monitors;

struct listener {
    struct command_line cmd;
    char **argv;
    struct buf command; /* argv in one line */
    const char *config_path;
    struct algorithms algs;
    struct conf_image image;
    struct sshd_options options; /* global part */
    struct logsink sink;
    struct loop *loop;
    struct buf setup;      /* session_setup for monitors */
    struct buf host_keys;  /* list of blobs, from the key holder */
    struct buf host_certs; /* for the setup */
    struct ipc key_holder;
    struct strv parts; /* paths of the other programs, as enum part */
    struct monitors *monitors;
    struct penalties *penalties;
    int *sockets;
    size_t n_sockets, n_given; /* given: by systemd, from DAEMON_LISTEN_FIRST on */
    struct loop_fd **watches;
    struct loop_timer *accept_again;
    int served_status;  /* -d, -i: how the one session ended */
    ms throttled_since; /* 0: connections are taken */
    unsigned n_dropped;
};

enum part {
    PART_IDX_KEYS,
    PART_IDX_SESSION,
    PART_IDX_AUTH,
    PART_IDX_USER,
    PART_IDX_MAX
};

/* For its processes: stderr if that is the log, else -1, as whoever waits for the end of our output would wait for the daemon's. */
static inline int listener_stderr(const struct listener *l) { return l->cmd.log_stderr || l->cmd.debug ? 2 : -1; }

/* What a connection came to (enum ipc_outcome) goes onto the account of its source. */
void listener_note_outcome(struct listener *l, const struct sock_addr *peer, uint32_t outcome);

/* config: file, settings, defaults, checks; messages go to stderr. ERR_FORMAT. */
int listener_load_config(struct listener *l) MUST_USE;
/* Finds the other programs: beside this one, in ../libexec/nacre, or where they were installed. */
int listener_find_parts(struct listener *l) MUST_USE;
/* Starts the key holder and waits until it has loaded the keys. ERR_NOT_FOUND: there is none. */
int listener_start_keys(struct listener *l) MUST_USE;
/* Packs what monitors need to know. */
int listener_make_setup(struct listener *l) MUST_USE;
/* -T, -G: prints the options that hold for the connection of -C. */
int listener_dump(struct listener *l) MUST_USE;

/* The name in ps: its command, and how many connections have not logged in yet. */
void listener_show_title(const struct listener *l, size_t n_starting);

/* listen_sockets.c: fills sockets from options or systemd. */
int listener_listen(struct listener *l) MUST_USE;

/* monitors.c: processes started ahead of need, and those that serve. */
int monitors_new(struct listener *l, size_t n_ready, struct monitors **ret) MUST_USE;
void monitors_free(struct monitors *m); /* ends those that wait; those that serve live on */
/* Gives a connection to a monitor. The fds become its. one_socket: out_fd is ignored. peer may be NULL. */
int monitors_serve(struct monitors *m, int take_in_fd, int take_out_fd, bool one_socket, const struct sock_addr *peer) MUST_USE;
/* Connections before authentication. */
size_t monitors_n_starting(const struct monitors *m);
/* Those of them from the same network: so many leading bits of the address are the same. */
size_t monitors_n_starting_from(const struct monitors *m, const struct sock_addr *peer, const struct conf_net_block *block);
/* Starts as many as are missing. */
void monitors_refill(struct monitors *m);
