/* The provider "internal": FIDO2 and U2F tokens by libfido2, behind the same interface as a library of others. */
/* libcrypto's headers, which libfido2's include, have a type of the name of one of our error codes. */
#define ERR_STATE OPENSSL_ERR_STATE_TYPE
#include <fido.h>
#include <fido/credman.h>
#undef ERR_STATE

#include "base/rd.h"
#include "key/sk_key.h"
#include "prog/sk-helper/provider.h"

#include <stdlib.h>
#include <string.h>

enum {
    DEVICES_MAX = 32,
    TOUCH_POLL_MS = 50,
    TOUCH_WAIT_MS = 15000,
    USER_ID_BYTES = 32, /* of resident keys; a user name is filled up with zeros */
    RESIDENT_MAX = 256,
};

struct settings {
    const char *device;
    uint8_t user_id[USER_ID_BYTES];
    bool has_user;
};

static int settings_of(struct sk_option **options, struct settings *ret)
{
    struct settings s = {};
    for (; options && *options; options++) {
        const struct sk_option *o = *options;
        if (strcmp(o->name, "device") == 0) {
            s.device = o->value;
        } else if (strcmp(o->name, "user") == 0) {
            if (strlen(o->value) >= sizeof s.user_id) return SK_API_UNSUPPORTED;
            memcpy(s.user_id, o->value, strlen(o->value));
            s.has_user = true;
        } else if (o->required) {
            return SK_API_UNSUPPORTED;
        }
    }
    *ret = s;
    return 0;
}

static int api_error(int fido)
{
    switch (fido) {
    case FIDO_OK:
        return 0;
    case FIDO_ERR_UNSUPPORTED_OPTION:
    case FIDO_ERR_UNSUPPORTED_ALGORITHM:
    case FIDO_ERR_UNSUPPORTED_EXTENSION:
        return SK_API_UNSUPPORTED;
    case FIDO_ERR_PIN_REQUIRED:
    case FIDO_ERR_PIN_INVALID:
    case FIDO_ERR_PIN_AUTH_INVALID:
    case FIDO_ERR_PIN_BLOCKED:
    case FIDO_ERR_PIN_AUTH_BLOCKED:
    case FIDO_ERR_PIN_NOT_SET:
    case FIDO_ERR_UV_BLOCKED:
    case FIDO_ERR_UV_INVALID:
        return SK_API_PIN_REQUIRED;
    case FIDO_ERR_NO_CREDENTIALS:
        return SK_API_DEVICE_NOT_FOUND;
    default:
        return SK_API_GENERAL;
    }
}

/* A heap copy in the form of the interface. */
static bool copy(const void *from, size_t len, uint8_t **ret, size_t *ret_len)
{
    if (!from || !len) return true;
    *ret = malloc(len);
    if (!*ret) return false;
    memcpy(*ret, from, len);
    *ret_len = len;
    return true;
}

/* ---- devices ---- */

struct devices {
    fido_dev_t *list[DEVICES_MAX];
    size_t n;
};

static void device_free(fido_dev_t *dev)
{
    if (!dev) return;
    (void)fido_dev_close(dev);
    fido_dev_free(&dev);
}

static void devices_done(struct devices *d)
{
    for (size_t i = 0; i < d->n; i++) device_free(d->list[i]);
    d->n = 0;
}

static void add_device(struct devices *d, const char *path)
{
    fido_dev_t *dev = d->n < DEVICES_MAX ? fido_dev_new() : NULL;
    if (!dev) return;
    if (fido_dev_open(dev, path) == FIDO_OK)
        d->list[d->n++] = dev;
    else
        fido_dev_free(&dev);
}

