/*
 * GGUF's blocks of 256 values, Q4_K, Q5_K and Q6_K: what src/quant/ggml/k-blocks.ts, q6-k.ts and fit.ts compute, bit for bit, which is what
 * ggml's reference functions make. Sums within a group keep their order, so a lane is a group of its own, and what only some groups do is
 * selected. Every operation is rounded by itself: files whose name ends so are compiled without fused ones (compile.ts).
 */
#include "ww.h"

enum { BLOCK = 256, Q4_K = 12, Q5_K = 13, Q6_K = 14 };
/* Blocks of a task: whole vectors of groups. */
enum { BLOCKS = 16 };
/* Groups of Q4_K and Q5_K, and of Q6_K. */
enum { GROUP = 32, GROUPS = BLOCK / GROUP, SMALL = 16, SMALLS = BLOCK / SMALL };
enum { Q6_BYTES = 210 };

static const float TINY = 1e-15f;

/* Adding it leaves no bits below one: the nearest whole number, ties to even, of what is below 2^22. */
static inline vf nearest(vf x) { return (x + 12582912.0f) - 12582912.0f; }
static inline float nearest_one(float x) { return (x + 12582912.0f) - 12582912.0f; }
static inline vf clamped(vf x, float low, float high) {
  x = vselect(x < low, vsplat(low), x);
  return vselect(x > high, vsplat(high), x);
}
static inline float clamped_one(float x, float low, float high) { return x < low ? low : x > high ? high : x; }
static inline vf vabs(vf x) { return (vf)((vi)x & 0x7fffffff); }
static inline vf vroot(vf x) {
  for (int i = 0; i < WW_LANES; i++) x[i] = sqrtf(x[i]);
  return x;
}
static inline int any(vi mask) {
  int32_t all = 0;
  for (int i = 0; i < WW_LANES; i++) all |= mask[i];
  return all;
}
/* As a conversion to a 32-bit integer in JavaScript has it. */
static inline int whole(float x) { return fabsf(x) < 0x1p31f ? (int)x : 0; }
/* A level, which is no number where the scale has no inverse. */
static inline uint8_t level(float x) { return x == x ? (uint8_t)x : 0; }

/* Values of `n` groups of `size`, which follow one another: lane by lane; those that are not there are zeros. */
static inline void gather(const float *x, int size, int64_t n, vf *to) {
  for (int lane = 0; lane < WW_LANES; lane++)
    for (int i = 0; i < size; i++) to[i][lane] = lane < n ? x[lane * size + i] : 0;
}

static inline void scatter(const vf *from, float plus, int size, int64_t n, uint8_t *levels) {
  for (int lane = 0; lane < WW_LANES && lane < n; lane++)
    for (int i = 0; i < size; i++) levels[lane * size + i] = level(from[i][lane] + plus);
}

static inline vf loss(const vf *x, const vf *w, vf scale, vf min, const vf *levels) {
  vf sum = vsplat(0);
  for (int i = 0; i < GROUP; i++) {
    vf diff = (scale * levels[i] + min) - x[i];
    sum += w[i] * (diff * diff);
  }
  return sum;
}

