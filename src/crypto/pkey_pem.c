/* Keys in PEM: PKCS#8 (RFC 5958), PKCS#1 (RFC 8017 A), SEC 1 (RFC 5915), X.509's SubjectPublicKeyInfo; all by libcrypto. Nothing
 * here ever asks at the terminal: the callback below stands in for libcrypto's prompt. */
#include "crypto/pkey_int.h"

#include "crypto/provider_int.h"

enum {
    PEM_MAX_BYTES = 256 * 1024
}; /* an RSA key of 16384 bits has 13 KiB */

struct asked {
    struct view passphrase;
    bool was_asked;
};

static int give_passphrase(char *buf, int size, int for_writing UNUSED, void *arg)
{
    struct asked *asked = arg;
    asked->was_asked = true;
    if (!asked->passphrase.p || size < 0 || asked->passphrase.len > (size_t)size) return -1;
    memcpy(buf, asked->passphrase.p, asked->passphrase.len);
    return (int)asked->passphrase.len;
}

static void bio_freep(BIO **bio) { BIO_free(*bio); }

static int type_of(EVP_PKEY *evp, enum pkey_type *ret)
{
    switch (EVP_PKEY_get_base_id(evp)) {
    case EVP_PKEY_ED25519:
        *ret = PKEY_ED25519;
        return 0;
    case EVP_PKEY_RSA:
        *ret = PKEY_RSA;
        return 0;
    case EVP_PKEY_EC:
        return pkey_ec_type(evp, ret);
    default:
        return ERR_KEY_TYPE;
    }
}

static int from_pem(struct view pem, struct view passphrase, bool with_private, struct pkey **ret)
{
    struct asked asked = { .passphrase = passphrase };
    enum pkey_type type;
    if (pem.len > PEM_MAX_BYTES) return ERR_FORMAT;
    provider_add_all();
    CLEANUP(bio_freep) BIO *bio = BIO_new_mem_buf(pem.len ? (const void *)pem.p : "", (int)pem.len);
    if (!bio) return ERR_NOMEM;
    CLEANUP(pkey_evp_freep)
    EVP_PKEY *evp = with_private ? PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, &asked)
                                 : PEM_read_bio_PUBKEY(bio, NULL, give_passphrase, &asked);
    ERR_clear_error();
    /* A wrong passphrase shows as any failure of parsing what was decrypted with it. */
    if (!evp && asked.was_asked) return passphrase.p ? ERR_PASSPHRASE : ERR_PASSPHRASE_NEEDED;
    if (!evp) return ERR_FORMAT;
    TRY(type_of(evp, &type));
    int err = pkey_from_evp(evp, type, with_private, ret);
    ERR_clear_error();
    return err;
}

int pkey_from_pem(struct view pem, struct view passphrase, struct pkey **ret) { return from_pem(pem, passphrase, true, ret); }

int pkey_from_public_pem(struct view pem, struct pkey **ret) { return from_pem(pem, VIEW_EMPTY, false, ret); }

static void x509_freep(X509 **x) { X509_free(*x); }

int pkey_from_certificate(struct view der, struct pkey **ret)
{
    const unsigned char *p = der.p;
    enum pkey_type type;
    if (der.len == 0 || der.len > PEM_MAX_BYTES) return ERR_FORMAT;
    CLEANUP(x509_freep) X509 *x = d2i_X509(NULL, &p, (long)der.len);
    EVP_PKEY *evp = x ? X509_get0_pubkey(x) : NULL;
    ERR_clear_error();
    if (!evp) return ERR_FORMAT;
    TRY(type_of(evp, &type));
    int err = pkey_from_evp(evp, type, false, ret);
    ERR_clear_error();
    return err;
}

static bool write_pkcs1_public(BIO *bio, EVP_PKEY *evp)
{
    OSSL_ENCODER_CTX *ctx = OSSL_ENCODER_CTX_new_for_pkey(evp, EVP_PKEY_PUBLIC_KEY, "PEM", "pkcs1", NULL);
    bool ok = ctx && OSSL_ENCODER_to_bio(ctx, bio) == 1;
    OSSL_ENCODER_CTX_free(ctx);
    return ok;
}

static int write_pem(BIO *bio, const struct pkey *k, enum pkey_pem form, struct view passphrase)
{
    struct asked asked = { .passphrase = passphrase };
    /* An empty passphrase is none. What encrypts is what OpenSSH takes for these two. */
    const EVP_CIPHER *cipher = passphrase.len ? EVP_aes_128_cbc() : NULL;
    bool ok = false;
    if ((form == PKEY_PEM_TRADITIONAL || form == PKEY_PEM_PKCS8) && !k->has_private) return ERR_KEY_INVALID;
    /* Ed25519 is younger than these two. */
    if ((form == PKEY_PEM_TRADITIONAL || form == PKEY_PEM_PUBLIC_PKCS1) && k->type == PKEY_ED25519) return ERR_UNSUPPORTED;
    switch (form) {
    case PKEY_PEM_TRADITIONAL:
        ok = PEM_write_bio_PrivateKey_traditional(bio, k->evp, cipher, NULL, 0, give_passphrase, &asked) == 1;
        break;
    case PKEY_PEM_PKCS8:
        ok = PEM_write_bio_PKCS8PrivateKey(bio, k->evp, cipher, NULL, 0, give_passphrase, &asked) == 1;
        break;
    case PKEY_PEM_PUBLIC_PKCS8:
        ok = PEM_write_bio_PUBKEY(bio, k->evp) == 1;
        break;
    case PKEY_PEM_PUBLIC_PKCS1:
        /* PKCS#1 is of RSA; for ECDSA OpenSSH writes SubjectPublicKeyInfo under this name. */
        ok = k->type == PKEY_RSA ? write_pkcs1_public(bio, k->evp) : PEM_write_bio_PUBKEY(bio, k->evp) == 1;
        break;
    }
    return ok ? 0 : ERR_CRYPTO;
}

int pkey_to_pem(const struct pkey *k, enum pkey_pem form, struct view passphrase, struct buf *out)
{
    char *text;
    provider_add_all();
    CLEANUP(bio_freep) BIO *bio = BIO_new(BIO_s_secmem()); /* wiped when freed */
    if (!bio) return ERR_NOMEM;
    int err = write_pem(bio, k, form, passphrase);
    if (err < 0) {
        ERR_clear_error();
        return err;
    }
    long len = BIO_get_mem_data(bio, &text);
    if (len <= 0) return ERR_CRYPTO;
    return buf_put(out, text, (size_t)len);
}
