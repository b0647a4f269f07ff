/*
 * Attention over whole sequences and of one to another, forward and backward, without ever holding the scores (FlashAttention-2, arXiv:2307.08691).
 *
 * Everything is laid out so that a vector's lanes are QUERIES: a block of queries is transposed once into [headDim][queries], the
 * scores of a block stand as [keys][queries], the running output as [headDim][queries]. Then the softmax needs no sums across lanes,
 * and keys and values are only ever broadcast, so that they are never transposed. Each product of the algorithm is one call of
 * `product` over padded scratch memory; no kernel below sees an odd size.
 */
#include "attention-product.h"
#include "attention-bias.h"

typedef struct {
  int64_t batch, length, heads, kvHeads, headDim;
  float scale;
  int64_t window;
  int causal;
  const int32_t *segments;
  const int32_t *keySegments; /* of another sequence, of keyLength; NULL: the same one */
  int64_t keyLength;
  const float *bias; /* [heads][2 * reach - 1] by distance, or NULL */
  int64_t reach;
  const float *q, *k, *v, *dOut;
  float *out, *lse, *dq, *dk, *dv;
  double *dBias; /* NULL, or a batch's sums: [batch][heads][2 * reach - 1] */
  /* headDim rounded up to whole vectors and tiles, and the row stride of scratch blocks, which avoids powers of two (cache sets). */
  int64_t dim, stride;
  const struct Place *places;
  int64_t placeCount;
} Attention;

/*
 * Where a block of queries stands: within one segment, and at a multiple of QUERIES from its start, as its blocks of keys are at
 * multiples of KEYS from the start of the segment's keys; so a text's bits do not depend on what stands before it.
 */
typedef struct Place {
  int64_t batch, start, count, keyStart, keyEnd;
} Place;

/* Every block of queries, in order; `to` may be NULL to count them. */
static int64_t find_places(const Attention *t, Place *to) {
  int64_t n = 0;
  for (int64_t b = 0; b < t->batch; b++) {
    const int32_t *segments = t->segments + b * t->length;
    const int32_t *others = t->keySegments ? t->keySegments + b * t->keyLength : NULL;
    for (int64_t start = 0, end, keyStart = 0, keyEnd = 0; start < t->length; start = end) {
      int32_t own = segments[start];
      for (end = start + 1; end < t->length && segments[end] == own;) end++;
      if (!others) {
        keyStart = start;
        keyEnd = end;
      } else if (own >= 0) { /* both ascend, so that the search goes on where the last one ended */
        for (keyStart = keyEnd; keyStart < t->keyLength && others[keyStart] < own;) keyStart++;
        for (keyEnd = keyStart; keyEnd < t->keyLength && others[keyEnd] == own;) keyEnd++;
      }
      for (int64_t at = start; at < end; at += QUERIES, n++)
        if (to) to[n] = (Place){b, at, end - at < QUERIES ? end - at : QUERIES, keyStart, own < 0 ? keyStart : keyEnd};
    }
  }
  return n;
}

/* The queries of one block and the keys they see: lane i sees keys first[i] .. last[i]; padding sees none. */
typedef struct {
  int64_t start, count;
  int32_t first[QUERIES] __attribute__((aligned(64)));
  int32_t last[QUERIES] __attribute__((aligned(64)));
  int64_t firstKey, endKey;        /* the keys that any lane sees, from a block's border on */
  int64_t commonFirst, commonEnd;  /* between these each real lane sees every key */
} QueryBlock;

static void find_visible(const Attention *t, const Place *place, QueryBlock *block) {
  int none = place->keyStart == place->keyEnd;
  block->start = place->start;
  block->count = place->count;
  block->firstKey = INT32_MAX;
  block->endKey = 0;
  block->commonFirst = 0;
  block->commonEnd = t->causal ? place->start + 1 : place->keyEnd;
  for (int64_t i = 0; i < QUERIES; i++) {
    int64_t query = place->start + i, first = INT32_MAX, end = t->causal ? query + 1 : place->keyEnd;
    if (i < block->count && !none) {
      first = place->keyStart;
      if (t->window > 0 && query - t->window + 1 > first) first = query - t->window + 1;
      if (first < block->firstKey) block->firstKey = first;
      block->endKey = end;
    }
    block->first[i] = (int32_t)first;
    block->last[i] = (int32_t)(end - 1);
    if (i < block->count && first > block->commonFirst) block->commonFirst = first;
  }
  if (block->endKey > 0) block->firstKey -= (block->firstKey - place->keyStart) % KEYS;
}