/* `fitAbove`: levels from 0 to `top` with a scale and a negated minimum, neither below zero. */
static void fit_above(const float *values, int64_t n, float top, float from, int steps, uint8_t *levels, float *scales, float *mins) {
  vf x[GROUP], w[GROUP], shifted[GROUP], tried[GROUP], chosen[GROUP];
  gather(values, GROUP, n, x);
  vf squares = vsplat(0), sumW = vsplat(0);
  for (int i = 0; i < GROUP; i++) squares += x[i] * x[i];
  vf mean = vroot(squares / (float)GROUP);
  for (int i = 0; i < GROUP; i++) {
    w[i] = mean + vabs(x[i]);
    sumW += w[i];
  }
  vf low = x[0], high = x[0], sumX = w[0] * x[0];
  for (int i = 1; i < GROUP; i++) {
    low = vselect(x[i] < low, x[i], low);
    high = vselect(x[i] > high, x[i], high);
    sumX += w[i] * x[i];
  }
  low = vselect(low > 0, vsplat(0), low);
  vi flat = high == low;
  vf first = top / (high - low), scale = 1 / first, min = low;
  for (int i = 0; i < GROUP; i++) {
    shifted[i] = x[i] - min;
    chosen[i] = clamped(nearest(first * shifted[i]), 0, top);
  }
  vf best = loss(x, w, scale, min, chosen);
  for (int step = 0; step <= steps; step++) {
    vf inverse = ((from + 0.1f * (float)step) + top) / (high - min);
    vf sumL = vsplat(0), sumLL = vsplat(0), sumXL = vsplat(0);
    for (int i = 0; i < GROUP; i++) {
      vf l = clamped(nearest(inverse * shifted[i]), 0, top), wl = w[i] * l;
      tried[i] = l;
      sumL += wl;
      sumLL += wl * l;
      sumXL += wl * x[i];
    }
    vf d = sumW * sumLL - sumL * sumL;
    vf thisScale = (sumW * sumXL - sumX * sumL) / d, thisMin = (sumLL * sumX - sumL * sumXL) / d;
    vi above = thisMin > 0;
    thisMin = vselect(above, vsplat(0), thisMin);
    thisScale = vselect(above, sumXL / sumLL, thisScale);
    vf lost = loss(x, w, thisScale, thisMin, tried);
    vi better = (d > 0) & (lost < best) & ~flat;
    if (!any(better)) continue;
    best = vselect(better, lost, best);
    scale = vselect(better, thisScale, scale);
    min = vselect(better, thisMin, min);
    for (int i = 0; i < GROUP; i++) {
      chosen[i] = vselect(better, tried[i], chosen[i]);
      shifted[i] = x[i] - min;
    }
  }
  for (int i = 0; i < GROUP; i++) chosen[i] = vselect(flat, vsplat(0), chosen[i]);
  scale = vselect(flat, vsplat(0), scale);
  scatter(chosen, 0, GROUP, n, levels);
  for (int lane = 0; lane < WW_LANES && lane < n; lane++) {
    scales[lane] = scale[lane];
    mins[lane] = -min[lane];
  }
}

/* `fitAround`: levels from -32 to 31, kept plus 32, with a scale of any sign; weights are squares. */
static void fit_around(const float *values, int64_t n, uint8_t *levels, float *scales) {
  const float top = 32;
  vf x[SMALL], chosen[SMALL];
  gather(values, SMALL, n, x);
  vf largest = vsplat(0), given = vsplat(0);
  for (int i = 0; i < SMALL; i++) {
    vf size = vabs(x[i]);
    vi more = size > largest;
    largest = vselect(more, size, largest);
    given = vselect(more, x[i], given);
  }
  vi flat = largest < TINY;
  vf scale = vsplat(0), best = vsplat(0);
  for (int step = -10; step <= 9; step++) {
    /* The obvious scale comes first, and is taken whatever it loses. */
    if (step == 0) continue;
    int is_first = step == -10;
    vf inverse = -(is_first ? top : top + 0.1f * (float)step) / given, sumX = vsplat(0), sumL = vsplat(0);
    for (int i = 0; i < SMALL; i++) {
      vf l = clamped(nearest(inverse * x[i]), -top, top - 1), w = x[i] * x[i];
      sumX += (w * x[i]) * l;
      sumL += (w * l) * l;
    }
    vi better = is_first ? visplat(-1) : (sumL > 0) & (sumX * sumX > best * sumL);
    if (!any(better)) continue;
    vf fitted = sumX / sumL;
    if (is_first) fitted = vselect(sumL == 0, vsplat(0), fitted);
    scale = vselect(better, fitted, scale);
    best = vselect(better, fitted * sumX, best);
    for (int i = 0; i < SMALL; i++)
      chosen[i] = vselect(better, clamped(nearest(inverse * x[i]), -top, top - 1), is_first ? x[i] : chosen[i]);
  }
  scale = vselect(flat, vsplat(0), scale);
  for (int i = 0; i < SMALL; i++) chosen[i] = vselect(flat, vsplat(-top), chosen[i]);
  scatter(chosen, top, SMALL, n, levels);
  for (int lane = 0; lane < WW_LANES && lane < n; lane++) scales[lane] = scale[lane];
}

/* Writes a scale; what it is when it is read again. */
static float put_half(uint8_t *to, float scale) {
  uint16_t half = ww_to_f16(scale);
  to[0] = (uint8_t)half;
  to[1] = (uint8_t)(half >> 8);
  return ww_from_f16(half);
}
static float get_half(const uint8_t *from) { return ww_from_f16((uint16_t)(from[0] | from[1] << 8)); }

