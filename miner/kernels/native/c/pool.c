#include "pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define PIECES_PER_THREAD 4

typedef struct {
    aipow_pool *pool;
    pthread_t id;
    int number;
} worker;

struct aipow_pool {
    pthread_mutex_t turn; /* held by the thread whose job runs */
    pthread_mutex_t lock; /* guards all below but `next` */
    pthread_cond_t wake, done;
    aipow_work work;
    void *context;
    int64_t total, piece;
    _Atomic int64_t next; /* first unit that nobody took */
    uint64_t job;         /* number of the last job */
    int is_open;          /* whether workers may still join it */
    int inside;           /* workers that joined and have not finished */
    int is_ending;
    int workers;
    worker list[];
};

static void take_pieces(aipow_pool *pool, int thread) {
    for (;;) {
        int64_t begin = atomic_fetch_add_explicit(&pool->next, pool->piece, memory_order_relaxed);
        if (begin >= pool->total) return;
        int64_t rest = pool->total - begin;
        pool->work(pool->context, begin, begin + (rest < pool->piece ? rest : pool->piece), thread);
    }
}

static void *serve(void *argument) {
    worker *self = argument;
    aipow_pool *pool = self->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->is_ending && !(pool->is_open && pool->job != seen)) pthread_cond_wait(&pool->wake, &pool->lock);
        if (pool->is_ending) break;
        seen = pool->job;
        pool->inside++;
        pthread_mutex_unlock(&pool->lock);
        take_pieces(pool, self->number);
        pthread_mutex_lock(&pool->lock);
        if (--pool->inside == 0) pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

aipow_pool *aipow_pool_create(int threads) {
    if (threads < 1) return NULL;
    aipow_pool *pool = calloc(1, sizeof *pool + (size_t)threads * sizeof(worker));
    if (!pool) return NULL;
    pthread_mutex_init(&pool->turn, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    for (int i = 0; i < threads - 1; i++) {
        worker *next = &pool->list[i];
        next->pool = pool;
        next->number = i + 1;
        if (pthread_create(&next->id, NULL, serve, next)) {
            aipow_pool_destroy(pool);
            return NULL;
        }
        pool->workers++;
    }
    return pool;
}

int aipow_pool_threads(const aipow_pool *pool) { return pool ? pool->workers + 1 : 1; }

void aipow_pool_run(aipow_pool *pool, aipow_work work, void *context, int64_t total, int64_t grain) {
    if (total <= 0) return;
    if (grain < 1) grain = 1;
    if (aipow_pool_threads(pool) == 1 || total <= grain) {
        work(context, 0, total, 0);
        return;
    }
    int64_t pieces = (int64_t)aipow_pool_threads(pool) * PIECES_PER_THREAD;
    int64_t grains = (total + grain * pieces - 1) / (grain * pieces);
    pthread_mutex_lock(&pool->turn);
    pthread_mutex_lock(&pool->lock);
    pool->work = work;
    pool->context = context;
    pool->total = total;
    pool->piece = grains * grain;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    pool->job++;
    pool->is_open = 1;
    int64_t helpers = (total - 1) / pool->piece;
    if (helpers >= pool->workers) pthread_cond_broadcast(&pool->wake);
    else
        while (helpers-- > 0) pthread_cond_signal(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    take_pieces(pool, 0);
    pthread_mutex_lock(&pool->lock);
    pool->is_open = 0;
    while (pool->inside) pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    pthread_mutex_unlock(&pool->turn);
}

void aipow_pool_destroy(aipow_pool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->is_ending = 1;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->workers; i++) pthread_join(pool->list[i].id, NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->turn);
    free(pool);
}