/* Keys from `key` on: how many scratch rows they fill (whole tiles), and whether no lane needs a mask there. */
static int64_t keys_in_block(const QueryBlock *block, int64_t key, int *unmasked) {
  int64_t count = block->endKey - key;
  if (count > KEYS) count = KEYS;
  *unmasked = key >= block->commonFirst && key + KEYS <= block->commonEnd;
  return (count + 7) / 8 * 8;
}

INLINE vi sees(const QueryBlock *block, int v, int64_t key) {
  const vi *first = (const vi *)block->first, *last = (const vi *)block->last;
  return (first[v] <= (int32_t)key) & (last[v] >= (int32_t)key);
}

/* scratch [rows][t->stride] = rows of a strided tensor times `factor`; zero beyond headDim, in rows beyond `count` and in padding. */
static void load_rows(const Attention *t, float *to, const float *from, int64_t fromStride, int64_t count, int64_t rows,
                      const QueryBlock *padding, float factor) {
  for (int64_t r = 0; r < rows; r++, to += t->stride) {
    if (r >= count || (padding && padding->first[r] == INT32_MAX)) {
      memset(to, 0, sizeof(float) * (size_t)t->dim);
      continue;
    }
    const float *row = from + r * fromStride;
    int64_t d = 0;
    for (; d + LANES <= t->headDim; d += LANES) vstore(to + d, vload(row + d) * factor);
    for (; d < t->headDim; d++) to[d] = row[d] * factor;
    for (; d < t->dim; d++) to[d] = 0;
  }
}

/* to [columns][ldTo] = the transpose of from [rows][ldFrom]; both counts are multiples of 4. */
static void transpose(float *to, int64_t ldTo, const float *from, int64_t ldFrom, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; r += 4)
    for (int64_t c = 0; c < columns; c += 4) {
      const float *source = from + r * ldFrom + c;
      float *target = to + c * ldTo + r;
      v4 a = v4load(source), b = v4load(source + ldFrom);
      v4 d = v4load(source + 2 * ldFrom), e = v4load(source + 3 * ldFrom);
      v4 ab = SHUFFLE4(a, b, 0, 4, 1, 5), AB = SHUFFLE4(a, b, 2, 6, 3, 7);
      v4 de = SHUFFLE4(d, e, 0, 4, 1, 5), DE = SHUFFLE4(d, e, 2, 6, 3, 7);
      v4store(target, SHUFFLE4(ab, de, 0, 1, 4, 5));
      v4store(target + ldTo, SHUFFLE4(ab, de, 2, 3, 6, 7));
      v4store(target + 2 * ldTo, SHUFFLE4(AB, DE, 0, 1, 4, 5));
      v4store(target + 3 * ldTo, SHUFFLE4(AB, DE, 2, 3, 6, 7));
    }
}

/* Rows of a strided tensor = the transposed block [dim][QUERIES]; `rows` is scratch. */
static void store_transposed(const Attention *t, float *to, int64_t toStride, const float *block, float *rows, int64_t count) {
  transpose(rows, t->stride, block, QUERIES, t->dim, QUERIES);
  for (int64_t r = 0; r < count; r++) memcpy(to + r * toStride, rows + r * t->stride, sizeof(float) * (size_t)t->headDim);
}

/* One block of scores in, probabilities (unnormalized) out; keeps the running maximum and sum of each lane. */
static void softmax_block(float *scores, int64_t key, int64_t count, const QueryBlock *block, int unmasked, vf *maximum, vf *sum,
                          float *rescale) {
  const vf least = vsplat(-INFINITY);
  for (int v = 0; v < TILE_VECTORS; v++) {
    float *column = scores + v * LANES;
    vf most = maximum[v];
    for (int64_t j = 0; j < count; j++) {
      vf s = vload(column + j * QUERIES);
      if (!unmasked) {
        s = vselect(sees(block, v, key + j), s, least);
        vstore(column + j * QUERIES, s);
      }
      most = vselect(s > most, s, most);
    }
    vf base = vselect(most == least, vsplat(0), most);
    vf total[2] = {vsplat(0), vsplat(0)};
    for (int64_t j = 0; j < count; j += 2)
      for (int half = 0; half < 2; half++) {
        vf p = vexp(vload(column + (j + half) * QUERIES) - base);
        vstore(column + (j + half) * QUERIES, p);
        total[half] += p;
      }
    vf factor = vexp(maximum[v] - base);
    sum[v] = sum[v] * factor + (total[0] + total[1]);
    maximum[v] = most;
    vstore(rescale + v * LANES, factor);
  }
}

