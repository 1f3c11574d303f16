/* Products in blocks. Panels of b (and of a, where its pairs do not lie in memory as they are) are packed a part at a
   time; then each thread computes block after block of c, a block's panels of b staying in the second cache, and one
   panel of a in the first while it meets them all. Long sums are made in steps, so that this holds for every k. */
#include "gemm.h"

#include <stddef.h>

#include "exact.h"
#include "gemm_tile.h"

#define PART_BYTES (4 << 20)    /* of packed panels at a time */
#define BLOCK_BYTES (192 << 10) /* of a block's panels of b: well inside a second-level cache */
#define BLOCK_ROWS 240          /* a multiple of every kernel's rows */
#define BLOCK_COLUMNS 512       /* at most, and a multiple of every kernel's columns */
#define STEP_PAIRS 512
#define GROUP 16 /* panels that are packed together */
#define ALIGNMENT 64

static int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t round_up(int64_t a, int64_t b) { return divide_up(a, b) * b; }

static double two_to(int32_t exponent) { return aipow_f64((int64_t)(exponent + 1023) << 52); }

/* The portable kernel: rows of c over the pool, sums in int64. */

enum { STRIP = 64 };

static void portable_strip(const aipow_gemm *g, int64_t batch, int64_t i, int64_t j0, int64_t width) {
    int64_t sums[STRIP] = {0};
    const int16_t *a = g->a + batch * g->a_batch + i * g->a_row, *b = g->b + batch * g->b_batch + j0 * g->b_col;
    if (g->b_col == 1) {
        for (int64_t k = 0; k < g->k; k++)
            for (int64_t j = 0; j < width; j++) sums[j] += (int32_t)a[k * g->a_k] * b[k * g->b_k + j];
    } else {
        for (int64_t j = 0; j < width; j++)
            for (int64_t k = 0; k < g->k; k++) sums[j] += (int32_t)a[k * g->a_k] * b[k * g->b_k + j * g->b_col];
    }
    const int32_t *eb = g->eb + batch * g->eb_batch + j0;
    int32_t exponent = g->ea[batch * g->ea_batch + i] - 2 * g->bits;
    float *c = g->c + batch * g->c_batch + i * g->ldc + j0;
    for (int64_t j = 0; j < width; j++) c[j] = aipow_rescale(sums[j], exponent + eb[j]);
}

static void portable_rows(void *context, int64_t begin, int64_t end, int thread) {
    const aipow_gemm *g = context;
    (void)thread;
    for (int64_t row = begin; row < end; row++) {
        int64_t batch = row / g->m, i = row % g->m;
        for (int64_t j = 0; j < g->n; j += STRIP) portable_strip(g, batch, i, j, min(STRIP, g->n - j));
        if (g->post) g->post(g->post_ctx, batch, i, 0, g->n);
    }
}

/* How a product is cut for a kernel. */

typedef struct {
    const aipow_tile_kernel *kernel;
    int64_t pairs;
    int64_t step_pairs;          /* pairs that a block adds up before it goes to the next tile */
    int is_a_direct;             /* a's pairs are read where they lie */
    int64_t a_panels, b_panels;  /* of one item */
    int64_t a_part, b_part;      /* panels that are packed at a time */
    int64_t block_a, block_b;    /* panels of a block */
    int64_t a_bytes, b_bytes;    /* of a panel */
    int64_t sums_bytes;          /* of a block's sums between two steps */
    int64_t norms;               /* of a panel: of each step, and of all; none when no sum can overflow */
    int64_t norms_bytes;         /* of a part's panels */
    int is_item_each;            /* small items: each thread packs and computes whole items on its own */
    int64_t thread_bytes, shared_bytes;
} cut;

