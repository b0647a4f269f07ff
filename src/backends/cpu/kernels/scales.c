/*
 * Double quantization (src/util/double-quant.ts): the scales of NF4 blocks, less their mean, in eight bits each. Float32 throughout but for
 * the mean's sum, for each rounding counts.
 */
#include "scratch.h"
#include "ww.h"

enum { NESTED_BLOCK = 256 };

typedef struct {
  const float *absmax, *map;
  uint8_t *codes;
  float *scales, offset;
  int64_t n;
} Scales;

/* Of two equally near codes the even one, on which bitsandbytes' binary search ends. */
static int nearest_code(const float *map, float x) {
  int low = 0, high = 255;
  while (high - low > 1) {
    int middle = (low + high) / 2;
    if (x > map[middle])
      low = middle;
    else
      high = middle;
  }
  float border = (map[low] + map[high]) / 2;
  if (x == border) return low % 2 == 0 ? low : high;
  return x > border ? high : low;
}

static void scales_block(void *context, int64_t block) {
  const Scales *t = context;
  int64_t start = block * NESTED_BLOCK, n = t->n - start < NESTED_BLOCK ? t->n - start : NESTED_BLOCK;
  float centred[NESTED_BLOCK], largest = 0;
  for (int64_t i = 0; i < n; i++) {
    centred[i] = (float)((double)t->absmax[start + i] - (double)t->offset);
    if (fabsf(centred[i]) > largest) largest = fabsf(centred[i]);
  }
  t->scales[block] = largest;
  float inverse = largest == 0 ? 0 : 1 / largest;
  for (int64_t i = 0; i < n; i++) t->codes[start + i] = (uint8_t)nearest_code(t->map, centred[i] * inverse);
}

void ww_quantize_scales(const float *absmax, int64_t n, const float *map, uint8_t *codes, float *scales, float *offset) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += absmax[i];
  *offset = (float)(sum / (double)n);
  Scales t = {absmax, map, codes, scales, *offset, n};
  ww_tasks(scales_block, &t, (n + NESTED_BLOCK - 1) / NESTED_BLOCK, n * 64);
}
WW_QUEUED(ww_quantize_scales, P(0), N(1), P(2), P(3), P(4), P(5))
