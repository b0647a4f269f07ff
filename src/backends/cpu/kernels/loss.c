/* What is computed from a row of logits: cross-entropy with its gradient, and the largest. Memory is the limit: one pass each way. */
#include "ww.h"
#include "scratch.h"

enum { LANES = WW_LANES, CHUNK = 1024 /* logits: a piece of a row that stays in the first-level cache */ };

typedef struct {
  float *logits, *losses;
  const int32_t *targets;
  int64_t vocab;
  float gradScale, smoothing;
  int gradient;
} Loss;

static vf larger(vf a, vf b) { return vselect(b > a, b, a); }

static float largest_of(vf x) {
  float most = x[0];
  for (int i = 1; i < LANES; i++) most = x[i] > most ? x[i] : most;
  return most;
}

/* The chunk's largest logit (NaN aside) in *most; returns the sum of exp(logit - most), and leaves those behind where `keep`. */
static float exp_chunk(float *x, int64_t n, int keep, float *most) {
  vf top[2] = {vsplat(-INFINITY), vsplat(-INFINITY)};
  int64_t whole = n / LANES * LANES, turn = 0;
  for (int64_t i = 0; i < whole; i += LANES, turn ^= 1) top[turn] = larger(top[turn], vload(x + i));
  float base = largest_of(larger(top[0], top[1]));
  for (int64_t i = whole; i < n; i++) base = x[i] > base ? x[i] : base;
  *most = base;
  if (base == -INFINITY) base = 0;
  vf sum[2] = {vsplat(0), vsplat(0)};
  for (int64_t i = 0; i < whole; i += LANES, turn ^= 1) {
    vf e = vexp(vload(x + i) - base);
    if (keep) vstore(x + i, e);
    sum[turn] += e;
  }
  if (whole < n) {
    float rest[LANES];
    for (int64_t i = 0; i < LANES; i++) rest[i] = whole + i < n ? x[whole + i] : -INFINITY;
    vf e = vexp(vload(rest) - base);
    if (keep) vstore_n(x + whole, e, n - whole);
    sum[turn & 1] += e;
  }
  return vsum(sum[0] + sum[1]);
}

/* The sum of a row, in double precision but within a chunk's lanes. */
static double sum_row(const float *x, int64_t n) {
  double sum = 0;
  for (int64_t c = 0; c < n; c += CHUNK) {
    int64_t end = c + CHUNK < n ? c + CHUNK : n;
    vf part = vsplat(0);
    for (int64_t i = c; i < end; i += LANES) part += vload_n(x + i, end - i);
    sum += vsum(part);
  }
  return sum;
}

static void loss_row(void *context, int64_t r) {
  const Loss *t = context;
  float *x = t->logits + r * t->vocab;
  int64_t target = t->targets[r], chunks = (t->vocab + CHUNK - 1) / CHUNK;
  if (target < 0) {
    t->losses[r] = 0;
    if (t->gradient) memset(x, 0, sizeof(float) * (size_t)t->vocab);
    return;
  }
  float wanted = x[target], most = -INFINITY, sum = 0, *tops = ww_scratch(chunks);
  float mean = t->smoothing > 0 ? (float)(sum_row(x, t->vocab) / (double)t->vocab) : 0;
  for (int64_t c = 0; c < chunks; c++) {
    int64_t rest = t->vocab - c * CHUNK;
    float part = exp_chunk(x + c * CHUNK, rest < CHUNK ? rest : CHUNK, t->gradient, tops + c);
    float top = tops[c] > most ? tops[c] : most, base = top == -INFINITY ? 0 : top;
    sum = sum * expf(most - base) + part * expf(tops[c] - base);
    most = top;
  }
  t->losses[r] = most - wanted + logf(sum);
  if (t->smoothing > 0) t->losses[r] += t->smoothing * (wanted - mean);
  if (!t->gradient) return;
  float everywhere = t->gradScale * t->smoothing / (float)t->vocab;
  for (int64_t c = 0; c < chunks; c++) {
    int64_t end = (c + 1) * CHUNK < t->vocab ? (c + 1) * CHUNK : t->vocab;
    float factor = expf(tops[c] - most) * (t->gradScale / sum);
    for (int64_t i = c * CHUNK; i < end; i += LANES) 
      vstore_n(x + i, vload_n(x + i, end - i) * factor - everywhere, end - i);
  }
  x[target] -= t->gradScale * (1 - t->smoothing);
}

void ww_cross_entropy(float *logits, const int32_t *targets, float *losses, int64_t rows, int64_t vocab, float gradScale,
                      float smoothing, int gradient) {
  Loss t = {logits, losses, targets, vocab, gradScale, smoothing, gradient};
  ww_tasks(loss_row, &t, rows, rows * vocab);
}
WW_QUEUED(ww_cross_entropy, P(0), P(1), P(2), N(3), N(4), N(5), N(6), N(7))

typedef struct {
  const float *x;
  int32_t *out;
  int64_t cols;
} Argmax;

static void argmax_row(void *context, int64_t r) {
  const Argmax *t = context;
  const float *x = t->x + r * t->cols;
  vf top = vsplat(-INFINITY);
  int64_t i = 0, whole = t->cols / LANES * LANES;
  vi strange = {0};
  for (; i < whole; i += LANES) {
    vf value = vload(x + i);
    strange |= value != value;
    top = larger(top, value);
  }
  float most = largest_of(top);
  int nan = 0;
  for (int l = 0; l < LANES; l++) nan |= strange[l];
  for (; i < t->cols; i++) {
    nan |= x[i] != x[i];
    most = x[i] > most ? x[i] : most;
  }
  int64_t at = 0;
  if (nan)
    while (x[at] == x[at]) at++;
  else
    while (x[at] != most) at++;
  t->out[r] = (int32_t)at;
}

/* The first largest of each row; a NaN counts as the largest, as in torch. */
void ww_argmax(const float *x, int32_t *out, int64_t rows, int64_t cols) {
  Argmax t = {x, out, cols};
  ww_tasks(argmax_row, &t, rows, rows * cols);
}
WW_QUEUED(ww_argmax, P(0), P(1), N(2), N(3))