static cut make_cut(const aipow_gemm *g, const aipow_tile_kernel *kernel, int threads) {
    const int64_t rows = kernel->rows, columns = kernel->columns;
    cut s = {.kernel = kernel, .pairs = max(1, divide_up(g->k, 2))};
    s.step_pairs = divide_up(s.pairs, divide_up(s.pairs, STEP_PAIRS));
    s.is_a_direct = kernel->reads_direct && g->a_k == 1 && g->k % 2 == 0;
    s.a_panels = divide_up(g->m, rows);
    s.b_panels = divide_up(g->n, columns);
    s.a_bytes = round_up(s.pairs * rows * 4, ALIGNMENT) + ALIGNMENT; /* one line more: no power of two apart */
    s.b_bytes = round_up(s.pairs * columns * 4, ALIGNMENT) + ALIGNMENT;
    s.a_part = s.is_a_direct ? s.a_panels : min(s.a_panels, max(1, PART_BYTES / s.a_bytes));
    s.b_part = min(s.b_panels, max(1, PART_BYTES / s.b_bytes));
    s.block_a = BLOCK_ROWS / rows;
    s.block_b = max(1, min(BLOCK_COLUMNS, BLOCK_BYTES / (s.step_pairs * 4)) / columns);
    if (kernel->compute_row_norm && s.pairs > safe_pairs(g->bits)) s.norms = divide_up(s.pairs, s.step_pairs) + 1;
    s.norms_bytes = round_up((s.a_part + s.b_part) * s.norms * 4, ALIGNMENT);
    int64_t packed = s.b_part * s.b_bytes + (s.is_a_direct ? 0 : s.a_part * s.a_bytes) + s.norms_bytes;
    int is_whole = s.a_part == s.a_panels && s.b_part == s.b_panels;
    s.is_item_each = is_whole && g->batch >= 2 * threads && packed <= PART_BYTES / 4;
    if (threads > 1 && !s.is_item_each) { /* enough blocks for all threads */
        while (s.block_a > 4 && divide_up(s.a_part, s.block_a) * divide_up(s.b_part, s.block_b) < 4 * threads)
            s.block_a = divide_up(s.block_a, 2);
    }
    s.sums_bytes = s.step_pairs < s.pairs ? s.block_a * s.block_b * rows * columns * 8 : 0;
    int64_t rest = s.is_a_direct ? s.a_bytes : 0; /* the last panel, when not full */
    s.thread_bytes = s.sums_bytes + rest + (s.is_item_each ? packed : 0);
    s.shared_bytes = s.is_item_each ? 0 : packed;
    return s;
}

/* One part of an item: panels a_first ... and b_first ..., packed at a_panels and b_panels. */
typedef struct {
    const aipow_gemm *g;
    const cut *s;
    int64_t batch;
    int64_t a_first, a_count, b_first, b_count;
    char *a_packed, *b_packed;
    float *a_norms, *b_norms;
    char *thread_scratch;
    int is_b_packed;
} part;

/* The norms of `rows` direct rows (panel null), or of a packed panel. */
static void fill_norms(const cut *s, float *norms, const int16_t *direct, int64_t row, int64_t rows,
                       const int32_t *panel, int width, float (*compute)(const int32_t *panel, int64_t pairs)) {
    float *total = norms + s->norms - 1;
    *total = 0;
    for (int64_t first = 0; first < s->pairs; first += s->step_pairs, norms++) {
        const int64_t pairs = min(s->step_pairs, s->pairs - first);
        *norms = 0;
        if (panel) *norms = compute(panel + first * width, pairs);
        for (int64_t i = 0; !panel && i < rows; i++) {
            float norm = s->kernel->compute_row_norm(direct + i * row + 2 * first, pairs);
            if (norm > *norms) *norms = norm;
        }
        *total += *norms;
    }
}

/* Packs a group of panels of a, unless they are read where they lie. */
static void prepare_rows(const part *w, int64_t group) {
    const cut *s = w->s;
    const aipow_gemm *g = w->g;
    const aipow_tile_kernel *kernel = s->kernel;
    const int64_t begin = group * GROUP, end = min(w->a_count, begin + GROUP);
    const int64_t first = (w->a_first + begin) * kernel->rows, last = min(g->m, (w->a_first + end) * kernel->rows);
    const int16_t *from = g->a + w->batch * g->a_batch + first * g->a_row;
    int32_t *panel = s->is_a_direct ? NULL : (int32_t *)(w->a_packed + begin * s->a_bytes);
    if (panel) kernel->pack_rows(panel, s->a_bytes / 4, from, g->a_row, g->a_k, last - first, g->k);
    for (int64_t i = begin; s->norms && i < end; i++, from += kernel->rows * g->a_row) {
        const int64_t rows = min(kernel->rows, g->m - (w->a_first + i) * kernel->rows);
        const int32_t *packed = panel ? panel + (i - begin) * s->a_bytes / 4 : NULL;
        float *norms = w->a_norms + i * s->norms;
        fill_norms(s, norms, from, g->a_row, rows, packed, kernel->rows, kernel->compute_rows_norm);
    }
}

