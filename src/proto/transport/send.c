/* What goes out: the link for the layers above with its holding of packets while keys are exchanged (RFC 4253 7.1: after KEXINIT
 * nothing of theirs until NEWKEYS), and the messages that the owner asks for. */
#include "proto/transport/transport_int.h"

enum {
    SMALL_BYTES = 64
};

/* ---- held packets ---- */

static int held_reserve(struct transport *t, size_t payload_max, uint8_t **ret_payload)
{
    uint8_t *area;
    if (payload_max == 0 || payload_max > LIMIT_PACKET_PAYLOAD_BYTES) return ERR_LIMIT;
    TRY(buf_reserve(&t->held, 4 + payload_max, &area));
    t->held_reserved = payload_max;
    *ret_payload = area + 4;
    return 0;
}

static int held_commit(struct transport *t, size_t payload_len)
{
    struct wr w = wr_area(t->held.base + t->held.end, 4);
    if (payload_len == 0 || payload_len > t->held_reserved) return ERR_STATE;
    t->held_reserved = 0;
    wr_u32(&w, (uint32_t)payload_len);
    TRY(wr_end(&w));
    buf_commit(&t->held, 4 + payload_len);
    return 0;
}

int transport_release_held(struct transport *t)
{
    while (buf_len(&t->held)) {
        struct rd r = rd_of(buf_view(&t->held));
        struct view payload = rd_string(&r);
        uint8_t *area;
        TRY(rd_stop(&r));
        TRY(packet_out_reserve(&t->out, payload.len, &area));
        memcpy(area, payload.p, payload.len);
        TRY(packet_out_commit(&t->out, payload.len));
        buf_consume(&t->held, 4 + payload.len);
    }
    buf_done(&t->held);
    return 0;
}

/* ---- links ---- */

static int direct_reserve(void *lower, size_t payload_max, uint8_t **ret_payload)
{
    struct transport *t = lower;
    return packet_out_reserve(&t->out, payload_max, ret_payload);
}

static int direct_commit(void *lower, size_t payload_len)
{
    struct transport *t = lower;
    return packet_out_commit(&t->out, payload_len);
}

static int upper_reserve(void *lower, size_t payload_max, uint8_t **ret_payload)
{
    struct transport *t = lower;
    if (t->err) return t->err;
    t->held_reserved = 0;
    return t->out_closed ? held_reserve(t, payload_max, ret_payload) : packet_out_reserve(&t->out, payload_max, ret_payload);
}

static int upper_commit(void *lower, size_t payload_len)
{
    struct transport *t = lower;
    if (t->err) return t->err;
    if (t->held_reserved) return held_commit(t, payload_len);
    int err = packet_out_commit(&t->out, payload_len);
    /* ERR_STATE: a reservation that something else forgot. Any other failure leaves cipher and sequence number apart. */
    if (err == ERR_STATE) return err;
    if (err < 0) return t->err = err;
    err = transport_check_rekey(t);
    return err < 0 ? transport_set_error(t, err, NULL) : 0;
}

static size_t upper_room(void *lower)
{
    const struct transport *t = lower;
    if (t->err || t->out_closed || t->out.queued >= LIMIT_OUTPUT_SOFT_BYTES) return 0;
    return LIMIT_OUTPUT_SOFT_BYTES - t->out.queued;
}

static const struct link_ops direct_ops = { direct_reserve, direct_commit, upper_room };
static const struct link_ops upper_ops = { upper_reserve, upper_commit, upper_room };

struct link transport_direct_link(struct transport *t) { return (struct link){ &direct_ops, t }; }
struct link transport_link(struct transport *t) { return (struct link){ &upper_ops, t }; }

/* ---- messages that the owner asks for ---- */

#define SEND(t, max, name, ...)                     \
    ({                                              \
        struct link upper_ = transport_link(t);     \
        LINK_SEND(&upper_, max, name, __VA_ARGS__); \
    })

int transport_request_service(struct transport *t, const char *service)
{
    if (transport_is_server(t) || t->service_requested) return t->err ? t->err : ERR_STATE;
    TRY(SEND(t, strlen(service) + SMALL_BYTES, service_request, .service = view_str(service)));
    t->service_requested = true;
    return 0;
}

int transport_ping(struct transport *t, struct view data)
{
    if (!t->peer_has_ping) return t->err ? t->err : ERR_UNSUPPORTED;
    return SEND(t, data.len + SMALL_BYTES, ping, .data = data);
}

int transport_ignore(struct transport *t, size_t n_random_bytes)
{
    struct link l = transport_link(t);
    uint8_t *area;
    TRY(link_reserve(&l, n_random_bytes + 5, &area));
    struct wr w = wr_area(area, 5);
    wr_u8(&w, MSG_ignore_NUMBER);
    wr_u32(&w, (uint32_t)n_random_bytes);
    TRY(wr_end(&w));
    TRY(random_fill(t->rnd, area + 5, n_random_bytes));
    return link_commit(&l, n_random_bytes + 5);
}

int transport_debug(struct transport *t, const char *text)
{
    return SEND(t, strlen(text) + SMALL_BYTES, debug, .text = view_str(text));
}

int transport_unimplemented(struct transport *t) { return SEND(t, SMALL_BYTES, unimplemented, .sequence = t->last_sequence); }

/* ---- the end ---- */

static void send_disconnect(struct transport *t, uint32_t reason, const char *text)
{
    struct link l = transport_direct_link(t);
    /* A peer that cannot be told is not told: the connection ends all the same. */
    (void)LINK_SEND(&l, strlen(text) + SMALL_BYTES, disconnect, .reason = reason, .description = view_str(text));
}

int transport_set_error(struct transport *t, int err, const char *text)
{
    if (t->err) return t->err;
    t->err = err;
    t->has_event = false;
    if (err_severity_of(err) != ERR_SEVERITY_FATAL && t->state != STATE_IDENT)
        send_disconnect(t, err_disconnect_reason(err), text ? text : err_text(err));
    return err;
}

void transport_disconnect(struct transport *t, uint32_t reason, const char *text)
{
    if (t->err) return;
    send_disconnect(t, reason, text);
    t->err = ERR_CANCELLED;
    t->has_event = false;
}

void transport_fail(struct transport *t, int err, const char *text) { (void)transport_set_error(t, err, text); }