/* The one that is named, or all there are. */
static int open_devices(const char *path, struct devices *d)
{
    size_t n = 0;
    fido_init(0);
    if (path) {
        add_device(d, path);
        return d->n ? 0 : SK_API_DEVICE_NOT_FOUND;
    }
    fido_dev_info_t *infos = fido_dev_info_new(DEVICES_MAX);
    if (infos && fido_dev_info_manifest(infos, DEVICES_MAX, &n) == FIDO_OK)
        for (size_t i = 0; i < n; i++) add_device(d, fido_dev_info_path(fido_dev_info_ptr(infos, i)));
    fido_dev_info_free(&infos, DEVICES_MAX);
    return d->n ? 0 : SK_API_DEVICE_NOT_FOUND;
}

/* Leaves one only. */
static void keep(struct devices *d, size_t idx)
{
    fido_dev_t *kept = d->list[idx];
    d->list[idx] = NULL;
    devices_done(d);
    d->list[0] = kept;
    d->n = 1;
}

/* Several devices: the one that is touched first. */
static int choose_by_touch(struct devices *d)
{
    int touched = 0;
    size_t at = 0;
    if (d->n == 1) return 0;
    for (size_t i = 0; i < d->n; i++) (void)fido_dev_get_touch_begin(d->list[i]);
    for (int waited = 0; !touched && waited < TOUCH_WAIT_MS; waited += TOUCH_POLL_MS)
        for (size_t i = 0; i < d->n && !touched; i++) {
            at = i;
            if (fido_dev_get_touch_status(d->list[i], &touched, TOUCH_POLL_MS / (int)d->n + 1) != FIDO_OK) touched = 0;
        }
    for (size_t i = 0; i < d->n; i++)
        if (!touched || i != at) (void)fido_dev_cancel(d->list[i]);
    if (!touched) return SK_API_DEVICE_NOT_FOUND;
    keep(d, at);
    return 0;
}

/* ---- enrolling ---- */

/* PROTOCOL.u2f: libfido2 has the point as x||y, ours begins with the byte 4. */
static bool copy_public(const fido_cred_t *cred, struct sk_enroll_response *r)
{
    const uint8_t *key = fido_cred_pubkey_ptr(cred);
    size_t len = fido_cred_pubkey_len(cred);
    if (fido_cred_type(cred) != COSE_ES256) return key && len == 32 && copy(key, len, &r->public_key, &r->public_key_len);
    uint8_t point[65] = { 4 };
    if (!key || len != 64) return false;
    memcpy(point + 1, key, len);
    return copy(point, sizeof point, &r->public_key, &r->public_key_len);
}

static bool copy_credential(const fido_cred_t *cred, struct sk_enroll_response *r)
{
    return copy_public(cred, r) && copy(fido_cred_id_ptr(cred), fido_cred_id_len(cred), &r->key_handle, &r->key_handle_len);
}

static bool copy_attestation(const fido_cred_t *cred, struct sk_enroll_response *r)
{
    return copy(fido_cred_sig_ptr(cred), fido_cred_sig_len(cred), &r->signature, &r->signature_len) &&
           copy(fido_cred_x5c_ptr(cred), fido_cred_x5c_len(cred), &r->attestation_cert, &r->attestation_cert_len) &&
           copy(fido_cred_authdata_ptr(cred), fido_cred_authdata_len(cred), &r->authdata, &r->authdata_len);
}

static int fill_credential(fido_cred_t *cred, fido_dev_t *dev, uint32_t alg, const struct settings *s, uint8_t flags,
                           const char *pin, const char *application)
{
    bool resident = flags & SK_RESIDENT, verify = flags & SK_USER_VERIFICATION;
    int r = fido_cred_set_type(cred, alg == SK_ECDSA ? COSE_ES256 : COSE_EDDSA);
    if (r == FIDO_OK) r = fido_cred_set_rk(cred, resident ? FIDO_OPT_TRUE : FIDO_OPT_OMIT);
    if (r == FIDO_OK) r = fido_cred_set_user(cred, s->user_id, sizeof s->user_id, "openssh", "openssh", NULL);
    if (r == FIDO_OK) r = fido_cred_set_rp(cred, application, NULL);
    if (r == FIDO_OK && verify && !pin) r = fido_dev_has_uv(dev) ? fido_cred_set_uv(cred, FIDO_OPT_TRUE) : FIDO_ERR_PIN_REQUIRED;
    if (r != FIDO_OK || !(resident || verify)) return api_error(r);
    /* what lives on the device is not told to whom only holds it */
    if (!fido_dev_supports_cred_prot(dev)) return verify ? SK_API_UNSUPPORTED : 0;
    return api_error(fido_cred_set_prot(cred, verify ? FIDO_CRED_PROT_UV_REQUIRED : FIDO_CRED_PROT_UV_OPTIONAL_WITH_ID));
}

