/* exact/v1 in C: the fixed programs of rule E5, the grids of E2 to E4 and Philox (E7), as inline functions that
 * vectorise. The definitions are consensus/exact; every line here is one single-rounded f32 operation of theirs.
 * Needs: no contraction, no fast-math, no flush of subnormals (the self-test notices). */
#ifndef AIPOW_EXACT_H
#define AIPOW_EXACT_H

#include <stdint.h>
#include <string.h>

#define AIPOW_INLINE static inline __attribute__((always_inline))

/* Before a loop none of whose stores meets another iteration's loads: no buffers of a kernel overlap. */
#if defined(__clang__)
#define AIPOW_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define AIPOW_INDEPENDENT _Pragma("GCC ivdep")
#endif

/* Hides an index from the optimiser: gcc 12 makes wrong vectors of some loads at computed places (see docs/log.md). */
#define AIPOW_OPAQUE(n) __asm__("" : "+r"(n))

AIPOW_INLINE float aipow_f32(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

AIPOW_INLINE int32_t aipow_bits(float value) {
    int32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

AIPOW_INLINE double aipow_f64(int64_t bits) {
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

#define AIPOW_INFINITY 0x7f800000

/* f32 bit patterns in the order of the values, -0 under +0; its own inverse. */
AIPOW_INLINE int32_t aipow_key(int32_t bits) { return bits ^ ((bits >> 31) & 0x7fffffff); }

/* E2: the grid exponent of a set whose largest magnitude has these bits (finite). */
AIPOW_INLINE int32_t aipow_exponent(int32_t magnitude) {
    int32_t exponent = (magnitude >> 23) - 126;
    return exponent < -96 ? -96 : exponent;
}

/* 2^n, -126 <= n <= 127. */
AIPOW_INLINE float aipow_two_to(int32_t n) { return aipow_f32((uint32_t)(n + 127) << 23); }

/* The scale 2^n of a grid, -127 <= n <= 124: one bit and the largest exponent need the subnormal 2^-127. */
AIPOW_INLINE float aipow_scale(int32_t n) { return n < -126 ? aipow_f32(0x00400000) : aipow_two_to(n); }

/* x on the grid whose scale is 2^(bits - exponent). */
AIPOW_INLINE int32_t aipow_grid(float x, float scale) { return (int32_t)__builtin_rintf(x * scale); }

/* f32(sum * 2^exponent) in one rounding, a zero being +0; |sum| < 2^53. */
AIPOW_INLINE float aipow_rescale(int64_t sum, int32_t exponent) {
    return (float)((double)sum * aipow_f64((int64_t)(exponent + 1023) << 52)) + 0.0f;
}

/* a where the condition (0 or 1) holds, else b. By masks: a selection that becomes a jump keeps a loop from being
 * vectorised. */
AIPOW_INLINE float aipow_select(int32_t condition, float a, float b) {
    const int32_t mask = -condition;
    return aipow_f32((uint32_t)((aipow_bits(a) & mask) | (aipow_bits(b) & ~mask)));
}

AIPOW_INLINE float aipow_exp(float x) {
    const int inside_range = (x >= -104.0f) & (x <= 88.72283172607422f);
    const float inside = aipow_select(inside_range, x, 0.0f);
    const float n = __builtin_rintf(inside * aipow_f32(0x3FB8AA3B));
    float r = inside - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    float p = aipow_f32(0x3AB68B03);
    p = p * r; p = p + aipow_f32(0x3C090836);
    p = p * r; p = p + aipow_f32(0x3D2AAA8B);
    p = p * r; p = p + aipow_f32(0x3E2AAA6C);
    p = p * r; p = p + aipow_f32(0x3F000000);
    p = p * r;
    p = p * r;
    p = p + r;
    p = p + 1.0f;
    const int32_t whole = (int32_t)n, half = whole >> 1;
    float result = p * aipow_two_to(half);
    result = result * aipow_two_to(whole - half);
    result = aipow_select(x > 88.72283172607422f, aipow_f32(0x7F800000), result);
    result = aipow_select(x < -104.0f, 0.0f, result);
    return aipow_select(x != x, x, result);
}

AIPOW_INLINE float aipow_log(float x) {
    const int legal = (x > 0.0f) & (x < aipow_f32(0x7F800000));
    const float inside = aipow_select(legal, x, 1.0f);
    const int tiny = inside < aipow_f32(0x00800000);
    const float lifted = inside * 33554432.0f;
    const int32_t bits = aipow_bits(aipow_select(tiny, lifted, inside));
    int32_t exponent = (bits >> 23) - 126;
    const float mantissa = aipow_f32((uint32_t)((bits & 0x007FFFFF) | 0x3F000000));
    const int small = mantissa < aipow_f32(0x3F3504F3);
    exponent = exponent - small - tiny * 25;
    const float doubled = mantissa * 2.0f;
    const float f = aipow_select(small, doubled, mantissa) - 1.0f;
    const float e = (float)exponent;
    const float z = f * f;
    float y = aipow_f32(0x3D8EC753);
    y = y * f; y = y + aipow_f32(0xBDEB1ADE);
    y = y * f; y = y + aipow_f32(0x3DEF5141);
    y = y * f; y = y + aipow_f32(0xBDFE7A63);
    y = y * f; y = y + aipow_f32(0x3E11E90D);
    y = y * f; y = y + aipow_f32(0xBE2AADA5);
    y = y * f; y = y + aipow_f32(0x3E4CCEAD);
    y = y * f; y = y + aipow_f32(0xBE7FFFFE);
    y = y * f; y = y + aipow_f32(0x3EAAAAAA);
    y = y * f;
    y = y * z;
    y = y + e * -2.12194440e-4f;
    y = y - z * 0.5f;
    float result = f + y;
    result = result + e * 0.693359375f;
    result = aipow_select(x == 0.0f, aipow_f32(0xFF800000), result);
    result = aipow_select(x == aipow_f32(0x7F800000), x, result);
    return aipow_select((x < 0.0f) | (x != x), aipow_f32(0x7FC00000), result);
}

AIPOW_INLINE float aipow_copysign(float magnitude, float sign) {
    return aipow_f32(((uint32_t)aipow_bits(magnitude) & 0x7FFFFFFFu) | ((uint32_t)aipow_bits(sign) & 0x80000000u));
}

AIPOW_INLINE float aipow_abs(float x) { return aipow_f32((uint32_t)aipow_bits(x) & 0x7FFFFFFFu); }

AIPOW_INLINE float aipow_tanh(float x) {
    const float a = aipow_abs(x);
    const float z = x * x;
    const float capped = aipow_select(z < 1.0f, z, 1.0f);
    float small = aipow_f32(0xBBC7C6F2);
    small = small * capped; small = small + aipow_f32(0x3CAC0247);
    small = small * capped; small = small + aipow_f32(0xBD5C92C5);
    small = small * capped; small = small + aipow_f32(0x3E08870E);
    small = small * capped; small = small + aipow_f32(0xBEAAAAA9);
    small = small * z;
    small = small * x;
    small = small + x;
    const float twice = a + a;
    float large = aipow_exp(aipow_select(twice < 20.0f, twice, 20.0f));
    large = large + 1.0f;
    large = 2.0f / large;
    large = 1.0f - large;
    const float result = aipow_copysign(aipow_select(a < 0.625f, small, large), x);
    return aipow_select(x != x, x, result);
}

AIPOW_INLINE float aipow_erf(float x) {
    const float magnitude = aipow_abs(x);
    const float a = aipow_select(magnitude < 4.0f, magnitude, 4.0f);
    const float z = a * a;
    float small = aipow_f32(0x38A52B48);
    small = small * z; small = small + aipow_f32(0xBA522844);
    small = small * z; small = small + aipow_f32(0x3BAA0938);
    small = small * z; small = small + aipow_f32(0xBCDBFD5D);
    small = small * z; small = small + aipow_f32(0x3DE71688);
    small = small * z; small = small + aipow_f32(0xBEC0939F);
    small = small * z; small = small + aipow_f32(0x3E0375D4);
    small = small * x;
    small = small + x;
    float power = aipow_f32(0xB5DBBC18);
    power = power * a; power = power + aipow_f32(0x38412E72);
    power = power * a; power = power + aipow_f32(0xBA1C72F3);
    power = power * a; power = power + aipow_f32(0x3B9BF663);
    power = power * a; power = power + aipow_f32(0xBCD87123);
    power = power * a; power = power + aipow_f32(0x3DE171AB);
    power = power * a; power = power + aipow_f32(0x3F21BF5A);
    power = power * a; power = power + aipow_f32(0x3F90AB7D);
    power = power * a; power = power + aipow_f32(0xB9A7D834);
    const float large = aipow_copysign(1.0f - aipow_exp(-power), x);
    const float result = aipow_select(a < 1.0f, small, large);
    return aipow_select(x != x, x, result);
}

AIPOW_INLINE float aipow_rotate(float x, int32_t quarters, int32_t sign_mask) {
    const float magnitude = aipow_abs(x);
    const int legal = magnitude <= 8192.0f;
    float a = aipow_select(legal, magnitude, 0.0f);
    const float n = __builtin_rintf(a * aipow_f32(0x3F22F983));
    a = a - n * aipow_f32(0x3FC90000);
    a = a - n * aipow_f32(0x39FDA000);
    const float third = n * aipow_f32(0x33A22000);
    const float b = a - third;
    float lost = a - b;
    lost = lost - third;
    const float fourth = n * aipow_f32(0x2C346000);
    const float c = b - fourth;
    float lost_too = b - c;
    lost_too = lost_too - fourth;
    lost = lost + lost_too;
    lost = lost - n * aipow_f32(0x248D3132);
    const float r = c + lost;
    const float z = r * r;
    float sine = aipow_f32(0x3636DCDF);
    sine = sine * z; sine = sine + aipow_f32(0xB95009CD);
    sine = sine * z; sine = sine + aipow_f32(0x3C088887);
    sine = sine * z; sine = sine + aipow_f32(0xBE2AAAAB);
    sine = sine * z;
    sine = sine * r;
    sine = sine + r;
    float cosine = aipow_f32(0x37CDEA18);
    cosine = cosine * z; cosine = cosine + aipow_f32(0xBAB60965);
    cosine = cosine * z; cosine = cosine + aipow_f32(0x3D2AAAAA);
    cosine = cosine * z;
    cosine = cosine * z;
    cosine = cosine - z * 0.5f;
    cosine = cosine + 1.0f;
    const int32_t quadrant = (int32_t)n + quarters;
    const int32_t value = aipow_bits(aipow_select(quadrant & 1, cosine, sine));
    const int32_t sign = (int32_t)((uint32_t)(quadrant & 2) << 30) ^ (aipow_bits(x) & sign_mask);
    const float result = aipow_f32((uint32_t)(value ^ sign));
    return aipow_select(legal, result, aipow_f32(0x7FC00000));
}

AIPOW_INLINE float aipow_sin(float x) { return aipow_rotate(x, 0, INT32_MIN); }
AIPOW_INLINE float aipow_cos(float x) { return aipow_rotate(x, 1, 0); }

/* E7: word `index` of a stream of Philox4x32-10 as f32 in [0, 1). */
AIPOW_INLINE float aipow_uniform(uint32_t k0, uint32_t k1, uint32_t stream, uint32_t step, int64_t index) {
    const uint64_t block = (uint64_t)index >> 2;
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32), c2 = step, c3 = stream;
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    const uint32_t lane = (uint32_t)index & 3u;
    const uint32_t low = lane & 1u ? c1 : c0, high = lane & 1u ? c3 : c2;
    return (float)((lane & 2u ? high : low) >> 8) * aipow_f32(0x33800000);
}

#endif