/* A head's values by distance. */
static const float *bias_of(const Attention *t, int64_t h) { return t->bias + h * (2 * t->reach - 1); }

static void forward_block(void *context, int64_t index) {
  const Attention *t = context;
  const Place *place = t->places + (t->placeCount - 1 - index / t->heads); /* the last see the most keys: they come first */
  int64_t b = place->batch, h = index % t->heads, kvHead = h / (t->heads / t->kvHeads);
  QueryBlock block;
  find_visible(t, place, &block);

  int64_t rowStride = t->heads * t->headDim, kvStride = t->kvHeads * t->headDim;
  int64_t at = (b * t->length + block.start) * rowStride + h * t->headDim;
  int64_t kvAt = b * t->keyLength * kvStride + kvHead * t->headDim;
  float *rows = ww_scratch(QUERIES * t->stride + 2 * t->dim * QUERIES + 2 * KEYS * t->stride + KEYS * QUERIES);
  float *queries = rows + QUERIES * t->stride, *out = queries + t->dim * QUERIES;
  float *keys = out + t->dim * QUERIES, *values = keys + KEYS * t->stride, *scores = values + KEYS * t->stride;
  float rescale[QUERIES] __attribute__((aligned(64)));
  vf maximum[TILE_VECTORS], sum[TILE_VECTORS];
  for (int v = 0; v < TILE_VECTORS; v++) maximum[v] = vsplat(-INFINITY), sum[v] = vsplat(0);

  load_rows(t, rows, t->q + at, rowStride, block.count, QUERIES, &block, t->scale);
  transpose(queries, QUERIES, rows, t->stride, QUERIES, t->dim);
  memset(out, 0, sizeof(float) * (size_t)(t->dim * QUERIES));

  for (int64_t key = block.firstKey; key < block.endKey; key += KEYS) {
    int unmasked;
    int64_t count = keys_in_block(&block, key, &unmasked), real = block.endKey - key;
    load_rows(t, keys, t->k + kvAt + key * kvStride, kvStride, real, count, NULL, 1);
    load_rows(t, values, t->v + kvAt + key * kvStride, kvStride, real, count, NULL, 1);
    product(scores, QUERIES, keys, t->stride, 0, queries, QUERIES, count, QUERIES, t->dim, SET, NULL);
    if (t->bias) add_bias(scores, bias_of(t, h), t->reach, key - block.start, count);
    softmax_block(scores, key, count, &block, unmasked, maximum, sum, rescale);
    product(out, QUERIES, values, t->stride, 1, scores, QUERIES, t->dim, QUERIES, count, RESCALE, rescale);
  }

  float lse[QUERIES] __attribute__((aligned(64)));
  for (int v = 0; v < TILE_VECTORS; v++) {
    vi padding = ((const vi *)block.first)[v] == INT32_MAX;
    vf inverse = vselect(padding, vsplat(0), 1 / sum[v]);
    for (int64_t d = 0; d < t->dim; d++) vstore(out + d * QUERIES + v * LANES, vload(out + d * QUERIES + v * LANES) * inverse);
    for (int i = 0; i < LANES; i++) lse[v * LANES + i] = padding[i] ? 0 : maximum[v][i] + logf(sum[v][i]);
  }
  store_transposed(t, t->out + at, rowStride, out, rows, block.count);
  memcpy(t->lse + (b * t->heads + h) * t->length + block.start, lse, sizeof(float) * (size_t)block.count);
}

/* What one block of queries brings into its products, for all keys. */
typedef struct {
  float *queries, *queriesT, *dOut, *dOutT, *dQueriesT, *keys, *values, *p, *ds, *sums;
  float lse[QUERIES] __attribute__((aligned(64)));
  float delta[QUERIES] __attribute__((aligned(64)));
} Workspace;

/* p = exp(scores - lse), ds = p * (dp - delta); `ds` holds dp on entry, p the scores. */
static void score_gradients(Workspace *w, int64_t key, int64_t count, const QueryBlock *block, int unmasked) {
  for (int v = 0; v < TILE_VECTORS; v++) {
    vf lse = vload(w->lse + v * LANES), delta = vload(w->delta + v * LANES);
    for (int64_t j = 0; j < count; j++) {
      int64_t at = j * QUERIES + v * LANES;
      vf p = vexp(vload(w->p + at) - lse);
      if (!unmasked) p = vselect(sees(block, v, key + j), p, vsplat(0));
      vstore(w->p + at, p);
      vstore(w->ds + at, p * (vload(w->ds + at) - delta));
    }
  }
}

