/* Keys on a token: public keys and certificates found, private ones used. */
#include "prog/pkcs11-helper/module_int.h"

#include "key/token_key.h"

#include <stdlib.h>

enum {
    FIND_AT_ONCE = 64,
    SIGNATURE_RAW_BYTES_MAX = 2048, /* RSA of 16384 bits */
    SIGN_INPUT_BYTES_MAX = 1 << 20,
};

/* ---- attributes ---- */

struct attributes {
    struct buf bytes[3];
};

static void attributes_done(struct attributes *a)
{
    for (size_t i = 0; i < ARRAY_LEN(a->bytes); i++) buf_done(&a->bytes[i]);
}

/* One attribute of an object; ERR_NOT_FOUND: it has none, or none that makes sense. */
static int get_attribute(struct module *m, const struct module_token *t, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                         struct buf *ret)
{
    CK_ATTRIBUTE a = { type, NULL, 0 };
    uint8_t *area;
    buf_init(ret, MODULE_ATTRIBUTE_BYTES_MAX);
    CK_RV rv = m->f->C_GetAttributeValue(t->session, object, &a, 1);
    if (rv != CKR_OK || a.ulValueLen == CK_UNAVAILABLE_INFORMATION || a.ulValueLen > MODULE_ATTRIBUTE_BYTES_MAX)
        return ERR_NOT_FOUND;
    size_t len = a.ulValueLen;
    if (len == 0) return 0;
    TRY(buf_reserve(ret, len, &area));
    a.pValue = area;
    rv = m->f->C_GetAttributeValue(t->session, object, &a, 1);
    if (rv != CKR_OK || a.ulValueLen > len) return ERR_NOT_FOUND;
    buf_commit(ret, a.ulValueLen);
    return 0;
}

static bool get_number(struct module *m, const struct module_token *t, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                       CK_ULONG *ret)
{
    CK_ATTRIBUTE a = { type, ret, sizeof *ret };
    return m->f->C_GetAttributeValue(t->session, object, &a, 1) == CKR_OK && a.ulValueLen == sizeof *ret;
}

static bool get_bool(struct module *m, const struct module_token *t, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL value = 0;
    CK_ATTRIBUTE a = { type, &value, sizeof value };
    return m->f->C_GetAttributeValue(t->session, object, &a, 1) == CKR_OK && a.ulValueLen == sizeof value && value;
}

/* ---- public keys ---- */

static int key_of_two(struct module *m, struct module_token *t, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE first,
                      CK_ATTRIBUTE_TYPE second, int (*make)(struct view a, struct view b, struct key **ret), struct key **ret)
{
    CLEANUP(attributes_done) struct attributes a = {};
    TRY(get_attribute(m, t, o, first, &a.bytes[0]));
    TRY(get_attribute(m, t, o, second, &a.bytes[1]));
    return make(buf_view(&a.bytes[0]), buf_view(&a.bytes[1]), ret);
}

static int public_key_of(struct module *m, struct module_token *t, CK_OBJECT_HANDLE object, struct key **ret)
{
    CK_ULONG type;
    if (!get_number(m, t, object, CKA_KEY_TYPE, &type)) return ERR_NOT_FOUND;
    if (type == CKK_RSA) return key_of_two(m, t, object, CKA_MODULUS, CKA_PUBLIC_EXPONENT, token_key_rsa, ret);
    if (type == CKK_EC || type == CKK_EC_EDWARDS) return key_of_two(m, t, object, CKA_EC_PARAMS, CKA_EC_POINT, token_key_ec, ret);
    return ERR_KEY_TYPE;
}

static int certified_key_of(struct module *m, struct module_token *t, CK_OBJECT_HANDLE object, struct key **ret)
{
    CK_ULONG type;
    CLEANUP(attributes_done) struct attributes a = {};
    if (!get_number(m, t, object, CKA_CERTIFICATE_TYPE, &type) || type != CKC_X_509) return ERR_KEY_TYPE;
    TRY(get_attribute(m, t, object, CKA_VALUE, &a.bytes[0]));
    return token_key_certificate(buf_view(&a.bytes[0]), ret);
}