static void prepare_columns(const part *w, int64_t group) {
    const cut *s = w->s;
    const aipow_gemm *g = w->g;
    const aipow_tile_kernel *kernel = s->kernel;
    const int64_t begin = group * GROUP, end = min(w->b_count, begin + GROUP);
    const int64_t first = (w->b_first + begin) * kernel->columns, last = min(g->n, (w->b_first + end) * kernel->columns);
    const int16_t *from = g->b + w->batch * g->b_batch + first * g->b_col;
    int32_t *panel = (int32_t *)(w->b_packed + begin * s->b_bytes);
    kernel->pack_columns(panel, s->b_bytes / 4, from, g->b_col, g->b_k, last - first, g->k);
    for (int64_t i = begin; s->norms && i < end; i++)
        fill_norms(s, w->b_norms + i * s->norms, NULL, 0, 0, panel + (i - begin) * s->b_bytes / 4, kernel->columns,
                   kernel->compute_columns_norm);
}

static int64_t count_a_units(const part *w) {
    return w->s->is_a_direct && !w->s->norms ? 0 : divide_up(w->a_count, GROUP);
}

static int64_t count_units(const part *w) {
    return count_a_units(w) + (w->is_b_packed ? 0 : divide_up(w->b_count, GROUP));
}

static void prepare_units(void *context, int64_t begin, int64_t end, int thread) {
    const part *w = context;
    const int64_t a_units = count_a_units(w);
    (void)thread;
    for (int64_t unit = begin; unit < end; unit++) {
        if (unit < a_units) prepare_rows(w, unit);
        else prepare_columns(w, unit - a_units);
    }
}

/* Where the packed panels and norms of a part lie. */
static void place_part(part *w, char *at) {
    w->b_packed = at;
    w->a_packed = w->b_packed + w->s->b_part * w->s->b_bytes;
    w->a_norms = (float *)(w->a_packed + (w->s->is_a_direct ? 0 : w->s->a_part * w->s->a_bytes));
    w->b_norms = w->a_norms + w->s->a_part * w->s->norms;
}

/* The scales of some rows or columns; those past the end are one. */
typedef struct {
    double *wide;
    float *narrow;
    int32_t least, most; /* exponents */
} scales;

static void fill_scales(scales *out, const int32_t *exponents, int64_t count, int64_t room, int32_t bits) {
    out->least = INT32_MAX;
    out->most = INT32_MIN;
    for (int64_t i = 0; i < room; i++) {
        int32_t exponent = i < count ? exponents[i] : bits;
        out->wide[i] = two_to(exponent - bits);
        out->narrow[i] = aipow_two_to(exponent - bits);
        if (i >= count) continue;
        if (exponent < out->least) out->least = exponent;
        if (exponent > out->most) out->most = exponent;
    }
}

/* Whether 2^e S is zero or a normal f32 for all exponents and |S| <= 2^31. */
static int is_normal(const scales *a, const scales *b, int32_t bits) {
    return a->least + b->least - 2 * bits >= -126 && a->most + b->most - 2 * bits <= 127 - 32;
}

/* A block: panels a_begin ... a_end - 1 of the part's rows, b_begin ... b_end - 1 of its columns. */
typedef struct {
    const part *w;
    aipow_tile tile;
    int64_t a_begin, a_end, b_begin, b_end;
    scales rows, columns;
    char *sums; /* between two steps, or null */
    char *rest; /* packed last panel of a direct operand, when it is not full */
} block;

/* One tile; results past the edges of c are computed aside. */
static void multiply_tile(const block *work, aipow_tile *t, int64_t i, int64_t j) {
    const aipow_gemm *g = work->w->g;
    const aipow_tile_kernel *kernel = work->w->s->kernel;
    float *c = g->c + work->w->batch * g->c_batch + i * g->ldc + j;
    int64_t height = min(kernel->rows, g->m - i), width = min(kernel->columns, g->n - j);
    if (height == kernel->rows && width == kernel->columns) {
        t->c = c;
        t->ldc = g->ldc;
        kernel->multiply(t);
        return;
    }
    float aside[MAX_ROWS * MAX_COLUMNS];
    t->c = aside;
    t->ldc = kernel->columns;
    kernel->multiply(t);
    if (!t->is_last) return;
    for (int64_t r = 0; r < height; r++) memcpy(c + r * g->ldc, aside + r * kernel->columns, (size_t)width * 4);
}

/* Lets the sums of a tile's step grow as long as their norms allow. */
static void avoid_moves(const block *work, aipow_tile *t, int64_t a_panel, int64_t b_panel, int64_t step) {
    const cut *s = work->w->s;
    const float *a = work->w->a_norms + a_panel * s->norms, *b = work->w->b_norms + b_panel * s->norms;
    t->has_high = !(a[s->norms - 1] * b[s->norms - 1] < SAFE_NORMS);
    t->safe_pairs = a[step] * b[step] < SAFE_NORMS ? t->pairs : work->tile.safe_pairs;
}

