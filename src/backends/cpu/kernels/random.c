/* Dropout and NEFTune's noise (arXiv:2310.05914): both read a counter-based stream, so that a mask is drawn again and never stored. */
#include "ww.h"
#include "random.h"
#include "scratch.h"

enum { BLOCKS = 128 /* of random numbers, a task */ };

typedef struct {
  const float *x, *magnitude;
  float *y, factor;
  WwRandom random;
  uint64_t first;     /* number of element 0 */
  uint32_t threshold; /* a kept element's random number is not below it */
  int64_t n, dim;
  int accumulate;
} Draw;

/* Calls `apply` on the part [begin, end) of the elements that each block of numbers covers, `each` elements a block; numbers[0] belongs
 * to element begin. */
static inline __attribute__((always_inline)) void each_block(const Draw *t, int64_t task, uint64_t each,
                                                             void (*apply)(const Draw *, int64_t, int64_t, const uint32_t *)) {
  uint64_t first = t->first / each + (uint64_t)task * BLOCKS, end = t->first + (uint64_t)t->n;
  for (uint64_t block = first; block < first + BLOCKS && block * each < end; block++) {
    uint32_t words[WW_RANDOM_BLOCK], numbers[2 * WW_RANDOM_BLOCK + WW_LANES]; /* the tail may be read, not used */
    ww_random_block(&t->random, block, words);
    if (each == WW_RANDOM_BLOCK)
      memcpy(numbers, words, sizeof words);
    else
      for (int i = 0; i < WW_RANDOM_BLOCK; i++) numbers[2 * i] = words[i] & 0xffffu, numbers[2 * i + 1] = words[i] >> 16;
    uint64_t from = block * each, to = from + each, skip = 0;
    if (from < t->first) skip = t->first - from;
    if (to > end) to = end;
    apply(t, (int64_t)(from + skip - t->first), (int64_t)(to - t->first), numbers + skip);
  }
}

static int64_t tasks_of(const Draw *t, uint64_t each) {
  uint64_t blocks = (t->first + (uint64_t)t->n + each - 1) / each - t->first / each;
  return (int64_t)((blocks + BLOCKS - 1) / BLOCKS);
}

static void drop(const Draw *t, int64_t begin, int64_t end, const uint32_t *numbers) {
  for (int64_t i = begin; i < end; i += WW_LANES) {
    vu number;
    memcpy(&number, numbers + (i - begin), sizeof number);
    vf value = vselect((vi)(number >= t->threshold), vload_n(t->x + i, end - i) * t->factor, vsplat(0));
    if (t->accumulate) value += vload_n(t->y + i, end - i);
    vstore_n(t->y + i, value, end - i);
  }
}

static void dropout_task(void *context, int64_t task) { each_block(context, task, 2 * WW_RANDOM_BLOCK, drop); }

void ww_dropout(const float *x, float *y, int64_t n, double p, uint32_t seed, uint32_t stream, uint32_t step, uint64_t firstElement,
                int accumulate) {
  double threshold = floor(p * 65536 + 0.5);
  Draw t = {.x = x, .y = y, .random = {seed, stream, step}, .first = firstElement, .n = n, .accumulate = accumulate,
            .threshold = threshold > 65535 ? 65535 : (uint32_t)threshold,
            .factor = p < 1 ? (float)(1 / (1 - p)) : 0};
  ww_tasks(dropout_task, &t, tasks_of(&t, 2 * WW_RANDOM_BLOCK), n * 4);
}
WW_QUEUED(ww_dropout, P(0), P(1), N(2), N(3), N(4), N(5), N(6), N(7), N(8))

/* 24 bits, so that the result is exact and stays below 1. */
static void add_noise(const Draw *t, int64_t begin, int64_t end, const uint32_t *numbers) {
  for (int64_t i = begin; i < end;) {
    int64_t row = i / t->dim, stop = (row + 1) * t->dim < end ? (row + 1) * t->dim : end;
    float magnitude = t->magnitude[row];
    for (; i < stop; i++) t->y[i] += magnitude * ((float)(int32_t)(numbers[i - begin] >> 8) * 0x1p-23f - 1);
  }
}

static void noise_task(void *context, int64_t task) { each_block(context, task, WW_RANDOM_BLOCK, add_noise); }

void ww_add_uniform_noise(float *x, const float *magnitude, int64_t rows, int64_t dim, uint32_t seed, uint32_t stream,
                          uint32_t step) {
  Draw t = {.magnitude = magnitude, .y = x, .random = {seed, stream, step}, .n = rows * dim, .dim = dim};
  ww_tasks(noise_task, &t, tasks_of(&t, WW_RANDOM_BLOCK), t.n * 4);
}
WW_QUEUED(ww_add_uniform_noise, P(0), P(1), N(2), N(3), N(4), N(5), N(6))

typedef struct {
  void *y;
  int type;
  int64_t n;
  double deviation;
  WwRandom random;
} Normal;

static void put(const Normal *t, int64_t i, float value) {
  if (t->type == WW_F32)
    ((float *)t->y)[i] = value;
  else
    ((uint16_t *)t->y)[i] = t->type == WW_BF16 ? ww_to_bf16(value) : ww_to_f16(value);
}

/* Box and Muller's transform (Annals of Mathematical Statistics 29, 1958), in double precision. */
static void normal_block(void *context, int64_t block) {
  const Normal *t = context;
  uint32_t words[WW_RANDOM_BLOCK];
  ww_random_block(&t->random, (uint64_t)block, words);
  for (int64_t i = 0, at = block * WW_RANDOM_BLOCK; i < WW_RANDOM_BLOCK && at < t->n; i += 2, at += 2) {
    double radius = t->deviation * sqrt(-2 * log((words[i] + 0.5) / 4294967296.0));
    double angle = 2 * M_PI * words[i + 1] / 4294967296.0;
    put(t, at, (float)(radius * cos(angle)));
    if (at + 1 < t->n) put(t, at + 1, (float)(radius * sin(angle)));
  }
}

void ww_fill_normal(void *y, int type, int64_t n, double deviation, uint32_t seed, uint32_t stream, uint32_t step) {
  Normal t = {y, type, n, deviation, {seed, stream, step}};
  ww_tasks(normal_block, &t, (n + WW_RANDOM_BLOCK - 1) / WW_RANDOM_BLOCK, n * 64);
}
WW_QUEUED(ww_fill_normal, P(0), N(1), N(2), N(3), N(4), N(5), N(6))
