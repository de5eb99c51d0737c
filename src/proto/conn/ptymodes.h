/* Encoded terminal modes: the modes string of pty-req (RFC 4254 8, RFC 8160). Opcodes and names only; what they are in a termios is
 * known by who has a terminal. */
#pragma once

#include "base/buf.h"
#include "base/view.h"

enum {
    PTYMODES_OP_END = 0,
    PTYMODES_OP_ARGUMENT_END = 160, /* opcodes from here on have no known argument: parsing stops there */
    PTYMODES_OP_ISPEED = 128,
    PTYMODES_OP_OSPEED = 129,
    PTYMODES_MAX = 56, /* rows of the table of opcodes */
};

/* What the value of a mode says, and which field of a termios it is about. */
enum ptymodes_kind {
    PTYMODES_CHAR,  /* c_cc: a character, 255 for none */
    PTYMODES_INPUT, /* flags: 0 or 1 */
    PTYMODES_LOCAL,
    PTYMODES_OUTPUT,
    PTYMODES_CONTROL,
    PTYMODES_SPEED, /* bits per second */
};

struct ptymodes_info {
    uint8_t opcode;
    enum ptymodes_kind kind;
    const char *name; /* "VINTR", "ECHO": without TTY_OP_ for the speeds */
};
/* By opcode, rising; NULL past the end. For tables elsewhere that add the termios side. */
const struct ptymodes_info *ptymodes_at(size_t idx);
const struct ptymodes_info *ptymodes_of_opcode(uint8_t opcode); /* NULL: unknown */
const struct ptymodes_info *ptymodes_of_name(struct view name); /* NULL: unknown */

struct pty_mode {
    uint8_t opcode;
    uint32_t value;
};
struct ptymodes {
    size_t n;
    struct pty_mode at[PTYMODES_MAX]; /* each opcode once, in the order in which they first came */
};

/* Modes with unknown opcodes below 160 are skipped; the end is TTY_OP_END, an opcode from 160 on, or the last byte. Of an opcode
 * that comes twice the last value counts. ERR_TRUNCATED: a value is cut off; *ret is then untouched. */
int ptymodes_parse(struct view encoded, struct ptymodes *ret) MUST_USE;
/* Sets or replaces one. ERR_RANGE: the opcode is unknown. */
int ptymodes_set(struct ptymodes *m, uint8_t opcode, uint32_t value) MUST_USE;
/* Appends the string's contents, TTY_OP_END included. */
int ptymodes_encode(const struct ptymodes *m, struct buf *out) MUST_USE;
