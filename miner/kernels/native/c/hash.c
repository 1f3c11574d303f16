/* Tensor commitments: BLAKE2b-256 (RFC 7693, unkeyed) of many equally long messages at once, one in each vector lane.

   Definitions and the slow reference: consensus/commit/{merkle,tensor}.py. All messages of a call have one length, so
   the lanes never diverge. Plain C with vector extensions of gcc and clang: AVX-512 takes eight messages, all else four.
   Words are read little-endian, as every machine that we run on is (the known-answer test notices any other). */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __AVX512F__
#define LANES 8
#else
#define LANES 4
#endif
#define BLOCK 128
#define DIGEST 32
#define SIDE 32
#define MAX_ITEM 8
#define MAX_MESSAGE ((1 + SIDE * SIDE * MAX_ITEM + BLOCK - 1) / BLOCK * BLOCK)

typedef uint64_t lanes __attribute__((vector_size(8 * LANES)));
typedef uint8_t lane_bytes __attribute__((vector_size(8 * LANES)));

static const uint64_t IV[8] = {
    0x6a09e667f3bcc908u, 0xbb67ae8584caa73bu, 0x3c6ef372fe94f82bu, 0xa54ff53a5f1d36f1u,
    0x510e527fade682d1u, 0x9b05688c2b3e6c1fu, 0x1f83d9abfb41bd6bu, 0x5be0cd19137e2179u,
};

static inline lanes splat(uint64_t value) { return (lanes){0} + value; }

#if defined(__AVX512F__) || !defined(__AVX2__)
#define ROTATE(x, n) (((x) >> (n)) | ((x) << (64 - (n))))
#define ROTATE32(x) ROTATE(x, 32)
#define ROTATE24(x) ROTATE(x, 24)
#define ROTATE16(x) ROTATE(x, 16)
#else /* AVX2 has no rotation of 64 bits: whole bytes move by one shuffle */
#define SHUFFLE8(x, a, b, c, d, e, f, g, h)                                                                           \
    ((lanes)__builtin_shufflevector((lane_bytes)(x), (lane_bytes)(x), a, b, c, d, e, f, g, h, a + 8, b + 8, c + 8,     \
                                    d + 8, e + 8, f + 8, g + 8, h + 8, a + 16, b + 16, c + 16, d + 16, e + 16, f + 16, \
                                    g + 16, h + 16, a + 24, b + 24, c + 24, d + 24, e + 24, f + 24, g + 24, h + 24))
#define ROTATE32(x) SHUFFLE8(x, 4, 5, 6, 7, 0, 1, 2, 3)
#define ROTATE24(x) SHUFFLE8(x, 3, 4, 5, 6, 7, 0, 1, 2)
#define ROTATE16(x) SHUFFLE8(x, 2, 3, 4, 5, 6, 7, 0, 1)
#endif
#define ROTATE63(x) (((x) >> 63) | ((x) + (x)))

#define MIX(a, b, c, d, x, y)                                                                                         \
    a += b + m[x];                                                                                                     \
    d = ROTATE32(d ^ a);                                                                                               \
    c += d;                                                                                                            \
    b = ROTATE24(b ^ c);                                                                                               \
    a += b + m[y];                                                                                                     \
    d = ROTATE16(d ^ a);                                                                                               \
    c += d;                                                                                                            \
    b ^= c;                                                                                                            \
    b = ROTATE63(b);

#define ROUND(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15)                                    \
    MIX(v0, v4, v8, v12, s0, s1)                                                                                       \
    MIX(v1, v5, v9, v13, s2, s3)                                                                                       \
    MIX(v2, v6, v10, v14, s4, s5)                                                                                      \
    MIX(v3, v7, v11, v15, s6, s7)                                                                                      \
    MIX(v0, v5, v10, v15, s8, s9)                                                                                      \
    MIX(v1, v6, v11, v12, s10, s11)                                                                                    \
    MIX(v2, v7, v8, v13, s12, s13)                                                                                     \
    MIX(v3, v4, v9, v14, s14, s15)

/* One compression in every lane; `done` counts the bytes of each message up to and with this block. */
static void compress(lanes h[8], const lanes m[16], uint64_t done, int is_last) {
    lanes v0 = h[0], v1 = h[1], v2 = h[2], v3 = h[3], v4 = h[4], v5 = h[5], v6 = h[6], v7 = h[7];
    lanes v8 = splat(IV[0]), v9 = splat(IV[1]), v10 = splat(IV[2]), v11 = splat(IV[3]);
    lanes v12 = splat(IV[4] ^ done), v13 = splat(IV[5]);
    lanes v14 = splat(is_last ? ~IV[6] : IV[6]), v15 = splat(IV[7]);
    ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)
    ROUND(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4)
    ROUND(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8)
    ROUND(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13)
    ROUND(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9)
    ROUND(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11)
    ROUND(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10)
    ROUND(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5)
    ROUND(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0)
    ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)
    h[0] ^= v0 ^ v8, h[1] ^= v1 ^ v9, h[2] ^= v2 ^ v10, h[3] ^= v3 ^ v11;
    h[4] ^= v4 ^ v12, h[5] ^= v5 ^ v13, h[6] ^= v6 ^ v14, h[7] ^= v7 ^ v15;
}

