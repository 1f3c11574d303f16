/* A passive thread pool: workers sleep on a condition variable between jobs, and waiting never spins. */
#ifndef AIPOW_POOL_H
#define AIPOW_POOL_H

#include <stdint.h>

typedef struct aipow_pool aipow_pool;

/* What a job does to units begin ... end - 1; `thread` is under aipow_pool_threads, and no two calls of one job that run
   at the same time have the same. It must not start a job on the same pool. */
typedef void (*aipow_work)(void *context, int64_t begin, int64_t end, int thread);

/* A pool of `threads` >= 1 threads, the caller of a job being one of them; null when one cannot be made. */
aipow_pool *aipow_pool_create(int threads);

/* Threads of a pool; null counts as a pool of one. */
int aipow_pool_threads(const aipow_pool *pool);

/* Calls `work` on all units 0 ... total - 1, in pieces of multiples of `grain` units (the last one may be shorter), and
   returns when all are done. Calls from several threads take turns. */
void aipow_pool_run(aipow_pool *pool, aipow_work work, void *context, int64_t total, int64_t grain);

/* Ends the workers and frees the pool; no job may be running. */
void aipow_pool_destroy(aipow_pool *pool);

#endif
