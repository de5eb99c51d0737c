/* Diffie-Hellman groups: candidates (-M generate) and their proof (-M screen), for the file of moduli(5). */
#include "prog/keygen/keygen.h"

#include "crypto/safe_prime.h"
#include "key/moduli.h"
#include "key/public_line.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    BITS_DEFAULT = 3072,
    MEMORY_MB_DEFAULT = 16, /* a bit for each odd number: some tens of thousands of candidates */
    MEMORY_MB_MAX = 1024,
    TESTS_DEFAULT = 100,
    TESTS_MIN = 4,
    CANDIDATES_BYTES_MAX = 1 << 30,
    OUTPUT_BYTES_MAX = 64 * 1024,
};

/* What -O says: generate knows the first three, screen the others. */
struct moduli_options {
    int64_t bits, memory_mb;
    const char *start;
    int64_t lines, start_line, generator, tests;
    const char *checkpoint;
};

static const struct option_row {
    const char *name;
    bool is_screen, is_text;
    size_t offset;
    int64_t min, max;
} option_rows[] = {
#define AT(member) offsetof(struct moduli_options, member)
    { "bits", false, false, AT(bits), 1, SAFE_PRIME_BITS_MAX },
    { "memory", false, false, AT(memory_mb), 1, MEMORY_MB_MAX },
    { "start", false, true, AT(start), 0, 0 },
    { "lines", true, false, AT(lines), 0, INT64_MAX },
    { "start-line", true, false, AT(start_line), 0, INT64_MAX },
    { "generator", true, false, AT(generator), 2, 5 },
    { "prime-tests", true, false, AT(tests), TESTS_MIN, 1 << 16 },
    { "checkpoint", true, true, AT(checkpoint), 0, 0 },
#undef AT
};

static int set_option(struct moduli_options *to, const struct option_row *row, const char *value)
{
    char *end, *field = (char *)to + row->offset;
    if (row->is_text) {
        *(const char **)field = value;
        return 0;
    }
    errno = 0;
    long long n = strtoll(value, &end, 10);
    if (!*value || *end || errno || n < row->min || n > row->max)
        return say_fatal("invalid value for %s: %s (from %lld to %lld)", row->name, value, (long long)row->min,
                         (long long)row->max);
    *(int64_t *)field = n;
    return 0;
}

static int take_options(const struct keygen_options *o, bool is_screen, struct moduli_options *to)
{
    *to = (struct moduli_options){ .bits = BITS_DEFAULT, .memory_mb = MEMORY_MB_DEFAULT, .tests = TESTS_DEFAULT };
    for (size_t i = 0; i < o->options.n; i++) {
        const char *text = o->options.v[i], *equals = strchr(text, '=');
        const struct option_row *row = NULL;
        for (size_t k = 0; equals && k < ARRAY_LEN(option_rows); k++)
            if (option_rows[k].is_screen == is_screen && strlen(option_rows[k].name) == (size_t)(equals - text) &&
                strncmp(text, option_rows[k].name, (size_t)(equals - text)) == 0)
                row = &option_rows[k];
        if (!row) return say_fatal("Option \"%s\" is unsupported for moduli %s", text, is_screen ? "screening" : "generation");
        int status = set_option(to, row, equals + 1);
        if (status) return status;
    }
    return 0;
}

/* ---- generate ---- */

struct candidates {
    FILE *out;
    char time[32];
    size_t n;
};

static void utc_time(char ret_text[32])
{
    time_t now = (time_t)clock_wall_s();
    struct tm tm;
    if (!gmtime_r(&now, &tm) || strftime(ret_text, 32, "%Y%m%d%H%M%S", &tm) == 0) snprintf(ret_text, 32, "0");
}

static int put_line(FILE *out, const struct moduli_line *l, const char *time, struct view number)
{
    CLEANUP(buf_done) struct buf line = BUF_INIT(OUTPUT_BYTES_MAX);
    TRY(moduli_line_put(l, time, number, &line));
    return fwrite(buf_bytes(&line), 1, buf_len(&line), out) == buf_len(&line) ? 0 : ERR_SYS(errno);
}

static int put_candidate(void *arg, struct view q)
{
    struct candidates *c = arg;
    const struct moduli_line l = { .type = MODULI_TYPE_SOPHIE_GERMAIN, .tests = MODULI_TESTS_SIEVE };
    c->n++;
    return put_line(c->out, &l, c->time, q);
}

/* The first q: as -O start says, else any of the wanted length. */
static int first_number(const struct moduli_options *m, struct buf *out)
{
    if (m->start) return moduli_line_number(&(struct moduli_line){ .hex = view_str(m->start) }, out);
    unsigned bits = (unsigned)m->bits - 1;
    size_t len = (bits + 7) / 8;
    uint8_t *p;
    TRY(buf_reserve(out, len, &p));
    TRY(random_fill(&os_random, p, len));
    unsigned top = (bits - 1) % 8; /* of the highest byte */
    p[0] = (uint8_t)((p[0] & ((1u << top) - 1)) | 1u << top);
    buf_commit(out, len);
    return 0;
}

static int generate(const struct moduli_options *m, struct candidates *c)
{
    CLEANUP(buf_done) struct buf start = BUF_INIT(MODULI_NUMBER_BYTES_MAX);
    TRY(first_number(m, &start));
    return safe_prime_sieve(buf_view(&start), (size_t)m->memory_mb << 20, put_candidate, c);
}

