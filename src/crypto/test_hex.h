/* For the unit tests of crypto/: published vectors as text. */
#pragma once

#include "base/view.h"

#include <stdio.h>

/* The bytes of hexadecimal text in a static-size area; the view is lent by ret_area. */
static inline struct view from_hex(const char *hex, uint8_t *ret_area, size_t cap)
{
    size_t n = strlen(hex) / 2;
    CHECK(n <= cap);
    for (size_t i = 0; i < n; i++) {
        unsigned byte;
        CHECK(sscanf(hex + 2 * i, "%2x", &byte) == 1);
        ret_area[i] = (uint8_t)byte;
    }
    return view_of(ret_area, n);
}

/* Bytes that are not all alike, the same in every run. */
static inline void fill_pattern(uint8_t *ret_bytes, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525 + 1013904223;
        ret_bytes[i] = (uint8_t)(seed >> 24);
    }
}
