/* Packing and norms for the x86 kernels, four rows or two at a time; `width` is even and a constant where inlined. */
#include <immintrin.h>

#include "gemm_tile.h"

#define INLINE static inline __attribute__((always_inline))

INLINE __m128i load_128(const void *at) { return _mm_loadu_si128((const __m128i *)at); }
INLINE __m128i load_64(const void *at) { return _mm_loadl_epi64((const __m128i *)at); }
INLINE __m128i load_32(const void *at) { return _mm_cvtsi32_si128(load_pair(at)); }

/* Pairs of four rows, each row's pairs contiguous. */
INLINE void pack_four_rows(int32_t *panel, const int16_t *from, int64_t stride, int64_t pairs, int width) {
    int64_t p = 0;
    for (; p + 4 <= pairs; p += 4) {
        const __m128i a = load_128(from + 2 * p), b = load_128(from + stride + 2 * p);
        const __m128i c = load_128(from + 2 * stride + 2 * p), d = load_128(from + 3 * stride + 2 * p);
        const __m128i ab = _mm_unpacklo_epi32(a, b), cd = _mm_unpacklo_epi32(c, d);
        const __m128i ab_high = _mm_unpackhi_epi32(a, b), cd_high = _mm_unpackhi_epi32(c, d);
        int32_t *to = panel + p * width;
        _mm_storeu_si128((__m128i *)to, _mm_unpacklo_epi64(ab, cd));
        _mm_storeu_si128((__m128i *)(to + width), _mm_unpackhi_epi64(ab, cd));
        _mm_storeu_si128((__m128i *)(to + 2 * width), _mm_unpacklo_epi64(ab_high, cd_high));
        _mm_storeu_si128((__m128i *)(to + 3 * width), _mm_unpackhi_epi64(ab_high, cd_high));
    }
    for (; p < pairs; p++)
        for (int r = 0; r < 4; r++) panel[p * width + r] = load_pair(from + r * stride + 2 * p);
}

/* A full panel of rows whose pairs are contiguous. */
INLINE void pack_direct_rows(int32_t *panel, const int16_t *from, int64_t stride, int64_t k, int width) {
    const int fours = width / 4 * 4;
    for (int r = 0; r < fours; r += 4) pack_four_rows(panel + r, from + r * stride, stride, k / 2, width);
    for (int r = fours; r < width; r++)
        for (int64_t p = 0; p < k / 2; p++) panel[p * width + r] = load_pair(from + r * stride + 2 * p);
    if (k & 1)
        for (int r = 0; r < width; r++) panel[k / 2 * width + r] = make_pair(from[r * stride + k - 1], 0);
}

/* `width` pairs of contiguous integers of two successive k. */
INLINE void interleave(int32_t *to, const int16_t *first, const int16_t *second, int width) {
    const int fours = width / 4 * 4;
    for (int r = 0; r < fours; r += 4)
        _mm_storeu_si128((__m128i *)(to + r), _mm_unpacklo_epi16(load_64(first + r), load_64(second + r)));
    for (int r = fours; r < width; r += 2)
        _mm_storel_epi64((__m128i *)(to + r), _mm_unpacklo_epi16(load_32(first + r), load_32(second + r)));
}

/* Panels of an operand one of whose axes is contiguous at the speed of vectors, others by `pack_panel`. Where k is the
   strided axis all panels grow together, so that a cache line of the operand is read once. */
INLINE void pack_panels(int32_t *panel, int64_t step, const int16_t *from, int64_t stride, int64_t k_stride,
                        int64_t count, int64_t k, int width) {
    if (k_stride != 1 && stride == 1) {
        const int64_t full = count / width;
        for (int64_t p = 0; p < k / 2; p++) {
            const int16_t *first = from + 2 * p * k_stride, *second = first + k_stride;
            for (int64_t i = 0; i < full; i++)
                interleave(panel + i * step + p * width, first + i * width, second + i * width, width);
        }
        for (int64_t i = 0; k & 1 && i < full; i++)
            for (int r = 0; r < width; r++)
                panel[i * step + k / 2 * width + r] = make_pair(from[(k - 1) * k_stride + i * width + r], 0);
        panel += full * step;
        from += full * width;
        count -= full * width;
    }
    for (; count > 0; count -= width, panel += step, from += width * stride) {
        if (k_stride == 1 && count >= width) pack_direct_rows(panel, from, stride, k, width);
        else pack_panel(panel, from, stride, k_stride, count < width ? count : width, k, width);
    }
}

/* The four sums of squares grown by those of four pairs. */
INLINE __m128 add_squares(__m128 sums, __m128i pairs) {
    return _mm_add_ps(sums, _mm_cvtepi32_ps(_mm_madd_epi16(pairs, pairs)));
}

INLINE float get_largest(__m128 sums) {
    sums = _mm_max_ps(sums, _mm_movehl_ps(sums, sums));
    return _mm_cvtss_f32(_mm_max_ss(sums, _mm_shuffle_ps(sums, sums, 1)));
}

/* The largest sum of squares of a panel's rows or columns, up to rounding. */
INLINE float compute_panel_norm(const int32_t *panel, int64_t pairs, int width) {
    __m128 sums[MAX_COLUMNS / 4 + 1];
    const int vectors = (width + 3) / 4;
#pragma GCC unroll 16
    for (int v = 0; v < vectors; v++) sums[v] = _mm_setzero_ps();
    for (int64_t p = 0; p < pairs; p++, panel += width)
#pragma GCC unroll 16
        for (int v = 0; v < vectors; v++)
            sums[v] = add_squares(sums[v], 4 * v + 4 <= width ? load_128(panel + 4 * v) : load_64(panel + 4 * v));
    for (int v = 1; v < vectors; v++) sums[0] = _mm_max_ps(sums[0], sums[v]);
    return get_largest(sums[0]);
}

/* The sum of squares of contiguous integers, up to rounding. */
INLINE float compute_row_norm(const int16_t *row, int64_t pairs) {
    __m128 sums[4];
    for (int v = 0; v < 4; v++) sums[v] = _mm_setzero_ps();
    int64_t p = 0;
    for (; p + 16 <= pairs; p += 16)
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) sums[v] = add_squares(sums[v], load_128(row + 2 * p + 8 * v));
    for (; p < pairs; p++) sums[0] = add_squares(sums[0], load_32(row + 2 * p));
    const __m128 both = _mm_add_ps(_mm_add_ps(sums[0], sums[1]), _mm_add_ps(sums[2], sums[3]));
    const __m128 half = _mm_add_ps(both, _mm_movehl_ps(both, both));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_shuffle_ps(half, half, 1)));
}

#undef INLINE
