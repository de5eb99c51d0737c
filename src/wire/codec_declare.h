/* Structs and prototypes of the rows of CODEC_DEF. No include guard: #define CODEC_DEF "wire/messages.def" and include. */
#include "wire/codec_fields_struct.h"
#define MESSAGE(name, number, fields)                                           \
    enum {                                                                      \
        MSG_##name##_NUMBER = (number)                                          \
    };                                                                          \
    struct msg_##name {                                                         \
        fields                                                                  \
    };                                                                          \
    int msg_##name##_get(struct view payload, struct msg_##name *ret) MUST_USE; \
    int msg_##name##_put(struct wr *w, const struct msg_##name *m);
#define BODY(name, fields)                                                     \
    struct body_##name {                                                       \
        fields                                                                 \
    };                                                                         \
    int body_##name##_get(struct view data, struct body_##name *ret) MUST_USE; \
    int body_##name##_put(struct wr *w, const struct body_##name *m);
#include CODEC_DEF
#undef MESSAGE
#undef BODY
#include "wire/codec_fields_undef.h"
