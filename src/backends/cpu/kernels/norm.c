/* RMSNorm (arXiv:1910.07467), forward and backward, a row at a time. */
#include "ww.h"
#include "scratch.h"

enum { LANES = WW_LANES, ROWS = 64 /* a task's rows: fixed, for the weight's gradient is summed by them */ };

typedef struct {
  const float *x, *w, *dy;
  float *y, *rstd, *dx, *partial, *dw;
  int64_t rows, dim;
  float eps, offset /* of the weights: 0 or 1 */;
  int accumulate;
} Norm;

static int64_t tasks_of(int64_t rows) { return (rows + ROWS - 1) / ROWS; }

static void forward_row(void *context, int64_t r) {
  const Norm *t = context;
  const float *x = t->x + r * t->dim;
  float *y = t->y + r * t->dim;
  vf sum[4] = {vsplat(0), vsplat(0), vsplat(0), vsplat(0)};
  int64_t i = 0;
  for (; i + 4 * LANES <= t->dim; i += 4 * LANES)
    for (int c = 0; c < 4; c++) {
      vf value = vload(x + i + c * LANES);
      sum[c] += value * value;
    }
  for (; i < t->dim; i += LANES) {
    vf value = vload_n(x + i, t->dim - i);
    sum[0] += value * value;
  }
  float rstd = 1 / sqrtf(vsum((sum[0] + sum[1]) + (sum[2] + sum[3])) / (float)t->dim + t->eps);
  t->rstd[r] = rstd;
  for (i = 0; i < t->dim; i += LANES) vstore_n(y + i, vload_n(x + i, t->dim - i) * rstd * (t->offset + vload_n(t->w + i, t->dim - i)), t->dim - i);
}

/* With g = dy * (offset + w): dx = rstd * (g - x * rstd^2 * mean(g * x)); the task's part of dw = sum of dy * x * rstd. */
static void backward_rows(void *context, int64_t task) {
  const Norm *t = context;
  int64_t dim = t->dim, end = (task + 1) * ROWS < t->rows ? (task + 1) * ROWS : t->rows;
  float *dw = t->partial ? t->partial + task * dim : NULL;
  if (dw) memset(dw, 0, sizeof(float) * (size_t)dim);
  for (int64_t r = task * ROWS; r < end; r++) {
    const float *x = t->x + r * dim, *dy = t->dy + r * dim;
    float *dx = t->dx + r * dim, rstd = t->rstd[r];
    vf sum[2] = {vsplat(0), vsplat(0)};
    for (int64_t i = 0, turn = 0; i < dim; i += LANES, turn ^= 1)
      sum[turn] += vload_n(dy + i, dim - i) * (t->offset + vload_n(t->w + i, dim - i)) * vload_n(x + i, dim - i);
    float slope = vsum(sum[0] + sum[1]) / (float)dim * rstd * rstd;
    for (int64_t i = 0; i < dim; i += LANES) {
      vf xi = vload_n(x + i, dim - i), dyi = vload_n(dy + i, dim - i);
      vf result = rstd * (dyi * (t->offset + vload_n(t->w + i, dim - i)) - xi * slope);
      if (dw) vstore_n(dw + i, vload_n(dw + i, dim - i) + dyi * xi * rstd, dim - i);
      vstore_n(dx + i, t->accumulate ? vload_n(dx + i, dim - i) + result : result, dim - i);
    }
  }
}

void ww_rms_norm(const float *x, const float *w, float *y, float *rstd, int64_t rows, int64_t dim, float eps, float offset) {
  Norm t = {.x = x, .w = w, .y = y, .rstd = rstd, .rows = rows, .dim = dim, .eps = eps, .offset = offset};
  ww_tasks(forward_row, &t, rows, rows * dim);
}
WW_QUEUED(ww_rms_norm, P(0), P(1), P(2), P(3), N(4), N(5), N(6), N(7))

void ww_rms_norm_backward(const float *dy, const float *x, const float *w, const float *rstd, float *dx, int accumulate, float *dw,
                          int64_t rows, int64_t dim, float offset) {
  Norm t = {.x = x, .w = w, .dy = dy, .rstd = (float *)rstd, .dx = dx, .dw = dw, .rows = rows, .dim = dim, .offset = offset,
            .accumulate = accumulate};
  int64_t tasks = tasks_of(rows);
  if (dw) t.partial = ww_partials(tasks * dim);
  ww_tasks(backward_rows, &t, tasks, rows * dim);
  if (!dw) return;
  for (int64_t p = 0; p < tasks; p++)
    for (int64_t i = 0; i < dim; i += LANES)
      vstore_n(dw + i, vload_n(dw + i, dim - i) + vload_n(t.partial + p * dim + i, dim - i), dim - i);
  free(t.partial);
}
WW_QUEUED(ww_rms_norm_backward, P(0), P(1), P(2), P(3), P(4), N(5), P(6), N(7), N(8), N(9))