static void add_rows(const Attention *t, float *to, int64_t toStride, const float *from, int64_t count) {
  for (int64_t r = 0; r < count; r++)
    for (int64_t d = 0; d < t->headDim; d++) to[r * toStride + d] += from[r * t->stride + d];
}

/* One head's queries of one block against all their keys: writes dq, adds to dk and dv. */
static void backward_block(const Attention *t, Workspace *w, const Place *place, int64_t h) {
  int64_t b = place->batch, start = place->start;
  QueryBlock block;
  find_visible(t, place, &block);
  int64_t rowStride = t->heads * t->headDim, kvStride = t->kvHeads * t->headDim;
  int64_t at = (b * t->length + start) * rowStride + h * t->headDim;
  int64_t kvAt = b * t->keyLength * kvStride + h / (t->heads / t->kvHeads) * t->headDim;

  load_rows(t, w->dOut, t->dOut + at, rowStride, block.count, QUERIES, &block, 1);
  load_rows(t, w->queries, t->out + at, rowStride, block.count, QUERIES, &block, 1);
  for (int64_t i = 0; i < QUERIES; i++) {
    vf sum = vsplat(0);
    for (int64_t d = 0; d < t->dim; d += LANES) sum += vload(w->dOut + i * t->stride + d) * vload(w->queries + i * t->stride + d);
    w->delta[i] = vsum(sum);
    w->lse[i] = block.first[i] == INT32_MAX ? 0 : t->lse[(b * t->heads + h) * t->length + start + i];
  }
  load_rows(t, w->queries, t->q + at, rowStride, block.count, QUERIES, &block, t->scale);
  transpose(w->queriesT, QUERIES, w->queries, t->stride, QUERIES, t->dim);
  transpose(w->dOutT, QUERIES, w->dOut, t->stride, QUERIES, t->dim);
  memset(w->dQueriesT, 0, sizeof(float) * (size_t)(t->dim * QUERIES));

  for (int64_t key = block.firstKey; key < block.endKey; key += KEYS) {
    int unmasked;
    int64_t count = keys_in_block(&block, key, &unmasked), real = block.endKey - key, kvBlock = kvAt + key * kvStride;
    load_rows(t, w->keys, t->k + kvBlock, kvStride, real, count, NULL, 1);
    load_rows(t, w->values, t->v + kvBlock, kvStride, real, count, NULL, 1);
    product(w->p, QUERIES, w->keys, t->stride, 0, w->queriesT, QUERIES, count, QUERIES, t->dim, SET, NULL);
    product(w->ds, QUERIES, w->values, t->stride, 0, w->dOutT, QUERIES, count, QUERIES, t->dim, SET, NULL);
    if (t->bias) add_bias(w->p, bias_of(t, h), t->reach, key - start, count);
    score_gradients(w, key, count, &block, unmasked);
    if (t->dBias) {
      double *sums = t->dBias + (b * t->heads + h) * (2 * t->reach - 1);
      add_distances(sums, w->ds, t->reach, key - start, count);
    }
    if (real > count) real = count;
    product(w->sums, t->stride, w->p, QUERIES, 0, w->dOut, t->stride, count, t->dim, QUERIES, SET, NULL);
    add_rows(t, t->dv + kvBlock, kvStride, w->sums, real);
    product(w->sums, t->stride, w->ds, QUERIES, 0, w->queries, t->stride, count, t->dim, QUERIES, SET, NULL);
    add_rows(t, t->dk + kvBlock, kvStride, w->sums, real);
    product(w->dQueriesT, QUERIES, w->keys, t->stride, 1, w->ds, QUERIES, t->dim, QUERIES, count, ADD, NULL);
  }
  for (int64_t i = 0; i < t->dim * QUERIES; i += LANES) vstore(w->dQueriesT + i, vload(w->dQueriesT + i) * t->scale);
  store_transposed(t, t->dq + at, rowStride, w->dQueriesT, w->queries, block.count);
}

