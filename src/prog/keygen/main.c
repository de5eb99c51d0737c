/* ssh-keygen's command line: a table of options, a table of modes. */
#include "prog/keygen/keygen.h"

#include "crypto/crypto.h"
#include "os/fd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

/* Modes in the order in which they win when several are asked for, as in OpenSSH. */
enum mode {
    MODE_MAKE,
    MODE_HOST_KEYS,
    MODE_REMOVE,
    MODE_FIND,
    MODE_HASH,
    MODE_FINGERPRINT,
    MODE_CERTIFICATES,
    MODE_DNS,
    MODE_BABBLE,
    MODE_PASSPHRASE,
    MODE_COMMENT,
    MODE_EXPORT,
    MODE_IMPORT,
    MODE_PUBLIC,
    MODE_MAX
};

static keygen_mode_fn *const mode_fns[MODE_MAX] = {
    [MODE_CERTIFICATES] = show_certificates,
    [MODE_DNS] = show_dns,
    [MODE_MAKE] = make_key,
    [MODE_HOST_KEYS] = make_host_keys,
    [MODE_REMOVE] = hosts_remove,
    [MODE_FIND] = hosts_find,
    [MODE_HASH] = hosts_hash,
    [MODE_FINGERPRINT] = show_fingerprint,
    [MODE_BABBLE] = show_bubblebabble,
    [MODE_PASSPHRASE] = change_passphrase,
    [MODE_COMMENT] = change_comment,
    [MODE_EXPORT] = convert_export,
    [MODE_IMPORT] = convert_import,
    [MODE_PUBLIC] = show_public,
};

struct command_line {
    struct keygen_options o;
    bool modes[MODE_MAX];
};

typedef int option_fn(struct command_line *c, const char *value);

static int take_bits(struct command_line *c, const char *value);
static int take_rounds(struct command_line *c, const char *value);
static int take_hash(struct command_line *c, const char *value);
static int take_format(struct command_line *c, const char *value);
static int take_cipher(struct command_line *c, const char *value);

