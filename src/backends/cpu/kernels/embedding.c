/* Rows picked by index: the embedding and its gradient, gather and scatter. */
#include "ww.h"
#include "scratch.h"

enum { COLUMNS = 64 /* of the table's gradient, a task */ };

typedef struct {
  const void *table;
  const float *x;
  const int32_t *index;
  float *y;
  int64_t rows, dim, type;
} Rows;

static void load_bf16(float *y, const uint16_t *x, int64_t n) {
  int64_t i = 0;
  for (; i + WW_LANES <= n; i += WW_LANES) vstore(y + i, vload_bf16(x + i));
  for (; i < n; i++) y[i] = ww_from_bf16(x[i]);
}

static void load_f16(float *y, const uint16_t *x, int64_t n) {
  int64_t i = 0;
  for (; i + WW_LANES <= n; i += WW_LANES) vstore(y + i, vload_f16(x + i));
  for (; i < n; i++) y[i] = ww_from_f16(x[i]);
}

static void embed_row(void *context, int64_t r) {
  const Rows *t = context;
  float *y = t->y + r * t->dim;
  int64_t at = t->index[r] * t->dim;
  if (t->type == WW_F32)
    memcpy(y, (const float *)t->table + at, sizeof(float) * (size_t)t->dim);
  else if (t->type == WW_BF16)
    load_bf16(y, (const uint16_t *)t->table + at, t->dim);
  else
    load_f16(y, (const uint16_t *)t->table + at, t->dim);
}

/* A task owns some columns for all rows, so that equal ids are summed in the order of the rows. */
static void embed_columns_backward(void *context, int64_t task) {
  const Rows *t = context;
  int64_t begin = task * COLUMNS, end = begin + COLUMNS < t->dim ? begin + COLUMNS : t->dim;
  for (int64_t r = 0; r < t->rows; r++) {
    const float *from = t->x + r * t->dim;
    float *to = t->y + t->index[r] * t->dim;
    for (int64_t i = begin; i < end; i++) to[i] += from[i];
  }
}

static void gather_row(void *context, int64_t r) {
  const Rows *t = context;
  memcpy(t->y + r * t->dim, t->x + t->index[r] * t->dim, sizeof(float) * (size_t)t->dim);
}

static void scatter_row(void *context, int64_t r) {
  const Rows *t = context;
  memcpy(t->y + t->index[r] * t->dim, t->x + r * t->dim, sizeof(float) * (size_t)t->dim);
}

void ww_embedding(const void *table, int64_t type, const int32_t *ids, float *y, int64_t rows, int64_t dim) {
  Rows t = {.table = table, .type = type, .index = ids, .y = y, .rows = rows, .dim = dim};
  ww_tasks(embed_row, &t, rows, rows * dim);
}
WW_QUEUED(ww_embedding, P(0), N(1), P(2), P(3), N(4), N(5))

void ww_embedding_backward(const int32_t *ids, const float *dy, float *dTable, int64_t rows, int64_t dim) {
  Rows t = {.x = dy, .index = ids, .y = dTable, .rows = rows, .dim = dim};
  ww_tasks(embed_columns_backward, &t, (dim + COLUMNS - 1) / COLUMNS, rows * dim);
}
WW_QUEUED(ww_embedding_backward, P(0), P(1), P(2), N(3), N(4))

void ww_gather_rows(const float *x, const int32_t *index, float *y, int64_t rows, int64_t dim) {
  Rows t = {.x = x, .index = index, .y = y, .dim = dim};
  ww_tasks(gather_row, &t, rows, rows * dim);
}
WW_QUEUED(ww_gather_rows, P(0), P(1), P(2), N(3), N(4))

void ww_scatter_rows(const float *x, const int32_t *index, float *y, int64_t rows, int64_t dim) {
  Rows t = {.x = x, .index = index, .y = y, .dim = dim};
  ww_tasks(scatter_row, &t, rows, rows * dim);
}
WW_QUEUED(ww_scatter_rows, P(0), P(1), P(2), N(3), N(4))
