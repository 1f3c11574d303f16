/* Every usable kernel against the portable one, byte by byte; for processors that we have only by emulation.
   Ends with 0 and the names of the kernels compared, or prints the first product that differs and ends with 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gemm.h"

static uint64_t state = 1;

static int64_t draw(int64_t least, int64_t most) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return least + (int64_t)((state >> 33) % (uint64_t)(most - least + 1));
}

/* Integers up to 2^bits: at random, all alike (at most, or anything), or in long stretches of one sign. */
static void fill(int16_t *q, int64_t size, int bits, int64_t pattern) {
    const int64_t limit = (int64_t)1 << bits, any = draw(-limit, limit);
    for (int64_t i = 0; i < size; i++) {
        const int64_t same = pattern == 1 ? limit : any, wave = i / 150 % 2 ? -limit : limit;
        q[i] = (int16_t)(pattern == 0 ? draw(-limit, limit) : pattern == 3 ? wave : same);
    }
}

static int is_equal(aipow_gemm *g, int kernel, aipow_pool *pool, int64_t pattern) {
    const int64_t size = g->batch * g->m * g->n;
    int16_t *a = malloc((size_t)(g->batch * g->m * g->k) * 2), *b = malloc((size_t)(g->batch * g->n * g->k) * 2);
    int32_t *ea = malloc((size_t)(g->batch * g->m) * 4), *eb = malloc((size_t)(g->batch * g->n) * 4);
    float *expected = malloc((size_t)size * 4), *found = malloc((size_t)size * 4);
    void *scratch = aligned_alloc(64, (size_t)(aipow_gemm_scratch(g, aipow_pool_threads(pool)) + 63) / 64 * 64);
    fill(a, g->batch * g->m * g->k, g->bits, pattern);
    fill(b, g->batch * g->n * g->k, g->bits, draw(0, 2));
    const int64_t least = draw(0, 2) ? -20 : -96, most = draw(0, 2) ? 20 : 128;
    for (int64_t i = 0; i < g->batch * g->m; i++) ea[i] = (int32_t)draw(least, most);
    for (int64_t i = 0; i < g->batch * g->n; i++) eb[i] = (int32_t)draw(least, most);
    g->a = a, g->b = b, g->ea = ea, g->eb = eb;
    g->c = expected;
    aipow_gemm_run(g, 0, pool, scratch);
    g->c = found;
    aipow_gemm_run(g, kernel, pool, scratch);
    int equal = !memcmp(expected, found, (size_t)size * 4);
    free(a), free(b), free(ea), free(eb), free(expected), free(found), free(scratch);
    return equal;
}

int main(int count, char **arguments) {
    aipow_pool *pool = aipow_pool_create(2);
    if (count != 2 || !pool) return 2;
    for (int kernel = 1; kernel < aipow_gemm_kernels(); kernel++) {
        if (!aipow_gemm_kernel_usable(kernel)) continue;
        for (int64_t turn = 0; turn < atoi(arguments[1]); turn++) {
            aipow_gemm g = {.batch = draw(1, 3), .m = draw(1, 40), .n = draw(1, 70), .k = draw(1, turn % 8 ? 300 : 1500)};
            const int a_flips = draw(0, 1) == 1, b_flips = draw(0, 1) == 1;
            g.bits = (int32_t)draw(1, 14);
            g.a_row = a_flips ? 1 : g.k, g.a_k = a_flips ? g.m : 1, g.a_batch = g.m * g.k;
            g.b_col = b_flips ? 1 : g.k, g.b_k = b_flips ? g.n : 1, g.b_batch = g.n * g.k;
            g.ea_batch = g.m, g.eb_batch = g.n, g.ldc = g.n, g.c_batch = g.m * g.n;
            if (!is_equal(&g, kernel, pool, draw(0, 3))) {
                printf("%s differs: turn %lld, %lld x %lld x %lld at %d bits\n", aipow_gemm_kernel_name(kernel),
                       (long long)turn, (long long)g.m, (long long)g.n, (long long)g.k, g.bits);
                return 1;
            }
        }
        printf("%s\n", aipow_gemm_kernel_name(kernel));
    }
    aipow_pool_destroy(pool);
    return 0;
}
