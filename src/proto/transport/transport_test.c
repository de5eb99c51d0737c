/* Engine against engine: every method, cipher, MAC and compression, input cut everywhere, rekeying under traffic,
 * extensions. */
#include "proto/transport/transport_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct key *ed25519, *rsa;

static void make_key(const char *type, unsigned bits, struct key **ret)
{
    assert_int_equal(key_generate(key_type_find(view_str(type)), bits, ret), 0);
}

static int setup(UNUSED void **state)
{
    make_key("ssh-ed25519", 0, &ed25519);
    make_key("ssh-rsa", 2048, &rsa);
    return 0;
}

static int teardown(UNUSED void **state)
{
    key_unref(ed25519);
    key_unref(rsa);
    return 0;
}

static void assert_healthy(const struct pair *p)
{
    assert_int_equal(p->c.err, 0);
    assert_int_equal(p->s.err, 0);
    assert_int_equal(transport_error(p->c.t), 0);
    assert_int_equal(transport_error(p->s.t), 0);
}

static void send_text(struct end *e, const char *text)
{
    uint8_t payload[512] = { MSG_channel_data_NUMBER };
    size_t len = strlen(text);
    memcpy(payload + 1, text, len);
    assert_int_equal(end_send(e, view_of(payload, 1 + len)), 0);
}

/* The texts of e's received packets, in order, joined. */
static void assert_texts(const struct end *e, const char *expected)
{
    char got[65536] = "";
    size_t n = 0;
    struct rd r = rd_of(buf_view(&e->received));
    while (rd_left(&r)) {
        struct view v = rd_string(&r);
        if (v.len < 1 || n + v.len >= sizeof got) fail();
        if (v.len < 1) return; /* gcc does not know that fail() stays away */
        memcpy(got + n, v.p + 1, v.len - 1);
        n += v.len - 1;
    }
    assert_int_equal(rd_end(&r), 0);
    got[n] = 0;
    assert_string_equal(got, expected);
}

static void set_list(struct transport_config *c, size_t offset, const char *value)
{
    memcpy((char *)&c->algorithms + offset, &value, sizeof value);
}
static void both_lists(struct pair *p, size_t offset, const char *value)
{
    set_list(&p->cc, offset, value);
    set_list(&p->sc, offset, value);
}
#define BOTH(p, field, value) both_lists(p, offsetof(struct transport_algorithms, field), value)

/* Handshake, a rekey from each side, and traffic in between. */
static void run_session(struct pair *p)
{
    assert_int_equal(pair_start(p), 0);
    assert_int_equal(transport_request_service(p->c.t, "ssh-userauth"), 0);
    send_text(&p->c, "0");
    pair_run(p);
    assert_healthy(p);
    assert_int_equal(p->s.n_service, 1);
    assert_int_equal(p->c.n_accept, 1);
    assert_string_equal(p->c.text, "ssh-userauth");
    transport_authenticated(p->c.t);
    transport_authenticated(p->s.t);
    for (int i = 1; i <= 2; i++) {
        struct end *from = i == 1 ? &p->c : &p->s;
        assert_int_equal(transport_rekey(from->t), 0);
        send_text(&p->c, i == 1 ? "1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" : "2");
        send_text(&p->s, i == 1 ? "ABBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB" : "C");
        pair_run(p);
        assert_healthy(p);
    }
    assert_texts(&p->s, "01aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2");
    assert_texts(&p->c, "ABBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBC");
    assert_int_equal(p->c.n_keys, 3);
    assert_int_equal(p->s.n_keys, 3);
    assert_int_equal(p->c.n_first, 1);
    assert_int_equal(p->c.n_host_key, 3);
    assert_true(view_eq(transport_session_id(p->c.t), transport_session_id(p->s.t)));
    assert_true(transport_session_id(p->c.t).len > 0);
    struct transport_traffic traffic;
    transport_traffic(p->c.t, &traffic);
    assert_int_equal(traffic.rekeys, 2);
    assert_int_equal(traffic.bytes_out, p->c.wire_bytes);
    assert_int_equal(traffic.bytes_in, p->s.wire_bytes);
}

