/* A program for tests: reads a configuration and prints what -G or -T would, or how long parsing and evaluating take.
 *   conf-dump [-t] [-c] [-o SETTING]... ssh|sshd FILE HOST_OR_USER [ADDRESS [CLIENT_HOST]]
 * -t prints times in microseconds; -c checks for features this build lacks as well. */
#include "conf/ssh_options.h"
#include "conf/sshd_options.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const struct conf_algorithms algs = {
    .supported = { "mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,diffie-hellman-group14-"
                   "sha256,"
                   "diffie-hellman-group1-sha1",
                   "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,"
                   "3des-cbc",
                   "umac-64-etm@openssh.com,hmac-sha2-256-etm@openssh.com,umac-64@openssh.com,hmac-sha2-256,hmac-sha1,hmac-md5",
                   "ssh-ed25519-cert-v01@openssh.com,ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256,ssh-rsa",
                   "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256,ssh-rsa" },
    .defaults = { "mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,diffie-hellman-group14-"
                  "sha256",
                  "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr",
                  "umac-64-etm@openssh.com,hmac-sha2-256-etm@openssh.com,umac-64@openssh.com,hmac-sha2-256,hmac-sha1",
                  "ssh-ed25519-cert-v01@openssh.com,ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256",
                  "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256" },
};

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int read_file(const char *name, struct buf *out)
{
    FILE *f = fopen(name, "re");
    char chunk[65536];
    size_t n;
    int err = f ? 0 : ERR_NOT_FOUND;
    while (f && err == 0 && (n = fread(chunk, 1, sizeof(chunk), f)) > 0) err = buf_put(out, chunk, n);
    if (f) fclose(f);
    return err;
}

static int include(void *arg UNUSED, const char *pattern, struct conf_include *into)
{
    glob_t g;
    int err = 0;
    if (glob(pattern, 0, NULL, &g) != 0) return 0;
    for (size_t i = 0; err == 0 && i < g.gl_pathc; i++) {
        CLEANUP(buf_done) struct buf bytes = BUF_INIT(CONF_FILE_BYTES_MAX);
        err = read_file(g.gl_pathv[i], &bytes);
        if (err == 0) err = conf_include_file(into, g.gl_pathv[i], buf_view(&bytes));
    }
    globfree(&g);
    return err;
}

static int run_command(void *arg UNUSED, const char *command, const struct ssh_options *so_far UNUSED)
{
    return system(command) == 0;
}

static int in_group(void *arg UNUSED, const char *user, const char *patterns, bool *ret_matches)
{
    *ret_matches = strcmp(user, patterns) == 0; /* everybody's group is named as they are */
    return 0;
}

static void print_diag(const struct conf_diag *diag)
{
    for (size_t i = 0; i < diag->warnings.n; i++) fprintf(stderr, "%s\n", diag->warnings.v[i]);
    for (size_t i = 0; i < diag->errors.n; i++) fprintf(stderr, "%s\n", diag->errors.v[i]);
}

struct request {
    const char *file, *name, *address, *host;
    bool times, check;
    const char *settings[64];
    size_t n_settings;
    struct conf_diag diag;
};

static int parse(struct request *q, enum conf_program program, struct conf_image *ret)
{
    static const struct conf_reader reader = { include, NULL };
    CLEANUP(buf_done) struct buf bytes = BUF_INIT(CONF_FILE_BYTES_MAX);
    TRY(read_file(q->file, &bytes));
    const struct conf_parse_args args = { program, q->file, &reader, &algs, NULL, true, &q->diag };
    double start = now_us();
    TRY(conf_parse(&args, buf_view(&bytes), ret));
    if (q->times) printf("parse %.0f us, image %zu bytes\n", now_us() - start, ret->bytes.len);
    start = now_us();
    struct conf_image again;
    TRY(conf_image_open(program, ret->bytes, &again));
    if (q->times) printf("open %.0f us\n", now_us() - start);
    return 0;
}

static int dump_ssh(struct request *q, struct buf *out)
{
    struct ssh_options o;
    CLEANUP(conf_image_done) struct conf_image img = CONF_IMAGE_INIT;
    TRY(parse(q, CONF_SSH, &img));
    ssh_options_init(&o);
    for (size_t i = 0; i < q->n_settings; i++) TRY(ssh_options_set(&o, q->settings[i], &algs, &q->diag));
    struct ssh_conf_ctx ctx = {
        .original_host = q->name, .local_user = "root", .command = "", .version = "Nacre_0", .exec = run_command
    };
    double start = now_us();
    TRY(ssh_options_eval(&o, &img, &ctx, &q->diag));
    if (q->times) printf("eval %.0f us\n", now_us() - start);
    if (ctx.wants_final_pass) {
        ctx.is_final = true;
        TRY(ssh_options_eval(&o, &img, &ctx, &q->diag));
    }
    if (q->check) TRY(ssh_options_check(&o, &q->diag));
    TRY(ssh_options_fill_defaults(&o, &algs));
    TRY(ssh_options_dump(&o, out));
    ssh_options_done(&o);
    return 0;
}

static int dump_sshd(struct request *q, struct buf *out)
{
    struct sshd_options o;
    CLEANUP(conf_image_done) struct conf_image img = CONF_IMAGE_INIT;
    TRY(parse(q, CONF_SSHD, &img));
    if (q->check) TRY(sshd_image_check(&img, &q->diag));
    sshd_options_init(&o);
    for (size_t i = 0; i < q->n_settings; i++) TRY(sshd_options_set(&o, q->settings[i], &algs, &q->diag));
    const struct sshd_conf_ctx ctx = {
        .user = q->name, .host = q->host, .address = q->address, .local_address = "10.1.1.1", .local_port = 22, .in_group = in_group
    };
    double start = now_us();
    TRY(sshd_options_eval(&o, &img, q->address ? &ctx : NULL, &q->diag));
    if (q->times) printf("eval %.0f us\n", now_us() - start);
    if (q->check) TRY(sshd_options_check(&o, &q->diag));
    TRY(sshd_options_fill_defaults(&o, &algs));
    TRY(sshd_options_dump(&o, out));
    sshd_options_done(&o);
    return 0;
}

int main(int argc, char **argv)
{
    struct request q = { .diag = CONF_DIAG_INIT };
    struct buf out = BUF_INIT(1 << 24);
    int c;
    while ((c = getopt(argc, argv, "tco:")) != -1) {
        if (c == 't') q.times = true;
        if (c == 'c') q.check = true;
        if (c == 'o' && q.n_settings < ARRAY_LEN(q.settings)) q.settings[q.n_settings++] = optarg;
    }
    if (argc - optind < 3) return 2;
    q.file = argv[optind + 1];
    q.name = argv[optind + 2];
    q.address = argv[optind + 3];
    q.host = q.address ? argv[optind + 4] : NULL;
    int err = strcmp(argv[optind], "ssh") == 0 ? dump_ssh(&q, &out) : dump_sshd(&q, &out);
    print_diag(&q.diag);
    if (err < 0) fprintf(stderr, "conf-dump: %s\n", err_text(err));
    if (err == 0 && !q.times) fwrite(buf_bytes(&out), 1, buf_len(&out), stdout);
    buf_done(&out);
    conf_diag_done(&q.diag);
    return err < 0;
}
