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
    MODE_SIGN_FILE,
    MODE_KRL_MAKE,
    MODE_KRL_ASK,
    MODE_CERTIFY,
    MODE_HOST_KEYS,
    MODE_REMOVE,
    MODE_FIND,
    MODE_HASH,
    MODE_DOWNLOAD,
    MODE_TOKEN,
    MODE_FINGERPRINT,
    MODE_CERTIFICATES,
    MODE_DNS,
    MODE_BABBLE,
    MODE_PASSPHRASE,
    MODE_COMMENT,
    MODE_EXPORT,
    MODE_IMPORT,
    MODE_PUBLIC,
    MODE_MODULI,
    MODE_MAX
};

static const struct mode_row {
    keygen_mode_fn *run;
    bool takes_files, takes_options; /* words that are no flags; -O */
} mode_rows[MODE_MAX] = {
    [MODE_SIGN_FILE] = { sign_file, true, true },
    [MODE_KRL_MAKE] = { krl_make, true, false },
    [MODE_KRL_ASK] = { krl_ask, true, false },
    [MODE_CERTIFY] = { certify, true, true },
    [MODE_CERTIFICATES] = { show_certificates },
    [MODE_DNS] = { show_dns, false, true },
    [MODE_DOWNLOAD] = { sk_download, false, true },
    [MODE_TOKEN] = { show_token },
    [MODE_MAKE] = { make_key, false, true },
    [MODE_HOST_KEYS] = { make_host_keys },
    [MODE_REMOVE] = { hosts_remove },
    [MODE_FIND] = { hosts_find },
    [MODE_HASH] = { hosts_hash },
    [MODE_FINGERPRINT] = { show_fingerprint },
    [MODE_BABBLE] = { show_bubblebabble },
    [MODE_PASSPHRASE] = { change_passphrase },
    [MODE_COMMENT] = { change_comment },
    [MODE_EXPORT] = { convert_export },
    [MODE_IMPORT] = { convert_import },
    [MODE_PUBLIC] = { show_public },
    [MODE_MODULI] = { moduli_work, true, true },
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
static int take_serial(struct command_line *c, const char *value);
static int add_option(struct command_line *c, const char *value);

/* What an option does: sets a string, counts, chooses a mode, or is checked by a function. */
static const struct option_row {
    char letter;
    enum {
        OPT_TEXT,
        OPT_COUNT,
        OPT_MODE,
        OPT_MODE_TEXT,
        OPT_CHECKED,
        OPT_IGNORED
    } kind;
    size_t offset; /* TEXT, COUNT, MODE_TEXT: into keygen_options */
    enum mode mode;
    option_fn *check;
    const char *what; /* usage line of a mode */
} option_rows[] = {
#define AT(member) .offset = offsetof(struct keygen_options, member)
    { 'Y', OPT_MODE_TEXT, AT(operation), .mode = MODE_SIGN_FILE,
      .what = "sign -f key -n namespace [-U] [-O option] [file ...]: sign files" },
    { 's', OPT_MODE_TEXT, AT(signing_file), .mode = MODE_CERTIFY,
      .what = "ca_key -I identity [-hU] [-n principals] [-O option] [-t algorithm] [-V validity] [-z serial] file ...: certify" },
    { 'k', OPT_MODE, .mode = MODE_KRL_MAKE, .what = "-f krl [-u] [-s ca_public] [-z version] [file ...]: make a revocation list" },
    { 'Q', OPT_MODE, .mode = MODE_KRL_ASK, .what = "[-l] -f krl [file ...]: ask a revocation list" },
    { 'M', OPT_MODE_TEXT, AT(operation), .mode = MODE_MODULI,
      .what = "generate|screen [-f input_file] [-O option] output_file: Diffie-Hellman groups" },
    { 'I', OPT_TEXT, AT(identity) },
    { 'n', OPT_TEXT, AT(names) },
    { 'V', OPT_TEXT, AT(validity) },
    { 'h', OPT_COUNT, AT(host_certificate) },
    { 'U', OPT_COUNT, AT(use_agent) },
    { 'u', OPT_COUNT, AT(update_list) },
    { 'z', OPT_CHECKED, .check = take_serial },
    { 'O', OPT_CHECKED, .check = add_option },
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
    { 'D', OPT_MODE_TEXT, AT(pkcs11), .mode = MODE_TOKEN, .what = "pkcs11 [-l] [-v]: print the public keys of PKCS#11 tokens" },
    { 'K', OPT_MODE, .mode = MODE_DOWNLOAD, .what = "[-O option] [-w provider]: download resident keys of a FIDO authenticator" },
    { 'w', OPT_TEXT, AT(sk_provider) },
    { 'r', OPT_MODE_TEXT, AT(host), .mode = MODE_DNS, .what = "host [-g] [-f file] [-O hashalg=sha1|sha256]: SSHFP records" },
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
    return row->kind == OPT_TEXT || row->kind == OPT_MODE_TEXT || row->kind == OPT_CHECKED;
}

/* The operations of -Y that the table's row has no room for. */
static const char *const usage_more[] = {
    "-Y verify -f allowed_signers -I signer -n namespace -s signature [-q] [-O option] [-r revocation_file]: verify",
    "-Y check-novalidate -n namespace -s signature [-q] [-O option]: verify without asking who signed",
    "-Y find-principals -f allowed_signers -s signature [-O option]: who may have signed",
    "-Y match-principals -f allowed_signers -I signer: which lines match a signer",
};

int usage(void)
{
    fprintf(stderr, "usage: ssh-keygen [-q] [-t ecdsa|ecdsa-sk|ed25519|ed25519-sk|rsa] [-b bits] [-C comment] [-f file] [-N "
                    "passphrase] [-m format] "
                    "[-Z cipher] [-a rounds]\n");
    for (size_t i = 0; i < ARRAY_LEN(option_rows); i++)
        if (option_rows[i].what) fprintf(stderr, "       ssh-keygen -%c %s\n", option_rows[i].letter, option_rows[i].what);
    for (size_t i = 0; i < ARRAY_LEN(usage_more); i++) fprintf(stderr, "       ssh-keygen %s\n", usage_more[i]);
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

/* A certificate's serial, with + before it the first of several; or a list's version. */
static int take_serial(struct command_line *c, const char *value)
{
    char *end;
    c->o.serial_counts = *value == '+';
    const char *digits = value + c->o.serial_counts;
    errno = 0;
    c->o.serial = strtoull(digits, &end, 10);
    if (*digits < '0' || *digits > '9' || *end || errno) return say_fatal("Invalid serial number \"%s\"", value);
    c->o.has_serial = true;
    return 0;
}

static int add_option(struct command_line *c, const char *value)
{
    int err = strv_add(&c->o.options, view_str(value));
    return err < 0 ? say_fatal("%s", err_text(err)) : 0;
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
    c->o.files = argv + optind;
    c->o.n_files = (size_t)(argc - optind);
    return 0;
}

/* -l and -H also change how -F shows what it found. */
static enum mode choose_mode(struct command_line *c)
{
    c->o.fingerprint = c->modes[MODE_FINGERPRINT];
    c->o.hash_hosts = c->modes[MODE_HASH];
    for (enum mode m = MODE_SIGN_FILE; m < MODE_MAX; m++)
        if (c->modes[m]) return m;
    return MODE_MAKE;
}

/* Words that no mode would look at are a mistake. */
static int check_words(const struct command_line *c, enum mode mode)
{
    const char *wrong = NULL;
    if (mode == MODE_CERTIFY && c->o.n_files == 0) wrong = "Too few arguments.";
    if (c->o.n_files && !mode_rows[mode].takes_files) wrong = "Too many arguments.";
    if (c->modes[MODE_PASSPHRASE] && c->modes[MODE_COMMENT]) wrong = "Can only have one of -p and -c.";
    if (c->o.fingerprint && (mode == MODE_HASH || mode == MODE_REMOVE)) wrong = "Cannot use -l with -H or -R.";
    if (wrong) {
        say_error("%s", wrong);
        return usage();
    }
    if (c->o.options.n && !mode_rows[mode].takes_options)
        return say_fatal("-O %s is not for what is asked here", c->o.options.v[0]);
    return 0;
}

int main(int argc, char **argv)
{
    if (fd_fill_std() < 0) return EXIT_FATAL;
    crypto_start();
    struct command_line c = { .o.hash = DIGEST_SHA256 };
    int status = parse(&c, argc, argv);
    if (status) return status;
    enum mode mode = choose_mode(&c);
    status = check_words(&c, mode);
    if (status == 0) status = mode_rows[mode].run(&c.o);
    strv_done(&c.o.options);
    return fflush(stdout) == 0 ? status : EXIT_FATAL;
}