static void test_every_kex(UNUSED void **state)
{
    for (const struct kex_method *m = kex_method_table; m->name; m++) {
        struct pair p;
        struct transport_chosen chosen;
        pair_init(&p, ed25519);
        BOTH(&p, kex, m->name);
        p.cc.gex_max_bits = 2048;
        if (strstr(m->name, "group18")) BOTH(&p, cipher_c2s, "aes128-ctr");
        run_session(&p);
        transport_chosen(p.c.t, &chosen);
        assert_string_equal(chosen.kex, m->name);
        assert_true(chosen.strict);
        assert_int_equal(chosen.kex_is_post_quantum, m->is_post_quantum);
        assert_int_equal(p.s.n_group, m->kind == KEX_DH_GEX ? 3 : 0);
        pair_done(&p);
    }
}

static void test_every_cipher_mac_compression(UNUSED void **state)
{
    static const char *const compressions[] = { "none", "zlib@openssh.com", "zlib" };
    for (const struct cipher_desc *c = cipher_table; c->name; c++) {
        if (c->kind == CIPHER_NONE) continue;
        for (const struct mac_desc *m = mac_table; m->name; m++) {
            for (size_t z = 0; z < ARRAY_LEN(compressions); z++) {
                struct pair p;
                struct transport_chosen chosen;
                pair_init(&p, ed25519);
                BOTH(&p, cipher_c2s, c->name);
                BOTH(&p, cipher_s2c, c->name);
                BOTH(&p, mac_c2s, m->name);
                BOTH(&p, mac_s2c, m->name);
                BOTH(&p, compression_c2s, compressions[z]);
                BOTH(&p, compression_s2c, compressions[z]);
                run_session(&p);
                transport_chosen(p.s.t, &chosen);
                assert_string_equal(chosen.mac_c2s, c->kind == CIPHER_AEAD ? "<implicit>" : m->name);
                assert_string_equal(chosen.compression_s2c, compressions[z]);
                pair_done(&p);
            }
            if (c->kind == CIPHER_AEAD) break;
        }
    }
}

/* The directions may differ in everything. */
static void test_directions_differ(UNUSED void **state)
{
    struct pair p;
    pair_init(&p, ed25519);
    BOTH(&p, cipher_c2s, "chacha20-poly1305@openssh.com");
    BOTH(&p, cipher_s2c, "aes256-ctr");
    BOTH(&p, mac_s2c, "umac-64@openssh.com");
    BOTH(&p, compression_c2s, "zlib@openssh.com");
    run_session(&p);
    pair_done(&p);
}

static void test_rsa_names(UNUSED void **state)
{
    static const char *const names[] = { "rsa-sha2-512", "rsa-sha2-256" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct pair p;
        pair_init(&p, rsa);
        BOTH(&p, host_key, names[i]);
        run_session(&p);
        assert_true(view_eq(transport_host_key(p.c.t), key_blob(rsa)));
        pair_done(&p);
    }
}

/* A server that signs with another key or another algorithm than was agreed. */
static void test_wrong_signature(UNUSED void **state)
{
    struct pair p;
    pair_init(&p, rsa); /* agreed: ssh-ed25519 */
    assert_int_equal(pair_start(&p), 0);
    pair_run(&p);
    assert_true(p.c.err < 0 || p.s.err < 0);
    assert_int_equal(p.c.n_host_key, 0);
    pair_done(&p);
}

static void test_rejected_host_key(UNUSED void **state)
{
    struct pair p;
    pair_init(&p, ed25519);
    p.c.reject_host_key = true;
    assert_int_equal(pair_start(&p), 0);
    pair_run(&p);
    assert_int_equal(p.c.err, ERR_HOST_KEY_REJECTED);
    assert_int_equal(p.s.err, ERR_PEER_DISCONNECTED);
    assert_int_equal(p.s.reason, DISCONNECT_HOST_KEY_NOT_VERIFIABLE);
    pair_done(&p);
}

/* The wire cut into pieces of every small size gives the same as whole. */
static void test_cut_input(UNUSED void **state)
{
    static const char *const ciphers[] = { "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr", "aes128-cbc" };
    static const char *const macs[] = { "hmac-sha2-256", "umac-64-etm@openssh.com" };
    for (size_t c = 0; c < ARRAY_LEN(ciphers); c++) {
        for (size_t m = 0; m < ARRAY_LEN(macs); m++) {
            for (size_t chunk = 1; chunk < 40; chunk += chunk < 20 ? 1 : 7) {
                struct pair p;
                pair_init(&p, ed25519);
                p.chunk = chunk;
                BOTH(&p, cipher_c2s, ciphers[c]);
                BOTH(&p, cipher_s2c, ciphers[c]);
                BOTH(&p, mac_c2s, macs[m]);
                BOTH(&p, mac_s2c, macs[m]);
                run_session(&p);
                pair_done(&p);
            }
        }
    }
}

