/* The identification strings: RFC 4253 4.2. It reads raw bytes until a line "SSH-..." is there; a client passes over the lines that
 * a server may send before. What is said in plain text to a peer that speaks something else is OpenSSH's, because people grep for
 * it. */
#include "proto/transport/transport_int.h"

/* The line without LF and the CR before it. False: the end is not there yet. */
static bool line_find(struct view raw, size_t max, struct view *ret_line, size_t *ret_used)
{
    size_t seen = MIN(raw.len, max);
    const uint8_t *lf = seen ? memchr(raw.p, '\n', seen) : NULL;
    if (!lf) return false;
    size_t len = (size_t)(lf - raw.p);
    *ret_used = len + 1;
    if (len && raw.p[len - 1] == '\r') len--;
    *ret_line = view_of(raw.p, len);
    return true;
}

static bool has_digits(struct view *v, unsigned *ret)
{
    size_t i = 0;
    unsigned n = 0;
    for (; i < v->len && i < 4 && v->p[i] >= '0' && v->p[i] <= '9'; i++) n = n * 10 + (v->p[i] - '0');
    *v = view_sub(*v, i, v->len);
    *ret = n;
    return i > 0;
}

static bool has_char(struct view *v, char c)
{
    if (!v->len || v->p[0] != (uint8_t)c) return false;
    *v = view_sub(*v, 1, v->len);
    return true;
}

/* SSH-major.minor-software */
static int ident_check(struct view line, struct view *ret_software)
{
    unsigned major, minor;
    struct view v = view_sub(line, 4, line.len);
    if (view_has_nul(line) || (line.len && memchr(line.p, '\r', line.len))) return ERR_IDENT_INVALID;
    if (!has_digits(&v, &major) || !has_char(&v, '.') || !has_digits(&v, &minor) || !has_char(&v, '-') || !v.len)
        return ERR_IDENT_INVALID;
    *ret_software = v;
    /* 4253 5.1: 1.99 is a 2.0 that would also speak 1. */
    return major == 2 || (major == 1 && minor == 99) ? 0 : ERR_IDENT_VERSION;
}

/* Says why in plain text: a peer that is no SSH could not read a DISCONNECT. */
static int refuse(struct transport *t, int err)
{
    const char *text = err == ERR_IDENT_VERSION ? "Protocol major versions differ.\r\n" : "Invalid SSH identification string.\r\n";
    if (err == ERR_IDENT_VERSION || transport_is_server(t)) TRY(packet_out_raw(&t->out, view_str(text)));
    return err;
}

static int ident_accept(struct transport *t, struct view line, struct transport_event *ret)
{
    struct view software = VIEW_EMPTY;
    int err = ident_check(line, &software);
    if (err) return refuse(t, err);
    TRY(buf_put_view(&t->peer_ident, line));
    log_debug(t->log, "Remote protocol version %.*s, remote software version %.*s", (int)(software.p - line.p - 5),
              (const char *)line.p + 4, VIEW_ARG(software));
    *ret = (struct transport_event){ .kind = TRANSPORT_PEER_IDENT, .text = buf_view(&t->peer_ident) };
    t->state = STATE_KEXINIT;
    return 1;
}

int ident_next(struct transport *t, struct transport_event *ret)
{
    struct view raw = packet_in_raw(&t->in), line = VIEW_EMPTY;
    size_t used = 0;
    size_t n = MIN(raw.len, (size_t)4);
    bool may_be_ident = n == 0 || memcmp(raw.p, "SSH-", n) == 0;
    size_t max = may_be_ident || transport_is_server(t) ? LIMIT_IDENT_BYTES : LIMIT_IDENT_LINE_BYTES;
    if (!line_find(raw, max, &line, &used)) {
        if (raw.len < max) return 0;
        return !may_be_ident && transport_is_server(t) ? refuse(t, ERR_IDENT_INVALID) : ERR_IDENT_ENDLESS;
    }
    packet_in_skip(&t->in, used);
    if (view_has_prefix(line, "SSH-")) return ident_accept(t, line, ret);
    if (transport_is_server(t)) return refuse(t, ERR_IDENT_INVALID);
    if (++t->ident_lines > LIMIT_IDENT_LINES) return ERR_IDENT_ENDLESS;
    log_debug(t->log, "kex_exchange_identification: banner line %zu: %.*s", t->ident_lines - 1, VIEW_ARG(line));
    *ret = (struct transport_event){ .kind = TRANSPORT_IDENT_LINE, .text = line };
    return 1;
}