/* What an option does: sets a string, counts, chooses a mode, is checked by a function, or is for a mode that is not there. */
static const struct option_row {
    char letter;
    enum {
        OPT_TEXT,
        OPT_COUNT,
        OPT_MODE,
        OPT_MODE_TEXT,
        OPT_CHECKED,
        OPT_IGNORED,
        OPT_LATER,
        OPT_LATER_TEXT
    } kind;
    size_t offset; /* TEXT, COUNT, MODE_TEXT: into keygen_options */
    enum mode mode;
    option_fn *check;
    const char *what; /* usage line of a mode; LATER: the name of what is missing */
} option_rows[] = {
#define AT(member) .offset = offsetof(struct keygen_options, member)
    { 'A', OPT_MODE, .mode = MODE_HOST_KEYS, .what = "[-f prefix] [-a rounds]: make the missing host keys" },
    { 'B', OPT_MODE, .mode = MODE_BABBLE, .what = "[-f file]: bubblebabble digest" },
    { 'c', OPT_MODE, .mode = MODE_COMMENT, .what = "[-C comment] [-f file] [-P passphrase] [-a rounds]: change the comment" },
    { 'e', OPT_MODE, .mode = MODE_EXPORT, .what = "[-m RFC4716|PKCS8|PEM] [-f file]: export" },
    { 'i', OPT_MODE, .mode = MODE_IMPORT, .what = "[-m RFC4716|PKCS8|PEM] [-f file]: import" },
    { 'X', OPT_MODE, .mode = MODE_IMPORT },
    { 'p', OPT_MODE, .mode = MODE_PASSPHRASE,
      .what = "[-P old] [-N new] [-f file] [-m format] [-Z cipher] [-a rounds]: change the passphrase" },
    { 'y', OPT_MODE, .mode = MODE_PUBLIC, .what = "[-f file] [-P passphrase]: print the public key" },
    { 'l', OPT_MODE, .mode = MODE_FINGERPRINT, .what = "[-v] [-E hash] [-f file]: fingerprint" },
    { 'F', OPT_MODE_TEXT, AT(host), .mode = MODE_FIND, .what = "host [-lvH] [-f known_hosts]: find a host" },
    { 'R', OPT_MODE_TEXT, AT(host), .mode = MODE_REMOVE, .what = "host [-f known_hosts]: remove a host" },
    { 'H', OPT_MODE, .mode = MODE_HASH, .what = "[-f known_hosts]: hash the names" },
    { 'L', OPT_MODE, .mode = MODE_CERTIFICATES, .what = "[-f file]: print certificates" },
    { 'r', OPT_MODE_TEXT, AT(host), .mode = MODE_DNS, .what = "host [-g] [-f file]: SSHFP records" },
    { 'g', OPT_COUNT, AT(generic_dns) },
    { 'a', OPT_CHECKED, .check = take_rounds },
    { 'b', OPT_CHECKED, .check = take_bits },
    { 'C', OPT_TEXT, AT(comment) },
    { 'E', OPT_CHECKED, .check = take_hash },
    { 'f', OPT_TEXT, AT(file) },
    { 'm', OPT_CHECKED, .check = take_format },
    { 'N', OPT_TEXT, AT(new_passphrase) },
    { 'P', OPT_TEXT, AT(passphrase) },
    { 't', OPT_TEXT, AT(type) },
    { 'Z', OPT_CHECKED, .check = take_cipher },
    { 'q', OPT_COUNT, AT(quiet) },
    { 'v', OPT_COUNT, AT(verbose) },
    { 'o', OPT_IGNORED },
    { 'D', OPT_LATER_TEXT, .what = "PKCS#11 tokens" },
    { 'I', OPT_LATER_TEXT, .what = "making certificates" },
    { 's', OPT_LATER_TEXT, .what = "making certificates" },
    { 'h', OPT_LATER, .what = "making certificates" },
    { 'U', OPT_LATER, .what = "signing with an agent's key" },
    { 'n', OPT_LATER_TEXT, .what = "making certificates and signatures" },
    { 'V', OPT_LATER_TEXT, .what = "making certificates" },
    { 'z', OPT_LATER_TEXT, .what = "making certificates" },
    { 'K', OPT_LATER, .what = "resident keys of security keys" },
    { 'w', OPT_LATER_TEXT, .what = "security keys" },
    { 'O', OPT_LATER_TEXT, .what = "what takes options" },
    { 'k', OPT_LATER, .what = "key revocation lists" },
    { 'u', OPT_LATER, .what = "key revocation lists" },
    { 'Q', OPT_LATER, .what = "key revocation lists" },
    { 'M', OPT_LATER_TEXT, .what = "making Diffie-Hellman moduli" },
    { 'Y', OPT_LATER_TEXT, .what = "signing files" },
#undef AT
};

static const struct option_row *find_row(int letter)
{
    for (size_t i = 0; i < ARRAY_LEN(option_rows); i++)
        if (option_rows[i].letter == letter) return &option_rows[i];
    return NULL;
}

static bool takes_value(const struct option_row *row)
{
    return row->kind == OPT_TEXT || row->kind == OPT_MODE_TEXT || row->kind == OPT_CHECKED || row->kind == OPT_LATER_TEXT;
}

static int usage(void)
{
    fprintf(stderr, "usage: ssh-keygen [-q] [-t ecdsa|ed25519|rsa] [-b bits] [-C comment] [-f file] [-N passphrase] [-m format] "
                    "[-Z cipher] [-a rounds]\n");
    for (size_t i = 0; i < ARRAY_LEN(option_rows); i++)
        if (option_rows[i].what && option_rows[i].kind < OPT_LATER)
            fprintf(stderr, "       ssh-keygen -%c %s\n", option_rows[i].letter, option_rows[i].what);
    return EXIT_SAID_NO;
}

/* A number within bounds, or NULL and the word that OpenSSH says of it. */
static const char *parse_number(const char *text, int64_t min, int64_t max, int64_t *ret)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (*text == '\0' || *end) return "invalid";
    if (n < min || (errno && n < 0)) return "too small";
    if (n > max || errno) return "too large";
    *ret = n;
    return NULL;
}

static int take_bits(struct command_line *c, const char *value)
{
    /* How many make sense is the type's matter: this only keeps the number in an int. */
    const char *wrong = parse_number(value, 1, 1 << 20, &c->o.bits);
    if (wrong) return say_fatal("Bits has bad value %s (%s)", value, wrong);
    c->o.has_bits = true;
    return 0;
}

