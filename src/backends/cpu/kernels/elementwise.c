/* Kernels that treat each element alone, and the sum over rows. Results may overwrite an argument, so that all is read first. */
#include "ww.h"
#include "scratch.h"

enum { LANES = WW_LANES, CHUNK = 8192 /* elements (of a copy: bytes), a task */, COLUMNS = 64 /* of a sum over rows, a task */ };

typedef struct {
  const float *a, *b, *c;
  float *y, *z;
  int64_t n, rows;
  float alpha;
  int accumulate;
} Elements;

/* The loop of a task: vectors from its chunk's begin, `rest` elements before its end. */
#define EACH_VECTOR(t, task)                                                                                   \
  for (int64_t i = (task)*CHUNK, end = i + CHUNK < (t)->n ? i + CHUNK : (t)->n, rest = end - i; i < end; \
       i += LANES, rest -= LANES)

/* `cost`: of an element, in the simplest operations. */
static void each_chunk(void (*task)(void *, int64_t), int64_t cost, Elements *t) {
  ww_tasks(task, t, (t->n + CHUNK - 1) / CHUNK, t->n * cost);
}

static void add_task(void *context, int64_t task) {
  const Elements *t = context;
  EACH_VECTOR(t, task) vstore_n(t->y + i, vload_n(t->a + i, rest) + vload_n(t->b + i, rest), rest);
}

static void scale_task(void *context, int64_t task) {
  const Elements *t = context;
  EACH_VECTOR(t, task) vstore_n(t->y + i, vload_n(t->a + i, rest) * t->alpha, rest);
}

static void fill_task(void *context, int64_t task) {
  const Elements *t = context;
  EACH_VECTOR(t, task) vstore_n(t->y + i, vsplat(t->alpha), rest);
}

static void copy_task(void *context, int64_t task) {
  const Elements *t = context;
  int64_t begin = task * CHUNK, size = t->n - begin < CHUNK ? t->n - begin : CHUNK;
  memcpy((char *)t->y + begin, (const char *)t->a + begin, (size_t)size);
}

static void swiglu_task(void *context, int64_t task) {
  const Elements *t = context;
  EACH_VECTOR(t, task) {
    vf gate = vload_n(t->a + i, rest);
    vstore_n(t->y + i, gate / (1 + vexp(-gate)) * vload_n(t->b + i, rest), rest);
  }
}

static void swiglu_backward_task(void *context, int64_t task) {
  const Elements *t = context;
  EACH_VECTOR(t, task) {
    vf gate = vload_n(t->a + i, rest), up = vload_n(t->b + i, rest), dy = vload_n(t->c + i, rest);
    vf sigmoid = 1 / (1 + vexp(-gate));
    vstore_n(t->y + i, dy * up * sigmoid * (1 + gate * (1 - sigmoid)), rest);
    vstore_n(t->z + i, dy * gate * sigmoid, rest);
  }
}

static void sum_rows_task(void *context, int64_t task) {
  const Elements *t = context;
  int64_t begin = task * COLUMNS, width = t->n - begin < COLUMNS ? t->n - begin : COLUMNS;
  float sum[COLUMNS] = {0};
  for (int64_t r = 0; r < t->rows; r++)
    for (int64_t i = 0; i < width; i++) sum[i] += t->a[r * t->n + begin + i];
  for (int64_t i = 0; i < width; i++) t->y[begin + i] = t->accumulate ? t->y[begin + i] + sum[i] : sum[i];
}

void ww_add(const float *a, const float *b, float *y, int64_t n) {
  each_chunk(add_task, 1, &(Elements){.a = a, .b = b, .y = y, .n = n});
}

void ww_scale(const float *x, float *y, int64_t n, float alpha) {
  each_chunk(scale_task, 1, &(Elements){.a = x, .y = y, .n = n, .alpha = alpha});
}

void ww_copy(const void *x, void *y, int64_t bytes) {
  each_chunk(copy_task, 1, &(Elements){.a = x, .y = y, .n = bytes});
}

void ww_fill(float *y, int64_t n, float value) {
  each_chunk(fill_task, 1, &(Elements){.y = y, .n = n, .alpha = value});
}

void ww_swiglu(const float *gate, const float *up, float *y, int64_t n) {
  each_chunk(swiglu_task, 8, &(Elements){.a = gate, .b = up, .y = y, .n = n});
}

void ww_swiglu_backward(const float *dy, const float *gate, const float *up, float *dGate, float *dUp, int64_t n) {
  each_chunk(swiglu_backward_task, 8, &(Elements){.a = gate, .b = up, .c = dy, .y = dGate, .z = dUp, .n = n});
}

void ww_sum_rows(const float *x, float *y, int64_t rows, int64_t cols, int accumulate) {
  Elements t = {.a = x, .y = y, .n = cols, .rows = rows, .accumulate = accumulate};
  ww_tasks(sum_rows_task, &t, (cols + COLUMNS - 1) / COLUMNS, rows * cols);
}
