/* Rotary embedding (arXiv:2104.09864) in Hugging Face's halves, by tables of cosines and sines. */
#include "ww.h"
#include "scratch.h"

enum { LANES = WW_LANES };

typedef struct {
  const float *x, *cos, *sin;
  float *y, sign;
  const int32_t *positions;
  int64_t heads, headDim, half;
} Rope;

static void turn_row(void *context, int64_t row) {
  const Rope *t = context;
  const float *cosines = t->cos + t->positions[row] * t->half, *sines = t->sin + t->positions[row] * t->half;
  for (int64_t h = 0; h < t->heads; h++) {
    int64_t at = (row * t->heads + h) * t->headDim, half = t->half;
    const float *x = t->x + at;
    float *y = t->y + at;
    for (int64_t i = 0; i < half; i += LANES) {
      vf c = vload_n(cosines + i, half - i), s = vload_n(sines + i, half - i) * t->sign;
      vf a = vload_n(x + i, half - i), b = vload_n(x + half + i, half - i);
      vstore_n(y + i, a * c - b * s, half - i);
      vstore_n(y + half + i, b * c + a * s, half - i);
    }
    if (y != x) memcpy(y + 2 * half, x + 2 * half, sizeof(float) * (size_t)(t->headDim - 2 * half));
  }
}

void ww_rope(const float *x, float *y, const float *cos, const float *sin, const int32_t *positions, int64_t rows, int64_t heads,
             int64_t headDim, int64_t rotaryDim, int inverse) {
  Rope t = {x, cos, sin, y, inverse ? -1.0f : 1.0f, positions, heads, headDim, rotaryDim / 2};
  ww_tasks(turn_row, &t, rows, rows * heads * headDim);
}
WW_QUEUED(ww_rope, P(0), P(1), P(2), P(3), P(4), N(5), N(6), N(7), N(8), N(9))
