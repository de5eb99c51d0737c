/* Field macros as struct members. No include guard: meant to be included again. */
#include "wire/codec_fields_undef.h"
#define F_U8(x) uint8_t x;
#define F_BOOL(x) bool x;
#define F_U32(x) uint32_t x;
#define F_U64(x) uint64_t x;
#define F_STRING(x) struct view x;
#define F_CSTRING(x) struct view x;
#define F_NAMES(x) struct view x;
#define F_MPINT(x) struct view x;
#define F_BYTES(x, n) struct view x;
#define F_REST(x) struct view x;
