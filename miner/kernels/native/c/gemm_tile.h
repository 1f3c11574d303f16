/* What the blocked driver (gemm.c) and the processors' kernels share: packed panels and the tile.

   Integers go in pairs (k, k + 1), one pair in 32 bits, an odd k being filled up with zero. A panel holds, for each
   pair, the pair of each of its rows (operand a) or columns (operand b). A kernel multiplies one panel of `rows` rows
   with one of `columns` columns. Sums are int32; before they could overflow their upper part moves to a second int32:
   S = high 2^22 + low, and |high| < 2^31 for every |S| < 2^53. */
#ifndef AIPOW_GEMM_TILE_H
#define AIPOW_GEMM_TILE_H

#include <stdint.h>
#include <string.h>

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)

#define HIGH_SHIFT 22
#define LOW_BITS ((1 << HIGH_SHIFT) - 1)
#define MAX_ROWS 16
#define MAX_COLUMNS 64

/* Pairs that may be added to a low part < 2^22 without overflow: 63 at 12 bits, 15 at 13, 3 at 14. */
static inline int64_t safe_pairs(int bits) {
    return (INT32_MAX - LOW_BITS) / ((int64_t)2 << 2 * bits);
}

typedef struct {
    int64_t pairs;      /* at least one */
    int64_t safe_pairs; /* pairs from one move of the upper parts to the next */
    const char *a;      /* packed panel; or direct: row i at a + i a_row bytes, its pairs one after another */
    int64_t a_row;
    int is_direct;
    const int16_t *b; /* packed panel */
    int32_t *sums;    /* low parts, then high parts, kept from the tile's first pairs to its last; null if all are here */
    int is_first, is_last, has_high;
    float *c; /* written at the last pairs */
    int64_t ldc;
    const double *row_scales, *column_scales;    /* 2^(ea - bits), 2^(eb - bits) */
    const float *row_scales32, *column_scales32; /* the same */
    int is_normal; /* no upper parts, and every nonzero result is a normal f32: scaling in f32 rounds once */
} aipow_tile;

typedef struct {
    const char *name;
    int (*is_usable)(void);
    int rows, columns;
    int reads_direct; /* whether it takes rows whose pairs lie one after another */
    void (*multiply)(const aipow_tile *tile);
    /* Make panels, `step` apart, of `count` rows (or columns) of an operand; the last one's rest is zero. */
    void (*pack_rows)(int32_t *panel, int64_t step, const int16_t *from, int64_t stride, int64_t k_stride, int64_t count,
                      int64_t k);
    void (*pack_columns)(int32_t *panel, int64_t step, const int16_t *from, int64_t stride, int64_t k_stride,
                         int64_t count, int64_t k);
    /* Or null. The sum of squares of a direct row; the largest of a panel's rows, or columns; within a part in 2^14. */
    float (*compute_row_norm)(const int16_t *row, int64_t pairs);
    float (*compute_rows_norm)(const int32_t *panel, int64_t pairs);
    float (*compute_columns_norm)(const int32_t *panel, int64_t pairs);
} aipow_tile_kernel;

#if defined(__x86_64__)
extern const aipow_tile_kernel aipow_kernel_avx2, aipow_kernel_avx_vnni, aipow_kernel_avx512, aipow_kernel_avx512_vnni;
#elif defined(__aarch64__)
extern const aipow_tile_kernel aipow_kernel_neon;
#endif

/* No part of a sum overflows int32, even on top of a low part, when the sums of squares of its row and column have a
   product below this (Cauchy and Schwarz), which leaves one part in 100 for the rounding of the sums of squares. */
#define SAFE_NORMS (0.99f * (float)((1LL << 31) - (1 << HIGH_SHIFT)) * (float)((1LL << 31) - (1 << HIGH_SHIFT)))

static inline int32_t load_pair(const void *at) {
    int32_t pair;
    memcpy(&pair, at, 4);
    return pair;
}

static inline int32_t make_pair(int16_t first, int16_t second) {
    return (int32_t)((uint32_t)(uint16_t)first | (uint32_t)(uint16_t)second << 16);
}

/* One panel of `width`, a constant where it is inlined. */
static inline __attribute__((always_inline)) void pack_panel(int32_t *panel, const int16_t *from, int64_t stride,
                                                             int64_t k_stride, int64_t count, int64_t k, int width) {
    int64_t whole = k / 2;
    if (count < width) memset(panel, 0, (size_t)((k + 1) / 2 * width) * 4);
    if (k_stride == 1) {
        for (int64_t r = 0; r < count; r++)
            for (int64_t p = 0; p < whole; p++) panel[p * width + r] = load_pair(from + r * stride + 2 * p);
    } else if (count == width && stride == 1) {
        for (int64_t p = 0; p < whole; p++) {
            const int16_t *first = from + 2 * p * k_stride, *second = first + k_stride;
            for (int r = 0; r < width; r++) panel[p * width + r] = make_pair(first[r], second[r]);
        }
    } else {
        for (int64_t p = 0; p < whole; p++) {
            const int16_t *first = from + 2 * p * k_stride, *second = first + k_stride;
            for (int64_t r = 0; r < count; r++) panel[p * width + r] = make_pair(first[r * stride], second[r * stride]);
        }
    }
    if (k & 1)
        for (int64_t r = 0; r < count; r++) panel[whole * width + r] = make_pair(from[r * stride + (k - 1) * k_stride], 0);
}

#endif
