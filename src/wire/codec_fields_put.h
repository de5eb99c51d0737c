/* Field macros as puts of `m` into `struct wr *w`. No include guard. */
#include "wire/codec_fields_undef.h"
#define F_U8(x) wr_u8(w, m->x);
#define F_BOOL(x) wr_bool(w, m->x);
#define F_U32(x) wr_u32(w, m->x);
#define F_U64(x) wr_u64(w, m->x);
#define F_STRING(x) wr_string(w, m->x);
#define F_CSTRING(x) wr_string(w, m->x);
#define F_NAMES(x) wr_string(w, m->x);
#define F_MPINT(x) wr_mpint(w, m->x);
#define F_BYTES(x, n)                         \
    if (m->x.len != (n)) wr_fail(w, ERR_BUG); \
    wr_bytes(w, m->x);
#define F_REST(x) wr_bytes(w, m->x);