/* A group's scale and least value, of six bits each, in 12 bytes of the block (`putSix` of k-blocks.ts). */
static void put_six(uint8_t *to, int j, int scale, int min) {
  if (j < 4) {
    to[j] = (uint8_t)scale;
    to[j + 4] = (uint8_t)min;
    return;
  }
  to[j + 4] = (uint8_t)((scale & 15) | (min & 15) << 4);
  to[j - 4] |= (uint8_t)(scale >> 4 << 6);
  to[j] |= (uint8_t)(min >> 4 << 6);
}
static void get_six(const uint8_t *from, int j, int *scale, int *min) {
  *scale = j < 4 ? from[j] & 63 : (from[j + 4] & 15) | from[j - 4] >> 6 << 4;
  *min = j < 4 ? from[j + 4] & 63 : from[j + 4] >> 4 | from[j] >> 6 << 4;
}

static float inverse_of(float largest, float levels) { return largest > 0 ? levels / largest : 0; }
static int six_bits(float x) {
  int n = whole(nearest_one(x)) & 255;
  return n < 63 ? n : 63;
}

/* One block of Q4_K (`high` NULL) or Q5_K, of levels and groups that were fitted. */
static void put_above(const float *x, float top, uint8_t *levels, const float *scales, const float *mins, uint8_t *to, uint8_t *high) {
  float largestScale = 0, largestMin = 0;
  for (int j = 0; j < GROUPS; j++) {
    if (scales[j] > largestScale) largestScale = scales[j];
    if (mins[j] > largestMin) largestMin = mins[j];
  }
  float inverseScale = inverse_of(largestScale, 63), inverseMin = inverse_of(largestMin, 63);
  for (int j = 0; j < GROUPS; j++) put_six(to + 4, j, six_bits(inverseScale * scales[j]), six_bits(inverseMin * mins[j]));
  float d = put_half(to, largestScale / 63), dMin = put_half(to + 2, largestMin / 63);
  for (int j = 0; j < GROUPS; j++) {
    int own, ownMin;
    get_six(to + 4, j, &own, &ownMin);
    float scale = d * (float)own, min = dMin * (float)ownMin;
    if (scale == 0) continue;
    for (int i = GROUP * j; i < GROUP * (j + 1); i++) levels[i] = level(clamped_one(nearest_one((x[i] + min) / scale), 0, top));
  }
  uint8_t *low = to + 16;
  if (high) {
    memset(high, 0, GROUP);
    for (int i = 0; i < BLOCK; i++) high[i % GROUP] |= (uint8_t)(levels[i] >> 4 << i / GROUP);
    low = high + GROUP;
  }
  for (int i = 0; i < BLOCK / 2; i++) {
    int first = 2 * GROUP * (i >> 5) + (i & 31);
    low[i] = (uint8_t)((levels[first] & 15) | (levels[first + GROUP] & 15) << 4);
  }
}

static void put_around(const float *x, uint8_t *levels, const float *scales, uint8_t *to) {
  float largest = 0, given = 0;
  for (int j = 0; j < SMALLS; j++)
    if (fabsf(scales[j]) > largest) {
      largest = fabsf(scales[j]);
      given = scales[j];
    }
  if (largest < TINY) {
    memset(to, 0, Q6_BYTES);
    return;
  }
  uint8_t *high = to + BLOCK / 2, *own = high + BLOCK / 4;
  float inverse = -128 / given, d = put_half(own + SMALLS, 1 / inverse);
  for (int j = 0; j < SMALLS; j++) {
    float rounded = nearest_one(inverse * scales[j]);
    int8_t step = (int8_t)(uint8_t)whole(rounded < 127 ? rounded : 127);
    own[j] = (uint8_t)step;
    float scale = d * (float)step;
    if (scale == 0) continue;
    for (int i = SMALL * j; i < SMALL * (j + 1); i++) levels[i] = level(clamped_one(nearest_one(x[i] / scale), -32, 31) + 32);
  }
  for (int i = 0; i < BLOCK / 4; i++) {
    int half = i >> 5, l = i & 31;
    const uint8_t *of = levels + 128 * half + l;
    to[64 * half + l] = (uint8_t)((of[0] & 15) | (of[64] & 15) << 4);
    to[64 * half + 32 + l] = (uint8_t)((of[32] & 15) | (of[96] & 15) << 4);
    high[i] = (uint8_t)(of[0] >> 4 | of[32] >> 4 << 2 | of[64] >> 4 << 4 | of[96] >> 4 << 6);
  }
}