/* Whether the device has a resident key of this application and user. */
static bool has_resident(fido_dev_t *dev, const char *application, const struct settings *s, const char *pin)
{
    bool found = false;
    fido_credman_rk_t *keys = fido_credman_rk_new();
    if (keys && fido_dev_supports_credman(dev) && fido_credman_get_dev_rk(dev, application, keys, pin) == FIDO_OK)
        for (size_t i = 0; i < fido_credman_rk_count(keys); i++) {
            const fido_cred_t *c = fido_credman_rk(keys, i);
            found |= fido_cred_user_id_len(c) == sizeof s->user_id &&
                     memcmp(fido_cred_user_id_ptr(c), s->user_id, sizeof s->user_id) == 0;
        }
    fido_credman_rk_free(&keys);
    return found;
}

static int make_credential(fido_cred_t *cred, fido_dev_t *dev, const char *pin)
{
    int r = fido_dev_make_cred(dev, cred, pin);
    if (r == FIDO_OK) r = fido_cred_x5c_ptr(cred) ? fido_cred_verify(cred) : fido_cred_verify_self(cred);
    return api_error(r);
}

static int internal_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application, uint8_t flags,
                           const char *pin, struct sk_option **options, struct sk_enroll_response **ret)
{
    CLEANUP(devices_done) struct devices d = {};
    struct settings s;
    struct sk_enroll_response *r = NULL;
    if (alg != SK_ECDSA && alg != SK_ED25519) return SK_API_UNSUPPORTED;
    int err = settings_of(options, &s);
    if (err == 0) err = open_devices(s.device, &d);
    if (err == 0) err = choose_by_touch(&d);
    if (err < 0) return err;
    if ((flags & SK_RESIDENT) && !(flags & SK_FORCE) && pin && has_resident(d.list[0], application, &s, pin))
        return SK_API_CREDENTIAL_EXISTS;
    fido_cred_t *cred = fido_cred_new();
    err = cred ? api_error(fido_cred_set_clientdata(cred, challenge, challenge_len)) : SK_API_GENERAL;
    if (err == 0) err = fill_credential(cred, d.list[0], alg, &s, flags, pin, application);
    if (err == 0) err = make_credential(cred, d.list[0], pin);
    if (err == 0) {
        r = calloc(1, sizeof *r);
        if (!r || !copy_credential(cred, r) || !copy_attestation(cred, r)) err = SK_API_GENERAL;
    }
    fido_cred_free(&cred);
    if (err < 0) {
        sk_enroll_response_free(r);
        return err;
    }
    r->flags = flags;
    *ret = r;
    return 0;
}

/* ---- signing ---- */

/* ECDSA-Sig-Value (RFC 3279 2.2.3): SEQUENCE of two INTEGERs, all shorter than 128 bytes for nistp256. */
static int split_der(struct view der, struct sk_sign_response *r)
{
    struct rd in = rd_of(der);
    if (rd_u8(&in) != 0x30) rd_fail(&in, ERR_FORMAT);
    if (rd_u8(&in) != rd_left(&in)) rd_fail(&in, ERR_FORMAT);
    if (rd_u8(&in) != 0x02) rd_fail(&in, ERR_FORMAT);
    struct view first = rd_bytes(&in, rd_u8(&in));
    if (rd_u8(&in) != 0x02) rd_fail(&in, ERR_FORMAT);
    struct view second = rd_bytes(&in, rd_u8(&in));
    TRY(rd_end(&in));
    return copy(first.p, first.len, &r->sig_r, &r->sig_r_len) && copy(second.p, second.len, &r->sig_s, &r->sig_s_len) ? 0
                                                                                                                      : ERR_NOMEM;
}