/* A task owns a key head's dk and dv and goes through all their queries in order: no atomics, one order of summation. */
static void backward_head(void *context, int64_t index) {
  const Attention *t = context;
  int64_t b = index / t->kvHeads, kvHead = index % t->kvHeads, group = t->heads / t->kvHeads;
  int64_t kvStride = t->kvHeads * t->headDim, kvAt = b * t->keyLength * kvStride + kvHead * t->headDim;
  for (int64_t r = 0; r < t->keyLength; r++) {
    memset(t->dk + kvAt + r * kvStride, 0, sizeof(float) * (size_t)t->headDim);
    memset(t->dv + kvAt + r * kvStride, 0, sizeof(float) * (size_t)t->headDim);
  }
  int64_t rows = QUERIES * t->stride, transposed = t->dim * QUERIES, keyRows = KEYS * t->stride, square = KEYS * QUERIES;
  Workspace w;
  w.queries = ww_scratch(2 * rows + 3 * transposed + 3 * keyRows + 2 * square);
  w.dOut = w.queries + rows;
  w.queriesT = w.dOut + rows;
  w.dOutT = w.queriesT + transposed;
  w.dQueriesT = w.dOutT + transposed;
  w.keys = w.dQueriesT + transposed;
  w.values = w.keys + keyRows;
  w.sums = w.values + keyRows;
  w.p = w.sums + keyRows;
  w.ds = w.p + square;
  for (int64_t h = kvHead * group; h < (kvHead + 1) * group; h++)
    for (const Place *place = t->places; place < t->places + t->placeCount; place++)
      if (place->batch == b) backward_block(t, &w, place, h);
}

/* The memory of the places, to be freed. */
static Place *prepare(Attention *t) {
  int64_t step = LANES < 8 ? 8 : LANES;
  t->dim = (t->headDim + step - 1) / step * step;
  t->stride = t->dim + 16;
  t->placeCount = find_places(t, NULL);
  Place *places = malloc(sizeof(Place) * (size_t)(t->placeCount + 1));
  if (!places) abort();
  find_places(t, places);
  t->places = places;
  return places;
}

static int64_t work_of(const Attention *t) { return t->batch * t->heads * t->length * t->keyLength * t->headDim / 16; }

/* keySegments, bias and dBias may be NULL; keyLength is `length` without the first. */
void ww_attention(const float *q, const float *k, const float *v, const int32_t *segments, float *out, float *lse, int64_t batch,
                  int64_t length, int64_t heads, int64_t kvHeads, int64_t headDim, float scale, int64_t window, int causal,
                  const int32_t *keySegments, int64_t keyLength, const float *bias, int64_t reach) {
  Attention t = {.batch = batch, .length = length, .heads = heads, .kvHeads = kvHeads, .headDim = headDim, .scale = scale,
                 .window = window, .causal = causal, .segments = segments, .keySegments = keySegments, .keyLength = keyLength,
                 .bias = bias, .reach = reach, .q = q, .k = k, .v = v, .out = out, .lse = lse};
  Place *places = prepare(&t);
  ww_tasks(forward_block, &t, t.placeCount * heads, work_of(&t));
  free(places);
}
WW_QUEUED(ww_attention, P(0), P(1), P(2), P(3), P(4), P(5), N(6), N(7), N(8), N(9), N(10), N(11), N(12), N(13), P(14), N(15), P(16),
          N(17))

void ww_attention_backward(const float *q, const float *k, const float *v, const int32_t *segments, const float *out,
                           const float *dOut, const float *lse, float *dq, float *dk, float *dv, int64_t batch, int64_t length,
                           int64_t heads, int64_t kvHeads, int64_t headDim, float scale, int64_t window, int causal,
                           const int32_t *keySegments, int64_t keyLength, const float *bias, int64_t reach, float *dBias) {
  Attention t = {.batch = batch, .length = length, .heads = heads, .kvHeads = kvHeads, .headDim = headDim, .scale = scale,
                 .window = window, .causal = causal, .segments = segments, .keySegments = keySegments, .keyLength = keyLength,
                 .bias = bias, .reach = reach, .q = q, .k = k, .v = v, .dOut = dOut, .out = (float *)out,
                 .lse = (float *)lse, .dq = dq, .dk = dk, .dv = dv};
  int64_t distances = heads * (2 * reach - 1);
  if (dBias) {
    t.dBias = calloc((size_t)(batch * distances), sizeof(double));
    if (!t.dBias) abort();
  }
  Place *places = prepare(&t);
  ww_tasks(backward_head, &t, batch * kvHeads, work_of(&t));
  free(places);
  for (int64_t i = 0; dBias && i < distances; i++) {
    double sum = 0;
    for (int64_t b = 0; b < batch; b++) sum += t.dBias[b * distances + i];
    dBias[i] += (float)sum;
  }
  free(t.dBias);
}
WW_QUEUED(ww_attention_backward, P(0), P(1), P(2), P(3), P(4), P(5), P(6), P(7), P(8), P(9), N(10), N(11), N(12), N(13), N(14), N(15),
          N(16), N(17), P(18), N(19), P(20), N(21), P(22))