/* Peers without strict key exchange: the sequence numbers go on. */
static void test_not_strict(UNUSED void **state)
{
    struct pair p;
    struct transport_chosen chosen;
    pair_init(&p, ed25519);
    BOTH(&p, cipher_c2s, "chacha20-poly1305@openssh.com");
    BOTH(&p, cipher_s2c, "aes128-ctr");
    assert_int_equal(pair_start(&p), 0);
    end_forget_strict(&p.c);
    end_forget_strict(&p.s);
    assert_int_equal(transport_request_service(p.c.t, "ssh-userauth"), 0);
    pair_run(&p);
    assert_healthy(&p);
    transport_chosen(p.c.t, &chosen);
    assert_false(chosen.strict);
    assert_true(p.c.t->out.n.sequence > 4);
    assert_int_equal(p.c.n_accept, 1);
    transport_authenticated(p.c.t);
    transport_authenticated(p.s.t);
    assert_int_equal(transport_rekey(p.s.t), 0);
    send_text(&p.c, "x");
    pair_run(&p);
    assert_healthy(&p);
    assert_texts(&p.s, "x");
    assert_int_equal(p.c.n_keys, 2);
    pair_done(&p);
}

static void test_strict_resets_sequence(UNUSED void **state)
{
    struct pair p;
    pair_init(&p, ed25519);
    assert_int_equal(pair_start(&p), 0);
    pair_run(&p);
    assert_healthy(&p);
    assert_int_equal(p.c.t->out.n.sequence, 1); /* EXT_INFO */
    assert_int_equal(p.s.t->in.n.sequence, 1);
    assert_int_equal(transport_rekey(p.c.t), 0);
    pair_run(&p);
    assert_healthy(&p);
    assert_int_equal(p.c.t->out.n.sequence, 0);
    pair_done(&p);
}

/* ---- rekeying ---- */

/* Both sides send all the time while keys change every few kilobytes; nothing is lost, doubled or out of order. */
static void rekey_under_traffic(size_t chunk, const char *compression)
{
    enum {
        PACKETS = 400
    };
    struct pair p;
    pair_init(&p, ed25519);
    p.chunk = chunk;
    p.cc.rekey_bytes = 16 * 1024;
    p.sc.rekey_bytes = 24 * 1024;
    BOTH(&p, compression_c2s, compression);
    assert_int_equal(pair_start(&p), 0);
    pair_run(&p);
    transport_authenticated(p.c.t);
    transport_authenticated(p.s.t);
    for (uint32_t i = 0; i < PACKETS; i++) {
        uint8_t payload[600] = { MSG_channel_data_NUMBER, (uint8_t)(i >> 8), (uint8_t)i };
        for (size_t k = 3; k < sizeof payload; k++) payload[k] = (uint8_t)(i * k);
        assert_int_equal(end_send(&p.c, view_of(payload, sizeof payload - i % 500)), 0);
        assert_int_equal(end_send(&p.s, view_of(payload, sizeof payload - i % 500)), 0);
        end_cross(&p.c, p.chunk, 0);
        end_cross(&p.s, p.chunk, 0);
        assert_healthy(&p);
    }
    pair_run(&p);
    assert_healthy(&p);
    assert_true(p.c.n_keys > 4);
    struct end *ends[] = { &p.c, &p.s };
    for (size_t e = 0; e < 2; e++) {
        struct rd r = rd_of(buf_view(&ends[e]->received));
        for (uint32_t i = 0; i < PACKETS; i++) {
            struct view v = rd_string(&r);
            assert_int_equal(v.len, 600 - i % 500);
            assert_int_equal(v.p[1] << 8 | v.p[2], i);
            for (size_t k = 3; k < v.len; k++) assert_int_equal(v.p[k], (uint8_t)(i * k));
        }
        assert_int_equal(rd_end(&r), 0);
    }
    pair_done(&p);
}

