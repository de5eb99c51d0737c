/* The messages of messages.def as structs with get and put (wire/codec.h says how they look), their names, and the numbers
 * that name ranges, reasons and modes. */
#pragma once

#include "wire/codec.h"

#define CODEC_DEF "wire/messages.def"
#include "wire/codec_declare.h"
#undef CODEC_DEF

/* Ranges of message numbers: RFC 4250 4.1.2 */
enum {
    MSG_TRANSPORT_MIN = 1,
    MSG_TRANSPORT_MAX = 49,
    MSG_KEX_MIN = 30,
    MSG_KEX_MAX = 49,
    MSG_AUTH_MIN = 50,
    MSG_AUTH_MAX = 79,
    MSG_AUTH_METHOD_MIN = 60,
    MSG_CONN_MIN = 80,
    MSG_CONN_MAX = 127,
    MSG_LOCAL_MIN = 192,
};

/* RFC 4250 4.2.2 */
enum disconnect_reason {
    DISCONNECT_HOST_NOT_ALLOWED = 1,
    DISCONNECT_PROTOCOL_ERROR = 2,
    DISCONNECT_KEX_FAILED = 3,
    DISCONNECT_MAC_ERROR = 5,
    DISCONNECT_COMPRESSION_ERROR = 6,
    DISCONNECT_SERVICE_NOT_AVAILABLE = 7,
    DISCONNECT_VERSION_NOT_SUPPORTED = 8,
    DISCONNECT_HOST_KEY_NOT_VERIFIABLE = 9,
    DISCONNECT_CONNECTION_LOST = 10,
    DISCONNECT_BY_APPLICATION = 11,
    DISCONNECT_TOO_MANY_CONNECTIONS = 12,
    DISCONNECT_AUTH_CANCELLED_BY_USER = 13,
    DISCONNECT_NO_MORE_AUTH_METHODS = 14,
    DISCONNECT_ILLEGAL_USER_NAME = 15,
};

/* RFC 4250 4.3 */
enum open_failure {
    OPEN_ADMINISTRATIVELY_PROHIBITED = 1,
    OPEN_CONNECT_FAILED = 2,
    OPEN_UNKNOWN_CHANNEL_TYPE = 3,
    OPEN_RESOURCE_SHORTAGE = 4,
};

enum {
    EXTENDED_DATA_STDERR = 1
};

/* "SSH2_MSG_KEXINIT"-like name for logs; where methods share a number, the most common one. "unknown" for others. */
const char *msg_name(uint8_t number);
