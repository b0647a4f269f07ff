/*
 * What attention.c adds to a block of scores by distance, and the gradient of that. In a block [keys][queries] a distance is a diagonal:
 * with x = query - key + KEYS - 1, both counted within the block, a key's vector of queries is a stretch of values that ascend in x.
 */
#ifndef WW_ATTENTION_BIAS_H
#define WW_ATTENTION_BIAS_H

#include "attention-product.h"

enum { QUERIES = TILE_VECTORS * LANES, KEYS = 48, DIAGONALS = QUERIES + KEYS };

/* Where x's value stands among a head's 2 * reach - 1, if the block's first key stands `offset` behind its first query. */
INLINE int64_t distance_of(int64_t x, int64_t reach, int64_t offset) {
  int64_t at = offset + KEYS - 1 - x + reach - 1;
  return at < 0 ? 0 : at > 2 * reach - 2 ? 2 * reach - 2 : at;
}

/* scores [count][QUERIES] += a head's values by distance. */
static void add_bias(float *scores, const float *values, int64_t reach, int64_t offset, int64_t count) {
  float diagonals[DIAGONALS];
  for (int64_t x = 0; x < DIAGONALS; x++) diagonals[x] = values[distance_of(x, reach, offset)];
  for (int64_t j = 0; j < count; j++)
    for (int v = 0; v < TILE_VECTORS; v++) {
      float *at = scores + j * QUERIES + v * LANES;
      vstore(at, vload(at) + vload(diagonals + v * LANES - j + KEYS - 1));
    }
}

/* A head's sums by distance += ds [count][QUERIES]. Vectors of one diagonal stand LANES keys and one vector apart. */
static void add_distances(double *sums, const float *ds, int64_t reach, int64_t offset, int64_t count) {
  float diagonals[DIAGONALS] = {0};
  for (int64_t r = 0; r < LANES && r < count; r++)
    for (int64_t c = -((KEYS - 1) / LANES); c < TILE_VECTORS; c++) {
      vf sum = vsplat(0);
      for (int64_t v = c < 0 ? 0 : c; v < TILE_VECTORS && (v - c) * LANES + r < count; v++)
        sum += vload(ds + ((v - c) * LANES + r) * QUERIES + v * LANES);
      float *at = diagonals + c * LANES - r + KEYS - 1;
      vstore(at, vload(at) + sum);
    }
  for (int64_t x = 0; x < DIAGONALS; x++) sums[distance_of(x, reach, offset)] += diagonals[x];
}

#endif