static bool has_key(const struct module *m, const struct key *k)
{
    for (size_t i = 0; i < m->n_keys; i++)
        if (key_equal_public(m->keys[i].key, k)) return true;
    return false;
}

typedef int key_of_fn(struct module *m, struct module_token *t, CK_OBJECT_HANDLE object, struct key **ret);

/* An object that is no key of ours is left out; only without memory is that an error. */
static int add_object(struct module *m, struct module_token *t, CK_OBJECT_HANDLE object, key_of_fn *key_of)
{
    CLEANUP(attributes_done) struct attributes a = {};
    CLEANUP(key_unrefp) struct key *k = NULL;
    int err = get_attribute(m, t, object, CKA_ID, &a.bytes[0]);
    if (err == 0 && buf_len(&a.bytes[0]) == 0) err = ERR_NOT_FOUND;
    if (err == 0) err = key_of(m, t, object, &k);
    if (err < 0) {
        log_debug(m->config.log, "token \"%s\": an object is left out: %s", t->label, err_text(err));
        return err == ERR_NOMEM ? err : 0;
    }
    if (has_key(m, k)) return 0;
    if (m->n_keys == MODULE_KEYS_MAX) return ERR_LIMIT;
    if (get_attribute(m, t, object, CKA_LABEL, &a.bytes[1]) == 0) TRY(key_set_comment(k, view_sub(buf_view(&a.bytes[1]), 0, 1024)));
    struct view id = buf_view(&a.bytes[0]);
    uint8_t *copy = malloc(id.len);
    if (!copy) return ERR_NOMEM;
    memcpy(copy, id.p, id.len);
    m->keys[m->n_keys++] = (struct module_key){ TAKE(k), t, copy, id.len };
    return 0;
}

/* All objects of a class: first their handles, since a search must be over before another call of some modules. */
static int find_all(struct module *m, const struct module_token *t, CK_ATTRIBUTE *filter, CK_ULONG n_filter,
                    struct buf *ret_handles)
{
    CK_OBJECT_HANDLE found[FIND_AT_ONCE];
    CK_ULONG n = 0;
    CK_RV rv = m->f->C_FindObjectsInit(t->session, filter, n_filter);
    if (rv != CKR_OK) return ERR_NOT_FOUND;
    int err = 0;
    do {
        rv = m->f->C_FindObjects(t->session, found, ARRAY_LEN(found), &n);
        if (rv == CKR_OK && n <= ARRAY_LEN(found)) err = buf_put(ret_handles, found, n * sizeof *found);
    } while (rv == CKR_OK && err == 0 && n > 0 && n <= ARRAY_LEN(found));
    (void)m->f->C_FindObjectsFinal(t->session);
    return rv == CKR_OK ? err : ERR_NOT_FOUND;
}

static int list_class(struct module *m, struct module_token *t, CK_OBJECT_CLASS class, key_of_fn *key_of)
{
    CK_ATTRIBUTE filter = { CKA_CLASS, &class, sizeof class };
    CLEANUP(buf_done) struct buf handles = BUF_INIT(MODULE_KEYS_MAX * sizeof(CK_OBJECT_HANDLE));
    TRY(find_all(m, t, &filter, 1, &handles));
    for (size_t at = 0; at + sizeof(CK_OBJECT_HANDLE) <= buf_len(&handles); at += sizeof(CK_OBJECT_HANDLE)) {
        CK_OBJECT_HANDLE object;
        memcpy(&object, buf_bytes(&handles) + at, sizeof object);
        TRY(add_object(m, t, object, key_of));
    }
    return 0;
}

int module_list_keys(struct module *m, struct module_token *t, struct module_fault *fault)
{
    int err = list_class(m, t, CKO_CERTIFICATE, certified_key_of);
    if (err == 0) err = list_class(m, t, CKO_PUBLIC_KEY, public_key_of);
    if (err < 0)
        return module_fault_set(fault, TOKEN_ERROR_GENERAL, err, "token \"%s\": its keys cannot be listed: %s", t->label,
                                err_text(err));
    return 0;
}

