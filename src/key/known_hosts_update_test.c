#include "key/known_hosts_update.h"

#include "key/test_util.h"

#include <stdio.h>

/* A server "[a]:22xx" with two keys, and files made of lines "names KEY" where KEY is one of the letters below. */
struct world {
    struct key *ed25519, *ecdsa, *other;
    struct view names[2], keys[2];
    struct known_hosts_server server;
};

static void world_done(struct world *w)
{
    key_unref(w->ed25519);
    key_unref(w->ecdsa);
    key_unref(w->other);
}

static void world_make(struct world *w)
{
    *w = (struct world){ .ed25519 = test_public(test_ed25519_public),
                         .ecdsa = test_public(test_ecdsa_public),
                         .other = test_public(test_rsa_public) };
    w->names[0] = view_str("host");
    w->names[1] = view_str("10.0.0.1");
    w->keys[0] = key_blob(w->ed25519);
    w->keys[1] = key_blob(w->ecdsa);
    w->server = (struct known_hosts_server){ w->names, 2, w->keys, 2 };
}

static const char *line_of(char key) { return key == 'E' ? test_ed25519_public : key == 'C' ? test_ecdsa_public : test_rsa_public; }

/* "names=E;names=C;" to lines */
static void file_of(const char *lines, struct buf *out)
{
    struct view list = view_str(lines);
    while (list.len) {
        size_t n = 0;
        while (list.p[n] != ';') n++;
        const char *public = line_of((char)list.p[n - 1]);
        assert_ok(buf_printf(out, "%.*s %s\n", (int)(n - 2), (const char *)list.p, public));
        list = view_sub(list, n + 1, list.len);
    }
}

static void survey_sees(UNUSED void **state)
{
    static const struct {
        const char *lines;
        bool knows[2];
        size_t n_old;
        bool is_complex, has_other_names, old_has_other_names;
    } rows[] = {
        { "", { false, false }, 0, false, false, false },
        { "host=E;", { true, false }, 0, false, false, false },
        { "host,10.0.0.1=E;10.0.0.1=C;", { true, true }, 0, false, false, false },
        { "host=E;host=X;", { true, false }, 1, false, false, false },
        { "host=E;host=X;foo=X;", { true, false }, 1, false, false, true },
        { "host=E;foo=C;", { true, false }, 0, false, true, false },
        { "host,foo=E;", { false, false }, 0, true, false, false },
        { "h*=E;", { false, false }, 0, true, false, false },
        { "@cert-authority host=X;host=E;", { true, false }, 0, true, false, false },
        { "foo=X;", { false, false }, 0, false, false, false },
    };
    CLEANUP(world_done) struct world w;
    world_make(&w);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf file = BUF_INIT(1 << 16);
        struct known_hosts_survey s = { .n_old = 0 };
        file_of(rows[i].lines, &file);
        assert_ok(known_hosts_survey(buf_view(&file), &w.server, &s));
        assert_int_equal(s.known[0], rows[i].knows[0]);
        assert_int_equal(s.known[1], rows[i].knows[1]);
        assert_int_equal(s.n_old, rows[i].n_old);
        assert_int_equal(s.is_complex, rows[i].is_complex);
        assert_int_equal(s.has_other_names, rows[i].has_other_names);
        assert_int_equal(known_hosts_old_has_other_names(buf_view(&file), &w.server, &s), rows[i].old_has_other_names);
    }
}

static void old_lines_go_and_new_ones_come(UNUSED void **state)
{
    static const struct {
        const char *before, *after;
        bool add[2];
    } rows[] = {
        { "host=E;foo=X;", "host=E;foo=X;host,10.0.0.1=C;", { false, true } },
        { "host=X;# remark=E;host=E;", "# remark=E;host=E;", { false, false } },
        { "@revoked host=X;", "@revoked host=X;host,10.0.0.1=E;host,10.0.0.1=C;", { true, true } },
        { "host=E;", "host=E;", { false, false } },
    };
    CLEANUP(world_done) struct world w;
    world_make(&w);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_done) struct buf before = BUF_INIT(1 << 16), after = BUF_INIT(1 << 16), out = BUF_INIT(1 << 16);
        struct known_hosts_survey now = { .n_old = 0 }, wanted = { .n_old = 0 };
        bool changed;
        file_of(rows[i].before, &before);
        file_of(rows[i].after, &after);
        assert_ok(known_hosts_replace(buf_view(&before), &w.server, rows[i].add, false, NULL, &out, &changed));
        assert_int_equal(changed, strcmp(rows[i].before, rows[i].after) != 0);
        assert_ok(known_hosts_survey(buf_view(&out), &w.server, &now));
        assert_ok(known_hosts_survey(buf_view(&after), &w.server, &wanted));
        assert_memory_equal(now.known, wanted.known, sizeof now.known);
        assert_int_equal(now.n_old, wanted.n_old);
        if (!changed) assert_true(view_eq(buf_view(&before), buf_view(&out)));
    }
}

static void too_many_are_refused(UNUSED void **state)
{
    CLEANUP(world_done) struct world w;
    CLEANUP(buf_done) struct buf file = BUF_INIT(1 << 20);
    struct known_hosts_survey s = { .n_old = 0 };
    world_make(&w);
    for (int i = 0; i <= KNOWN_HOSTS_OLD_MAX; i++) file_of("host=X;", &file);
    assert_int_equal(known_hosts_survey(buf_view(&file), &w.server, &s), ERR_LIMIT);
    struct known_hosts_server many = w.server;
    many.n_keys = KNOWN_HOSTS_KEYS_MAX + 1;
    assert_int_equal(known_hosts_survey(VIEW_EMPTY, &many, &s), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survey_sees),
        cmocka_unit_test(old_lines_go_and_new_ones_come),
        cmocka_unit_test(too_many_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
