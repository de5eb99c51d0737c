/* Choosing a line of a moduli file: time, type, tests, trials, size, generator, modulus. */
#include "key/moduli.h"

#include "key/line_int.h"
#include "key/public_line.h"

enum {
    TYPE_SAFE_PRIME = 2,
    TESTS_COMPOSITE = 1, /* bit: known to be composite */
    MODULUS_BYTES_MAX = 16384 / 8,
};

void moduli_group_done(struct moduli_group *g)
{
    buf_done(&g->p);
    buf_done(&g->g);
}

static bool get_number(struct view *line, unsigned *ret)
{
    struct view word = line_take_word(line);
    unsigned n = 0;
    if (word.len == 0 || word.len > 6) return false;
    for (size_t i = 0; i < word.len; i++) {
        if (word.p[i] < '0' || word.p[i] > '9') return false;
        n = n * 10 + (word.p[i] - '0');
    }
    *ret = n;
    return true;
}

struct candidate {
    unsigned bits;
    struct view g_hex, p_hex;
};

static bool parse_candidate(struct view line, struct candidate *ret)
{
    unsigned type, tests, trials, size;
    line = line_trim(line);
    if (line.len == 0 || line.p[0] == '#') return false;
    struct view time = line_take_word(&line);
    if (time.len == 0 || !get_number(&line, &type) || !get_number(&line, &tests) || !get_number(&line, &trials) ||
        !get_number(&line, &size))
        return false;
    if (type != TYPE_SAFE_PRIME || tests == 0 || (tests & TESTS_COMPOSITE)) return false;
    ret->g_hex = line_take_word(&line);
    ret->p_hex = line_take_word(&line);
    ret->bits = size + 1; /* the file counts from the highest bit's position */
    return ret->g_hex.len && ret->p_hex.len && ret->p_hex.len <= 2 * MODULUS_BYTES_MAX;
}

/* Closer to what is wanted: above it the smaller, below it the larger. */
static bool is_better(unsigned bits, unsigned best, unsigned want)
{
    if (best == 0) return true;
    if (best >= want) return bits >= want && bits < best;
    return bits > best;
}

static int nibble(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int get_hex(struct view hex, struct buf *out)
{
    int high = 0;
    bool half = hex.len % 2; /* an odd number of digits: the first stands alone */
    for (size_t i = 0; i < hex.len; i++) {
        int n = nibble(hex.p[i]);
        if (n < 0) return ERR_FORMAT;
        if (half) TRY(buf_put_u8(out, (uint8_t)(high << 4 | n)));
        high = half ? 0 : n;
        half = !half;
    }
    return 0;
}

/* A number below n, without the bias of a plain remainder mattering: n is a few hundred. */
static int random_below(const struct random *random, size_t n, size_t *ret)
{
    uint64_t x;
    TRY(random_fill(random, &x, sizeof(x)));
    *ret = (size_t)(x % n);
    return 0;
}

static size_t count_best(struct view file, unsigned min_bits, unsigned want_bits, unsigned max_bits, unsigned *ret_best)
{
    struct view line;
    struct candidate c;
    unsigned best = 0;
    size_t n = 0;
    while (public_file_next_line(&file, &line)) {
        if (!parse_candidate(line, &c) || c.bits < min_bits || c.bits > max_bits) continue;
        if (is_better(c.bits, best, want_bits)) {
            best = c.bits;
            n = 0;
        }
        n += c.bits == best;
    }
    *ret_best = best;
    return n;
}

int moduli_choose(struct view file, unsigned min_bits, unsigned want_bits, unsigned max_bits, const struct random *random,
                  struct moduli_group *ret)
{
    unsigned best;
    size_t n = count_best(file, min_bits, want_bits, max_bits, &best), skip;
    if (n == 0) return ERR_NOT_FOUND;
    TRY(random_below(random, n, &skip));
    struct view line;
    struct candidate c = {};
    while (public_file_next_line(&file, &line))
        if (parse_candidate(line, &c) && c.bits == best && skip-- == 0) break;
    CLEANUP(moduli_group_done)
    struct moduli_group g = { .bits = best, .p = BUF_INIT(MODULUS_BYTES_MAX), .g = BUF_INIT(MODULUS_BYTES_MAX) };
    TRY(get_hex(c.p_hex, &g.p));
    TRY(get_hex(c.g_hex, &g.g));
    *ret = g;
    g = (struct moduli_group){};
    return 0;
}
