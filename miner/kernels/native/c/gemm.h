/* E3 of exact/v1: products of integers on grids, scaled to f32; definition: consensus/exact/matmul.py. */
#ifndef AIPOW_GEMM_H
#define AIPOW_GEMM_H

#include <stdint.h>

#include "pool.h"

/* For each item of a batch, c[i, j] = f32(S * 2^(ea[i] + eb[j] - 2 bits)), S = sum over k of a[i, k] b[k, j], in one
   rounding and a zero being +0. Strides are in elements; a stride of 0 over the batch shares an operand.
   Every |a|, |b| <= 2^bits, 1 <= bits <= 14, k 2^(2 bits) < 2^53, -96 <= ea, eb <= 128. */
typedef struct {
    int64_t batch, m, n, k;
    const int16_t *a;
    int64_t a_row, a_k, a_batch;
    const int16_t *b;
    int64_t b_col, b_k, b_batch;
    const int32_t *ea; /* m exponents for each item */
    int64_t ea_batch;
    const int32_t *eb; /* n exponents for each item */
    int64_t eb_batch;
    int32_t bits;
    float *c;
    int64_t ldc, c_batch;
    /* Called (unless null) once for each stretch j0 ... j1 - 1 of a finished row i, while it is in the cache. */
    void (*post)(void *context, int64_t batch, int64_t i, int64_t j0, int64_t j1);
    void *post_ctx;
} aipow_gemm;

/* Implementations: number 0 is portable; all give the same bytes. */
int aipow_gemm_kernels(void);
const char *aipow_gemm_kernel_name(int kernel);
/* Whether this processor has the kernel's instructions. */
int aipow_gemm_kernel_usable(int kernel);

/* Bytes of scratch, enough for every usable kernel. */
int64_t aipow_gemm_scratch(const aipow_gemm *gemm, int threads);

/* `scratch` starts at a multiple of 64 bytes; no two runs may share it at the same time. */
void aipow_gemm_run(const aipow_gemm *gemm, int kernel, aipow_pool *pool, void *scratch);

#endif
