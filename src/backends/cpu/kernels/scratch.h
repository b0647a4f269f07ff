/*
 * What the kernels besides the matrix products share: a thread's scratch memory, the choice between one thread and all, and a few
 * moves of vectors that the compilers' vector extensions do not name.
 */
#ifndef WW_SCRATCH_H
#define WW_SCRATCH_H
#include "room.h"
#include "ww.h"

/* The same for the running task, by source file: the next call returns the same memory. */
static inline void *ww_scratch(int64_t floats) {
  static _Thread_local Room room;
  return room_for(&room, floats);
}

/* Memory for one call's partial sums. */
static inline float *ww_partials(int64_t floats) {
  float *memory = aligned_alloc(64, (sizeof(float) * (size_t)floats + 63) / 64 * 64);
  if (!memory) abort();
  return memory;
}

/* Below about this many vectorizable operations waking the other threads costs more than they save. */
enum { WW_SMALL = 1 << 16 };

/* Runs tasks 0 .. n-1, on all threads if their `work` (elements touched, roughly) is worth it. */
static inline void ww_tasks(void (*task)(void *context, int64_t index), void *context, int64_t n, int64_t work) {
  if (n > 1 && work > WW_SMALL)
    ww_parallel(task, context, n);
  else
    for (int64_t i = 0; i < n; i++) task(context, i);
}

/* Four floats, for moves across lanes. */
typedef float v4 __attribute__((vector_size(16)));

static inline v4 v4load(const float *p) {
  v4 x;
  memcpy(&x, p, sizeof x);
  return x;
}
static inline void v4store(float *p, v4 x) { memcpy(p, &x, sizeof x); }

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE4(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef int32_t ww_index4 __attribute__((vector_size(16)));
#define SHUFFLE4(a, b, i, j, k, l) __builtin_shuffle(a, b, (ww_index4){i, j, k, l})
#endif

/* The first n of LANES values (more than LANES count as all), zeros behind them. */
static inline vf vload_n(const float *p, int64_t n) {
  if (n >= WW_LANES) return vload(p);
  float part[WW_LANES] = {0};
  for (int64_t i = 0; i < n; i++) part[i] = p[i];
  return vload(part);
}

static inline void vstore_n(float *p, vf x, int64_t n) {
  if (n >= WW_LANES) {
    vstore(p, x);
    return;
  }
  for (int64_t i = 0; i < n; i++) p[i] = x[i];
}

/* Lanes folded to four by adding halves. */
static inline v4 vfold(vf x) {
  v4 part[WW_LANES / 4];
  memcpy(part, &x, sizeof part);
  for (int width = WW_LANES / 8; width > 0; width /= 2)
    for (int i = 0; i < width; i++) part[i] += part[i + width];
  return part[0];
}

/* The sum over a vector's lanes, always in the same order. */
static inline float vsum(vf x) {
  v4 part = vfold(x);
  return (part[0] + part[2]) + (part[1] + part[3]);
}

/* Four such sums at once, in the same order. */
static inline v4 vsum4(vf a, vf b, vf c, vf d) {
  v4 p = vfold(a), q = vfold(b), r = vfold(c), s = vfold(d);
  v4 pq = SHUFFLE4(p, q, 0, 1, 4, 5) + SHUFFLE4(p, q, 2, 3, 6, 7);
  v4 rs = SHUFFLE4(r, s, 0, 1, 4, 5) + SHUFFLE4(r, s, 2, 3, 6, 7);
  return SHUFFLE4(pq, rs, 0, 2, 4, 6) + SHUFFLE4(pq, rs, 1, 3, 5, 7);
}

static inline vf vsqrt(vf x) {
  for (int i = 0; i < WW_LANES; i++) x[i] = __builtin_sqrtf(x[i]);
  return x;
}

#endif