static void test_rekey_under_traffic(UNUSED void **state)
{
    rekey_under_traffic(SIZE_MAX, "none");
    rekey_under_traffic(300, "zlib@openssh.com");
    rekey_under_traffic(5000, "zlib");
}

static void test_rekey_by_time(UNUSED void **state)
{
    struct pair p;
    pair_init(&p, ed25519);
    p.cc.rekey_interval_ms = 1000;
    assert_int_equal(pair_start(&p), 0);
    pair_run(&p);
    send_text(&p.c, "x");
    pair_run(&p);
    assert_int_equal(transport_deadline(p.c.t), MS_NEVER); /* not before login */
    transport_authenticated(p.c.t);
    transport_authenticated(p.s.t);
    assert_int_equal(transport_deadline(p.c.t), 1000);
    assert_int_equal(transport_tick(p.c.t, 999), 0);
    assert_false(transport_in_kex(p.c.t));
    p.now = 1000;
    assert_int_equal(transport_tick(p.c.t, 1000), 0);
    assert_true(transport_in_kex(p.c.t));
    pair_run(&p);
    assert_healthy(&p);
    assert_int_equal(p.c.n_keys, 2);
    /* Nothing was sent under the new keys: they need not be changed. */
    assert_int_equal(transport_deadline(p.c.t), MS_NEVER);
    send_text(&p.c, "x");
    assert_int_equal(transport_deadline(p.c.t), 2000);
    pair_done(&p);
}

/* Both KEXINITs cross on the wire. */
static void test_rekey_from_both(UNUSED void **state)
{
    struct pair p;
    pair_init(&p, ed25519);
    assert_int_equal(pair_start(&p), 0);
    pair_run(&p);
    assert_int_equal(transport_rekey(p.c.t), 0);
    assert_int_equal(transport_rekey(p.s.t), 0);
    send_text(&p.c, "x");
    send_text(&p.s, "y");
    pair_run(&p);
    assert_healthy(&p);
    assert_int_equal(p.c.n_keys, 2);
    assert_texts(&p.s, "x");
    assert_texts(&p.c, "y");
    pair_done(&p);
}

static void set_used(struct end *e, uint64_t packets)
{
    e->t->in.n.key_packets = packets;
    e->peer->t->out.n.key_packets = packets;
}

static void test_limits_of_keys(UNUSED void **state)
{
    struct pair p;
    pair_init(&p, ed25519);
    assert_int_equal(pair_start(&p), 0);
    pair_run(&p);
    transport_authenticated(p.c.t);
    transport_authenticated(p.s.t);
    set_used(&p.s, (uint64_t)1 << 31);
    send_text(&p.c, "x");
    pair_run(&p);
    assert_healthy(&p);
    assert_int_equal(p.s.n_keys, 2);
    /* The cipher's own limit in blocks. */
    p.c.t->out.n.key_blocks = (uint64_t)1 << 32;
    send_text(&p.c, "y");
    pair_run(&p);
    assert_int_equal(p.s.n_keys, 3);
    assert_healthy(&p);
    set_used(&p.s, UINT32_MAX);
    assert_int_equal(end_send(&p.c, VIEW_LIT("\x5ez")), ERR_SEQUENCE_WRAP);
    pair_done(&p);
}

static void test_limits_of_keys_before_login(UNUSED void **state)
{
    struct pair p;
    pair_init(&p, ed25519);
    p.cc.rekey_bytes = 1; /* the configured limit waits for the login */
    assert_int_equal(pair_start(&p), 0);
    pair_run(&p);
    send_text(&p.c, "x");
    pair_run(&p);
    assert_healthy(&p);
    assert_int_equal(p.s.n_keys, 1);
    set_used(&p.s, (uint64_t)1 << 31);
    assert_int_equal(end_send(&p.c, VIEW_LIT("\x5ez")), ERR_LIMIT);
    pair_done(&p);
}

static void test_preauth_packets(UNUSED void **state)
{
    struct pair p;
    pair_init(&p, ed25519);
    assert_int_equal(pair_start(&p), 0);
    pair_run(&p);
    for (int i = 0; i < LIMIT_PREAUTH_PACKETS; i++) send_text(&p.c, "x");
    pair_run(&p);
    assert_int_equal(p.s.err, ERR_LIMIT);
    pair_done(&p);
}

