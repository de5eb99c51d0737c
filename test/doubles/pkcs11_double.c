/* A stand-in for a PKCS#11 module that misbehaves, for tests; tokens that behave are SoftHSM's. One token with one Ed25519 public
 * key (RFC 8032, test 1). PKCS11_DOUBLE says how: crash-init, crash-list, crash-sign   the process dies there no-token      no slot
 * has one locked        the PIN is locked wrong-pin     every PIN is wrong-sign    signatures are 64 zeros short-sign    signatures
 * are 3 bytes huge          attributes say that they are very long garbage       attributes are no key keypad        the PIN is
 * typed at the token, where it is right */
#include <p11-kit/pkcs11.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char point[] = "\x04\x20\xd7\x5a\x98\x01\x82\xb1\x0a\xb7\xd5\x4b\xfe\xd3\xc9\x64\x07\x3a"
                                     "\x0e\xe1\x72\xf3\xda\xa6\x23\x25\xaf\x02\x1a\x68\xf7\x07\x51\x1a";
static const unsigned char params[] = "\x06\x03\x2b\x65\x70";
static CK_ULONG searched = 0;

static int has_mode(const char *mode)
{
    const char *now = getenv("PKCS11_DOUBLE");
    return now && strcmp(now, mode) == 0;
}

static CK_RV initialize(void *args)
{
    (void)args;
    if (has_mode("crash-init")) abort();
    return CKR_OK;
}

static CK_RV finalize(void *args) { return args ? CKR_ARGUMENTS_BAD : CKR_OK; }

static CK_RV get_info(CK_INFO *info)
{
    memset(info, ' ', sizeof *info);
    return CKR_OK;
}

static CK_RV get_slot_list(CK_BBOOL present, CK_SLOT_ID *list, CK_ULONG *n)
{
    (void)present;
    *n = has_mode("no-token") ? 0 : 1;
    if (list && *n) list[0] = 7;
    return CKR_OK;
}

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    memset(info, ' ', sizeof *info);
    memcpy(info->label, "double\x1b[31m", 11);
    info->flags = CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED | (has_mode("keypad") ? CKF_PROTECTED_AUTHENTICATION_PATH : 0);
    return slot == 7 ? CKR_OK : CKR_SLOT_ID_INVALID;
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY fn, CK_SESSION_HANDLE *ret)
{
    (void)slot, (void)flags, (void)application, (void)fn;
    *ret = 1;
    return CKR_OK;
}

static CK_RV close_session(CK_SESSION_HANDLE session) { return session == 1 ? CKR_OK : CKR_SESSION_HANDLE_INVALID; }

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char *pin, CK_ULONG len)
{
    (void)session, (void)user, (void)len;
    if (has_mode("keypad")) return pin ? CKR_ARGUMENTS_BAD : CKR_OK;
    return has_mode("locked") ? CKR_PIN_LOCKED : has_mode("wrong-pin") ? CKR_PIN_INCORRECT : CKR_OK;
}

static CK_RV find_init(CK_SESSION_HANDLE session, CK_ATTRIBUTE *filter, CK_ULONG n)
{
    CK_OBJECT_CLASS class = CKO_DATA;
    (void)session;
    if (has_mode("crash-list")) abort();
    for (CK_ULONG i = 0; i < n; i++)
        if (filter[i].type == CKA_CLASS) memcpy(&class, filter[i].pValue, sizeof class);
    searched = class == CKO_PUBLIC_KEY ? 1 : class == CKO_PRIVATE_KEY ? 2 : 0;
    return CKR_OK;
}

static CK_RV find(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *found, CK_ULONG cap, CK_ULONG *n)
{
    (void)session;
    *n = searched && cap ? 1 : 0;
    if (*n) found[0] = searched;
    searched = 0;
    return CKR_OK;
}

static CK_RV find_final(CK_SESSION_HANDLE session) { return session == 1 ? CKR_OK : CKR_SESSION_HANDLE_INVALID; }

static CK_RV give(CK_ATTRIBUTE *a, const void *bytes, CK_ULONG len)
{
    if (has_mode("huge") && a->type == CKA_EC_POINT) len = a->pValue ? 35 : 1UL << 40;
    if (a->pValue && a->ulValueLen < len) return CKR_BUFFER_TOO_SMALL;
    if (a->pValue) memcpy(a->pValue, bytes, len);
    a->ulValueLen = len;
    return CKR_OK;
}

static CK_RV get_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *a, CK_ULONG n)
{
    CK_ULONG type = CKK_EC_EDWARDS;
    (void)session, (void)object, (void)n;
    switch (a->type) {
    case CKA_ID:
        return give(a, "\1", 1);
    case CKA_LABEL:
        return give(a, "la\nbel", 6);
    case CKA_KEY_TYPE:
        return give(a, &type, sizeof type);
    case CKA_EC_PARAMS:
        return give(a, params, sizeof params - 1);
    case CKA_EC_POINT:
        return has_mode("garbage") ? give(a, "\x04\x20garbage", 9) : give(a, point, sizeof point - 1);
    default:
        a->ulValueLen = (CK_ULONG)-1;
        return CKR_ATTRIBUTE_TYPE_INVALID;
    }
}

static CK_RV sign_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    (void)session;
    return mechanism->mechanism == CKM_EDDSA && key == 2 ? CKR_OK : CKR_MECHANISM_INVALID;
}

static CK_RV sign(CK_SESSION_HANDLE session, unsigned char *data, CK_ULONG data_len, unsigned char *signature, CK_ULONG *len)
{
    (void)session, (void)data, (void)data_len;
    if (has_mode("crash-sign")) abort();
    *len = has_mode("short-sign") ? 3 : 64;
    memset(signature, 0, *len);
    return CKR_OK;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ret)
{
    static CK_FUNCTION_LIST list;
    list.version = (CK_VERSION){ 2, 40 };
    list.C_Initialize = initialize;
    list.C_Finalize = finalize;
    list.C_GetInfo = get_info;
    list.C_GetFunctionList = C_GetFunctionList;
    list.C_GetSlotList = get_slot_list;
    list.C_GetTokenInfo = get_token_info;
    list.C_OpenSession = open_session;
    list.C_CloseSession = close_session;
    list.C_Login = login;
    list.C_FindObjectsInit = find_init;
    list.C_FindObjects = find;
    list.C_FindObjectsFinal = find_final;
    list.C_GetAttributeValue = get_attributes;
    list.C_SignInit = sign_init;
    list.C_Sign = sign;
    *ret = &list;
    return CKR_OK;
}
