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

static void silu_gate_task(void *context, int64_t task) {
  const Elements *t = context;
  EACH_VECTOR(t, task) {
    vf gate = vload_n(t->a + i, rest);
    vstore_n(t->y + i, gate / (1 + vexp(-gate)) * vload_n(t->b + i, rest), rest);
  }
}

static void silu_gate_backward_task(void *context, int64_t task) {
  const Elements *t = context;
  EACH_VECTOR(t, task) {
    vf gate = vload_n(t->a + i, rest), up = vload_n(t->b + i, rest), dy = vload_n(t->c + i, rest);
    vf sigmoid = 1 / (1 + vexp(-gate));
    vstore_n(t->y + i, dy * up * sigmoid * (1 + gate * (1 - sigmoid)), rest);
    vstore_n(t->z + i, dy * gate * sigmoid, rest);
  }
}

/* GELU by its tanh is x * sigmoid(p) with p = 2 * sqrt(2 / pi) * (x + 0.044715 * x^3). Beyond 10 the sigmoid is 1 or 0 to float32's last
 * bit: x is held there, so that e^-p stays finite. */
typedef struct {
  vf x, e, sigmoid;
} GeluGate;

static inline GeluGate gelu_gate(vf gate) {
  vf x = vselect(gate < -10, vsplat(-10), gate);
  x = vselect(x > 10, vsplat(10), x);
  vf e = vexp(x * (-1.5957691216f - 0.0713548163f * x * x));
  return (GeluGate){x, e, 1 / (1 + e)};
}

static void gelu_gate_task(void *context, int64_t task) {
  const Elements *t = context;
  EACH_VECTOR(t, task) {
    vf gate = vload_n(t->a + i, rest);
    vstore_n(t->y + i, gate * gelu_gate(gate).sigmoid * vload_n(t->b + i, rest), rest);
  }
}

/* The slope is s + x * p' * s * (1 - s); 1 - s as e * s, which loses nothing where s is near 1. */
static void gelu_gate_backward_task(void *context, int64_t task) {
  const Elements *t = context;
  EACH_VECTOR(t, task) {
    vf gate = vload_n(t->a + i, rest), up = vload_n(t->b + i, rest), dy = vload_n(t->c + i, rest);
    GeluGate g = gelu_gate(gate);
    vf slope = g.sigmoid * (1 + g.x * (1.5957691216f + 0.2140644488f * g.x * g.x) * (g.e * g.sigmoid));
    vstore_n(t->y + i, dy * up * slope, rest);
    vstore_n(t->z + i, dy * gate * g.sigmoid, rest);
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
WW_QUEUED(ww_add, P(0), P(1), P(2), N(3))

void ww_scale(const float *x, float *y, int64_t n, float alpha) {
  each_chunk(scale_task, 1, &(Elements){.a = x, .y = y, .n = n, .alpha = alpha});
}
WW_QUEUED(ww_scale, P(0), P(1), N(2), N(3))

void ww_copy(const void *x, void *y, int64_t bytes) {
  each_chunk(copy_task, 1, &(Elements){.a = x, .y = y, .n = bytes});
}
WW_QUEUED(ww_copy, P(0), P(1), N(2))

void ww_fill(float *y, int64_t n, float value) {
  each_chunk(fill_task, 1, &(Elements){.y = y, .n = n, .alpha = value});
}
WW_QUEUED(ww_fill, P(0), N(1), N(2))

void ww_gated_unit(const float *gate, const float *up, float *y, int64_t n, int gelu) {
  each_chunk(gelu ? gelu_gate_task : silu_gate_task, gelu ? 12 : 8, &(Elements){.a = gate, .b = up, .y = y, .n = n});
}
WW_QUEUED(ww_gated_unit, P(0), P(1), P(2), N(3), N(4))

void ww_gated_unit_backward(const float *dy, const float *gate, const float *up, float *dGate, float *dUp, int64_t n, int gelu) {
  each_chunk(gelu ? gelu_gate_backward_task : silu_gate_backward_task, gelu ? 16 : 8,
             &(Elements){.a = gate, .b = up, .c = dy, .y = dGate, .z = dUp, .n = n});
}
WW_QUEUED(ww_gated_unit_backward, P(0), P(1), P(2), P(3), P(4), N(5), N(6))

void ww_sum_rows(const float *x, float *y, int64_t rows, int64_t cols, int accumulate) {
  Elements t = {.a = x, .y = y, .n = cols, .rows = rows, .accumulate = accumulate};
  ww_tasks(sum_rows_task, &t, (cols + COLUMNS - 1) / COLUMNS, rows * cols);
}
WW_QUEUED(ww_sum_rows, P(0), P(1), N(2), N(3), N(4))
