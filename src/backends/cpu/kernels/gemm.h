/*
 * What the two ways to multiply matrices share: the product as the contract's GemmArgs puts it, and reading the second factor, in
 * whatever type it stands, as floats.
 */
#ifndef WW_GEMM_H
#define WW_GEMM_H

#include "nf4.h"

enum { WW_NF4 = 5 }; /* beside the DType codes of ww.h */

typedef struct {
  const void *data; /* not for NF4 */
  int type;
  int64_t rows, cols;
  Nf4 nf4;
} Matrix;

/* c [m, n] = alpha * op(a) * op(b) + extraAlpha * op(extraA) * op(extraB) + bias + add; add may be NULL, c or another matrix. */
typedef struct {
  int64_t m, n, k, extraK;
  const float *a, *extraA, *extraB, *bias, *add;
  float *c;
  Matrix b;
  int transA, transB;
  float alpha, extraAlpha;
} Gemm;

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

/* Memory of the calling thread, aligned to 64 bytes, at least `floats` long, kept from call to call. */
typedef struct {
  float *memory;
  int64_t size;
} Room;

static inline float *room_for(Room *room, int64_t floats) {
  if (room->size < floats) {
    free(room->memory);
    room->size = (floats + 4095) / 4096 * 4096;
    room->memory = aligned_alloc(64, sizeof(float) * (size_t)room->size);
    if (!room->memory) abort();
  }
  return room->memory;
}

void ww_gemm_tiles(const Gemm *g, int bf16);
void ww_gemm_rows(const Gemm *g, int bf16);

/* Whether the processor and the system have tile registers, whether ww_gemm_amx computes this product, and the product. */
int ww_has_amx(void);
int ww_amx_takes(const Gemm *g);
void ww_gemm_amx(const Gemm *g);

#endif
