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

/* The index of the key whose blob has the type that the algorithm signs with; false if there is none. */
static bool find_host_key(const struct monitor *m, const struct key_type *algorithm, uint32_t *ret_idx, struct view *ret_blob)
{
    struct rd r = rd_of(m->setup.host_keys);
    for (uint32_t i = 0; rd_left(&r); i++) {
        struct view blob = rd_string(&r);
        struct rd in_blob = rd_of(blob);
        if (!view_eq_str(rd_string(&in_blob), algorithm->blob_name)) continue;
        *ret_idx = i;
        *ret_blob = blob;
        return rd_stop(&r) == 0;
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
        uint32_t idx;
        struct view blob;
        if (!type || type->is_cert || !find_host_key(m, type, &idx, &blob)) continue;
        if (m->host_key_names.n == ARRAY_LEN(m->host_key_idx)) return ERR_LIMIT;
        m->host_key_idx[m->host_key_names.n] = idx;
        TRY(strv_add(&m->host_key_names, name));
        if (buf_len(ret_algorithms)) TRY(buf_put_u8(ret_algorithms, ','));
        TRY(buf_put_view(ret_algorithms, name));
        wr_string(&w, name);
        wr_string(&w, blob);
    }
    return wr_end(&w);
}

int monitor_sign(struct monitor *m, struct view algorithm, struct view hash, struct buf *ret_signature)
{
    for (size_t i = 0; i < m->host_key_names.n; i++) {
        if (!view_eq_str(algorithm, m->host_key_names.v[i])) continue;
        struct ipc_message msg;
        struct ipc_signed answer;
        TRY(IPC_SEND(&m->key_holder, sign, .key_idx = m->host_key_idx[i], .algorithm = algorithm, .data = hash));
        TRY(ipc_expect(&m->key_holder, clock_now() + KEY_HOLDER_WAIT_MS, IPC_signed_NUMBER, &msg));
        TRY(ipc_signed_get(msg.fields, &answer));
        if (!m->host_key_was_used) m->host_key_used = m->host_key_idx[i];
        m->host_key_was_used = true;
        return buf_put_view(ret_signature, answer.signature);
    }
    return ERR_UNEXPECTED_MESSAGE;
}

struct view monitor_host_key_blob(const struct monitor *m)
{
    struct rd r = rd_of(m->setup.host_keys);
    struct view blob = VIEW_EMPTY;
    for (size_t i = 0; m->host_key_was_used && i <= m->host_key_used; i++) blob = rd_string(&r);
    return blob;
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