static fido_assert_t *new_assertion(const uint8_t *message, size_t message_len, const char *application, struct view handle)
{
    fido_assert_t *a = fido_assert_new();
    bool is_good = a && fido_assert_set_clientdata(a, message, message_len) == FIDO_OK &&
                   fido_assert_set_rp(a, application) == FIDO_OK && fido_assert_allow_cred(a, handle.p, handle.len) == FIDO_OK;
    if (!is_good) fido_assert_free(&a);
    return a;
}

/* Of several devices the one that has the key: asked without a touch. */
static int choose_by_key(struct devices *d, const char *application, struct view handle)
{
    static const uint8_t nothing[32];
    for (size_t i = 0; d->n > 1 && i < d->n; i++) {
        fido_assert_t *a = new_assertion(nothing, sizeof nothing, application, handle);
        int r = a ? fido_assert_set_up(a, FIDO_OPT_FALSE) : FIDO_ERR_INTERNAL;
        if (r == FIDO_OK) r = fido_dev_get_assert(d->list[i], a, NULL);
        fido_assert_free(&a);
        /* an old U2F token says so when it would sign after a touch */
        if (r == FIDO_OK || r == FIDO_ERR_USER_PRESENCE_REQUIRED || r == FIDO_ERR_PIN_REQUIRED) keep(d, i);
    }
    return d->n == 1 ? 0 : SK_API_DEVICE_NOT_FOUND;
}

static int fill_response(const fido_assert_t *a, uint32_t alg, struct sk_sign_response *r)
{
    struct view sig = view_of(fido_assert_sig_ptr(a, 0), fido_assert_sig_len(a, 0));
    r->flags = fido_assert_flags(a, 0);
    r->counter = fido_assert_sigcount(a, 0);
    if (!sig.p) return SK_API_GENERAL;
    if (alg == SK_ECDSA) return split_der(sig, r) == 0 ? 0 : SK_API_GENERAL;
    return copy(sig.p, sig.len, &r->sig_r, &r->sig_r_len) ? 0 : SK_API_GENERAL;
}

static int get_assertion(fido_assert_t *a, fido_dev_t *dev, uint8_t flags, const char *pin)
{
    int r = fido_assert_set_up(a, flags & SK_USER_PRESENCE ? FIDO_OPT_TRUE : FIDO_OPT_FALSE);
    if (r == FIDO_OK && (flags & SK_USER_VERIFICATION) && !pin)
        r = fido_dev_has_uv(dev) ? fido_assert_set_uv(a, FIDO_OPT_TRUE) : FIDO_ERR_PIN_REQUIRED;
    if (r == FIDO_OK) r = fido_dev_get_assert(dev, a, pin);
    if (r == FIDO_OK && fido_assert_count(a) == 0) r = FIDO_ERR_NO_CREDENTIALS;
    return api_error(r);
}

static int internal_sign(uint32_t alg, const uint8_t *message, size_t message_len, const char *application,
                         const uint8_t *key_handle, size_t key_handle_len, uint8_t flags, const char *pin,
                         struct sk_option **options, struct sk_sign_response **ret)
{
    CLEANUP(devices_done) struct devices d = {};
    struct settings s;
    struct view handle = view_of(key_handle, key_handle_len);
    struct sk_sign_response *r = NULL;
    int err = settings_of(options, &s);
    if (err == 0) err = open_devices(s.device, &d);
    if (err == 0) err = choose_by_key(&d, application, handle);
    if (err < 0) return err;
    fido_assert_t *a = new_assertion(message, message_len, application, handle);
    err = a ? get_assertion(a, d.list[0], flags, pin) : SK_API_GENERAL;
    if (err == 0) {
        r = calloc(1, sizeof *r);
        err = r ? fill_response(a, alg, r) : SK_API_GENERAL;
    }
    fido_assert_free(&a);
    if (err < 0) {
        sk_sign_response_free(r);
        return err;
    }
    *ret = r;
    return 0;
}

