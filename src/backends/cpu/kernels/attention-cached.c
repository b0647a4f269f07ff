/*
 * Attention of single queries over a key-value cache (decoding), and the writes into that cache. A task is one row and one key head
 * with all the query heads that read it, so that the cache is read once. Keys come in blocks at fixed places of the sequence: what
 * a row computes depends on its own position alone.
 */
#include "ww.h"
#include "scratch.h"

enum { LANES = WW_LANES, KEYS = 64 };

typedef struct {
  const float *q;
  const void *keys, *values;
  const int32_t *slotOf, *positions;
  float *out;
  int64_t capacity, kvHeads, headDim, heads, window, dim;
  float scale;
  int bf16;
} Cached;


/* Rows of the cache as padded f32: the cache itself where it is that already, a copy otherwise. */
static const float *block_rows(const Cached *t, const void *cache, int64_t at, int64_t count, float *copy, int64_t *stride) {
  int64_t step = t->kvHeads * t->headDim;
  if (!t->bf16 && t->headDim == t->dim) {
    *stride = step;
    return (const float *)cache + at;
  }
  *stride = t->dim;
  for (int64_t r = 0; r < count; r++) {
    float *to = copy + r * t->dim;
    if (t->bf16) {
      const uint16_t *from = (const uint16_t *)cache + at + r * step;
      int64_t d = 0;
      for (; d + LANES <= t->headDim; d += LANES) vstore(to + d, vload_bf16(from + d));
      for (; d < t->headDim; d++) to[d] = ww_from_bf16(from[d]);
    } else {
      memcpy(to, (const float *)cache + at + r * step, sizeof(float) * (size_t)t->headDim);
    }
    for (int64_t d = t->headDim; d < t->dim; d++) to[d] = 0;
  }
  return copy;
}

/* Scores of one query against `count` keys, turned into exp(score - maximum); what was summed before shrinks by `*factor`. */
static void score_keys(const Cached *t, const float *query, const float *keys, int64_t stride, int64_t count, float *p,
                       float *maximum, float *sum, float *factor) {
  int64_t j = 0;
  for (; j + 4 <= count; j += 4) {
    vf dot[4] = {vsplat(0), vsplat(0), vsplat(0), vsplat(0)};
    for (int64_t d = 0; d < t->dim; d += LANES)
      for (int r = 0; r < 4; r++) dot[r] += vload(query + d) * vload(keys + (j + r) * stride + d);
    v4store(p + j, vsum4(dot[0], dot[1], dot[2], dot[3]));
  }
  for (; j < count; j++) {
    vf dot = vsplat(0);
    for (int64_t d = 0; d < t->dim; d += LANES) dot += vload(query + d) * vload(keys + j * stride + d);
    p[j] = vsum(dot);
  }
  int64_t padded = (count + LANES - 1) / LANES * LANES;
  for (; j < padded; j++) p[j] = -INFINITY;
  float most = *maximum;
  for (j = 0; j < count; j++) most = p[j] > most ? p[j] : most;
  vf total = vsplat(0);
  for (j = 0; j < padded; j += LANES) {
    vf e = vexp(vload(p + j) - most);
    vstore(p + j, e);
    total += e;
  }
  *factor = expf(*maximum - most);
  *sum = *sum * *factor + vsum(total);
  *maximum = most;
}

static void add_values(const Cached *t, float *out, float factor, const float *values, int64_t stride, int64_t count,
                       const float *p) {
  int64_t d = 0;
  for (; d + 4 * LANES <= t->dim; d += 4 * LANES) {
    vf sum[4];
    for (int c = 0; c < 4; c++) sum[c] = vload(out + d + c * LANES) * factor;
    for (int64_t j = 0; j < count; j++)
      for (int c = 0; c < 4; c++) sum[c] += vload(values + j * stride + d + c * LANES) * p[j];
    for (int c = 0; c < 4; c++) vstore(out + d + c * LANES, sum[c]);
  }
  for (; d < t->dim; d += LANES) {
    vf sum = vload(out + d) * factor;
    for (int64_t j = 0; j < count; j++) sum += vload(values + j * stride + d) * p[j];
    vstore(out + d, sum);
  }
}

