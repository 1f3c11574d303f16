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

/* Adds `pairs` pairs to the sums, which stay in registers meanwhile. */
TARGET static __attribute__((noinline)) void JOIN(NAME, _add_pairs)(INT sums[ROWS * VECTORS], int64_t pairs, const char *a, int64_t row,
                                                 int64_t step, const char *b) {
    INT s[ROWS][VECTORS];
    const char *rows[(ROWS + 2) / 3];
#pragma GCC unroll 16
    for (int i = 0; i < (ROWS + 2) / 3; i++) rows[i] = a + 3 * i * row;
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) s[i][v] = sums[i * VECTORS + v];
    do {
        INT columns[VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) columns[v] = LOAD(b + v * (int)sizeof(INT));
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++) MULTIPLY_ROW(s[i], columns, rows[i / 3] + i % 3 * row);
        b += VECTORS * sizeof(INT);
#pragma GCC unroll 16
        for (int i = 0; i < (ROWS + 2) / 3; i++) rows[i] += step;
    } while (--pairs);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) sums[i * VECTORS + v] = s[i][v];
}

TARGET static void JOIN(NAME, _multiply)(const aipow_tile *t) {
    INT low[ROWS * VECTORS], high[ROWS * VECTORS];
    const INT mask = SPLAT((1 << HIGH_SHIFT) - 1);
    for (int i = 0; i < ROWS * VECTORS; i++) low[i] = ZERO;
    int64_t done = 0;
    for (;;) {
        int64_t rest = t->pairs - done, now = rest < t->safe_pairs ? rest : t->safe_pairs;
        JOIN(NAME, _add_pairs)(low, now, t->a + done * t->a_step, t->a_row, t->a_step,
                               (const char *)t->b + done * VECTORS * (int64_t)sizeof(INT));
        if (rest == now) break;
        if (!done) for (int i = 0; i < ROWS * VECTORS; i++) high[i] = ZERO;
        for (int i = 0; i < ROWS * VECTORS; i++) {
            high[i] = ADD(high[i], SHIFT(low[i]));
            low[i] = AND(low[i], mask);
        }
        done += now;
    }
    for (int i = 0; i < ROWS; i++)
        for (int v = 0; v < VECTORS; v++) {
            INT sum = low[i * VECTORS + v];
            FLOAT result;
            if (t->is_normal)
                result = MUL_FLOAT(INT_TO_FLOAT(sum),
                                   MUL_FLOAT(SPLAT_FLOAT(t->row_scales32[i]), LOAD_FLOAT(t->column_scales32 + v * LANES)));
            else
                result = JOIN(NAME, _scale)(sum, done ? high[i * VECTORS + v] : ZERO, SPLAT_DOUBLE(t->row_scales[i]),
                                            t->column_scales + v * LANES);
            STORE_FLOAT(t->c + i * t->ldc + v * LANES, result);
        }
}

TARGET static void JOIN(NAME, _pack_rows)(int32_t *panel, const int16_t *from, int64_t stride, int64_t k_stride,
                                          int64_t count, int64_t k) {
    pack_panel(panel, from, stride, k_stride, count, k, ROWS);
}

TARGET static void JOIN(NAME, _pack_columns)(int32_t *panel, const int16_t *from, int64_t stride, int64_t k_stride,
                                             int64_t count, int64_t k) {
    pack_panel(panel, from, stride, k_stride, count, k, VECTORS * LANES);
}
