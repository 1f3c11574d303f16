/* Kernels with 16 vector registers of 256 bits: 6 rows by 16 columns. */
#if defined(__x86_64__)

#include "gemm_x86_pack.h"
#include "x86_features.h"

#define ROWS 6
#define VECTORS 2
#define LANES 8
#define INT __m256i
#define FLOAT __m256
#define DOUBLE __m256d
#define ZERO _mm256_setzero_si256()
#define ZERO_FLOAT _mm256_setzero_ps()
#define LOAD(at) _mm256_loadu_si256((const __m256i *)(at))
#define SPLAT_FLOAT _mm256_set1_ps
#define SPLAT_DOUBLE _mm256_set1_pd
#define LOAD_FLOAT _mm256_loadu_ps
#define LOAD_DOUBLE _mm256_loadu_pd
#define STORE_FLOAT _mm256_storeu_ps
#define ADD_FLOAT _mm256_add_ps
#define ADD_DOUBLE _mm256_add_pd
#define MUL_FLOAT _mm256_mul_ps
#define MUL_DOUBLE _mm256_mul_pd
#define INT_TO_FLOAT _mm256_cvtepi32_ps
#define LOW_TO_DOUBLE(x) _mm256_cvtepi32_pd(_mm256_castsi256_si128(x))
#define HIGH_TO_DOUBLE(x) _mm256_cvtepi32_pd(_mm256_extracti128_si256(x, 1))
#define TO_FLOAT(first, second)                                                                                        \
    _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(first)), _mm256_cvtpd_ps(second), 1)
#define MOVE_UP(sum, high)                                                                                             \
    do {                                                                                                               \
        INT part;                                                                                                      \
        __asm__("vpsrad %3, %0, %1\n\tvpaddd %2, %1, %1\n\tvmovdqa %1, %2\n\tvpand %4, %0, %0"                         \
                : "+x"(sum), "=&x"(part), "+m"(high)                                                                   \
                : "i"(HIGH_SHIFT), "m"(LOW_MASK));                                                                     \
    } while (0)

static const int32_t LOW_MASK[LANES] __attribute__((aligned(32))) = {
    LOW_BITS, LOW_BITS, LOW_BITS, LOW_BITS, LOW_BITS, LOW_BITS, LOW_BITS, LOW_BITS,
};

#define NAME avx2
#define TITLE "AVX2"
#define TARGET __attribute__((target("avx2")))
#define MULTIPLY_ROW(sums, columns, at)                                                                                \
    do {                                                                                                               \
        INT pair, products;                                                                                            \
        __asm__("vpbroadcastd %6, %2\n\tvpmaddwd %4, %2, %3\n\tvpaddd %3, %0, %0\n\tvpmaddwd %5, %2, %2\n\t"           \
                "vpaddd %2, %1, %1"                                                                                    \
                : "+x"((sums)[0]), "+x"((sums)[1]), "=&x"(pair), "=&x"(products)                                       \
                : "x"((columns)[0]), "x"((columns)[1]), "m"(*(const int32_t *)(at)));                                  \
    } while (0)
#include "gemm_x86_tile.h"

#if __has_include(<avxvnniintrin.h>) /* the assembler knows it, too */

#define NAME avx_vnni
#define TITLE "AVX-VNNI"
#define TARGET __attribute__((target("avx2")))
#define MULTIPLY_ROW(sums, columns, at)                                                                                \
    do {                                                                                                               \
        INT pair;                                                                                                      \
        __asm__("vpbroadcastd %5, %2\n\t%{vex%} vpdpwssd %3, %2, %0\n\t%{vex%} vpdpwssd %4, %2, %1"                        \
                : "+x"((sums)[0]), "+x"((sums)[1]), "=&x"(pair)                                                        \
                : "x"((columns)[0]), "x"((columns)[1]), "m"(*(const int32_t *)(at)));                                  \
    } while (0)
#include "gemm_x86_tile.h"

#endif

#else
typedef int aipow_no_avx2; /* a file must not be empty */
#endif