static void attend(void *context, int64_t index) {
  const Cached *t = context;
  int64_t row = index / t->kvHeads, kvHead = index % t->kvHeads, group = t->heads / t->kvHeads;
  float *query = ww_scratch((2 * group + 2 * KEYS) * t->dim + 2 * group + KEYS);
  float *out = query + group * t->dim, *keyCopy = out + group * t->dim, *valueCopy = keyCopy + KEYS * t->dim;
  float *p = valueCopy + KEYS * t->dim, *maximum = p + KEYS, *sum = maximum + group;
  const float *source = t->q + (row * t->heads + kvHead * group) * t->headDim;
  memset(query, 0, sizeof(float) * (size_t)(2 * group * t->dim));
  for (int64_t g = 0; g < group; g++) {
    for (int64_t d = 0; d < t->headDim; d++) query[g * t->dim + d] = source[g * t->headDim + d] * t->scale;
    maximum[g] = -INFINITY;
    sum[g] = 0;
  }
  int64_t end = (int64_t)t->positions[row] + 1;
  int64_t first = t->window > 0 && end > t->window ? end - t->window : 0;
  int64_t base = ((int64_t)t->slotOf[row] * t->capacity * t->kvHeads + kvHead) * t->headDim;
  for (int64_t key = first; key < end;) {
    int64_t stop = (key / KEYS + 1) * KEYS, stride, at = base + key * t->kvHeads * t->headDim;
    if (stop > end) stop = end;
    const float *keys = block_rows(t, t->keys, at, stop - key, keyCopy, &stride);
    const float *values = block_rows(t, t->values, at, stop - key, valueCopy, &stride);
    for (int64_t g = 0; g < group; g++) {
      float factor;
      score_keys(t, query + g * t->dim, keys, stride, stop - key, p, maximum + g, sum + g, &factor);
      add_values(t, out + g * t->dim, factor, values, stride, stop - key, p);
    }
    key = stop;
  }
  float *to = t->out + (row * t->heads + kvHead * group) * t->headDim;
  for (int64_t g = 0; g < group; g++)
    for (int64_t d = 0; d < t->headDim; d++) to[g * t->headDim + d] = out[g * t->dim + d] / sum[g];
}

void ww_attention_cached(const float *q, const void *keys, const void *values, const int32_t *slotOf, const int32_t *positions,
                         float *out, int64_t rows, int64_t heads, int64_t kvHeads, int64_t headDim, int64_t capacity, float scale,
                         int64_t window, int bf16) {
  Cached t = {q, keys, values, slotOf, positions, out, capacity, kvHeads, headDim, heads, window,
              (headDim + LANES - 1) / LANES * LANES, scale, bf16};
  int64_t keysSeen = 0;
  for (int64_t r = 0; r < rows; r++) keysSeen += window > 0 && positions[r] >= window ? window : positions[r] + 1;
  ww_tasks(attend, &t, rows * kvHeads, keysSeen * heads * headDim);
}

typedef struct {
  const float *x;
  void *cache;
  const int32_t *slotOf, *positions;
  int64_t capacity, dim;
  int bf16;
} Write;

static void write_row(void *context, int64_t row) {
  const Write *t = context;
  const float *from = t->x + row * t->dim;
  int64_t at = ((int64_t)t->slotOf[row] * t->capacity + t->positions[row]) * t->dim;
  if (!t->bf16) {
    memcpy((float *)t->cache + at, from, sizeof(float) * (size_t)t->dim);
    return;
  }
  uint16_t *to = (uint16_t *)t->cache + at;
  for (int64_t d = 0; d < t->dim; d++) to[d] = ww_to_bf16(from[d]);
}

void ww_cache_write(const float *x, void *cache, const int32_t *slotOf, const int32_t *positions, int64_t rows, int64_t capacity,
                    int64_t dim, int bf16) {
  Write t = {x, cache, slotOf, positions, capacity, dim, bf16};
  ww_tasks(write_row, &t, rows, rows * dim);
}
