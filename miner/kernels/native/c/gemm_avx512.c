/* Kernels with 32 vector registers of 512 bits: 12 rows by 32 columns. */
#if defined(__x86_64__)

#include "gemm_x86_pack.h"
#include "x86_features.h"

#define ROWS 12
#define VECTORS 2
#define LANES 16
#define INT __m512i
#define FLOAT __m512
#define DOUBLE __m512d
#define ZERO _mm512_setzero_si512()
#define ZERO_FLOAT _mm512_setzero_ps()
#define LOAD(at) _mm512_loadu_si512(at)
#define SPLAT_FLOAT _mm512_set1_ps
#define SPLAT_DOUBLE _mm512_set1_pd
#define LOAD_FLOAT _mm512_loadu_ps
#define LOAD_DOUBLE _mm512_loadu_pd
#define STORE_FLOAT _mm512_storeu_ps
#define ADD_FLOAT _mm512_add_ps
#define ADD_DOUBLE _mm512_add_pd
#define MUL_FLOAT _mm512_mul_ps
#define MUL_DOUBLE _mm512_mul_pd
#define INT_TO_FLOAT _mm512_cvtepi32_ps
#define LOW_TO_DOUBLE(x) _mm512_cvtepi32_pd(_mm512_castsi512_si256(x))
#define HIGH_TO_DOUBLE(x) _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(x, 1))
#define TO_FLOAT(first, second)                                                                                        \
    _mm512_castpd_ps(_mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_castps_pd(_mm512_cvtpd_ps(first))),              \
                                        _mm256_castps_pd(_mm512_cvtpd_ps(second)), 1))
#define MOVE_UP(sum, high)                                                                                             \
    do {                                                                                                               \
        INT part;                                                                                                      \
        __asm__("vpsrad %3, %0, %1\n\tvpaddd %2, %1, %1\n\tvmovdqa32 %1, %2\n\tvpandd %4, %0, %0"                      \
                : "+v"(sum), "=&v"(part), "+m"(high)                                                                   \
                : "i"(HIGH_SHIFT), "m"(LOW_MASK));                                                                     \
    } while (0)

static const int32_t LOW_MASK[LANES] __attribute__((aligned(64))) = {
    LOW_BITS, LOW_BITS, LOW_BITS, LOW_BITS, LOW_BITS, LOW_BITS, LOW_BITS, LOW_BITS,
    LOW_BITS, LOW_BITS, LOW_BITS, LOW_BITS, LOW_BITS, LOW_BITS, LOW_BITS, LOW_BITS,
};

#define NAME avx512
#define TITLE "AVX-512"
#define TARGET __attribute__((target("avx512f,avx512bw")))
#define MULTIPLY_ROW(sums, columns, at)                                                                                \
    do {                                                                                                               \
        INT pair, products;                                                                                            \
        __asm__("vpbroadcastd %6, %2\n\tvpmaddwd %4, %2, %3\n\tvpaddd %3, %0, %0\n\tvpmaddwd %5, %2, %2\n\t"           \
                "vpaddd %2, %1, %1"                                                                                    \
                : "+v"((sums)[0]), "+v"((sums)[1]), "=&v"(pair), "=&v"(products)                                       \
                : "v"((columns)[0]), "v"((columns)[1]), "m"(*(const int32_t *)(at)));                                  \
    } while (0)
#include "gemm_x86_tile.h"

#define NAME avx512_vnni
#define TITLE "AVX-512 VNNI"
#define TARGET __attribute__((target("avx512f,avx512bw")))
#define MULTIPLY_ROW(sums, columns, at)                                                                                \
    do {                                                                                                               \
        INT pair;                                                                                                      \
        __asm__("vpbroadcastd %5, %2\n\tvpdpwssd %3, %2, %0\n\tvpdpwssd %4, %2, %1"                                    \
                : "+v"((sums)[0]), "+v"((sums)[1]), "=&v"(pair)                                                        \
                : "v"((columns)[0]), "v"((columns)[1]), "m"(*(const int32_t *)(at)));                                  \
    } while (0)
#include "gemm_x86_tile.h"

#else
typedef int aipow_no_avx512; /* a file must not be empty */
#endif
