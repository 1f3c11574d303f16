/* The kernel of 64-bit ARM: 12 rows by 8 columns in 24 of 32 vector registers. */
#if defined(__aarch64__)

#include <arm_neon.h>

#include "gemm_tile.h"

#define ROWS 12
#define COLUMNS 8

/* The products of one pair of row `lane`, whose pairs lie in `pairs`, added to the row's two vectors of sums. */
#define ADD_ROW(sums, pairs, lane)                                                                                     \
    do {                                                                                                               \
        (sums)[0] = vmlal_laneq_s16((sums)[0], vget_low_s16(b.val[0]), pairs, 2 * (lane));                             \
        (sums)[1] = vmlal_high_laneq_s16((sums)[1], b.val[0], pairs, 2 * (lane));                                      \
        (sums)[0] = vmlal_laneq_s16((sums)[0], vget_low_s16(b.val[1]), pairs, 2 * (lane) + 1);                         \
        (sums)[1] = vmlal_high_laneq_s16((sums)[1], b.val[1], pairs, 2 * (lane) + 1);                                  \
    } while (0)

static void add_pairs(int32x4_t s[ROWS][2], int64_t pairs, const int16_t *a, const int16_t *b_panel) {
    for (; pairs > 0; pairs--, a += 2 * ROWS, b_panel += 2 * COLUMNS) {
        const int16x8x2_t b = vld2q_s16(b_panel);
        const int16x8_t first = vld1q_s16(a), second = vld1q_s16(a + 8), third = vld1q_s16(a + 16);
        ADD_ROW(s[0], first, 0);
        ADD_ROW(s[1], first, 1);
        ADD_ROW(s[2], first, 2);
        ADD_ROW(s[3], first, 3);
        ADD_ROW(s[4], second, 0);
        ADD_ROW(s[5], second, 1);
        ADD_ROW(s[6], second, 2);
        ADD_ROW(s[7], second, 3);
        ADD_ROW(s[8], third, 0);
        ADD_ROW(s[9], third, 1);
        ADD_ROW(s[10], third, 2);
        ADD_ROW(s[11], third, 3);
    }
}

/* f32(S scale) of four sums with S = high 2^22 + low, a zero being +0. */
static float32x4_t scale(int32x4_t low, int32x4_t high, double row, const double *columns) {
    const int64x2_t high_half = vshlq_n_s64(vmovl_s32(vget_low_s32(high)), HIGH_SHIFT);
    const int64x2_t first = vaddq_s64(high_half, vmovl_s32(vget_low_s32(low)));
    const int64x2_t second = vaddq_s64(vshlq_n_s64(vmovl_high_s32(high), HIGH_SHIFT), vmovl_high_s32(low));
    const float64x2_t left = vmulq_f64(vcvtq_f64_s64(first), vmulq_n_f64(vld1q_f64(columns), row));
    const float64x2_t right = vmulq_f64(vcvtq_f64_s64(second), vmulq_n_f64(vld1q_f64(columns + 2), row));
    return vaddq_f32(vcvt_high_f32_f64(vcvt_f32_f64(left), right), vdupq_n_f32(0.0f));
}

static void multiply(const aipow_tile *t) {
    int32x4_t s[ROWS][2], here[2 * ROWS * 2];
    int32x4_t *low = t->sums ? (int32x4_t *)t->sums : here, *high = low + ROWS * 2;
    if (t->is_first)
        for (int i = 0; i < ROWS * 2; i++) low[i] = high[i] = vdupq_n_s32(0);
    memcpy(s, low, sizeof s);
    for (int64_t done = 0; done < t->pairs;) {
        const int64_t rest = t->pairs - done, now = rest < t->safe_pairs ? rest : t->safe_pairs;
        add_pairs(s, now, (const int16_t *)t->a + done * 2 * ROWS, t->b + done * 2 * COLUMNS);
        done += now;
        if (!t->has_high) continue;
        for (int i = 0; i < ROWS * 2; i++) {
            high[i] = vaddq_s32(high[i], vshrq_n_s32(s[i / 2][i % 2], HIGH_SHIFT));
            s[i / 2][i % 2] = vandq_s32(s[i / 2][i % 2], vdupq_n_s32(LOW_BITS));
        }
    }
    if (!t->is_last) {
        memcpy(low, s, sizeof s);
        return;
    }
    for (int i = 0; i < ROWS * 2; i++) {
        const int column = i % 2 * 4;
        float *c = t->c + i / 2 * t->ldc + column;
        const int32x4_t sum = s[i / 2][i % 2];
        if (t->is_normal)
            vst1q_f32(c, vmulq_f32(vcvtq_f32_s32(sum),
                                   vmulq_n_f32(vld1q_f32(t->column_scales32 + column), t->row_scales32[i / 2])));
        else vst1q_f32(c, scale(sum, high[i], t->row_scales[i / 2], t->column_scales + column));
    }
}

static void pack_rows(int32_t *panel, int64_t step, const int16_t *from, int64_t stride, int64_t k_stride, int64_t count,
                      int64_t k) {
    for (; count > 0; count -= ROWS, panel += step, from += ROWS * stride)
        pack_panel(panel, from, stride, k_stride, count < ROWS ? count : ROWS, k, ROWS);
}

static void pack_columns(int32_t *panel, int64_t step, const int16_t *from, int64_t stride, int64_t k_stride,
                         int64_t count, int64_t k) {
    for (; count > 0; count -= COLUMNS, panel += step, from += COLUMNS * stride)
        pack_panel(panel, from, stride, k_stride, count < COLUMNS ? count : COLUMNS, k, COLUMNS);
}

static int is_usable(void) { return 1; }

const aipow_tile_kernel aipow_kernel_neon = {
    .name = "NEON",
    .is_usable = is_usable,
    .rows = ROWS,
    .columns = COLUMNS,
    .multiply = multiply,
    .pack_rows = pack_rows,
    .pack_columns = pack_columns,
};

#else
typedef int aipow_no_neon; /* a file must not be empty */
#endif
