/* Host keys and groups: which signature algorithms we can offer, and the questions that go on to the key holder and the moduli
 * file. */
#include "prog/sshd/monitor.h"

#include "crypto/kex.h"
#include "key/moduli.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/random.h"

enum {
    KEY_HOLDER_WAIT_MS = 30000,
    MODULI_BYTES_MAX = 64 << 20
};

static bool is_of_type(struct view blob, const struct key_type *algorithm)
{
    struct rd r = rd_of(blob);
    return view_eq_str(rd_string(&r), algorithm->blob_name) && rd_stop(&r) == 0;
}

/* The key, or certificate, whose blob has the type that the algorithm signs with; false if there is none. */
static bool find_host_key(const struct monitor *m, const struct key_type *algorithm, struct monitor_host_key *ret)
{
    struct rd r = rd_of(algorithm->is_cert ? m->setup.host_certs : m->setup.host_keys);
    for (uint32_t i = 0; rd_left(&r); i++) {
        *ret = (struct monitor_host_key){ .idx = algorithm->is_cert ? rd_u32(&r) : i, .blob = rd_string(&r) };
        if (is_of_type(ret->blob, algorithm)) return rd_stop(&r) == 0;
    }
    return false;
}

int monitor_list_host_keys(struct monitor *m, struct buf *ret_algorithms, struct buf *ret_host_keys)
{
    struct view list = view_str(m->options.host_key_algorithms), name;
    struct wr w = wr_of(ret_host_keys);
    strv_done(&m->host_key_names);
    while (view_next_in_list(&list, &name)) {
        const struct key_type *type = key_type_find(name);
        struct monitor_host_key key;
        if (!type || !find_host_key(m, type, &key)) continue;
        if (m->host_key_names.n == ARRAY_LEN(m->host_keys)) return ERR_LIMIT;
        m->host_keys[m->host_key_names.n] = key;
        TRY(strv_add(&m->host_key_names, name));
        if (buf_len(ret_algorithms)) TRY(buf_put_u8(ret_algorithms, ','));
        TRY(buf_put_view(ret_algorithms, name));
        wr_string(&w, name);
        wr_string(&w, key.blob);
    }
    return wr_end(&w);
}

static int take_signature(struct monitor *m, struct buf *ret_signature)
{
    struct ipc_message msg;
    struct ipc_signed answer;
    TRY(ipc_expect(&m->key_holder, clock_now() + KEY_HOLDER_WAIT_MS, IPC_signed_NUMBER, &msg));
    TRY(ipc_signed_get(msg.fields, &answer));
    return buf_put_view(ret_signature, answer.signature);
}

int monitor_sign(struct monitor *m, struct view algorithm, struct view hash, struct buf *ret_signature)
{
    for (size_t i = 0; i < m->host_key_names.n; i++) {
        if (!view_eq_str(algorithm, m->host_key_names.v[i])) continue;
        const struct key_type *type = key_type_find(algorithm);
        TRY(IPC_SEND(&m->key_holder, sign, .key_idx = m->host_keys[i].idx, .algorithm = view_str(type->plain_name), .data = hash));
        TRY(take_signature(m, ret_signature));
        if (m->host_key_used.len == 0) m->host_key_used = m->host_keys[i].blob;
        return 0;
    }
    return ERR_UNEXPECTED_MESSAGE;
}

int monitor_prove(struct monitor *m, struct view key, struct view algorithm, struct buf *ret_signature)
{
    struct rd r = rd_of(m->setup.host_keys);
    for (uint32_t i = 0; rd_left(&r); i++) {
        if (!view_eq(rd_string(&r), key)) continue;
        TRY(IPC_SEND(&m->key_holder, prove, .key_idx = i, .algorithm = algorithm, .session_id = buf_view(&m->session_id)));
        return take_signature(m, ret_signature);
    }
    return ERR_NOT_FOUND;
}

static int choose_from_file(const struct monitor *m, uint32_t min_bits, uint32_t bits, uint32_t max_bits, struct buf *ret_p,
                            struct buf *ret_g)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(MODULI_BYTES_MAX);
    struct moduli_group group = { 0, BUF_INIT(2048), BUF_INIT(2048) };
    if (!m->options.moduli_file) return ERR_NOT_FOUND;
    TRY(file_read(m->options.moduli_file, &file));
    TRY(moduli_choose(buf_view(&file), min_bits, bits, max_bits, &os_random, &group));
    int err = buf_put_view(ret_p, buf_view(&group.p));
    if (err == 0) err = buf_put_view(ret_g, buf_view(&group.g));
    moduli_group_done(&group);
    return err;
}

int monitor_choose_group(struct monitor *m, uint32_t min_bits, uint32_t bits, uint32_t max_bits, struct buf *ret_p,
                         struct buf *ret_g)
{
    struct view p, g;
    int err = choose_from_file(m, min_bits, bits, max_bits, ret_p, ret_g);
    if (err == 0) return 0;
    monitor_log(m, LOG_LEVEL_INFO, "WARNING: could not open %s (%s), using fixed modulus", m->options.moduli_file, err_text(err));
    buf_reset(ret_p);
    buf_reset(ret_g);
    TRY(kex_builtin_group(min_bits, bits, max_bits, &p, &g));
    TRY(buf_put_view(ret_p, p));
    return buf_put_view(ret_g, g);
}
