/*
 * The matrix product of decoding: few rows times weights [n, k] that are read once, in their own type, straight into registers. Four
 * weight rows at a time run along up to four rows of x. Every result is one chain of vector sums over k and one sum over lanes, so
 * that its bits do not depend on the rows beside it.
 *
 * NF4 gives the even and the odd values of a stretch in two registers: x is rearranged to that once, instead of the weights each time.
 * With bfloat16 products, codes are multiplied by x and each block's sum by its scale.
 */
#include "gemm.h"
#include "shuffle.h"

enum { WEIGHT_ROWS = 4, X_ROWS = 4, SMALL = 1 << 15 };

/* How weights are read and multiplied. */
typedef enum { BY_F32, BY_BF16, BY_F16, BY_NF4, PAIRS_BF16, PAIRS_NF4, WAYS } Way;

static _Thread_local Room roomX, roomW;

typedef struct {
  const Gemm *g;
  Way way;
  /* alpha * x, rearranged for the way and padded with zeros to `stride` floats; the same of the bands' a, to whole vectors. */
  const float *x, *extra;
  int64_t stride;
  int64_t groups, tasks; /* groups of WEIGHT_ROWS */
} Rows;

#define INLINE static inline __attribute__((always_inline))

static inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t extra_stride(const Band *band) { return (band->k + WW_LANES - 1) / WW_LANES * WW_LANES; }

/* --- the rows of x --------------------------------------------------------------------------------------------------------------- */

#if defined(__AVX512BF16__)
static inline void store_bf16(void *to, vf x) {
  __m256i bits = (__m256i)_mm512_cvtneps_pbh((__m512)x);
  memcpy(to, &bits, sizeof bits);
}
#endif

/* A row of x, scaled, in place: as floats (padded) in, as the way wants it out. */
static void arrange(Way way, float *x, int64_t stride) {
  if (way == BY_NF4)
    for (int64_t k = 0; k < stride; k += 2 * WW_LANES) {
      vf even, odd;
      vload_interleaved(x + k, &even, &odd);
      vstore(x + k, even);
      vstore(x + k + WW_LANES, odd);
    }
#if defined(__AVX512BF16__)
  uint16_t *bits = (uint16_t *)x;
  if (way == PAIRS_BF16)
    for (int64_t k = 0; k < stride; k += WW_LANES) store_bf16(bits + k, vload(x + k));
  if (way == PAIRS_NF4)
    for (int64_t k = 0; k < stride; k += NF4_BLOCK) {
      vf even[2], odd[2];
      for (int i = 0; i < 2; i++) vload_interleaved(x + k + i * 2 * WW_LANES, &even[i], &odd[i]);
      for (int i = 0; i < 2; i++) {
        store_bf16(bits + k + i * WW_LANES, even[i]);
        store_bf16(bits + k + NF4_BLOCK / 2 + i * WW_LANES, odd[i]);
      }
    }
#endif
}

static const float *arrange_x(Way way, const float *x, int64_t m, int64_t k, int64_t stride, float scale, float *to) {
  for (int64_t i = 0; i < m; i++) {
    float *row = to + i * stride;
    for (int64_t p = 0; p < k; p++) row[p] = x[i * k + p] * scale;
    for (int64_t p = k; p < stride; p++) row[p] = 0;
    arrange(way, row, stride);
  }
  return to;
}

/* --- products -------------------------------------------------------------------------------------------------------------------- */

/* WW_LANES weights of a plain type from p + k on. */
INLINE vf load_weights(Way way, const void *p, int64_t k) {
  if (way == BY_F32) return vload((const float *)p + k);
  return way == BY_BF16 ? vload_bf16((const uint16_t *)p + k) : vload_f16((const uint16_t *)p + k);
}

/* The last `left` weights of a row, zeros behind them. */
INLINE vf load_last(Way way, const void *p, int64_t k, int64_t left) {
  if (way == BY_F32) return vload_part((const float *)p + k, left);
  uint16_t part[WW_LANES] = {0};
  memcpy(part, (const uint16_t *)p + k, 2 * (size_t)left);
  return load_weights(way, part, 0);
}

INLINE void multiply_plain(Way way, vf sums[X_ROWS][WEIGHT_ROWS], const void *const *w, const float *const *x, int64_t k, int count) {
  int64_t p = 0;
  for (; p + WW_LANES <= k; p += WW_LANES)
    WW_UNROLL for (int j = 0; j < WEIGHT_ROWS; j++) {
      vf weights = load_weights(way, w[j], p);
      WW_UNROLL for (int i = 0; i < count; i++) sums[i][j] = vfma(weights, vload(x[i] + p), sums[i][j]);
    }
  if (p < k)
    WW_UNROLL for (int j = 0; j < WEIGHT_ROWS; j++) {
      vf weights = load_last(way, w[j], p, k - p);
      WW_UNROLL for (int i = 0; i < count; i++) sums[i][j] = vfma(weights, vload(x[i] + p), sums[i][j]);
    }
}

