/* Gets and puts of every row of messages.def; names for logs. */
#include "wire/messages.h"

#define CODEC_DEF "wire/messages.def"
#include "wire/codec_define.h"
#undef CODEC_DEF

static const char *const names[256] = {
    [1] = "SSH2_MSG_DISCONNECT",
    [2] = "SSH2_MSG_IGNORE",
    [3] = "SSH2_MSG_UNIMPLEMENTED",
    [4] = "SSH2_MSG_DEBUG",
    [5] = "SSH2_MSG_SERVICE_REQUEST",
    [6] = "SSH2_MSG_SERVICE_ACCEPT",
    [7] = "SSH2_MSG_EXT_INFO",
    [8] = "SSH2_MSG_NEWCOMPRESS",
    [20] = "SSH2_MSG_KEXINIT",
    [21] = "SSH2_MSG_NEWKEYS",
    [30] = "SSH2_MSG_KEX_ECDH_INIT",
    [31] = "SSH2_MSG_KEX_ECDH_REPLY",
    [32] = "SSH2_MSG_KEX_DH_GEX_INIT",
    [33] = "SSH2_MSG_KEX_DH_GEX_REPLY",
    [34] = "SSH2_MSG_KEX_DH_GEX_REQUEST",
    [50] = "SSH2_MSG_USERAUTH_REQUEST",
    [51] = "SSH2_MSG_USERAUTH_FAILURE",
    [52] = "SSH2_MSG_USERAUTH_SUCCESS",
    [53] = "SSH2_MSG_USERAUTH_BANNER",
    [60] = "SSH2_MSG_USERAUTH_PK_OK",
    [61] = "SSH2_MSG_USERAUTH_INFO_RESPONSE",
    [80] = "SSH2_MSG_GLOBAL_REQUEST",
    [81] = "SSH2_MSG_REQUEST_SUCCESS",
    [82] = "SSH2_MSG_REQUEST_FAILURE",
    [90] = "SSH2_MSG_CHANNEL_OPEN",
    [91] = "SSH2_MSG_CHANNEL_OPEN_CONFIRMATION",
    [92] = "SSH2_MSG_CHANNEL_OPEN_FAILURE",
    [93] = "SSH2_MSG_CHANNEL_WINDOW_ADJUST",
    [94] = "SSH2_MSG_CHANNEL_DATA",
    [95] = "SSH2_MSG_CHANNEL_EXTENDED_DATA",
    [96] = "SSH2_MSG_CHANNEL_EOF",
    [97] = "SSH2_MSG_CHANNEL_CLOSE",
    [98] = "SSH2_MSG_CHANNEL_REQUEST",
    [99] = "SSH2_MSG_CHANNEL_SUCCESS",
    [100] = "SSH2_MSG_CHANNEL_FAILURE",
    [192] = "SSH2_MSG_PING",
    [193] = "SSH2_MSG_PONG",
};

const char *msg_name(uint8_t number) { return names[number] ? names[number] : "unknown"; }
