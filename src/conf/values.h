/* The shapes of option values that are more than an int, a string or a list of strings. Owned by the options they are part of;
 * freed by the type of the option (conf/types.h). */
#pragma once

#include "base/strv.h"

/* Yes/no/... options are ints with these values where no other enum is named. */
enum {
    CONF_NO = 0,
    CONF_YES = 1,
    CONF_ASK = 2
};
enum {
    CONF_TIME_NONE = -1
}; /* in a time: no limit */

enum conf_address_family {
    CONF_AF_ANY,
    CONF_AF_INET,
    CONF_AF_INET6
};
enum conf_canonicalize {
    CONF_CANONICALIZE_NO,
    CONF_CANONICALIZE_YES,
    CONF_CANONICALIZE_ALWAYS
};
enum conf_control_master {
    CONF_MASTER_NO,
    CONF_MASTER_YES,
    CONF_MASTER_ASK,
    CONF_MASTER_AUTO,
    CONF_MASTER_AUTO_ASK
};
enum conf_host_key_checking {
    CONF_HOST_KEYS_NO,
    CONF_HOST_KEYS_YES,
    CONF_HOST_KEYS_ASK,
    CONF_HOST_KEYS_ACCEPT_NEW
};
enum conf_request_tty {
    CONF_TTY_AUTO,
    CONF_TTY_NO,
    CONF_TTY_YES,
    CONF_TTY_FORCE
};
enum conf_session_type {
    CONF_SESSION_NONE,
    CONF_SESSION_SUBSYSTEM,
    CONF_SESSION_DEFAULT
};
enum conf_pubkey_auth {
    CONF_PUBKEY_NO,
    CONF_PUBKEY_YES /* both kinds */,
    CONF_PUBKEY_UNBOUND,
    CONF_PUBKEY_HOST_BOUND
};
enum conf_tunnel {
    CONF_TUNNEL_NO,
    CONF_TUNNEL_POINTOPOINT,
    CONF_TUNNEL_ETHERNET,
    CONF_TUNNEL_YES
};
enum conf_hash {
    CONF_HASH_MD5,
    CONF_HASH_SHA1,
    CONF_HASH_SHA256,
    CONF_HASH_SHA384,
    CONF_HASH_SHA512
};
enum conf_weak_crypto {
    CONF_WEAK_CRYPTO_SILENT,
    CONF_WEAK_CRYPTO_WARN,
    CONF_WEAK_CRYPTO_NO_PQ_KEX
};
enum conf_root_login {
    CONF_ROOT_NO,
    CONF_ROOT_FORCED_COMMANDS,
    CONF_ROOT_NO_PASSWORD,
    CONF_ROOT_YES
};
enum conf_ignore_rhosts {
    CONF_RHOSTS_USE,
    CONF_RHOSTS_IGNORE,
    CONF_RHOSTS_SHOSTS_ONLY
};
enum conf_forwarding {
    CONF_FORWARDING_NO = 0,
    CONF_FORWARDING_REMOTE = 1,
    CONF_FORWARDING_LOCAL = 2,
    CONF_FORWARDING_YES = 3
};
enum conf_gateway_ports {
    CONF_GATEWAY_NO,
    CONF_GATEWAY_YES,
    CONF_GATEWAY_CLIENT
};
/* syslog(3) facility numbers without the shift */
enum {
    CONF_FACILITY_USER = 1,
    CONF_FACILITY_DAEMON = 3,
    CONF_FACILITY_AUTH = 4,
    CONF_FACILITY_AUTHPRIV = 10,
    CONF_FACILITY_LOCAL0 = 16
};
enum {
    CONF_PUBKEY_TOUCH_REQUIRED = 1,
    CONF_PUBKEY_VERIFY_REQUIRED = 2
}; /* bits of PubkeyAuthOptions */
enum {
    CONF_ESCAPE_NONE = -1
}; /* EscapeChar; else the byte */
enum {
    CONF_TUN_ANY = -1
};
enum {
    CONF_QOS_NONE = -1
}; /* leave the socket as the system made it */

struct conf_rekey {
    uint64_t bytes;  /* 0: by cipher */
    int32_t seconds; /* 0: never by time */
};
struct conf_ipqos {
    int interactive, bulk; /* values for IP_TOS, or CONF_QOS_NONE */
};
struct conf_tun_device {
    int local, remote; /* unit or CONF_TUN_ANY */
};
struct conf_add_keys {
    int mode;        /* CONF_NO, CONF_YES, CONF_ASK, CONF_ADD_KEYS_CONFIRM */
    int32_t seconds; /* life in the agent, 0: as long as it lives */
};
enum {
    CONF_ADD_KEYS_CONFIRM = 3
};
struct conf_control_persist {
    bool on;
    int32_t seconds; /* 0: for ever */
};
struct conf_forward_agent {
    bool on;
    char *path; /* NULL: SSH_AUTH_SOCK; may begin with $ */
};
struct conf_obscure_timing {
    bool on;
    int interval_ms;
};

/* One forward of LocalForward, RemoteForward or DynamicForward (-L, -R, -D). Exactly one of path and port is used on each side. */
struct conf_forward {
    char *listen_host; /* NULL: by GatewayPorts; "" or "*": all addresses */
    int listen_port;   /* 0: chosen by the server (RemoteForward) */
    char *listen_path; /* a unix socket */
    char *connect_host;
    int connect_port;
    char *connect_path;
    bool socks; /* no destination: the listener speaks SOCKS */
};
struct conf_forwards {
    struct conf_forward *v;
    size_t n;
};

struct conf_listen {
    char *host;    /* NULL: all addresses */
    int port;      /* 0: every Port */
    char *rdomain; /* or NULL */
};
struct conf_listens {
    struct conf_listen *v;
    size_t n;
};
struct conf_max_startups {
    int begin, rate_percent, full;
};
struct conf_net_block {
    int bits4, bits6;
};
struct conf_penalties {
    bool on;
    bool overflow4_deny_all, overflow6_deny_all; /* else permissive: the oldest gives way */
    int max_sources4, max_sources6;
    int64_t crash_ms, authfail_ms, invaliduser_ms, refuseconnection_ms, noauth_ms, grace_exceeded_ms, max_ms, min_ms;
};
struct conf_channel_timeout {
    char *type; /* a pattern of channel types, or "global" */
    int64_t ms; /* 0: none */
};
struct conf_channel_timeouts {
    struct conf_channel_timeout *v;
    size_t n;
};
struct conf_subsystem {
    char *name;
    char *command; /* with its arguments, quoting kept */
};
struct conf_subsystems {
    struct conf_subsystem *v;
    size_t n;
};
struct conf_user_environment {
    int mode; /* CONF_NO, CONF_YES, or CONF_ASK: only names that match the patterns */
    char *patterns;
};
