/* Past identification and KEXINIT: the peer's are good ones, then come packets whose payloads are the input's, in the clear. The
 * first byte says which role and method; then u16 length and payload, each. Payload numbers of a running connection are tried with
 * keys: bit 3 of the first byte runs a whole handshake first and sends them sealed. */
#include "proto/transport/transport_fuzz.h"

static const char *const methods[] = { "curve25519-sha256", "mlkem768x25519-sha256", "diffie-hellman-group-exchange-sha256",
                                       "ecdh-sha2-nistp256" };

static void send_each(struct pair *p, struct packet_out *o, struct end *victim, struct view v)
{
    struct rd r = rd_of(v);
    while (rd_left(&r) >= 2 && !victim->err) {
        size_t len = rd_u16(&r);
        struct view payload = rd_bytes(&r, MIN(len, rd_left(&r)));
        uint8_t *area;
        if (payload.len == 0 || packet_out_reserve(o, payload.len, &area) < 0) return;
        memcpy(area, payload.p, payload.len);
        if (packet_out_commit(o, payload.len) < 0) return;
        while (o->queued) {
            size_t n = end_feed(victim, packet_out_view(o), p->now);
            if (n == 0) return;
            packet_out_sent(o, n);
        }
        transport_sent(victim->t, transport_output(victim->t).len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct pair p;
    struct packet_out plain;
    pair_init(&p, fuzz_host_key());
    struct end *victim = data[0] & 1 ? &p.s : &p.c, *peer = victim->peer;
    p.cc.algorithms.kex = p.sc.algorithms.kex = methods[data[0] >> 1 & 3];
    p.cc.gex_max_bits = 2048;
    if (pair_start(&p) == 0) {
        packet_out_init(&plain, &peer->rnd);
        if (data[0] & 8) {
            pair_run(&p);
            if (data[0] & 16) transport_authenticated(victim->t);
            if (data[0] & 32) (void)transport_request_service(p.c.t, "x");
            transport_sent(peer->t, peer->t->out.queued);
        } else {
            /* Their identification and KEXINIT, no more. */
            struct view out = transport_output(peer->t);
            (void)end_feed(victim, out, 0);
            transport_sent(peer->t, out.len);
        }
        transport_sent(victim->t, transport_output(victim->t).len);
        send_each(&p, data[0] & 8 ? &peer->t->out : &plain, victim, view_of(data + 1, size - 1));
        packet_out_done(&plain);
    }
    pair_done(&p);
    return 0;
}
