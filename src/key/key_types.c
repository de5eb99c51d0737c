/* The table of key and signature algorithms. A new one is a row here and, when its fields are of a new shape, a case in
 * key_fields_get. */
#include "key/key_int.h"

#define PLAIN(name_, short_, pkey_, digest_, is_default_)                                                               \
    {                                                                                                                   \
        .name = name_, .short_name = short_, .blob_name = name_, .plain_name = name_, .pkey = pkey_, .digest = digest_, \
        .is_default = is_default_                                                                                       \
    }
#define SK(name_, short_, pkey_)                                                                                              \
    {                                                                                                                         \
        .name = name_, .short_name = short_, .blob_name = name_, .plain_name = name_, .pkey = pkey_, .digest = DIGEST_SHA256, \
        .is_sk = true, .is_default = true                                                                                     \
    }
#define CERT(name_, short_, plain_, pkey_, digest_, is_sk_, is_default_)                                                 \
    {                                                                                                                    \
        .name = name_, .short_name = short_, .blob_name = name_, .plain_name = plain_, .pkey = pkey_, .digest = digest_, \
        .is_cert = true, .is_sk = is_sk_, .is_default = is_default_                                                      \
    }
/* Names of signatures only: the key's blob has another. */
#define SIG(name_, short_, blob_, pkey_, digest_, is_sk_)                                                               \
    {                                                                                                                   \
        .name = name_, .short_name = short_, .blob_name = blob_, .plain_name = name_, .pkey = pkey_, .digest = digest_, \
        .is_sk = is_sk_, .sig_only = true, .is_default = true                                                           \
    }
#define CERT_SIG(name_, short_, blob_, plain_, pkey_, digest_, is_sk_)                                                   \
    {                                                                                                                    \
        .name = name_, .short_name = short_, .blob_name = blob_, .plain_name = plain_, .pkey = pkey_, .digest = digest_, \
        .is_cert = true, .is_sk = is_sk_, .sig_only = true, .is_default = true                                           \
    }

const struct key_type key_type_table[] = {
    CERT("ssh-ed25519-cert-v01@openssh.com", "ED25519-CERT", "ssh-ed25519", PKEY_ED25519, DIGEST_SHA512, false, true),
    CERT("ecdsa-sha2-nistp256-cert-v01@openssh.com", "ECDSA-CERT", "ecdsa-sha2-nistp256", PKEY_ECDSA_P256, DIGEST_SHA256, false,
         true),
    CERT("ecdsa-sha2-nistp384-cert-v01@openssh.com", "ECDSA-CERT", "ecdsa-sha2-nistp384", PKEY_ECDSA_P384, DIGEST_SHA384, false,
         true),
    CERT("ecdsa-sha2-nistp521-cert-v01@openssh.com", "ECDSA-CERT", "ecdsa-sha2-nistp521", PKEY_ECDSA_P521, DIGEST_SHA512, false,
         true),
    CERT("sk-ssh-ed25519-cert-v01@openssh.com", "ED25519-SK-CERT", "sk-ssh-ed25519@openssh.com", PKEY_ED25519, DIGEST_SHA256, true,
         true),
    CERT("sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", "ECDSA-SK-CERT", "sk-ecdsa-sha2-nistp256@openssh.com", PKEY_ECDSA_P256,
         DIGEST_SHA256, true, true),
    CERT_SIG("webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", "ECDSA-SK-CERT", "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
             "webauthn-sk-ecdsa-sha2-nistp256@openssh.com", PKEY_ECDSA_P256, DIGEST_SHA256, true),
    CERT_SIG("rsa-sha2-512-cert-v01@openssh.com", "RSA-CERT", "ssh-rsa-cert-v01@openssh.com", "rsa-sha2-512", PKEY_RSA,
             DIGEST_SHA512, false),
    CERT_SIG("rsa-sha2-256-cert-v01@openssh.com", "RSA-CERT", "ssh-rsa-cert-v01@openssh.com", "rsa-sha2-256", PKEY_RSA,
             DIGEST_SHA256, false),
    PLAIN("ssh-ed25519", "ED25519", PKEY_ED25519, DIGEST_SHA512, true),
    PLAIN("ecdsa-sha2-nistp256", "ECDSA", PKEY_ECDSA_P256, DIGEST_SHA256, true),
    PLAIN("ecdsa-sha2-nistp384", "ECDSA", PKEY_ECDSA_P384, DIGEST_SHA384, true),
    PLAIN("ecdsa-sha2-nistp521", "ECDSA", PKEY_ECDSA_P521, DIGEST_SHA512, true),
    SK("sk-ssh-ed25519@openssh.com", "ED25519-SK", PKEY_ED25519),
    SK("sk-ecdsa-sha2-nistp256@openssh.com", "ECDSA-SK", PKEY_ECDSA_P256),
    SIG("webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "ECDSA-SK", "sk-ecdsa-sha2-nistp256@openssh.com", PKEY_ECDSA_P256,
        DIGEST_SHA256, true),
    SIG("rsa-sha2-512", "RSA", "ssh-rsa", PKEY_RSA, DIGEST_SHA512, false),
    SIG("rsa-sha2-256", "RSA", "ssh-rsa", PKEY_RSA, DIGEST_SHA256, false),
    CERT("ssh-rsa-cert-v01@openssh.com", "RSA-CERT", "ssh-rsa", PKEY_RSA, DIGEST_SHA1, false, false),
    PLAIN("ssh-rsa", "RSA", PKEY_RSA, DIGEST_SHA1, false),
    {},
};

const struct key_type *key_type_find(struct view name)
{
    for (const struct key_type *t = key_type_table; t->name; t++)
        if (view_eq_str(name, t->name)) return t;
    return NULL;
}

const struct key_type *key_type_plain(const struct key_type *t)
{
    const struct key_type *plain = key_type_find(view_str(t->plain_name));
    return plain->sig_only ? key_type_find(view_str(plain->blob_name)) : plain;
}

const struct key_type *key_type_read(struct rd *r)
{
    const struct key_type *t = key_type_find(rd_string(r));
    return t && !t->sig_only ? t : NULL;
}

const char *key_curve_name(enum pkey_type type)
{
    static const char *const names[PKEY_TYPE_MAX] = {
        [PKEY_ECDSA_P256] = "nistp256",
        [PKEY_ECDSA_P384] = "nistp384",
        [PKEY_ECDSA_P521] = "nistp521",
    };
    return names[type];
}

const char *key_short_name(struct view blob)
{
    struct rd r = rd_of(blob);
    const struct key_type *t = key_type_read(&r);
    return t ? t->short_name : "unknown";
}