INLINE void multiply_nf4(const Nf4 *nf4, vf sums[X_ROWS][WEIGHT_ROWS], const int64_t *rows, const float *const *x, int64_t k, int count) {
  for (int64_t p = 0; p < k; p += NF4_BLOCK)
    WW_UNROLL for (int j = 0; j < WEIGHT_ROWS; j++) {
      int64_t start = rows[j] * k + p;
      Nf4Table table = nf4_table(nf4_scale(nf4, start / NF4_BLOCK));
      WW_UNROLL for (int at = 0; at < NF4_BLOCK; at += 2 * WW_LANES) {
        vf even, odd;
        nf4_decode(nf4->packed + (start + at) / 2, table, &even, &odd);
        WW_UNROLL for (int i = 0; i < count; i++) {
          sums[i][j] = vfma(even, vload(x[i] + p + at), sums[i][j]);
          sums[i][j] = vfma(odd, vload(x[i] + p + at + WW_LANES), sums[i][j]);
        }
      }
    }
}

#if defined(__AVX512BF16__)
INLINE __m512bh load_bf16(const uint16_t *p) {
  __m512bh x;
  memcpy(&x, p, sizeof x);
  return x;
}

INLINE void multiply_bf16_pairs(vf sums[X_ROWS][WEIGHT_ROWS], const void *const *w, const float *const *x, int64_t k, int count) {
  int64_t p = 0;
  for (; p + 2 * WW_LANES <= k; p += 2 * WW_LANES)
    WW_UNROLL for (int j = 0; j < WEIGHT_ROWS; j++) {
      __m512bh weights = load_bf16((const uint16_t *)w[j] + p);
      WW_UNROLL for (int i = 0; i < count; i++)
        sums[i][j] = (vf)_mm512_dpbf16_ps((__m512)sums[i][j], weights, load_bf16((const uint16_t *)x[i] + p));
    }
  if (p < k)
    WW_UNROLL for (int j = 0; j < WEIGHT_ROWS; j++) {
      __m512bh weights = (__m512bh)_mm512_maskz_loadu_epi16((1u << (k - p)) - 1, (const uint16_t *)w[j] + p);
      WW_UNROLL for (int i = 0; i < count; i++)
        sums[i][j] = (vf)_mm512_dpbf16_ps((__m512)sums[i][j], weights, load_bf16((const uint16_t *)x[i] + p));
    }
}

INLINE void multiply_nf4_pairs(const Nf4 *nf4, vf sums[X_ROWS][WEIGHT_ROWS], const int64_t *rows, const float *const *x, int64_t k,
                               int count) {
  /* The codes twice, so that a lookup by five bits need not clear the fifth. */
  uint16_t codes[32];
  for (int i = 0; i < 32; i++) codes[i] = ww_to_bf16(NF4_CODES[i % 16]);
  __m512i table = _mm512_loadu_si512(codes);
  for (int64_t p = 0; p < k; p += NF4_BLOCK)
    WW_UNROLL for (int j = 0; j < WEIGHT_ROWS; j++) {
      int64_t start = rows[j] * k + p;
      vf scale = vsplat(nf4_scale(nf4, start / NF4_BLOCK));
      __m512i index = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const void *)(nf4->packed + start / 2)));
      __m512bh even = (__m512bh)_mm512_permutexvar_epi16(_mm512_srli_epi16(index, 4), table);
      __m512bh odd = (__m512bh)_mm512_permutexvar_epi16(index, table);
      WW_UNROLL for (int i = 0; i < count; i++) {
        const uint16_t *bits = (const uint16_t *)x[i] + p;
        __m512 sum = _mm512_dpbf16_ps(_mm512_setzero_ps(), even, load_bf16(bits));
        sums[i][j] = vfma(scale, (vf)_mm512_dpbf16_ps(sum, odd, load_bf16(bits + NF4_BLOCK / 2)), sums[i][j]);
      }
    }
}
#endif

/*
 * A group of weight rows times `count` rows of x from a band's `at` on; `w` are the weights' rows where they are of a plain type, `thin`
 * the band's a.
 */
