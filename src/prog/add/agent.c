/* What is asked of the agent besides adding and removing: lists, locks, tests. */
#include "prog/add/add.h"

#include "base/vis.h"
#include "io/agent_io.h"
#include "key/public_line.h"
#include "os/random.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TEST_BYTES = 1024
};

int agent_ask(struct add *a)
{
    buf_reset(&a->answer);
    uint8_t number = buf_bytes(&a->request)[4];
    int err = agent_io_call(a->agent, buf_view(&a->request), &a->answer);
    buf_reset(&a->request);
    if (err == 0) log_debug(&a->sink.log, "request %u to the agent: answer %u", number, buf_bytes(&a->answer)[0]);
    return err;
}

static int ask_for_success(struct add *a)
{
    TRY(agent_ask(a));
    return agent_get_success(buf_view(&a->answer));
}

/* ---- lists ---- */

static void print_fingerprint(const struct add *a, const struct key *k, const char *comment)
{
    CLEANUP(freep) char *fingerprint = NULL;
    if (key_fingerprint(key_blob(k), a->options.hash, &fingerprint) < 0) return;
    printf("%u %s %s (%s)\n", key_bits(k), fingerprint, comment, key_short_name(key_blob(k)));
}

static void print_line(const struct key *k, const char *comment)
{
    CLEANUP(buf_done) struct buf line = BUF_INIT(PUBLIC_LINE_BYTES_MAX);
    const char *text = public_line_put(k, &line) == 0 ? buf_cstr(&line) : NULL;
    if (text) printf("%s%s%s\n", text, *comment ? " " : "", comment);
}

int agent_list(struct add *a)
{
    struct agent_identities list;
    struct view blob, comment;
    int err = agent_put_request_identities(&a->request);
    if (err == 0) err = agent_ask(a);
    if (err == 0) err = agent_get_identities(buf_view(&a->answer), &list);
    if (err == 0 && list.n == 0) printf("The agent has no identities.\n");
    bool is_empty = err == 0 && list.n == 0;
    while (err == 0 && (err = agent_identities_next(&list, &blob, &comment)) > 0) {
        CLEANUP(key_unrefp) struct key *k = NULL;
        char clean[LINE_BYTES_MAX];
        vis_line(comment, clean, sizeof(clean));
        err = key_from_blob(blob, &k);
        if (err < 0)
            say("%s: key of a type that is not known here", clean);
        else if (a->options.letter == 'l')
            print_fingerprint(a, k, clean);
        else
            print_line(k, clean);
        err = 0;
    }
    if (err < 0) say("error fetching identities: %s", err_text(err));
    return err < 0 || is_empty ? EXIT_FAILED : EXIT_DONE;
}

/* ---- locking ---- */

int agent_lock(struct add *a)
{
    CLEANUP(buf_done) struct buf passphrase = BUF_INIT_SECRET(PASSPHRASE_BYTES_MAX), again = BUF_INIT_SECRET(PASSPHRASE_BYTES_MAX);
    bool is_locking = a->options.letter == 'x';
    int err = ask_secret(a, "Enter lock password: ", &passphrase);
    if (err == 0 && is_locking) err = ask_secret(a, "Again: ", &again);
    if (err == 0 && is_locking && !view_eq(buf_view(&passphrase), buf_view(&again))) {
        fprintf(stderr, "Passwords do not match.\n");
        return EXIT_FAILED;
    }
    if (err == 0) err = agent_put_lock(&a->request, buf_view(&passphrase), is_locking);
    if (err == 0) err = ask_for_success(a);
    if (err < 0)
        say("Failed to %slock agent: %s", is_locking ? "" : "un", err_text(err));
    else
        say_done(a, "Agent %slocked.", is_locking ? "" : "un");
    return err < 0 ? EXIT_FAILED : EXIT_DONE;
}

/* ---- emptying, extensions ---- */

int agent_empty(struct add *a)
{
    int err = agent_put_remove_all(&a->request);
    if (err == 0) err = ask_for_success(a);
    if (err < 0)
        say("Failed to remove all identities.");
    else
        say_done(a, "All identities removed.");
    return err < 0 ? EXIT_FAILED : EXIT_DONE;
}

int agent_query(struct add *a)
{
    struct view name, names = VIEW_EMPTY;
    int err = agent_put_query(&a->request);
    if (err == 0) err = agent_ask(a);
    if (err == 0) err = agent_get_extension_response(buf_view(&a->answer), &name, &names);
    if (err < 0) {
        say("unable to query supported extensions: %s", err_text(err));
        return EXIT_FAILED;
    }
    struct rd r = rd_of(names);
    while (rd_left(&r)) {
        char clean[LINE_BYTES_MAX];
        vis_line(rd_string(&r), clean, sizeof(clean));
        if (r.err == 0) printf("%s\n", clean);
    }
    return rd_end(&r) < 0 ? EXIT_FAILED : EXIT_DONE;
}

/* ---- -T: the agent signs, we verify ---- */

static int test_key(struct add *a, const char *path, const struct key *k)
{
    uint8_t data[TEST_BYTES];
    struct view signature, bytes = view_of(data, sizeof(data));
    const char *algorithm = key_type_of(k)->pkey == PKEY_RSA ? "rsa-sha2-256" : key_type_of(k)->plain_name;
    int err = random_fill(&os_random, data, sizeof(data));
    if (err == 0) err = agent_put_sign(&a->request, key_blob(k), bytes, view_str(algorithm));
    if (err == 0) err = agent_ask(a);
    if (err == 0) err = agent_get_signature(buf_view(&a->answer), &signature);
    if (err < 0) {
        say("Agent signature failed for %s: %s", path, err_text(err));
        return EXIT_FAILED;
    }
    err = key_verify(k, VIEW_EMPTY, bytes, signature);
    if (err < 0) say("Signature verification failed for %s: %s", path, err_text(err));
    return err < 0 ? EXIT_FAILED : EXIT_DONE;
}

int agent_test(struct add *a, const char *path)
{
    CLEANUP(key_unrefp) struct key *k = NULL;
    int err = keys_load_public(path, &k);
    if (err == 0) return test_key(a, path, k);
    say("Couldn't read public key %s: %s", path, err_text(err));
    return EXIT_FAILED;
}
