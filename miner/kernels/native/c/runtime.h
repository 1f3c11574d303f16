/* Walks a plan: kernels of generated code and exact products, one after another, each over the thread pool. */
#ifndef AIPOW_RUNTIME_H
#define AIPOW_RUNTIME_H

#include <stdint.h>

#include "gemm.h"
#include "pool.h"

typedef void (*aipow_kernel)(char **a, char *scratch, int64_t begin, int64_t end);
typedef void (*aipow_epilogue)(char **a, int64_t row, int64_t j0, int64_t j1);

typedef struct {
    aipow_kernel kernel;     /* null for a product */
    aipow_epilogue epilogue; /* of a product, or null */
    int64_t total, grain;    /* units of a kernel, fewest worth a thread */
    int64_t first;           /* the op's addresses: a[0] is the error, a product has a, ea, b, eb, c after it */
    int64_t epilogue_first;  /* addresses of the epilogue */
    int64_t gemm_kernel;     /* which implementation */
    aipow_gemm gemm;         /* shapes and strides; addresses are filled in */
} aipow_op;

typedef struct {
    const aipow_op *ops;
    int64_t op_count;
    const int32_t *bases;   /* for each address: which block it lies in */
    const int64_t *offsets; /* and where there, in bytes */
    int64_t address_count;
    char **addresses;       /* filled in by a run */
    char *scratch;          /* of all threads */
    int64_t scratch_bytes;  /* of one thread */
    void *gemm_scratch;
} aipow_plan;

/* Runs all ops; the number of the op that failed, with its code in *error, or -1. blocks[0] is the error's address. */
int64_t aipow_run(const aipow_plan *plan, char **blocks, aipow_pool *pool, int32_t *error);

/* Puts memory behind the whole pages of a buffer, as writing would, but keeps what is there; returns the bytes for which
   the system did. */
int64_t aipow_populate(char *address, int64_t bytes);

#endif
