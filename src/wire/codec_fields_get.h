/* Field macros as gets from `struct rd r` into `m`. No include guard. */
#include "wire/codec_fields_undef.h"
#define F_U8(x) m.x = rd_u8(&r);
#define F_BOOL(x) m.x = rd_bool(&r);
#define F_U32(x) m.x = rd_u32(&r);
#define F_U64(x) m.x = rd_u64(&r);
#define F_STRING(x) m.x = rd_string(&r);
#define F_CSTRING(x) m.x = rd_cstring(&r);
#define F_NAMES(x) m.x = rd_name_list(&r);
#define F_MPINT(x) m.x = rd_mpint(&r);
#define F_BYTES(x, n) m.x = rd_bytes(&r, n);
#define F_REST(x) m.x = rd_rest(&r);