typedef struct {
  float *x;
  uint8_t *bytes;
  int64_t blocks;
  int type;
} Task;

static int bytes_of(int type) { return type == Q4_K ? 144 : type == Q5_K ? 176 : Q6_BYTES; }

static void quantize_task(void *context, int64_t index) {
  const Task *t = context;
  int64_t first = index * BLOCKS, n = t->blocks - first < BLOCKS ? t->blocks - first : BLOCKS;
  const float *x = t->x + first * BLOCK;
  uint8_t *to = t->bytes + first * bytes_of(t->type), levels[BLOCKS * BLOCK];
  float scales[BLOCKS * SMALLS], mins[BLOCKS * GROUPS];
  if (t->type == Q6_K) {
    for (int64_t g = 0; g < n * SMALLS; g += WW_LANES) fit_around(x + g * SMALL, n * SMALLS - g, levels + g * SMALL, scales + g);
    for (int64_t b = 0; b < n; b++) put_around(x + b * BLOCK, levels + b * BLOCK, scales + b * SMALLS, to + b * Q6_BYTES);
    return;
  }
  int isFive = t->type == Q5_K, bytes = bytes_of(t->type);
  float top = isFive ? 31 : 15;
  for (int64_t g = 0; g < n * GROUPS; g += WW_LANES)
    fit_above(x + g * GROUP, n * GROUPS - g, top, isFive ? -0.5f : -1, isFive ? 15 : 20, levels + g * GROUP, scales + g, mins + g);
  for (int64_t b = 0; b < n; b++) {
    uint8_t *block = to + b * bytes;
    put_above(x + b * BLOCK, top, levels + b * BLOCK, scales + b * GROUPS, mins + b * GROUPS, block, isFive ? block + 16 : NULL);
  }
}

static void get_above(const uint8_t *from, const uint8_t *high, float *y) {
  const uint8_t *low = high ? high + GROUP : from + 16;
  float d = get_half(from), dMin = get_half(from + 2);
  for (int j = 0; j < GROUPS; j++) {
    int own, ownMin;
    get_six(from + 4, j, &own, &ownMin);
    float scale = d * (float)own, min = dMin * (float)ownMin;
    for (int i = 0; i < GROUP; i++) {
      int byte = low[GROUP * (j >> 1) + i], four = j & 1 ? byte >> 4 : byte & 15;
      y[GROUP * j + i] = scale * (float)(four + (high ? (high[i] >> j & 1) * 16 : 0)) - min;
    }
  }
}

static void get_around(const uint8_t *from, float *y) {
  const uint8_t *high = from + BLOCK / 2, *own = high + BLOCK / 4;
  float d = get_half(own + SMALLS);
  for (int i = 0; i < BLOCK; i++) {
    int half = i >> 7, row = i >> 5 & 3, l = i & 31, byte = from[64 * half + 32 * (row & 1) + l];
    int low = row < 2 ? byte & 15 : byte >> 4, two = high[32 * half + l] >> 2 * row & 3;
    y[i] = d * (float)(int8_t)own[i >> 4] * (float)((low | two << 4) - 32);
  }
}

static void dequantize_task(void *context, int64_t index) {
  const Task *t = context;
  int64_t first = index * BLOCKS, end = first + BLOCKS < t->blocks ? first + BLOCKS : t->blocks;
  for (int64_t b = first; b < end; b++) {
    const uint8_t *from = t->bytes + b * bytes_of(t->type);
    if (t->type == Q6_K)
      get_around(from, t->x + b * BLOCK);
    else
      get_above(from, t->type == Q5_K ? from + 16 : NULL, t->x + b * BLOCK);
  }
}

static void run(void (*fn)(void *, int64_t), Task t) { ww_parallel(fn, &t, (t.blocks + BLOCKS - 1) / BLOCKS); }

/* `type`: ggml's number of Q4_K, Q5_K or Q6_K. x[256 * blocks] */
void ww_quantize_blocks(int type, float *x, int64_t blocks, uint8_t *to) {
  run(quantize_task, (Task){.x = x, .bytes = to, .blocks = blocks, .type = type});
}

void ww_dequantize_blocks(int type, uint8_t *from, int64_t blocks, float *y) {
  run(dequantize_task, (Task){.x = y, .bytes = from, .blocks = blocks, .type = type});
}
