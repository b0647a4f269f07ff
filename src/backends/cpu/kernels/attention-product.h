/* The small register-blocked matrix product of attention.c. */
#ifndef WW_ATTENTION_PRODUCT_H
#define WW_ATTENTION_PRODUCT_H

#include "ww.h"
#include "scratch.h"

#if defined(__AVX512F__) || defined(__aarch64__)
#define TILE_ROWS 8 /* 32 vector registers: 8 x 3 sums, 3 vectors, 1 broadcast */
#else
#define TILE_ROWS 4
#endif
#define TILE_VECTORS 3

enum { LANES = WW_LANES };

/* What a result tile starts from: nothing, itself, or itself times a factor a column. */
typedef enum { SET, ADD, RESCALE } Start;

#define INLINE static inline __attribute__((always_inline))

/* c[r][j] = start + sum over k of a[r * rowStride + k * depthStride] * b[k][j], for TILE_ROWS rows and `width` vectors of columns. */
INLINE void tile(float *c, int64_t ldc, const float *a, int64_t rowStride, int64_t depthStride, const float *b,
                 int64_t ldb, int64_t depth, Start start, const float *factor, const int width) {
  vf sum[TILE_ROWS][TILE_VECTORS];
#pragma GCC unroll 8
  for (int r = 0; r < TILE_ROWS; r++)
#pragma GCC unroll 3
    for (int v = 0; v < width; v++) {
      if (start == SET)
        sum[r][v] = vsplat(0);
      else
        sum[r][v] = vload(c + r * ldc + v * LANES);
      if (start == RESCALE) sum[r][v] *= vload(factor + v * LANES);
    }
  for (int64_t k = 0; k < depth; k++) {
    vf column[TILE_VECTORS];
#pragma GCC unroll 3
    for (int v = 0; v < width; v++) column[v] = vload(b + k * ldb + v * LANES);
#pragma GCC unroll 8
    for (int r = 0; r < TILE_ROWS; r++) {
      vf row = vsplat(a[r * rowStride + k * depthStride]);
#pragma GCC unroll 3
      for (int v = 0; v < width; v++) sum[r][v] += row * column[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < TILE_ROWS; r++)
#pragma GCC unroll 3
    for (int v = 0; v < width; v++) vstore(c + r * ldc + v * LANES, sum[r][v]);
}

/* The tile for each width and for either unit stride of `a`. */
INLINE void tile_any(float *c, int64_t ldc, const float *a, int64_t lda, int transposed, const float *b, int64_t ldb, int64_t depth,
                     Start start, const float *factor, const int width) {
  if (transposed)
    tile(c, ldc, a, 1, lda, b, ldb, depth, start, factor, width);
  else
    tile(c, ldc, a, lda, 1, b, ldb, depth, start, factor, width);
}

/*
 * c [rows, columns] = start + op(a) · b, where op(a)[r][k] is a[r * lda + k], or a[k * lda + r] when `transposed`. Rows are a
 * multiple of 8 and columns of LANES; every array is padded accordingly.
 */
static void product(float *c, int64_t ldc, const float *a, int64_t lda, int transposed, const float *b, int64_t ldb, int64_t rows,
                    int64_t columns, int64_t depth, Start start, const float *factor) {
  int64_t vectors = columns / LANES;
  while (vectors > 0) {
    int64_t width = vectors == 1 ? 1 : vectors == 2 || vectors == 4 ? 2 : 3;
    for (int64_t r = 0; r < rows; r += TILE_ROWS) {
      float *to = c + r * ldc;
      const float *from = a + (transposed ? r : r * lda);
      if (width == 3)
        tile_any(to, ldc, from, lda, transposed, b, ldb, depth, start, factor, 3);
      else if (width == 2)
        tile_any(to, ldc, from, lda, transposed, b, ldb, depth, start, factor, 2);
      else
        tile_any(to, ldc, from, lda, transposed, b, ldb, depth, start, factor, 1);
    }
    b += width * LANES;
    c += width * LANES;
    if (factor) factor += width * LANES;
    vectors -= width;
  }
}

#endif
