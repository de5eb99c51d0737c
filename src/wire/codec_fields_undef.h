/* Forgets the field macros. No include guard. */
#undef F_U8
#undef F_BOOL
#undef F_U32
#undef F_U64
#undef F_STRING
#undef F_CSTRING
#undef F_NAMES
#undef F_MPINT
#undef F_BYTES
#undef F_REST