/* ---- the small messages ---- */

static void test_extensions(UNUSED void **state)
{
    struct pair p;
    pair_init(&p, ed25519);
    p.sc.early_session = true;
    assert_int_equal(pair_start(&p), 0);
    assert_int_equal(transport_ping(p.c.t, VIEW_LIT("x")), ERR_UNSUPPORTED);
    pair_run(&p);
    assert_string_equal(p.c.ext,
                        "server-sig-algs=a,b;publickey-hostbound@openssh.com=0;ping@openssh.com=0;" EXT_EARLY_SESSION "=0;");
    assert_string_equal(p.s.ext, "ext-info-in-auth@openssh.com=0;");
    /* Before login a PING is passed over. */
    assert_int_equal(transport_ping(p.c.t, VIEW_LIT("one")), 0);
    pair_run(&p);
    assert_int_equal(p.c.n_pong, 0);
    transport_authenticated(p.c.t);
    transport_authenticated(p.s.t);
    assert_int_equal(transport_ping(p.c.t, VIEW_LIT("two")), 0);
    pair_run(&p);
    assert_int_equal(p.c.n_pong, 1);
    assert_string_equal(p.c.text, "two");
    assert_int_equal(transport_ping(p.s.t, VIEW_LIT("x")), ERR_UNSUPPORTED);
    assert_healthy(&p);
    pair_done(&p);
}

static void test_small_messages(UNUSED void **state)
{
    struct pair p;
    pair_init(&p, ed25519);
    assert_int_equal(pair_start(&p), 0);
    pair_run(&p);
    assert_int_equal(transport_ignore(p.c.t, 1000), 0);
    assert_int_equal(transport_debug(p.c.t, "psst"), 0);
    send_text(&p.c, "x");
    pair_run(&p);
    assert_int_equal(p.s.n_debug, 1);
    assert_string_equal(p.s.text, "psst");
    assert_int_equal(transport_unimplemented(p.s.t), 0);
    pair_run(&p);
    assert_int_equal(p.c.n_unimplemented, 1);
    assert_int_equal(p.c.unimplemented_sequence, 3); /* EXT_INFO 0, IGNORE 1, DEBUG 2 */
    transport_disconnect(p.s.t, DISCONNECT_BY_APPLICATION, "enough");
    assert_int_equal(transport_error(p.s.t), ERR_CANCELLED);
    assert_int_equal(end_send(&p.s, VIEW_LIT("x")), ERR_CANCELLED);
    pair_run(&p);
    assert_int_equal(p.c.err, ERR_PEER_DISCONNECTED);
    assert_int_equal(p.c.reason, DISCONNECT_BY_APPLICATION);
    assert_string_equal(p.c.text, "enough");
    assert_int_equal(transport_output(p.c.t).len, 0);
    pair_done(&p);
}

static void test_upper_layer_failed(UNUSED void **state)
{
    struct pair p;
    pair_init(&p, ed25519);
    assert_int_equal(pair_start(&p), 0);
    pair_run(&p);
    transport_fail(p.s.t, ERR_TOO_MANY_AUTH, "Too many authentication failures");
    pair_run(&p);
    assert_int_equal(p.c.reason, 2);
    assert_string_equal(p.c.text, "Too many authentication failures");
    pair_done(&p);
}

static void test_questions_once(UNUSED void **state)
{
    struct pair p;
    pair_init(&p, ed25519);
    p.c.keep_questions = true;
    assert_int_equal(pair_start(&p), 0);
    assert_int_equal(transport_answer_host_key(p.c.t, true), ERR_STATE);
    pair_run(&p);
    assert_int_equal(p.c.n_host_key, 1);
    assert_int_equal(transport_answer_sign(p.c.t, VIEW_LIT("x")), ERR_STATE);
    assert_int_equal(transport_accept_service(p.c.t), ERR_STATE);
    assert_int_equal(transport_answer_host_key(p.c.t, true), 0);
    assert_int_equal(transport_answer_host_key(p.c.t, true), ERR_STATE);
    end_events(&p.c, 0);
    pair_run(&p);
    assert_healthy(&p);
    assert_int_equal(p.s.n_keys, 1);
    pair_done(&p);
}

