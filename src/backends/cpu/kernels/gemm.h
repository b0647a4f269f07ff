/*
 * What the two ways to multiply matrices share: the product as the contract's GemmArgs puts it, and reading the second factor, in
 * whatever type it stands, as floats.
 */
#ifndef WW_GEMM_H
#define WW_GEMM_H

#include "nf4.h"
#include "room.h"

enum { WW_NF4 = 5 }; /* beside the DType codes of ww.h */

typedef struct {
  const void *data; /* not for NF4 */
  int type;
  int64_t rows, cols;
  Nf4 nf4;
} Matrix;

/* Rows of a product, first .. first + rows - 1, and what thin product is added to them: alpha * op(a) * op(b); k 0: none. */
typedef struct {
  int64_t first, rows, k;
  const float *a, *b;
  float alpha;
} Band;

/* c [m, n] = alpha * op(a) * op(b) + its bands' products + bias + add; add may be NULL, c or another matrix. Bands are all rows in order. */
typedef struct {
  int64_t m, n, k;
  const float *a, *bias, *add;
  float *c;
  Matrix b;
  int transA, transB;
  float alpha;
  const Band *bands;
  int64_t bandCount;
} Gemm;

/* At most `height` rows of one band: a product goes from piece to piece, so that no two thin products meet in one. */
typedef struct {
  const Band *band;
  int64_t row, rows;
} Piece;

static inline int64_t count_pieces(const Gemm *g, int64_t height) {
  int64_t n = 0;
  for (int64_t i = 0; i < g->bandCount; i++) n += (g->bands[i].rows + height - 1) / height;
  return n;
}

static inline Piece piece_at(const Gemm *g, int64_t height, int64_t index) {
  const Band *band = g->bands;
  for (int64_t n; index >= (n = (band->rows + height - 1) / height); band++) index -= n;
  int64_t row = index * height, left = band->rows - row;
  return (Piece){band, band->first + row, left < height ? left : height};
}

/* The largest k of the thin products. */
static inline int64_t thickest(const Gemm *g) {
  int64_t k = 0;
  for (int64_t i = 0; i < g->bandCount; i++)
    if (g->bands[i].k > k) k = g->bands[i].k;
  return k;
}

/* Multiplications in all. */
static inline int64_t multiplications(const Gemm *g) {
  int64_t n = g->m * g->k;
  for (int64_t i = 0; i < g->bandCount; i++) n += g->bands[i].rows * g->bands[i].k;
  return n * g->n;
}

/* Values start .. start + count - 1 of x (f32, bf16 or f16) as floats. */
void ww_to_floats(const void *x, int type, int64_t start, int64_t count, float *to);

/* `count` floats of a row; `room` is used where they do not stand in memory as such. */
static inline const float *matrix_row(const Matrix *b, int64_t row, int64_t col, int64_t count, float *room) {
  int64_t start = row * b->cols + col;
  if (b->type == WW_F32) return (const float *)b->data + start;
  if (b->type == WW_NF4)
    ww_nf4_range(&b->nf4, start, count, room);
  else
    ww_to_floats(b->data, b->type, start, count, room);
  return room;
}

void ww_gemm_tiles(const Gemm *g, int bf16);
void ww_gemm_rows(const Gemm *g, int bf16);

/* Whether the processor and the system have tile registers, whether ww_gemm_amx computes this product, and the product. */
int ww_has_amx(void);
int ww_amx_takes(const Gemm *g);
void ww_gemm_amx(const Gemm *g);

#endif
