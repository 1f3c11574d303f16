/* One x86 kernel, included once for each instruction set after these are defined: NAME, TARGET (attribute), ROWS (a
   multiple of 3), VECTORS and LANES of a panel of columns, the types INT, FLOAT, DOUBLE and operations on them;
   MULTIPLY_ROW(sums, columns, at) adds the products of the pair at `at` to a row's sums, and MOVE_UP(sum, high) moves
   what is above HIGH_SHIFT. These two are assembly, for compilers spill sums when they schedule the loop themselves. */

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

/* Adds `pairs` pairs to the sums, which stay in registers meanwhile: a direct row's pairs lie one after another, packed
   rows lie one after another for each pair. Three rows share an address register. */
TARGET static inline __attribute__((always_inline)) void JOIN(NAME, _add_pairs)(INT s[ROWS][VECTORS], int64_t pairs,
                                                                                const char *a, int64_t row,
                                                                                int is_direct, const char *b) {
    const int width = VECTORS * (int)sizeof(INT), step = 4 * ROWS;
    const char *third[ROWS / 3];
#pragma GCC unroll 8
    for (int i = 0; i < ROWS / 3; i++) third[i] = a + 3 * i * row;
    for (; pairs >= 2; pairs -= 2) {
        if (is_direct) {
            ADD_PAIR(third[i / 3] + i % 3 * row, b);
            ADD_PAIR(third[i / 3] + i % 3 * row + 4, b + width);
        } else {
            ADD_PAIR(a + 4 * i, b);
            ADD_PAIR(a + 4 * i + step, b + width);
        }
#pragma GCC unroll 8
        for (int i = 0; i < ROWS / 3; i++) third[i] += 8;
        a += 2 * step;
        b += 2 * width;
    }
    if (pairs) {
        if (is_direct) ADD_PAIR(third[i / 3] + i % 3 * row, b);
        else ADD_PAIR(a + 4 * i, b);
    }
}

/* All pairs of the tile, parts above HIGH_SHIFT moved to `high` in time; the rest of the sums is left in `low`, unless
   they are the last and scaling is easy: then the results are stored. */
TARGET static inline __attribute__((always_inline)) void JOIN(NAME, _add_all)(const aipow_tile *t, INT *low, INT *high,
                                                                              int is_direct) {
    INT s[ROWS][VECTORS];
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) s[i][v] = t->is_first ? ZERO : low[i * VECTORS + v];
    for (int64_t done = 0;;) {
        const int64_t rest = t->pairs - done, now = rest < t->safe_pairs ? rest : t->safe_pairs;
        JOIN(NAME, _add_pairs)(s, now, t->a + done * (is_direct ? 4 : 4 * ROWS), t->a_row, is_direct,
                               (const char *)t->b + done * VECTORS * (int64_t)sizeof(INT));
        done += now;
        if (now == rest && (t->is_last || !t->has_high)) break;
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++) MOVE_UP(s[i][v], high[i * VECTORS + v]);
        if (now == rest) break;
    }
    if (t->is_last && t->is_normal) {
        FLOAT columns[VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) columns[v] = LOAD_FLOAT(t->column_scales32 + v * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++) {
            const FLOAT row = SPLAT_FLOAT(t->row_scales32[i]);
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++)
                STORE_FLOAT(t->c + i * t->ldc + v * LANES, MUL_FLOAT(INT_TO_FLOAT(s[i][v]), MUL_FLOAT(row, columns[v])));
        }
        return;
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
    if (!t->is_last || t->is_normal) return;
    for (int i = 0; i < ROWS; i++)
        for (int v = 0; v < VECTORS; v++)
            STORE_FLOAT(t->c + i * t->ldc + v * LANES,
                        JOIN(NAME, _scale)(low[i * VECTORS + v], t->has_high ? high[i * VECTORS + v] : ZERO,
                                           SPLAT_DOUBLE(t->row_scales[i]), t->column_scales + v * LANES));
}

TARGET static void JOIN(NAME, _pack_rows)(int32_t *panel, int64_t step, const int16_t *from, int64_t stride,
                                          int64_t k_stride, int64_t count, int64_t k) {
    pack_panels(panel, step, from, stride, k_stride, count, k, ROWS);
}

TARGET static void JOIN(NAME, _pack_columns)(int32_t *panel, int64_t step, const int16_t *from, int64_t stride,
                                             int64_t k_stride, int64_t count, int64_t k) {
    pack_panels(panel, step, from, stride, k_stride, count, k, VECTORS * LANES);
}

TARGET static float JOIN(NAME, _row_norm)(const int16_t *row, int64_t pairs) { return compute_row_norm(row, pairs); }

TARGET static float JOIN(NAME, _rows_norm)(const int32_t *panel, int64_t pairs) {
    return compute_panel_norm(panel, pairs, ROWS);
}

TARGET static float JOIN(NAME, _columns_norm)(const int32_t *panel, int64_t pairs) {
    return compute_panel_norm(panel, pairs, VECTORS * LANES);
}

const aipow_tile_kernel JOIN(aipow_kernel_, NAME) = {
    .name = TITLE,
    .is_usable = JOIN(has_, NAME),
    .rows = ROWS,
    .columns = VECTORS * LANES,
    .reads_direct = 1,
    .multiply = JOIN(NAME, _multiply),
    .pack_rows = JOIN(NAME, _pack_rows),
    .pack_columns = JOIN(NAME, _pack_columns),
    .compute_row_norm = JOIN(NAME, _row_norm),
    .compute_rows_norm = JOIN(NAME, _rows_norm),
    .compute_columns_norm = JOIN(NAME, _columns_norm),
};

#undef NAME
#undef TITLE
#undef TARGET
#undef MULTIPLY_ROW
#undef ADD_PAIR