/* Digests of LANES messages of `length` bytes each, zero padded to whole blocks; `used` of them go to `out`. */
static void hash_messages(uint8_t (*messages)[MAX_MESSAGE], size_t length, size_t used, uint8_t *out) {
    lanes h[8], m[16];
    for (int i = 0; i < 8; i++) h[i] = splat(IV[i]);
    h[0] ^= splat(0x01010000u ^ DIGEST);
    for (size_t start = 0; start < length; start += BLOCK) {
        for (int i = 0; i < 16; i++)
            for (int lane = 0; lane < LANES; lane++) {
                uint64_t word;
                memcpy(&word, messages[lane] + start + 8 * (size_t)i, 8);
                m[i][lane] = word;
            }
        int is_last = start + BLOCK >= length;
        compress(h, m, is_last ? length : start + BLOCK, is_last);
    }
    for (size_t lane = 0; lane < used; lane++)
        for (int i = 0; i < DIGEST / 8; i++) {
            uint64_t word = h[i][lane];
            memcpy(out + lane * DIGEST + 8 * (size_t)i, &word, 8);
        }
}

static uint64_t min(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* Leaf hashes, H(0x00 || tile), of all 32x32 tiles of a row-major tensor [batches, rows, columns] in order: a tile is
   zero padded; `item` is the bytes of an element, at most 8; `out` takes 32 bytes a tile. */
void aipow_tile_hashes(const uint8_t *data, uint64_t batches, uint64_t rows, uint64_t columns, uint64_t item,
                       uint8_t *out) {
    static const uint8_t zeros[SIDE * MAX_ITEM];
    uint8_t messages[LANES][MAX_MESSAGE];
    memset(messages, 0, sizeof messages);
    size_t lane = 0, width = SIDE * item, length = 1 + SIDE * width;
    for (uint64_t batch = 0; batch < batches; batch++)
        for (uint64_t top = 0; top < rows; top += SIDE)
            for (uint64_t left = 0; left < columns; left += SIDE) {
                const uint8_t *from = data + ((batch * rows + top) * columns + left) * item;
                uint64_t high = min(SIDE, rows - top), wide = min(SIDE, columns - left) * item;
                uint8_t *to = messages[lane] + 1;
                for (uint64_t row = 0; row < high; row++, to += width, from += columns * item) {
                    memcpy(to, from, wide);
                    memcpy(to + wide, zeros, width - wide);
                }
                memset(to, 0, (SIDE - high) * width);
                if (++lane == LANES) {
                    hash_messages(messages, length, LANES, out);
                    out += LANES * DIGEST;
                    lane = 0;
                }
            }
    if (lane) hash_messages(messages, length, lane, out);
}

/* Merkle root over `count` >= 1 leaf hashes, which are overwritten; the root is left in the first 32 bytes. */
void aipow_merkle_root(uint8_t *hashes, uint64_t count) {
    uint8_t messages[LANES][MAX_MESSAGE];
    for (size_t lane = 0; lane < LANES; lane++) {
        memset(messages[lane], 0, BLOCK);
        messages[lane][0] = 1;
    }
    while (count > 1) {
        uint64_t pairs = count / 2;
        for (uint64_t first = 0; first < pairs; first += LANES) {
            size_t used = (size_t)min(LANES, pairs - first);
            for (size_t lane = 0; lane < used; lane++)
                memcpy(messages[lane] + 1, hashes + (first + lane) * 2 * DIGEST, 2 * DIGEST);
            hash_messages(messages, 1 + 2 * DIGEST, used, hashes + first * DIGEST);
        }
        if (count & 1) memmove(hashes + pairs * DIGEST, hashes + (count - 1) * DIGEST, DIGEST);
        count = pairs + (count & 1);
    }
}

/* Whether no f32 of `count` is a NaN or an infinity. */
int aipow_is_finite_f32(const uint32_t *values, uint64_t count) {
    uint32_t found = 0;
    for (uint64_t i = 0; i < count; i++) found |= (values[i] & 0x7f800000u) == 0x7f800000u;
    return !found;
}
