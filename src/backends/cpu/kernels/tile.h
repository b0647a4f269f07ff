/*
 * The innermost loop of the matrix product: a tile of the result, `rows` x `vectors` registers, summed over the depth of two packed
 * panels. Every element is one running sum over k in order, so that its bits depend neither on its place nor on the size of the call.
 * Heights and widths are chosen for the number of registers; smaller ones serve the edges and thin matrices.
 */
#ifndef WW_TILE_H
#define WW_TILE_H

#include "ww.h"

#if WW_LANES == 16
enum { HEIGHTS = 3, HEIGHT = 14, HEIGHT_1 = 8, HEIGHT_2 = 4 };
#elif WW_LANES == 8
enum { HEIGHTS = 3, HEIGHT = 6, HEIGHT_1 = 4, HEIGHT_2 = 2 };
#elif defined(__aarch64__)
enum { HEIGHTS = 3, HEIGHT = 12, HEIGHT_1 = 8, HEIGHT_2 = 4 };
#else
enum { HEIGHTS = 3, HEIGHT = 4, HEIGHT_1 = 4, HEIGHT_2 = 4 };
#endif
enum { VECTORS = 2, WIDTH = VECTORS * WW_LANES };

/* Where a tile goes: c [rows, cols] with rows of `stride`, plus `add` (same stride) and `bias` where they are not NULL. */
typedef struct {
  float *c;
  const float *add, *bias;
  int64_t stride, rows, cols;
} Target;

/* `depth` of a's panel with b's, then what remains of a's with `moreDepth` of a second one. */
typedef void Tile(const float *a, const float *b, int64_t depth, const float *more, int64_t moreDepth, Target t);

static inline __attribute__((always_inline)) void tile_row(const Target *t, int64_t row, const vf *sums, int vectors) {
  float *c = t->c + row * t->stride;
  const float *add = t->add ? t->add + row * t->stride : NULL;
  if (t->cols == vectors * WW_LANES) {
    for (int v = 0; v < vectors; v++) {
      vf x = sums[v];
      if (add) x += vload(add + v * WW_LANES);
      if (t->bias) x += vload(t->bias + v * WW_LANES);
      vstore(c + v * WW_LANES, x);
    }
    return;
  }
  float part[WIDTH] = {0};
  for (int v = 0; v < vectors; v++) vstore(part + v * WW_LANES, sums[v]);
  for (int64_t j = 0; j < t->cols; j++) {
    float x = part[j];
    if (add) x += add[j];
    if (t->bias) x += t->bias[j];
    c[j] = x;
  }
}

static inline __attribute__((always_inline)) void tile_f32(const float *a, const float *b, int64_t depth, const float *more, int64_t moreDepth,
                                                           Target t, const int height, const int vectors) {
  vf sums[HEIGHT][VECTORS];
  WW_UNROLL for (int r = 0; r < height; r++)
    WW_UNROLL for (int v = 0; v < vectors; v++) sums[r][v] = vsplat(0);
  for (int part = 0; part < 2; part++, b = more, depth = moreDepth)
    for (int64_t k = 0; k < depth; k++) {
      vf row[VECTORS];
      WW_UNROLL for (int v = 0; v < vectors; v++) row[v] = vload(b + v * WW_LANES);
      WW_UNROLL for (int r = 0; r < height; r++) {
        vf x = vsplat(a[r]);
        WW_UNROLL for (int v = 0; v < vectors; v++) sums[r][v] = vfma(x, row[v], sums[r][v]);
      }
      a += height;
      b += vectors * WW_LANES;
    }
  WW_UNROLL for (int r = 0; r < height; r++)
    if (r < t.rows) tile_row(&t, r, sums[r], vectors);
}

#if defined(__AVX512BF16__)
/* The same over panels of pairs: each 32-bit element holds two successive k in bfloat16; `depth` counts pairs. */
static inline __attribute__((always_inline)) void tile_bf16(const float *a, const float *b, int64_t depth, const float *more, int64_t moreDepth,
                                                            Target t, const int height, const int vectors) {
  vf sums[HEIGHT][VECTORS];
  WW_UNROLL for (int r = 0; r < height; r++)
    WW_UNROLL for (int v = 0; v < vectors; v++) sums[r][v] = vsplat(0);
  for (int part = 0; part < 2; part++, b = more, depth = moreDepth)
    for (int64_t k = 0; k < depth; k++) {
      vf row[VECTORS];
      WW_UNROLL for (int v = 0; v < vectors; v++) row[v] = vload(b + v * WW_LANES);
      WW_UNROLL for (int r = 0; r < height; r++) {
        int32_t pair;
        memcpy(&pair, a + r, 4);
        __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
        WW_UNROLL for (int v = 0; v < vectors; v++) sums[r][v] = (vf)_mm512_dpbf16_ps((__m512)sums[r][v], x, (__m512bh)row[v]);
      }
      a += height;
      b += vectors * WW_LANES;
    }
  WW_UNROLL for (int r = 0; r < height; r++)
    if (r < t.rows) tile_row(&t, r, sums[r], vectors);
}
#endif

/* One function a size, and the table of them: [which height][vectors - 1]. */
#define TILE(kind, name, height, vectors)                                                      \
  static void kind##_##name##_##vectors(const float *a, const float *b, int64_t depth, const float *more, int64_t moreDepth, Target t) { \
    kind(a, b, depth, more, moreDepth, t, height, vectors);                                     \
  }
#define TILES(kind, table)                                                                      \
  TILE(kind, high, HEIGHT, 1)                                                                   \
  TILE(kind, high, HEIGHT, 2)                                                                   \
  TILE(kind, low, HEIGHT_1, 1)                                                                  \
  TILE(kind, low, HEIGHT_1, 2)                                                                  \
  TILE(kind, least, HEIGHT_2, 1)                                                                \
  TILE(kind, least, HEIGHT_2, 2)                                                                \
  static Tile *const table[HEIGHTS][VECTORS] = {                                                \
      {kind##_high_1, kind##_high_2}, {kind##_low_1, kind##_low_2}, {kind##_least_1, kind##_least_2}}

TILES(tile_f32, TILES_F32);
#if defined(__AVX512BF16__)
TILES(tile_bf16, TILES_BF16);
#endif

#endif
