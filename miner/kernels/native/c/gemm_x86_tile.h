/* One x86 kernel, included once for each instruction set with NAME, TARGET, ROWS, VECTORS, LANES, and the operations
   INT, FLOAT, DOUBLE, ZERO, LOAD, STORE, BROADCAST, MULTIPLY_ADD, ADD, AND, SHIFT, SPLAT, ... defined. */

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)

/* f32(S scale) with S = high 2^22 + low, a zero being +0. */
TARGET static inline FLOAT JOIN(NAME, _scale)(INT low, INT high, DOUBLE row, const double *columns) {
    const DOUBLE unit = SPLAT_DOUBLE(1 << HIGH_SHIFT);
    DOUBLE first = ADD_DOUBLE(MUL_DOUBLE(LOW_TO_DOUBLE(high), unit), LOW_TO_DOUBLE(low));
    DOUBLE second = ADD_DOUBLE(MUL_DOUBLE(HIGH_TO_DOUBLE(high), unit), HIGH_TO_DOUBLE(low));
    first = MUL_DOUBLE(first, MUL_DOUBLE(row, LOAD_DOUBLE(columns)));
    second = MUL_DOUBLE(second, MUL_DOUBLE(row, LOAD_DOUBLE(columns + LANES / 2)));
    return ADD_FLOAT(TO_FLOAT(first, second), ZERO_FLOAT);
}

/* One pair of every row and column. */
#define ADD_PAIR(at_row, at_b)                                                                                         \
    do {                                                                                                               \
        INT columns[VECTORS];                                                                                          \
        _Pragma("GCC unroll 4") for (int v = 0; v < VECTORS; v++) columns[v] = LOAD((at_b) + v * (int)sizeof(INT));    \
        _Pragma("GCC unroll 16") for (int i = 0; i < ROWS; i++) MULTIPLY_ROW(s[i], columns, at_row);                   \
    } while (0)

/* Adds `pairs` pairs to the sums, which stay in registers meanwhile. A direct row i is at a[i], its pairs one after
   another; packed rows are at a[0], one after another for each pair. */
TARGET static inline __attribute__((always_inline)) void JOIN(NAME, _add_pairs)(INT s[ROWS][VECTORS], int64_t pairs,
                                                                                const char *const a[ROWS], int64_t from,
                                                                                int is_direct, const char *b) {
    const int width = VECTORS * (int)sizeof(INT);
    const int64_t step = is_direct ? 4 : 4 * ROWS;
    int64_t at = from * step;
    const char *p = a[0] + at;
    b += from * width;
    for (; pairs >= 2; pairs -= 2) {
        if (is_direct) {
            ADD_PAIR(a[i] + at, b);
            ADD_PAIR(a[i] + at + 4, b + width);
        } else {
            ADD_PAIR(p + 4 * i, b);
            ADD_PAIR(p + 4 * i + step, b + width);
        }
        at += 2 * step;
        p += 2 * step;
        b += 2 * width;
    }
    if (pairs) {
        if (is_direct) ADD_PAIR(a[i] + at, b);
        else ADD_PAIR(p + 4 * i, b);
    }
}

/* All pairs of the tile, parts above HIGH_SHIFT moved to `high` in time; the rest of the sums is left in `low`. */
TARGET static inline __attribute__((always_inline)) void JOIN(NAME, _add_all)(const aipow_tile *t, INT *low, INT *high,
                                                                              int is_direct) {
    INT s[ROWS][VECTORS];
    const char *a[ROWS];
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) {
        a[i] = t->a + i * t->a_row;
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) s[i][v] = t->is_first ? ZERO : low[i * VECTORS + v];
    }
    for (int64_t done = 0;;) {
        const int64_t rest = t->pairs - done, now = rest < t->safe_pairs ? rest : t->safe_pairs;
        JOIN(NAME, _add_pairs)(s, now, a, done, is_direct, (const char *)t->b);
        done += now;
        if (now == rest && (t->is_last || !t->has_high)) break;
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++) MOVE_UP(s[i][v], high[i * VECTORS + v]);
        if (now == rest) break;
    }
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) low[i * VECTORS + v] = s[i][v];
}

TARGET static __attribute__((noinline)) void JOIN(NAME, _add_direct)(const aipow_tile *t, INT *low, INT *high) {
    JOIN(NAME, _add_all)(t, low, high, 1);
}

TARGET static __attribute__((noinline)) void JOIN(NAME, _add_packed)(const aipow_tile *t, INT *low, INT *high) {
    JOIN(NAME, _add_all)(t, low, high, 0);
}

TARGET static void JOIN(NAME, _multiply)(const aipow_tile *t) {
    INT here[2 * ROWS * VECTORS];
    INT *low = t->sums ? (INT *)t->sums : here, *high = low + ROWS * VECTORS;
    for (int i = 0; i < ROWS; i++) __builtin_prefetch(t->c + i * t->ldc, 1);
    if (t->is_first && t->has_high)
        for (int i = 0; i < ROWS * VECTORS; i++) high[i] = ZERO;
    if (t->is_direct) JOIN(NAME, _add_direct)(t, low, high);
    else JOIN(NAME, _add_packed)(t, low, high);
    if (!t->is_last) return;
    if (t->is_normal) {
        for (int i = 0; i < ROWS; i++)
            for (int v = 0; v < VECTORS; v++) {
                FLOAT scale = MUL_FLOAT(SPLAT_FLOAT(t->row_scales32[i]), LOAD_FLOAT(t->column_scales32 + v * LANES));
                STORE_FLOAT(t->c + i * t->ldc + v * LANES, MUL_FLOAT(INT_TO_FLOAT(low[i * VECTORS + v]), scale));
            }
        return;
    }
    for (int i = 0; i < ROWS; i++)
        for (int v = 0; v < VECTORS; v++)
            STORE_FLOAT(t->c + i * t->ldc + v * LANES,
                        JOIN(NAME, _scale)(low[i * VECTORS + v], t->has_high ? high[i * VECTORS + v] : ZERO,
                                           SPLAT_DOUBLE(t->row_scales[i]), t->column_scales + v * LANES));
}

TARGET static void JOIN(NAME, _pack_rows)(int32_t *panel, const int16_t *from, int64_t stride, int64_t k_stride,
                                          int64_t count, int64_t k) {
    pack_panel(panel, from, stride, k_stride, count, k, ROWS);
}

TARGET static void JOIN(NAME, _pack_columns)(int32_t *panel, const int16_t *from, int64_t stride, int64_t k_stride,
                                             int64_t count, int64_t k) {
    pack_panel(panel, from, stride, k_stride, count, k, VECTORS * LANES);
}