size_t module_n_keys(const struct module *m) { return m->n_keys; }
const struct key *module_key(const struct module *m, size_t idx) { return m->keys[idx].key; }

/* ---- signing ---- */

/* The private half: marked for signing if possible; there are tokens that do not mark. */
static int find_private(struct module *m, const struct module_key *k, CK_OBJECT_HANDLE *ret)
{
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_BBOOL yes = 1;
    CK_ATTRIBUTE filter[] = { { CKA_CLASS, &class, sizeof class }, { CKA_ID, k->id, k->id_len }, { CKA_SIGN, &yes, sizeof yes } };
    for (CK_ULONG n = ARRAY_LEN(filter); n >= 2; n--) {
        CLEANUP(buf_done) struct buf handles = BUF_INIT(MODULE_KEYS_MAX * sizeof(CK_OBJECT_HANDLE));
        if (find_all(m, k->token, filter, n, &handles) < 0 || buf_len(&handles) < sizeof *ret) continue;
        memcpy(ret, buf_bytes(&handles), sizeof *ret);
        return 0;
    }
    return ERR_NOT_FOUND;
}

static CK_MECHANISM mechanism_of(const struct key *k)
{
    enum pkey_type type = key_type_of(k)->pkey;
    return (CK_MECHANISM){ type == PKEY_RSA ? CKM_RSA_PKCS : type == PKEY_ED25519 ? CKM_EDDSA : CKM_ECDSA, NULL, 0 };
}

static int sign_raw(struct module *m, struct module_key *k, struct view input, struct buf *raw, struct module_fault *fault)
{
    CK_OBJECT_HANDLE object;
    CK_MECHANISM mechanism = mechanism_of(k->key);
    uint8_t *area, *bytes = (uint8_t *)(uintptr_t)input.p; /* PKCS#11 has no const */
    CK_ULONG len = SIGNATURE_RAW_BYTES_MAX;
    TRY(module_login(m, k->token, CKU_USER, fault));
    if (find_private(m, k, &object) < 0)
        return module_fault_set(fault, TOKEN_ERROR_NO_DEVICE, ERR_NOT_FOUND, "token \"%s\" has no private key for it",
                                k->token->label);
    CK_RV rv = m->f->C_SignInit(k->token->session, &mechanism, object);
    if (rv != CKR_OK) return module_fault_rv(fault, "C_SignInit", rv);
    if (get_bool(m, k->token, object, CKA_ALWAYS_AUTHENTICATE)) TRY(module_login(m, k->token, CKU_CONTEXT_SPECIFIC, fault));
    TRY(buf_reserve(raw, SIGNATURE_RAW_BYTES_MAX, &area));
    rv = m->f->C_Sign(k->token->session, bytes, input.len, area, &len);
    if (rv != CKR_OK || len > SIGNATURE_RAW_BYTES_MAX) return module_fault_rv(fault, "C_Sign", rv);
    buf_commit(raw, len);
    return 0;
}

int module_sign(struct module *m, size_t idx, struct view algorithm, struct view data, struct buf *ret_signature,
                struct module_fault *fault)
{
    CLEANUP(buf_done) struct buf input = BUF_INIT(SIGN_INPUT_BYTES_MAX), raw = BUF_INIT(SIGNATURE_RAW_BYTES_MAX);
    struct module_key *k = &m->keys[idx];
    *fault = (struct module_fault){ .error = TOKEN_ERROR_GENERAL };
    int err = token_sign_input(k->key, algorithm, data, &input);
    if (err == 0) err = sign_raw(m, k, buf_view(&input), &raw, fault);
    if (err == 0) err = token_sign_output(k->key, algorithm, buf_view(&raw), ret_signature);
    if (err < 0 && !*fault->text) module_fault_set(fault, TOKEN_ERROR_GENERAL, err, "signing failed: %s", err_text(err));
    return err;
}
