/* LayerNorm (arXiv:1607.06450), forward and backward, a row at a time. */
#include "ww.h"
#include "scratch.h"

enum { LANES = WW_LANES, ROWS = 64 /* a task's rows: fixed, for the gradients of weight and bias are summed by them */ };

typedef struct {
  const float *x, *w, *b, *dy;
  float *y, *mean, *rstd, *dx, *partial;
  int64_t rows, dim;
  float eps;
  int accumulate;
} LayerNorm;

/* The first n lanes, zeros behind them. */
static vf first(vf x, int64_t n) {
  for (int64_t i = n; i < LANES; i++) x[i] = 0;
  return x;
}

/* Of x - shift, or of its square. */
static float row_sum(const float *x, int64_t dim, float shift, int square) {
  vf sum[4] = {vsplat(0), vsplat(0), vsplat(0), vsplat(0)};
  for (int64_t i = 0, turn = 0; i < dim; i += LANES, turn = (turn + 1) & 3) {
    vf value = vload_n(x + i, dim - i) - shift;
    if (dim - i < LANES) value = first(value, dim - i);
    sum[turn] += square ? value * value : value;
  }
  return vsum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

static void forward_row(void *context, int64_t r) {
  const LayerNorm *t = context;
  int64_t dim = t->dim;
  const float *x = t->x + r * dim;
  float *y = t->y + r * dim;
  float mean = row_sum(x, dim, 0, 0) / (float)dim;
  float rstd = 1 / sqrtf(row_sum(x, dim, mean, 1) / (float)dim + t->eps);
  t->mean[r] = mean;
  t->rstd[r] = rstd;
  for (int64_t i = 0; i < dim; i += LANES) {
    vf normal = (vload_n(x + i, dim - i) - mean) * rstd;
    vstore_n(y + i, vfma(normal, vload_n(t->w + i, dim - i), vload_n(t->b + i, dim - i)), dim - i);
  }
}

/* With g = dy * w and n = (x - mean) * rstd: dx = rstd * (g - mean(g) - n * mean(g * n)); the task's parts of dw = sum of dy * n and, behind
 * them, of db = sum of dy. */
static void backward_rows(void *context, int64_t task) {
  const LayerNorm *t = context;
  int64_t dim = t->dim, end = (task + 1) * ROWS < t->rows ? (task + 1) * ROWS : t->rows;
  float *dw = t->partial ? t->partial + task * 2 * dim : NULL, *db = dw ? dw + dim : NULL;
  if (dw) memset(dw, 0, sizeof(float) * 2 * (size_t)dim);
  for (int64_t r = task * ROWS; r < end; r++) {
    const float *x = t->x + r * dim, *dy = t->dy + r * dim;
    float *dx = t->dx + r * dim, mean = t->mean[r], rstd = t->rstd[r];
    vf sum = vsplat(0), dot = vsplat(0);
    for (int64_t i = 0; i < dim; i += LANES) {
      vf g = vload_n(dy + i, dim - i) * vload_n(t->w + i, dim - i);
      sum += g;
      dot += g * ((vload_n(x + i, dim - i) - mean) * rstd);
    }
    float shift = vsum(sum) / (float)dim, slope = vsum(dot) / (float)dim;
    for (int64_t i = 0; i < dim; i += LANES) {
      vf dyi = vload_n(dy + i, dim - i), normal = (vload_n(x + i, dim - i) - mean) * rstd;
      vf result = rstd * (dyi * vload_n(t->w + i, dim - i) - shift - normal * slope);
      if (dw) {
        vstore_n(dw + i, vload_n(dw + i, dim - i) + dyi * normal, dim - i);
        vstore_n(db + i, vload_n(db + i, dim - i) + dyi, dim - i);
      }
      vstore_n(dx + i, t->accumulate ? vload_n(dx + i, dim - i) + result : result, dim - i);
    }
  }
}

void ww_layer_norm(const float *x, const float *w, const float *b, float *y, float *mean, float *rstd, int64_t rows, int64_t dim,
                   float eps) {
  LayerNorm t = {.x = x, .w = w, .b = b, .y = y, .mean = mean, .rstd = rstd, .rows = rows, .dim = dim, .eps = eps};
  ww_tasks(forward_row, &t, rows, 2 * rows * dim);
}
WW_QUEUED(ww_layer_norm, P(0), P(1), P(2), P(3), P(4), P(5), N(6), N(7), N(8))

void ww_layer_norm_backward(const float *dy, const float *x, const float *w, float *mean, float *rstd, float *dx, int accumulate,
                            float *dw, float *db, int64_t rows, int64_t dim) {
  LayerNorm t = {.x = x, .w = w, .dy = dy, .mean = mean, .rstd = rstd, .dx = dx, .rows = rows, .dim = dim, .accumulate = accumulate};
  int64_t tasks = (rows + ROWS - 1) / ROWS;
  if (dw || db) t.partial = ww_partials(tasks * 2 * dim);
  ww_tasks(backward_rows, &t, tasks, 2 * rows * dim);
  float *to[2] = {dw, db};
  for (int which = 0; which < 2; which++)
    for (int64_t p = 0; to[which] && p < tasks; p++) {
      const float *part = t.partial + (2 * p + which) * dim;
      for (int64_t i = 0; i < dim; i += LANES)
        vstore_n(to[which] + i, vload_n(to[which] + i, dim - i) + vload_n(part + i, dim - i), dim - i);
    }
  free(t.partial);
}
WW_QUEUED(ww_layer_norm_backward, P(0), P(1), P(2), P(3), P(4), P(5), N(6), P(7), P(8), N(9), N(10))
