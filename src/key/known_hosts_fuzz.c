#include "key/known_hosts_update.h"

static int fill(UNUSED void *arg, uint8_t *ret, size_t len)
{
    memset(ret, 7, len);
    return 0;
}

/* What is not of the server stays, and of its old keys nothing. */
static void update(struct view file, const struct view *names, struct view key)
{
    CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 22), again = BUF_INIT(1 << 22);
    struct known_hosts_survey before = { .n_old = 0 }, after = { .n_old = 0 };
    const struct known_hosts_server server = { names, 2, &key, 1 };
    bool changed;
    if (known_hosts_survey(file, &server, &before) < 0) return;
    (void)known_hosts_old_has_other_names(file, &server, &before);
    CHECK(known_hosts_replace(file, &server, NULL, false, NULL, &out, &changed) == 0);
    CHECK(changed || before.n_old == 0);
    CHECK(known_hosts_survey(buf_view(&out), &server, &after) == 0 && after.n_old == 0);
    CHECK(after.known[0] == before.known[0] && after.has_other_names == before.has_other_names);
    CHECK(known_hosts_replace(buf_view(&out), &server, NULL, false, NULL, &again, &changed) == 0 && !changed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char blob[] = "\0\0\0\13ssh-ed25519\0\0\0\40aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    struct view file = view_of(data, size), names[] = { VIEW_LIT("host"), VIEW_LIT("[10.0.0.1]:2222") };
    struct known_hosts_verdict v;
    struct known_hosts_types types = {};
    struct known_hosts_edit_result result;
    struct known_hosts_line l;
    CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 22), hashed = BUF_INIT(1 << 22);
    const struct random random = { fill, NULL };
    CHECK(known_hosts_check(file, names, 2, view_of(blob, sizeof(blob) - 1), &v) == 0);
    update(file, names, view_of(blob, sizeof(blob) - 1));
    known_hosts_types(file, names, 2, &types);
    CHECK(known_hosts_remove(file, names[0], NULL, NULL, &out, &result) == 0);
    struct known_hosts_scan scan = known_hosts_scan_of(buf_view(&out), names, 1);
    size_t found = 0;
    while (known_hosts_next(&scan, &l)) found += l.marker == KNOWN_HOSTS_PLAIN;
    CHECK(found <= result.n_invalid);
    (void)!known_hosts_hash(file, &random, NULL, NULL, &hashed, &result);
    size_t number = 0;
    while (known_hosts_next_with_key(&file, &number, VIEW_LIT("AAAA"), &l)) CHECK(l.number == number);
    return 0;
}