/* One panel of a times all of the block's panels of b, over the pairs from `first` on. */
static void multiply_row(const block *work, int64_t panel, int64_t first) {
    const part *w = work->w;
    const cut *s = w->s;
    const aipow_gemm *g = w->g;
    const aipow_tile_kernel *kernel = s->kernel;
    const int64_t i = (w->a_first + panel) * kernel->rows, skipped = panel - work->a_begin;
    const int is_rest = s->is_a_direct && g->m - i < kernel->rows;
    aipow_tile t = work->tile;
    t.pairs = min(s->step_pairs, s->pairs - first);
    t.is_first = first == 0;
    t.is_last = first + t.pairs == s->pairs;
    t.is_direct = s->is_a_direct && !is_rest;
    t.a_row = 2 * g->a_row;
    if (t.is_direct) t.a = (const char *)(g->a + w->batch * g->a_batch + i * g->a_row + 2 * first);
    else t.a = (is_rest ? work->rest : w->a_packed + panel * s->a_bytes) + 4 * first * kernel->rows;
    t.row_scales = work->rows.wide + skipped * kernel->rows;
    t.row_scales32 = work->rows.narrow + skipped * kernel->rows;
    char *sums = work->sums;
    if (sums) sums += skipped * s->block_b * kernel->rows * kernel->columns * 8;
    for (int64_t b_panel = work->b_begin; b_panel < work->b_end; b_panel++) {
        int64_t passed = (b_panel - work->b_begin) * kernel->columns;
        t.b = (const int16_t *)(w->b_packed + b_panel * s->b_bytes) + 2 * first * kernel->columns;
        t.sums = sums ? (int32_t *)sums + 2 * passed * kernel->rows : NULL;
        t.column_scales = work->columns.wide + passed;
        t.column_scales32 = work->columns.narrow + passed;
        if (s->norms) avoid_moves(work, &t, panel, b_panel, first / s->step_pairs);
        t.is_normal = work->tile.is_normal && !t.has_high;
        multiply_tile(work, &t, i, (w->b_first + b_panel) * kernel->columns);
    }
    if (!t.is_last || !g->post) return;
    const int64_t j0 = (w->b_first + work->b_begin) * kernel->columns;
    const int64_t j1 = min(g->n, (w->b_first + work->b_end) * kernel->columns);
    for (int64_t r = i; r < min(g->m, i + kernel->rows); r++) g->post(g->post_ctx, w->batch, r, j0, j1);
}

static void multiply_block(const part *w, int64_t a_block, int64_t b_block, char *scratch) {
    const cut *s = w->s;
    const aipow_gemm *g = w->g;
    const aipow_tile_kernel *kernel = s->kernel;
    double wide_rows[BLOCK_ROWS], wide_columns[BLOCK_COLUMNS + MAX_COLUMNS];
    float narrow_rows[BLOCK_ROWS], narrow_columns[BLOCK_COLUMNS + MAX_COLUMNS];
    block work = {
        .w = w,
        .rows = {.wide = wide_rows, .narrow = narrow_rows},
        .columns = {.wide = wide_columns, .narrow = narrow_columns},
        .a_begin = a_block * s->block_a,
        .a_end = min(w->a_count, (a_block + 1) * s->block_a),
        .b_begin = b_block * s->block_b,
        .b_end = min(w->b_count, (b_block + 1) * s->block_b),
        .sums = s->sums_bytes ? scratch : NULL,
        .rest = scratch + s->sums_bytes,
    };
    const int64_t i0 = (w->a_first + work.a_begin) * kernel->rows, j0 = (w->b_first + work.b_begin) * kernel->columns;
    const int64_t i1 = (w->a_first + work.a_end) * kernel->rows, j1 = (w->b_first + work.b_end) * kernel->columns;
    fill_scales(&work.rows, g->ea + w->batch * g->ea_batch + i0, min(g->m, i1) - i0, i1 - i0, g->bits);
    fill_scales(&work.columns, g->eb + w->batch * g->eb_batch + j0, min(g->n, j1) - j0, j1 - j0, g->bits);
    work.tile.safe_pairs = safe_pairs(g->bits);
    work.tile.has_high = s->pairs > work.tile.safe_pairs;
    work.tile.is_normal = is_normal(&work.rows, &work.columns, g->bits);
    if (s->is_a_direct && g->m < i1) {
        const int64_t last = i1 - kernel->rows;
        const int16_t *from = g->a + w->batch * g->a_batch + last * g->a_row;
        kernel->pack_rows((int32_t *)work.rest, 0, from, g->a_row, 1, g->m - last, g->k);
    }
    for (int64_t first = 0; first < s->pairs; first += s->step_pairs)
        for (int64_t panel = work.a_begin; panel < work.a_end; panel++) multiply_row(&work, panel, first);
}