static int take_rounds(struct command_line *c, const char *value)
{
    const char *wrong = parse_number(value, 1, PRIVATE_FILE_ROUNDS_MAX, &c->o.rounds);
    return wrong ? say_fatal("Invalid number: %s (%s)", value, wrong) : 0;
}

static int take_hash(struct command_line *c, const char *value)
{
    if (digest_from_name(value, &c->o.hash) < 0) return say_fatal("Invalid hash algorithm \"%s\"", value);
    return 0;
}

static int take_format(struct command_line *c, const char *value)
{
    static const struct format {
        const char *name;
        enum keygen_conversion conversion;
        enum private_file_form form;
    } formats[] = {
        { "RFC4716", CONVERT_RFC4716, PRIVATE_FILE_OPENSSH },
        { "SSH2", CONVERT_RFC4716, PRIVATE_FILE_OPENSSH },
        { "PKCS8", CONVERT_PKCS8, PRIVATE_FILE_PKCS8 },
        { "PEM", CONVERT_PEM, PRIVATE_FILE_PEM },
    };
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (strcasecmp(value, formats[i].name) != 0) continue;
        c->o.format = formats[i].name;
        c->o.conversion = formats[i].conversion;
        c->o.form = formats[i].form;
        return 0;
    }
    return say_fatal("Unsupported conversion format \"%s\"", value);
}

static int take_cipher(struct command_line *c, const char *value)
{
    if (!private_file_cipher_known(view_str(value))) return say_fatal("Invalid OpenSSH-format cipher '%s'", value);
    c->o.cipher = value;
    return 0;
}

/* 0, or the exit status. */
static int take_option(struct command_line *c, const struct option_row *row, const char *value)
{
    char *field = (char *)&c->o + row->offset;
    switch (row->kind) {
    case OPT_TEXT:
        *(const char **)field = value;
        break;
    case OPT_COUNT:
        ++*(unsigned *)field;
        break;
    case OPT_MODE_TEXT:
        *(const char **)field = value;
        c->modes[row->mode] = true;
        break;
    case OPT_MODE:
        c->modes[row->mode] = true;
        break;
    case OPT_CHECKED:
        return row->check(c, value);
    case OPT_IGNORED:
        break;
    case OPT_LATER:
    case OPT_LATER_TEXT:
        return say_fatal("ssh-keygen: -%c: %s: not available yet", row->letter, row->what);
    }
    return 0;
}

static void make_getopt_string(char *ret)
{
    *ret++ = ':';
    for (size_t i = 0; i < ARRAY_LEN(option_rows); i++) {
        *ret++ = option_rows[i].letter;
        if (takes_value(&option_rows[i])) *ret++ = ':';
    }
    *ret = '\0';
}

static int parse(struct command_line *c, int argc, char **argv)
{
    char letters[2 * ARRAY_LEN(option_rows) + 2];
    int got;
    make_getopt_string(letters);
    opterr = 0;
    while ((got = getopt(argc, argv, letters)) != -1) {
        const struct option_row *row = got == '?' || got == ':' ? NULL : find_row(got);
        if (!row) {
            fprintf(stderr, got == ':' ? "option requires an argument -- %c\n" : "unknown option -- %c\n", optopt ? optopt : '-');
            return usage();
        }
        int status = take_option(c, row, optarg);
        if (status) return status;
    }
    if (optind == argc) return 0;
    fprintf(stderr, "Too many arguments.\n");
    return usage();
}

/* -l and -H also change how -F shows what it found. */
static enum mode choose_mode(struct command_line *c)
{
    c->o.fingerprint = c->modes[MODE_FINGERPRINT];
    c->o.hash_hosts = c->modes[MODE_HASH];
    for (enum mode m = MODE_HOST_KEYS; m < MODE_MAX; m++)
        if (c->modes[m]) return m;
    return MODE_MAKE;
}

int main(int argc, char **argv)
{
    if (fd_fill_std() < 0) return EXIT_FATAL;
    crypto_start();
    struct command_line c = { .o.hash = DIGEST_SHA256 };
    int status = parse(&c, argc, argv);
    if (status) return status;
    if (c.modes[MODE_PASSPHRASE] && c.modes[MODE_COMMENT]) return say_fatal("Can only have one of -p and -c.");
    status = mode_fns[choose_mode(&c)](&c.o);
    return fflush(stdout) == 0 ? status : EXIT_FATAL;
}
