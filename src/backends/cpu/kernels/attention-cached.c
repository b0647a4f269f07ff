/*
 * Attention of single queries over a key-value cache (decoding), and the writes into that cache. Reading the cache is what it costs:
 * a task takes one row and a chunk of its keys, goes through them once for all heads in the order in which they lie, and leaves a
 * partial softmax; then the chunks of a row are combined. Chunks are places of the sequence, so that what a row computes depends on
 * its own position alone.
 */
#include "ww.h"
#include "scratch.h"

enum { LANES = WW_LANES, CHUNK = 256 /* keys */, PITCH = CHUNK + LANES /* of a head's scores */ };

#define INLINE static inline __attribute__((always_inline))

typedef struct {
  const float *q;
  const void *keys, *values;
  const int32_t *slotOf, *positions;
  float *out, *sums, *statistics; /* of each task: [heads, dim] sums of values, [heads, 2] largest score and sum */
  int64_t capacity, kvHeads, headDim, heads, window, chunks;
  int64_t dim; /* headDim rounded up to whole vectors */
  float scale;
  const float *bias; /* [heads][2 * reach - 1] by distance, or NULL */
  int64_t reach;
  int bf16;
} Cached;

/* The keys that a row sees in a chunk: [begin, end), perhaps none. */
static int64_t keys_of(const Cached *t, int64_t row, int64_t chunk, int64_t *begin) {
  int64_t end = (int64_t)t->positions[row] + 1, first = t->window > 0 && end > t->window ? end - t->window : 0;
  *begin = first > chunk * CHUNK ? first : chunk * CHUNK;
  return end < (chunk + 1) * CHUNK ? end : (chunk + 1) * CHUNK;
}

/*
 * Elements at .. of a head's row as a vector, `rest` of them before its end; asks for those `ahead` elements on, for rows of four
 * keys are more streams than the processor foresees well.
 */
INLINE vf load(const void *cache, int64_t at, int64_t rest, int64_t ahead, const int bf16) {
  __builtin_prefetch((const char *)cache + (at + ahead) * (bf16 ? 2 : 4));
  if (!bf16) return vload_n((const float *)cache + at, rest);
  const uint16_t *from = (const uint16_t *)cache + at;
  if (rest >= LANES) return vload_bf16(from);
  uint16_t part[LANES] = {0};
  for (int64_t i = 0; i < rest; i++) part[i] = from[i];
  return vload_bf16(part);
}

/* exp(score - largest) in place of `count` scores, zeros behind them to whole vectors; the largest and the sum go to `statistics`. */
static void exponentiate(float *scores, int64_t count, float *statistics) {
  int64_t padded = (count + LANES - 1) / LANES * LANES;
  for (int64_t j = count; j < padded; j++) scores[j] = -INFINITY;
  float most = scores[0];
  for (int64_t j = 1; j < count; j++) most = scores[j] > most ? scores[j] : most;
  vf sum = vsplat(0);
  for (int64_t j = 0; j < padded; j += LANES) {
    vf e = vexp(vload(scores + j) - most);
    vstore(scores + j, e);
    sum += e;
  }
  statistics[0] = most;
  statistics[1] = vsum(sum);
}