INLINE void multiply(Way way, const Rows *t, const void *const *w, int64_t first, const Band *band, const float *thin, int64_t at,
                     const int count) {
  const Gemm *g = t->g;
  vf sums[X_ROWS][WEIGHT_ROWS];
  const float *x[X_ROWS], *extra[X_ROWS];
  int64_t rows[WEIGHT_ROWS];
  for (int i = 0; i < count; i++) {
    int64_t real = min(at + i, band->rows - 1);
    x[i] = t->x + (band->first + real) * t->stride;
    extra[i] = thin + real * extra_stride(band);
    for (int j = 0; j < WEIGHT_ROWS; j++) sums[i][j] = vsplat(0);
  }
  for (int j = 0; j < WEIGHT_ROWS; j++) rows[j] = min(first + j, g->n - 1);

  if (way == BY_NF4) multiply_nf4(&g->b.nf4, sums, rows, x, g->k, count);
#if defined(__AVX512BF16__)
  else if (way == PAIRS_NF4) multiply_nf4_pairs(&g->b.nf4, sums, rows, x, g->k, count);
  else if (way == PAIRS_BF16) multiply_bf16_pairs(sums, w, x, g->k, count);
#endif
  else multiply_plain(way, sums, w, x, g->k, count);
  if (band->k > 0) {
    const void *b[WEIGHT_ROWS];
    for (int j = 0; j < WEIGHT_ROWS; j++) b[j] = band->b + rows[j] * band->k;
    multiply_plain(BY_F32, sums, b, extra, band->k, count);
  }

  for (int i = 0; i < count && at + i < band->rows; i++) {
    v4 sum = vsum4(sums[i][0], sums[i][1], sums[i][2], sums[i][3]);
    int64_t place = (band->first + at + i) * g->n + first;
    for (int j = 0; j < WEIGHT_ROWS && first + j < g->n; j++) {
      float y = sum[j];
      if (g->add) y += g->add[place + j];
      if (g->bias) y += g->bias[first + j];
      g->c[place + j] = y;
    }
  }
}

INLINE void multiply_group(Way way, const Rows *t, int64_t group) {
  const Gemm *g = t->g;
  int64_t first = group * WEIGHT_ROWS;
  const void *w[WEIGHT_ROWS] = {0};
  int64_t size = g->b.type == WW_F32 ? 4 : 2;
  for (int j = 0; j < WEIGHT_ROWS; j++) {
    int64_t row = min(first + j, g->n - 1);
    if (g->b.type != WW_NF4)
      w[j] = (const char *)g->b.data + row * g->k * size;
    else if (way == BY_F32) /* blocks that straddle rows: through memory */
      w[j] = matrix_row(&g->b, row, 0, g->k, (float *)room_for(&roomW, WEIGHT_ROWS * g->k) + j * g->k);
  }
  const float *thin = t->extra;
  for (const Band *band = g->bands; band < g->bands + g->bandCount; thin += band->rows * extra_stride(band), band++)
    for (int64_t row = 0; row < band->rows;) {
      int64_t left = band->rows - row;
      if (left >= 3)
        multiply(way, t, w, first, band, thin, row, 4), row += 4;
      else if (left == 2)
        multiply(way, t, w, first, band, thin, row, 2), row += 2;
      else
        multiply(way, t, w, first, band, thin, row, 1), row++;
    }
}

#define GROUP(name, way) \
  static void name(const Rows *t, int64_t group) { multiply_group(way, t, group); }
GROUP(group_f32, BY_F32)
GROUP(group_bf16, BY_BF16)
GROUP(group_f16, BY_F16)
GROUP(group_nf4, BY_NF4)
#if defined(__AVX512BF16__)
GROUP(group_bf16_pairs, PAIRS_BF16)
GROUP(group_nf4_pairs, PAIRS_NF4)
#else
#define group_bf16_pairs NULL
#define group_nf4_pairs NULL
#endif
static void (*const GROUPS[WAYS])(const Rows *, int64_t) = {group_f32, group_bf16,       group_f16,
                                                            group_nf4, group_bf16_pairs, group_nf4_pairs};

static void groups_task(void *context, int64_t index) {
  const Rows *t = context;
  int64_t end = (index + 1) * t->groups / t->tasks;
  for (int64_t group = index * t->groups / t->tasks; group < end; group++) GROUPS[t->way](t, group);
}

static Way choose(const Matrix *b, int64_t k, int bf16) {
  if (b->type == WW_NF4) return k % NF4_BLOCK ? BY_F32 : bf16 ? PAIRS_NF4 : BY_NF4;
  if (b->type == WW_BF16) return bf16 ? PAIRS_BF16 : BY_BF16;
  return b->type == WW_F16 ? BY_F16 : BY_F32;
}

void ww_gemm_rows(const Gemm *g, int bf16) {
  Rows t = {.g = g, .way = choose(&g->b, g->k, bf16)};
  t.stride = (g->k + NF4_BLOCK - 1) / NF4_BLOCK * NF4_BLOCK;
  int64_t size = g->m * t.stride;
  for (int64_t i = 0; i < g->bandCount; i++) size += g->bands[i].rows * extra_stride(&g->bands[i]);
  float *room = room_for(&roomX, size);
  t.x = arrange_x(t.way, g->a, g->m, g->k, t.stride, g->alpha, room);
  t.extra = room += g->m * t.stride;
  for (const Band *band = g->bands; band < g->bands + g->bandCount; room += band->rows * extra_stride(band), band++)
    arrange_x(BY_F32, band->a, band->rows, band->k, extra_stride(band), band->alpha, room);

  t.groups = (g->n + WEIGHT_ROWS - 1) / WEIGHT_ROWS;
  int64_t work = multiplications(g) + g->n * g->k;
  t.tasks = work < SMALL ? 1 : min(t.groups, min(8 * ww_threads(), 1 + work / SMALL));
  ww_parallel(groups_task, &t, t.tasks);
}