static void test_peer_closed(UNUSED void **state)
{
    struct pair p;
    pair_init(&p, ed25519);
    assert_int_equal(pair_start(&p), 0);
    pair_run(&p);
    send_text(&p.c, "last");
    struct view out = transport_output(p.c.t);
    uint8_t *area;
    size_t room;
    transport_input(p.s.t, &area, &room);
    memcpy(area, out.p, out.len);
    transport_received(p.s.t, out.len);
    transport_input_eof(p.s.t);
    end_events(&p.s, 0);
    assert_texts(&p.s, "last");
    assert_int_equal(p.s.err, ERR_PEER_CLOSED);
    pair_done(&p);
}

/* ---- bulk ---- */

static void test_bulk(UNUSED void **state)
{
    enum {
        CHUNK = 32 * 1024,
        TOTAL = 64
    };
    struct pair p;
    uint8_t *payload = malloc(CHUNK);
    pair_init(&p, ed25519);
    assert_int_equal(pair_start(&p), 0);
    pair_run(&p);
    transport_authenticated(p.c.t);
    transport_authenticated(p.s.t);
    struct link l = transport_link(p.c.t);
    size_t sent = 0, chunk = 1000;
    while (sent < TOTAL) {
        while (sent < TOTAL && link_room(&l) >= CHUNK) {
            memset(payload, (int)sent, CHUNK);
            payload[0] = MSG_channel_data_NUMBER;
            assert_int_equal(end_send(&p.c, view_of(payload, CHUNK)), 0);
            sent++;
        }
        end_cross(&p.c, chunk, 0);
        chunk = chunk * 7 % 100003; /* writes in part, of any size */
    }
    pair_run(&p);
    assert_healthy(&p);
    struct rd r = rd_of(buf_view(&p.s.received));
    for (size_t i = 0; i < TOTAL; i++) {
        struct view v = rd_string(&r);
        assert_int_equal(v.len, CHUNK);
        for (size_t k = 1; k < CHUNK; k++)
            if (v.p[k] != i) fail_msg("byte %zu of packet %zu", k, i);
    }
    assert_int_equal(rd_end(&r), 0);
    /* A peer that does not read. */
    uint8_t *area;
    int err;
    while ((err = link_reserve(&l, CHUNK, &area)) == 0) assert_int_equal(link_commit(&l, CHUNK), 0);
    assert_int_equal(err, ERR_LIMIT);
    assert_int_equal(link_room(&l), 0);
    assert_int_equal(link_reserve(&l, LIMIT_PACKET_PAYLOAD_BYTES + 1, &area), ERR_LIMIT);
    free(payload);
    pair_done(&p);
}

static void test_held_bound(UNUSED void **state)
{
    struct pair p;
    uint8_t *area;
    int err;
    size_t n = 0;
    pair_init(&p, ed25519);
    assert_int_equal(pair_start(&p), 0);
    struct link l = transport_link(p.c.t);
    while ((err = link_reserve(&l, 32768, &area)) == 0) {
        memset(area, 94, 32768);
        assert_int_equal(link_commit(&l, 32768), 0);
        n++;
    }
    assert_int_equal(err, ERR_LIMIT);
    assert_int_equal(n, LIMIT_HELD_BYTES / 32772);
    pair_run(&p);
    assert_healthy(&p);
    assert_int_equal(buf_len(&p.s.received), n * 32772);
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kex),
        cmocka_unit_test(test_every_cipher_mac_compression),
        cmocka_unit_test(test_directions_differ),
        cmocka_unit_test(test_rsa_names),
        cmocka_unit_test(test_wrong_signature),
        cmocka_unit_test(test_rejected_host_key),
        cmocka_unit_test(test_cut_input),
        cmocka_unit_test(test_not_strict),
        cmocka_unit_test(test_strict_resets_sequence),
        cmocka_unit_test(test_rekey_under_traffic),
        cmocka_unit_test(test_rekey_by_time),
        cmocka_unit_test(test_rekey_from_both),
        cmocka_unit_test(test_limits_of_keys),
        cmocka_unit_test(test_limits_of_keys_before_login),
        cmocka_unit_test(test_preauth_packets),
        cmocka_unit_test(test_extensions),
        cmocka_unit_test(test_small_messages),
        cmocka_unit_test(test_upper_layer_failed),
        cmocka_unit_test(test_questions_once),
        cmocka_unit_test(test_peer_closed),
        cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_held_bound),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
