/* Bodies of the gets and puts of the rows of CODEC_DEF. No include guard. */
#include "wire/codec_fields_get.h"
#define MESSAGE(name, number, fields)                                   \
    int msg_##name##_get(struct view payload, struct msg_##name *ret)   \
    {                                                                   \
        struct rd r = rd_of(payload);                                   \
        struct msg_##name m = {};                                       \
        if (rd_u8(&r) != (number)) rd_fail(&r, ERR_UNEXPECTED_MESSAGE); \
        fields TRY(rd_end(&r));                                         \
        *ret = m;                                                       \
        return 0;                                                       \
    }
#define BODY(name, fields)                                           \
    int body_##name##_get(struct view data, struct body_##name *ret) \
    {                                                                \
        struct rd r = rd_of(data);                                   \
        struct body_##name m = {};                                   \
        fields TRY(rd_end(&r));                                      \
        *ret = m;                                                    \
        return 0;                                                    \
    }
#include CODEC_DEF
#undef MESSAGE
#undef BODY
#include "wire/codec_fields_put.h"
#define MESSAGE(name, number, fields)                                     \
    int msg_##name##_put(struct wr *w, UNUSED const struct msg_##name *m) \
    {                                                                     \
        wr_u8(w, (number));                                               \
        fields return wr_end(w);                                          \
    }
#define BODY(name, fields) \
    int body_##name##_put(struct wr *w, UNUSED const struct body_##name *m) { fields return wr_end(w); }
#include CODEC_DEF
#undef MESSAGE
#undef BODY
#include "wire/codec_fields_undef.h"
