#include "runtime.h"

#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__linux__) && !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23 /* Linux 5.14, madvise(2) */
#endif

#define POPULATE_BYTES ((int64_t)1 << 21) /* at a time, a huge page: nobody else can map memory meanwhile */

typedef struct {
    aipow_kernel kernel;
    char **addresses;
    char *scratch;
    int64_t scratch_bytes;
} kernel_call;

static void run_kernel(void *context, int64_t begin, int64_t end, int thread) {
    const kernel_call *call = context;
    call->kernel(call->addresses, call->scratch + thread * call->scratch_bytes, begin, end);
}

typedef struct {
    aipow_epilogue epilogue;
    char **addresses;
    int64_t rows;
} epilogue_call;

static void run_epilogue(void *context, int64_t batch, int64_t row, int64_t j0, int64_t j1) {
    const epilogue_call *call = context;
    call->epilogue(call->addresses, batch * call->rows + row, j0, j1);
}

static void run_product(const aipow_op *op, const aipow_plan *plan, aipow_pool *pool) {
    char **a = plan->addresses + op->first;
    aipow_gemm gemm = op->gemm;
    epilogue_call call = {op->epilogue, plan->addresses + op->epilogue_first, gemm.m};
    gemm.a = (const int16_t *)a[1];
    gemm.ea = (const int32_t *)a[2];
    gemm.b = (const int16_t *)a[3];
    gemm.eb = (const int32_t *)a[4];
    gemm.c = (float *)a[5];
    gemm.post = op->epilogue ? run_epilogue : NULL;
    gemm.post_ctx = &call;
    aipow_gemm_run(&gemm, (int)op->gemm_kernel, pool, plan->gemm_scratch);
}

int64_t aipow_run(const aipow_plan *plan, char **blocks, aipow_pool *pool, int32_t *error) {
    *error = 0;
    for (int64_t i = 0; i < plan->address_count; i++) {
        plan->addresses[i] = blocks[plan->bases[i]] + plan->offsets[i];
    }
    for (int64_t i = 0; i < plan->op_count; i++) {
        const aipow_op *op = &plan->ops[i];
        if (op->kernel) {
            kernel_call call = {op->kernel, plan->addresses + op->first, plan->scratch, plan->scratch_bytes};
            aipow_pool_run(pool, run_kernel, &call, op->total, op->grain);
        } else {
            run_product(op, plan, pool);
        }
        if (*(volatile int32_t *)error) return i;
    }
    return -1;
}

int64_t aipow_populate(char *address, int64_t bytes) {
    int64_t done = 0;
#ifdef MADV_POPULATE_WRITE
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = ((uintptr_t)address + page - 1) / page * page;
    const uintptr_t end = ((uintptr_t)address + (uintptr_t)bytes) / page * page;
    for (uintptr_t at = first; at < end; at += POPULATE_BYTES) {
        const size_t size = end - at < POPULATE_BYTES ? end - at : POPULATE_BYTES;
        if (madvise((void *)at, size, MADV_POPULATE_WRITE)) break;
        done += (int64_t)size;
    }
#endif
    return done;
}
