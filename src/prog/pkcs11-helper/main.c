/* ssh-pkcs11-helper: loads one PKCS#11 module for ssh, ssh-agent or ssh-keygen, tells its keys and signs with them. The client is
 * on TOKEN_HELPER_FD; when it closes, the helper ends. What is in this process besides our code is whatever the module is. */
#include "prog/pkcs11-helper/module.h"

#include "crypto/crypto.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/logsink.h"
#include "os/spawn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SIGNATURE_BYTES_MAX = 16384,
    EXIT_MISUSE = 1,
    EXIT_OWN_ERROR = 255,
};

static const char flags[] = "v";

struct helper {
    struct ipc client;
    struct logsink sink;
};

static int send_fault(struct helper *h, const struct module_fault *fault)
{
    log_debug(&h->sink.log, "%s", fault->text);
    return IPC_SEND(&h->client, token_failed, .error = fault->error, .text = view_str(fault->text));
}

/* In the midst of a request: the state goes back to what it was. */
static int ask_pin(void *arg, struct view token_label, bool has_keypad, struct buf *out)
{
    struct helper *h = arg;
    struct ipc_message m;
    struct ipc_token_pin pin;
    unsigned before = h->client.state;
    TRY(IPC_SEND(&h->client, token_pin_wanted, .token_label = token_label, .has_keypad = has_keypad));
    if (has_keypad) return 0;
    h->client.state = IPC_TOKEN_PIN;
    int err = ipc_expect(&h->client, MS_NEVER, IPC_token_pin_NUMBER, &m);
    h->client.state = before;
    TRY(err);
    TRY(ipc_token_pin_get(m.fields, &pin));
    return pin.is_given ? buf_put_view(out, pin.pin) : ERR_NOT_FOUND;
}

static int tell_keys(struct helper *h, const struct module *m)
{
    size_t n = module_n_keys(m);
    for (size_t i = 0; i < n; i++) {
        const struct key *k = module_key(m, i);
        TRY(IPC_SEND(&h->client, token_key, .key_idx = (uint32_t)i, .blob = key_blob(k), .label = view_str(key_comment(k))));
    }
    return IPC_SEND(&h->client, token_loaded, .n_keys = (uint32_t)n);
}

static int sign(struct helper *h, struct module *m, struct view fields)
{
    CLEANUP(buf_done) struct buf signature = BUF_INIT(SIGNATURE_BYTES_MAX);
    struct module_fault fault = {};
    struct ipc_token_sign q;
    TRY(ipc_token_sign_get(fields, &q));
    if (q.key_idx >= module_n_keys(m)) return ERR_RANGE;
    if (module_sign(m, q.key_idx, q.algorithm, q.data, &signature, &fault) < 0) return send_fault(h, &fault);
    return IPC_SEND(&h->client, token_signed, .signature = buf_view(&signature));
}

static int serve(struct helper *h, struct module *m)
{
    struct ipc_message message;
    h->client.state = IPC_TOKEN_READY;
    TRY(tell_keys(h, m));
    for (;;) {
        TRY(ipc_recv(&h->client, MS_NEVER, &message));
        /* ask_pin receives while the fields are in use: they are moved out of its way */
        CLEANUP(buf_done) struct buf fields = BUF_INIT(2 << 20);
        TRY(buf_put_view(&fields, message.fields));
        TRY(sign(h, m, buf_view(&fields)));
    }
}

static int run(struct helper *h)
{
    struct ipc_message message;
    struct ipc_token_load load;
    struct module_fault fault = {};
    struct module *m = NULL;
    TRY(ipc_expect(&h->client, MS_NEVER, IPC_token_load_NUMBER, &message));
    TRY(ipc_token_load_get(message.fields, &load));
    CLEANUP(freep) char *path = view_dup_str(load.provider);
    CLEANUP(buf_done) struct buf pin = BUF_INIT_SECRET(4096);
    TRY(buf_put_view(&pin, load.pin));
    if (!path || !buf_cstr(&pin)) return ERR_NOMEM;
    struct module_config config = {
        .path = path, .pin = load.has_pin ? buf_view(&pin) : VIEW_EMPTY, .ask = ask_pin, .arg = h, .log = &h->sink.log
    };
    if (module_open(&config, &m, &fault) < 0) return send_fault(h, &fault);
    module_forget_pin(m);
    buf_done(&pin);
    int err = serve(h, m);
    module_free(m);
    return err;
}

static bool is_started_by_ssh(void)
{
    struct stat st;
    return fstat(TOKEN_HELPER_FD, &st) == 0 && S_ISSOCK(st.st_mode);
}

int main(int argc, char **argv)
{
    struct helper h = {};
    int verbose = 0, flag;
    while ((flag = getopt(argc, argv, flags)) != -1) {
        if (flag != 'v') {
            fprintf(stderr, "usage: ssh-pkcs11-helper [-v]\n");
            return EXIT_MISUSE;
        }
        verbose++;
    }
    if (!is_started_by_ssh()) {
        fprintf(stderr, "ssh-pkcs11-helper: started by ssh, ssh-agent and ssh-keygen for a PKCS#11 provider, not by hand\n");
        return EXIT_MISUSE;
    }
    crypto_start();
    logsink_init_fd(&h.sink, verbose ? LOG_LEVEL_DEBUG1 : LOG_LEVEL_ERROR, STDERR_FILENO);
    int err = ipc_init(&h.client, TOKEN_HELPER_FD, IPC_P, IPC_C);
    if (err == 0) err = fd_cloexec(TOKEN_HELPER_FD, true); /* a module may start programs */
    if (err == 0) err = spawn_hide_memory();
    if (err == 0) err = spawn_no_new_privs();
    if (err == 0) err = run(&h);
    ipc_done(&h.client);
    if (err == 0 || err == ERR_PEER_CLOSED) return 0;
    fprintf(stderr, "ssh-pkcs11-helper: %s\n", err_text(err));
    return EXIT_OWN_ERROR;
}