static void multiply_blocks(void *context, int64_t begin, int64_t end, int thread) {
    const part *w = context;
    int64_t columns = divide_up(w->b_count, w->s->block_b);
    char *scratch = w->thread_scratch + thread * w->s->thread_bytes;
    for (int64_t number = begin; number < end; number++) multiply_block(w, number / columns, number % columns, scratch);
}

static int64_t count_blocks(const part *w) {
    return divide_up(w->a_count, w->s->block_a) * divide_up(w->b_count, w->s->block_b);
}

static void multiply_items(void *context, int64_t begin, int64_t end, int thread) {
    part w = *(const part *)context;
    char *scratch = w.thread_scratch + thread * w.s->thread_bytes;
    place_part(&w, scratch + w.s->sums_bytes + (w.s->is_a_direct ? w.s->a_bytes : 0));
    w.thread_scratch = scratch;
    for (w.batch = begin; w.batch < end; w.batch++) {
        w.is_b_packed = w.batch > begin && !w.g->b_batch;
        prepare_units(&w, 0, count_units(&w), 0);
        multiply_blocks(&w, 0, count_blocks(&w), 0);
    }
}

static void multiply_parts(part *w, aipow_pool *pool) {
    const cut *s = w->s;
    for (w->a_first = 0; w->a_first < s->a_panels; w->a_first += s->a_part) {
        w->a_count = min(s->a_part, s->a_panels - w->a_first);
        for (w->b_first = 0; w->b_first < s->b_panels; w->b_first += s->b_part) {
            w->b_count = min(s->b_part, s->b_panels - w->b_first);
            w->is_b_packed = s->b_part == s->b_panels && (w->a_first > 0 || (w->batch > 0 && !w->g->b_batch));
            aipow_pool_run(pool, prepare_units, w, count_units(w), 1);
            aipow_pool_run(pool, multiply_blocks, w, count_blocks(w), 1);
        }
    }
}

static void run_tiles(const aipow_gemm *g, const aipow_tile_kernel *kernel, aipow_pool *pool, char *scratch) {
    cut s = make_cut(g, kernel, aipow_pool_threads(pool));
    part w = {.g = g, .s = &s, .thread_scratch = scratch, .a_count = s.a_panels, .b_count = s.b_panels};
    if (s.is_item_each) {
        aipow_pool_run(pool, multiply_items, &w, g->batch, 1);
        return;
    }
    place_part(&w, scratch + aipow_pool_threads(pool) * s.thread_bytes);
    for (w.batch = 0; w.batch < g->batch; w.batch++) multiply_parts(&w, pool);
}

/* The table of kernels. */

static const aipow_tile_kernel *const KERNELS[] = {
#if defined(__x86_64__)
    &aipow_kernel_avx2,        &aipow_kernel_avx512, &aipow_kernel_avx512_vnni,
#if __has_include(<avxvnniintrin.h>)
    &aipow_kernel_avx_vnni,
#endif
#elif defined(__aarch64__)
    &aipow_kernel_neon,
#endif
    NULL,
};

enum { KERNEL_COUNT = sizeof KERNELS / sizeof KERNELS[0] }; /* the portable one, number 0, is not in the table */

int aipow_gemm_kernels(void) { return KERNEL_COUNT; }

const char *aipow_gemm_kernel_name(int kernel) { return kernel == 0 ? "portable" : KERNELS[kernel - 1]->name; }

int aipow_gemm_kernel_usable(int kernel) {
    return kernel == 0 || (kernel > 0 && kernel < KERNEL_COUNT && KERNELS[kernel - 1]->is_usable());
}

int64_t aipow_gemm_scratch(const aipow_gemm *g, int threads) {
    int64_t bytes = ALIGNMENT;
    for (int i = 1; i < KERNEL_COUNT; i++) {
        if (!aipow_gemm_kernel_usable(i)) continue;
        cut s = make_cut(g, KERNELS[i - 1], threads);
        bytes = max(bytes, threads * s.thread_bytes + s.shared_bytes);
    }
    return bytes;
}

void aipow_gemm_run(const aipow_gemm *g, int kernel, aipow_pool *pool, void *scratch) {
    if (g->batch <= 0 || g->m <= 0 || g->n <= 0) return;
    if (kernel == 0 || g->k <= 0) {
        aipow_pool_run(pool, portable_rows, (void *)g, g->batch * g->m, max(1, 65536 / max(1, g->n * g->k)));
        return;
    }
    run_tiles(g, KERNELS[kernel - 1], pool, scratch);
}
