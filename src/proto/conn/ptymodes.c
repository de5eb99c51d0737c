/* The table of RFC 4254 8 and 8160 (IUTF8), and the codec over it. */
#include "proto/conn/ptymodes.h"
#include "base/rd.h"
#include "base/wr.h"

static const struct ptymodes_info table[] = {
    { 1, PTYMODES_CHAR, "VINTR" },     { 2, PTYMODES_CHAR, "VQUIT" },      { 3, PTYMODES_CHAR, "VERASE" },
    { 4, PTYMODES_CHAR, "VKILL" },     { 5, PTYMODES_CHAR, "VEOF" },       { 6, PTYMODES_CHAR, "VEOL" },
    { 7, PTYMODES_CHAR, "VEOL2" },     { 8, PTYMODES_CHAR, "VSTART" },     { 9, PTYMODES_CHAR, "VSTOP" },
    { 10, PTYMODES_CHAR, "VSUSP" },    { 11, PTYMODES_CHAR, "VDSUSP" },    { 12, PTYMODES_CHAR, "VREPRINT" },
    { 13, PTYMODES_CHAR, "VWERASE" },  { 14, PTYMODES_CHAR, "VLNEXT" },    { 15, PTYMODES_CHAR, "VFLUSH" },
    { 16, PTYMODES_CHAR, "VSWTCH" },   { 17, PTYMODES_CHAR, "VSTATUS" },   { 18, PTYMODES_CHAR, "VDISCARD" },
    { 30, PTYMODES_INPUT, "IGNPAR" },  { 31, PTYMODES_INPUT, "PARMRK" },   { 32, PTYMODES_INPUT, "INPCK" },
    { 33, PTYMODES_INPUT, "ISTRIP" },  { 34, PTYMODES_INPUT, "INLCR" },    { 35, PTYMODES_INPUT, "IGNCR" },
    { 36, PTYMODES_INPUT, "ICRNL" },   { 37, PTYMODES_INPUT, "IUCLC" },    { 38, PTYMODES_INPUT, "IXON" },
    { 39, PTYMODES_INPUT, "IXANY" },   { 40, PTYMODES_INPUT, "IXOFF" },    { 41, PTYMODES_INPUT, "IMAXBEL" },
    { 42, PTYMODES_INPUT, "IUTF8" },   { 50, PTYMODES_LOCAL, "ISIG" },     { 51, PTYMODES_LOCAL, "ICANON" },
    { 52, PTYMODES_LOCAL, "XCASE" },   { 53, PTYMODES_LOCAL, "ECHO" },     { 54, PTYMODES_LOCAL, "ECHOE" },
    { 55, PTYMODES_LOCAL, "ECHOK" },   { 56, PTYMODES_LOCAL, "ECHONL" },   { 57, PTYMODES_LOCAL, "NOFLSH" },
    { 58, PTYMODES_LOCAL, "TOSTOP" },  { 59, PTYMODES_LOCAL, "IEXTEN" },   { 60, PTYMODES_LOCAL, "ECHOCTL" },
    { 61, PTYMODES_LOCAL, "ECHOKE" },  { 62, PTYMODES_LOCAL, "PENDIN" },   { 70, PTYMODES_OUTPUT, "OPOST" },
    { 71, PTYMODES_OUTPUT, "OLCUC" },  { 72, PTYMODES_OUTPUT, "ONLCR" },   { 73, PTYMODES_OUTPUT, "OCRNL" },
    { 74, PTYMODES_OUTPUT, "ONOCR" },  { 75, PTYMODES_OUTPUT, "ONLRET" },  { 90, PTYMODES_CONTROL, "CS7" },
    { 91, PTYMODES_CONTROL, "CS8" },   { 92, PTYMODES_CONTROL, "PARENB" }, { 93, PTYMODES_CONTROL, "PARODD" },
    { 128, PTYMODES_SPEED, "ISPEED" }, { 129, PTYMODES_SPEED, "OSPEED" },
};
_Static_assert(ARRAY_LEN(table) == PTYMODES_MAX, "a list has room for each opcode once");

const struct ptymodes_info *ptymodes_at(size_t idx) { return idx < ARRAY_LEN(table) ? &table[idx] : NULL; }

const struct ptymodes_info *ptymodes_of_opcode(uint8_t opcode)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].opcode == opcode) return &table[i];
    return NULL;
}

const struct ptymodes_info *ptymodes_of_name(struct view name)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (view_eq_str(name, table[i].name)) return &table[i];
    return NULL;
}

int ptymodes_set(struct ptymodes *m, uint8_t opcode, uint32_t value)
{
    size_t i = 0;
    if (!ptymodes_of_opcode(opcode)) return ERR_RANGE;
    while (i < m->n && m->at[i].opcode != opcode) i++;
    m->at[i] = (struct pty_mode){ opcode, value };
    if (i == m->n) m->n++;
    return 0;
}

int ptymodes_parse(struct view encoded, struct ptymodes *ret)
{
    struct rd r = rd_of(encoded);
    struct ptymodes modes = { .n = 0 };
    while (rd_left(&r)) {
        uint8_t opcode = rd_u8(&r);
        if (opcode == PTYMODES_OP_END || opcode >= PTYMODES_OP_ARGUMENT_END) break;
        uint32_t value = rd_u32(&r);
        TRY(rd_stop(&r));
        if (ptymodes_of_opcode(opcode)) TRY(ptymodes_set(&modes, opcode, value));
    }
    *ret = modes;
    return 0;
}

int ptymodes_encode(const struct ptymodes *m, struct buf *out)
{
    struct wr w = wr_of(out);
    size_t before = buf_len(out);
    for (size_t i = 0; i < m->n; i++) {
        wr_u8(&w, m->at[i].opcode);
        wr_u32(&w, m->at[i].value);
    }
    wr_u8(&w, PTYMODES_OP_END);
    int err = wr_end(&w);
    if (err < 0) buf_truncate(out, before);
    return err;
}