/* ---- resident keys ---- */

struct residents {
    struct sk_resident_key *list[RESIDENT_MAX + 1];
    size_t n;
};

static int add_resident(struct residents *all, const fido_cred_t *cred, const char *application)
{
    int type = fido_cred_type(cred);
    if ((type != COSE_ES256 && type != COSE_EDDSA) || all->n == RESIDENT_MAX) return 0;
    struct sk_resident_key *k = calloc(1, sizeof *k);
    if (!k) return SK_API_GENERAL;
    all->list[all->n++] = k;
    k->alg = type == COSE_ES256 ? SK_ECDSA : SK_ED25519;
    k->flags = SK_USER_PRESENCE | SK_RESIDENT;
    if (fido_cred_prot(cred) == FIDO_CRED_PROT_UV_REQUIRED) k->flags |= SK_USER_VERIFICATION;
    k->application = strdup(application);
    bool is_good = k->application && copy_credential(cred, &k->key) &&
                   copy(fido_cred_user_id_ptr(cred), fido_cred_user_id_len(cred), &k->user_id, &k->user_id_len);
    return is_good ? 0 : SK_API_GENERAL;
}

static int list_application(fido_dev_t *dev, const char *application, const char *pin, struct residents *all)
{
    fido_credman_rk_t *keys = fido_credman_rk_new();
    int err = keys ? api_error(fido_credman_get_dev_rk(dev, application, keys, pin)) : SK_API_GENERAL;
    for (size_t i = 0; err == 0 && i < fido_credman_rk_count(keys); i++)
        err = add_resident(all, fido_credman_rk(keys, i), application);
    fido_credman_rk_free(&keys);
    return err;
}

/* Those of ssh: their applications begin so. */
static int list_device(fido_dev_t *dev, const char *pin, struct residents *all)
{
    if (!fido_dev_supports_credman(dev)) return SK_API_UNSUPPORTED;
    fido_credman_rp_t *applications = fido_credman_rp_new();
    int r = applications ? fido_credman_get_dev_rp(dev, applications, pin) : FIDO_ERR_INTERNAL;
    int err = r == FIDO_ERR_NO_CREDENTIALS ? 0 : api_error(r);
    for (size_t i = 0; r == FIDO_OK && err == 0 && i < fido_credman_rp_count(applications); i++) {
        const char *id = fido_credman_rp_id(applications, i);
        if (id && strncmp(id, SK_APPLICATION, sizeof SK_APPLICATION - 1) == 0) err = list_application(dev, id, pin, all);
    }
    fido_credman_rp_free(&applications);
    return err;
}

static int internal_load_resident_keys(const char *pin, struct sk_option **options, struct sk_resident_key ***ret, size_t *ret_n)
{
    CLEANUP(devices_done) struct devices d = {};
    struct settings s;
    int err = settings_of(options, &s);
    if (err == 0) err = open_devices(s.device, &d);
    if (err == 0) err = choose_by_touch(&d);
    if (err < 0) return err;
    struct residents *all = calloc(1, sizeof *all);
    if (!all) return SK_API_GENERAL;
    err = list_device(d.list[0], pin, all);
    struct sk_resident_key **list = calloc(all->n + 1, sizeof(struct sk_resident_key *));
    if (!list) err = SK_API_GENERAL;
    for (size_t i = 0; list && i < all->n; i++) list[i] = all->list[i];
    if (err == 0) {
        *ret = list;
        *ret_n = all->n;
    } else {
        sk_resident_keys_free(list, all->n);
    }
    free(all);
    return err;
}

static uint32_t internal_version(void) { return SK_API_VERSION_MAJOR; }

const struct sk_api provider_internal = { internal_version, internal_enroll, internal_sign, internal_load_resident_keys };