/* `ragged`: headDim is no multiple of LANES. Four keys at a time; beyond the last one that one is read again and does not count. */
INLINE void attend(const Cached *t, int64_t task, const int bf16, const int ragged) {
  int64_t row = task / t->chunks, begin, end = keys_of(t, row, task % t->chunks, &begin), count = end - begin;
  if (count <= 0) return;
  int64_t group = t->heads / t->kvHeads, step = t->kvHeads * t->headDim, ahead = 8 * step;
  int64_t base = ((int64_t)t->slotOf[row] * t->capacity + begin) * step;
  float *query = ww_scratch(t->heads * (t->dim + PITCH)), *scores = query + t->heads * t->dim;
  float *out = t->sums + task * t->heads * t->dim;
  memset(query, 0, sizeof(float) * (size_t)(t->heads * t->dim));
  memset(out, 0, sizeof(float) * (size_t)(t->heads * t->dim));
  for (int64_t h = 0; h < t->heads; h++)
    for (int64_t d = 0; d < t->headDim; d++) query[h * t->dim + d] = t->q[(row * t->heads + h) * t->headDim + d] * t->scale;

  for (int64_t j = 0; j < count; j += 4) {
    int64_t at[4];
    for (int r = 0; r < 4; r++) at[r] = base + (j + r < count ? j + r : count - 1) * step;
    for (int64_t h = 0; h < t->heads; h++) {
      int64_t head = h / group * t->headDim;
      vf dot[4] = {vsplat(0), vsplat(0), vsplat(0), vsplat(0)};
      for (int64_t d = 0; d < t->headDim; d += LANES) {
        vf q = vload(query + h * t->dim + d);
        for (int r = 0; r < 4; r++) dot[r] += q * load(t->keys, at[r] + head + d, ragged ? t->headDim - d : LANES, ahead, bf16);
      }
      v4store(scores + h * PITCH + j, vsum4(dot[0], dot[1], dot[2], dot[3]));
    }
  }
  for (int64_t h = 0; t->bias && h < t->heads; h++) {
    const float *values = t->bias + h * (2 * t->reach - 1);
    for (int64_t j = 0; j < count; j++) { /* keys stand before the query, or where it does */
      int64_t at = begin + j - t->positions[row] + t->reach - 1;
      scores[h * PITCH + j] += values[at < 0 ? 0 : at];
    }
  }
  for (int64_t h = 0; h < t->heads; h++) exponentiate(scores + h * PITCH, count, t->statistics + (task * t->heads + h) * 2);
  for (int64_t j = 0; j < count; j += 4) {
    int64_t at[4];
    for (int r = 0; r < 4; r++) at[r] = base + (j + r < count ? j + r : count - 1) * step;
    for (int64_t h = 0; h < t->heads; h++) {
      int64_t head = h / group * t->headDim;
      vf p[4];
      for (int r = 0; r < 4; r++) p[r] = vsplat(scores[h * PITCH + j + r]);
      for (int64_t d = 0; d < t->headDim; d += LANES) {
        vf sum = vload(out + h * t->dim + d);
        for (int r = 0; r < 4; r++) sum += p[r] * load(t->values, at[r] + head + d, ragged ? t->headDim - d : LANES, ahead, bf16);
        vstore(out + h * t->dim + d, sum);
      }
    }
  }
}

static void attend_task(void *context, int64_t task) {
  const Cached *t = context;
  int ragged = t->dim != t->headDim;
  if (t->bf16 && ragged)
    attend(t, task, 1, 1);
  else if (t->bf16)
    attend(t, task, 1, 0);
  else if (ragged)
    attend(t, task, 0, 1);
  else
    attend(t, task, 0, 0);
}

/* A row's chunks, in their order, as one softmax. */
static void combine_row(void *context, int64_t row) {
  const Cached *t = context;
  for (int64_t h = 0; h < t->heads; h++) {
    float most = -INFINITY, total = 0, *to = t->out + (row * t->heads + h) * t->headDim;
    memset(to, 0, sizeof(float) * (size_t)t->headDim);
    for (int64_t c = 0, begin; c < t->chunks; c++) {
      if (keys_of(t, row, c, &begin) <= begin) continue;
      int64_t at = (row * t->chunks + c) * t->heads + h;
      const float *statistics = t->statistics + at * 2, *sums = t->sums + at * t->dim;
      float top = statistics[0] > most ? statistics[0] : most;
      float before = expf(most - top), here = expf(statistics[0] - top);
      for (int64_t d = 0; d < t->headDim; d++) to[d] = to[d] * before + sums[d] * here;
      total = total * before + statistics[1] * here;
      most = top;
    }
    for (int64_t d = 0; d < t->headDim; d++) to[d] /= total;
  }
}

void ww_attention_cached(const float *q, const void *keys, const void *values, const int32_t *slotOf, const int32_t *positions,
                         float *out, int64_t rows, int64_t heads, int64_t kvHeads, int64_t headDim, int64_t capacity, float scale,
                         int64_t window, int bf16, const float *bias, int64_t reach) {
  int64_t keysSeen = 0, last = 0;
  for (int64_t r = 0; r < rows; r++) {
    keysSeen += window > 0 && positions[r] >= window ? window : positions[r] + 1;
    if (positions[r] > last) last = positions[r];
  }
  int64_t chunks = last / CHUNK + 1, dim = (headDim + LANES - 1) / LANES * LANES;
  float *memory = ww_partials(rows * chunks * heads * (dim + 2));
  Cached t = {.q = q, .keys = keys, .values = values, .slotOf = slotOf, .positions = positions, .out = out, .sums = memory,
              .statistics = memory + rows * chunks * heads * dim, .capacity = capacity, .kvHeads = kvHeads, .headDim = headDim,
              .heads = heads, .window = window, .chunks = chunks, .dim = dim, .scale = scale, .bf16 = bf16,
              .bias = bias, .reach = reach};
  ww_tasks(attend_task, &t, rows * chunks, keysSeen * heads * headDim);
  ww_tasks(combine_row, &t, rows, rows * chunks * heads * headDim);
  free(memory);
}
WW_QUEUED(ww_attention_cached, P(0), P(1), P(2), P(3), P(4), P(5), N(6), N(7), N(8), N(9), N(10), N(11), N(12), N(13), P(14), N(15))

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
WW_QUEUED(ww_cache_write, P(0), P(1), P(2), P(3), N(4), N(5), N(6), N(7))