static int run_generate(const struct keygen_options *o, const struct moduli_options *m)
{
    struct candidates c = {};
    if (m->bits < SAFE_PRIME_BITS_MIN) {
        say_error("Too few bits: %lld < %d", (long long)m->bits, SAFE_PRIME_BITS_MIN);
        return say_fatal("modulus candidate generation failed");
    }
    c.out = fopen(o->files[0], "we");
    if (!c.out) return say_fatal("Couldn't open \"%s\" for writing: %s", o->files[0], strerror(errno));
    utc_time(c.time);
    int err = generate(m, &c);
    if (fclose(c.out) != 0 && err == 0) err = ERR_SYS(errno);
    if (err == ERR_FORMAT) return say_fatal("invalid start: %s", m->start);
    if (err < 0) return say_fatal("modulus candidate generation failed: %s", err_text(err));
    if (!o->quiet) say_error("%zu candidates of %lld bits", c.n, (long long)m->bits);
    return EXIT_DONE;
}

/* ---- screen ---- */

static size_t read_checkpoint(const char *path)
{
    unsigned long long line = 0;
    FILE *in = path ? fopen(path, "re") : NULL;
    if (in && fscanf(in, "%llu", &line) != 1) line = 0;
    if (in) fclose(in);
    return (size_t)line;
}

static int write_checkpoint(const char *path, size_t line)
{
    char text[32];
    snprintf(text, sizeof(text), "%zu\n", line);
    return path ? file_write(path, view_str(text), &(struct file_write){ .mode = 0644, .no_sync = true }) : 0;
}

/* p = 2q + 1, with a byte more in front. */
static int double_and_one(struct view q, struct buf *out)
{
    uint8_t *p;
    unsigned carry = 1;
    TRY(buf_reserve(out, q.len + 1, &p));
    for (size_t i = q.len; i-- > 0; carry >>= 8) {
        carry += 2u * q.p[i];
        p[i + 1] = (uint8_t)carry;
    }
    p[0] = (uint8_t)carry;
    buf_commit(out, q.len + 1);
    return 0;
}

/* 1: a group, written; 0: none. */
static int screen_line(const struct moduli_options *m, struct view text, FILE *out)
{
    CLEANUP(buf_done) struct buf p = BUF_INIT(MODULI_NUMBER_BYTES_MAX + 1), q = BUF_INIT(MODULI_NUMBER_BYTES_MAX);
    struct moduli_line l;
    char time[32];
    unsigned generator;
    bool good = false;
    if (!moduli_line_parse(text, &l) || (l.tests & MODULI_TESTS_COMPOSITE)) return 0;
    if (l.type == MODULI_TYPE_SOPHIE_GERMAIN) {
        TRY(moduli_line_number(&l, &q));
        TRY(double_and_one(buf_view(&q), &p));
    } else {
        TRY(moduli_line_number(&l, &p));
    }
    TRY(safe_prime_check(buf_view(&p), (unsigned)m->tests, &good, &generator));
    if (m->generator && (unsigned)m->generator != generator) good = false;
    if (!good || generator == 0) return 0;
    utc_time(time);
    l = (struct moduli_line){
        .type = MODULI_TYPE_SAFE, .tests = l.tests | MODULI_TESTS_MILLER_RABIN, .trials = (unsigned)m->tests, .generator = generator
    };
    TRY(put_line(out, &l, time, buf_view(&p)));
    return fflush(out) == 0 ? 1 : ERR_SYS(errno);
}

static int screen(const struct moduli_options *m, struct view file, FILE *out, size_t *ret_tried, size_t *ret_found)
{
    struct view line;
    size_t skip = MAX(read_checkpoint(m->checkpoint), (size_t)m->start_line), number = 0;
    while (public_file_next_line(&file, &line)) {
        if (++number <= skip) continue;
        if (m->lines && number > skip + (size_t)m->lines) break;
        int got = screen_line(m, line, out);
        if (got < 0 && got != ERR_FORMAT && got != ERR_RANGE && got != ERR_LIMIT) return got;
        *ret_found += got == 1;
        ++*ret_tried;
        TRY(write_checkpoint(m->checkpoint, number));
    }
    return 0;
}

static int run_screen(const struct keygen_options *o, const struct moduli_options *m)
{
    CLEANUP(buf_done) struct buf file = BUF_INIT(CANDIDATES_BYTES_MAX);
    size_t tried = 0, found = 0;
    int err = load_file(o->file ? o->file : "-", &file);
    if (err < 0) return say_fatal("Couldn't open modulus candidate file \"%s\": %s", o->file ? o->file : "(stdin)", err_text(err));
    FILE *out = fopen(o->files[0], "ae");
    if (!out) return say_fatal("Couldn't open moduli file \"%s\": %s", o->files[0], strerror(errno));
    err = screen(m, buf_view(&file), out, &tried, &found);
    if (fclose(out) != 0 && err == 0) err = ERR_SYS(errno);
    if (err < 0) return say_fatal("modulus screening failed: %s", err_text(err));
    if (!o->quiet) say_error("Found %zu safe primes of %zu candidates", found, tried);
    return EXIT_DONE;
}

int moduli_work(struct keygen_options *o)
{
    struct moduli_options m;
    bool is_screen = strcmp(o->operation, "screen") == 0;
    if (!is_screen && strcmp(o->operation, "generate") != 0) return say_fatal("Unsupported moduli option %s", o->operation);
    if (o->n_files == 0) return say_fatal("No output file specified");
    if (o->n_files > 1) return say_fatal("Too many output files specified");
    int status = take_options(o, is_screen, &m);
    if (status) return status;
    return is_screen ? run_screen(o, &m) : run_generate(o, &m);
}
