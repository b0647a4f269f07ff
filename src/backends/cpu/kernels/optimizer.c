/* The gradient's norm and AdamW (arXiv:1711.05101, as torch.optim.AdamW computes it). */
#include "ww.h"
#include "scratch.h"

enum { LANES = WW_LANES, BLOCK = 16384 /* elements, a task and a partial sum: fixed, for the norm must not depend on threads */ };

typedef double vd __attribute__((vector_size(8 * WW_LANES)));

typedef struct {
  const float *x;
  int64_t n;
  double *partial;
} Squares;

static void sum_block(void *context, int64_t block) {
  const Squares *t = context;
  int64_t begin = block * BLOCK, end = begin + BLOCK < t->n ? begin + BLOCK : t->n;
  vd sum = {0};
  for (int64_t i = begin; i < end; i += LANES) {
    vd x = __builtin_convertvector(vload_n(t->x + i, end - i), vd);
    sum += x * x;
  }
  double total = 0;
  for (int l = 0; l < LANES; l++) total += sum[l];
  t->partial[block] = total;
}

void ww_sum_squares(const float *x, int64_t n, float *out, int accumulate) {
  int64_t blocks = (n + BLOCK - 1) / BLOCK;
  Squares t = {x, n, (double *)ww_partials(2 * blocks + 1)};
  ww_tasks(sum_block, &t, blocks, n);
  double total = accumulate ? out[0] : 0;
  for (int64_t b = 0; b < blocks; b++) total += t.partial[b];
  out[0] = (float)total;
  free(t.partial);
}
WW_QUEUED(ww_sum_squares, P(0), N(1), P(2), N(3))

void ww_clip_coefficient(const float *sumSquares, float maxNorm, float *out) {
  float coefficient = maxNorm / (sqrtf(sumSquares[0]) + 1e-6f);
  out[0] = !isfinite(sumSquares[0]) ? NAN : coefficient > 1 ? 1 : coefficient;
}
WW_QUEUED(ww_clip_coefficient, P(0), N(1), P(2))

typedef struct {
  float *param, *m, *v;
  const float *grad;
  int64_t n;
  float gradScale, decay, take1, beta2, take2, rate, rootCorrection, eps;
} Adam;

static void adam_block(void *context, int64_t block) {
  const Adam *t = context;
  int64_t begin = block * BLOCK, end = begin + BLOCK < t->n ? begin + BLOCK : t->n;
  for (int64_t i = begin; i < end; i += LANES) {
    int64_t rest = end - i;
    vf g = vload_n(t->grad + i, rest) * t->gradScale, m = vload_n(t->m + i, rest), v = vload_n(t->v + i, rest);
    m = m + (g - m) * t->take1;
    v = v * t->beta2 + g * g * t->take2;
    vf denominator = vsqrt(v) / t->rootCorrection + t->eps;
    vstore_n(t->param + i, vload_n(t->param + i, rest) * t->decay - t->rate * (m / denominator), rest);
    vstore_n(t->m + i, m, rest);
    vstore_n(t->v + i, v, rest);
  }
}

void ww_adamw(float *param, const float *grad, float *m, float *v, int64_t n, double lr, double beta1, double beta2, double eps,
              double weightDecay, double step, const float *gradScale) {
  if (isnan(gradScale[0])) return;
  Adam t = {param, m, v, grad, n, gradScale[0], (float)(1 - lr * weightDecay), (float)(1 - beta1), (float)beta2, (float)(1 - beta2),
            (float)(lr / (1 - pow(beta1, step))), (float)sqrt(1 - pow(beta2, step)), (float)eps};
  ww_tasks(adam_block, &t, (n + BLOCK - 1) / BLOCK, n * 4);
}
WW_QUEUED(ww_adamw, P(0), P(1), P(2), P(3), N(4), N(5), N(6), N(7), N(8), N(9), N(10), P(11))
