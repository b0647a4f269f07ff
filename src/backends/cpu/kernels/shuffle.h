/*
 * Moves between lanes, whose builtins differ between compilers, and the two rearrangements the matrix products need.
 */
#ifndef WW_SHUFFLE_H
#define WW_SHUFFLE_H

#include "ww.h"

/* Lane indices are constants; those from WW_LANES on mean the second vector. */
#if defined(__clang__) || __GNUC__ >= 12
#define WW_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define WW_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (vi){__VA_ARGS__})
#endif

/* Within each quarter (128 bits) of the vectors: indices 0-3 mean the first vector's, 4-7 the second's. */
#define WW_AT(i, q) ((i) < 4 ? 4 * (q) + (i) : WW_LANES + 4 * (q) + (i)-4)
#define WW_QUARTER(i, j, k, l, q) WW_AT(i, q), WW_AT(j, q), WW_AT(k, q), WW_AT(l, q)
#if WW_LANES == 16
#define WW_IN_QUARTERS(a, b, i, j, k, l) \
  WW_SHUFFLE(a, b, WW_QUARTER(i, j, k, l, 0), WW_QUARTER(i, j, k, l, 1), WW_QUARTER(i, j, k, l, 2), WW_QUARTER(i, j, k, l, 3))
#elif WW_LANES == 8
#define WW_IN_QUARTERS(a, b, i, j, k, l) WW_SHUFFLE(a, b, WW_QUARTER(i, j, k, l, 0), WW_QUARTER(i, j, k, l, 1))
#else
#define WW_IN_QUARTERS(a, b, i, j, k, l) WW_SHUFFLE(a, b, WW_QUARTER(i, j, k, l, 0))
#endif

/* Four floats of each of the rows i, 4 + i, 8 + i, ... */
static inline vf vload_quarters(const float *const *rows, int i, int64_t at) {
#if WW_LANES == 16
  __m512 x = _mm512_castps128_ps512(_mm_loadu_ps(rows[i] + at));
  x = _mm512_insertf32x4(x, _mm_loadu_ps(rows[i + 4] + at), 1);
  x = _mm512_insertf32x4(x, _mm_loadu_ps(rows[i + 8] + at), 2);
  return (vf)_mm512_insertf32x4(x, _mm_loadu_ps(rows[i + 12] + at), 3);
#elif WW_LANES == 8
  return (vf)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(rows[i] + at)), _mm_loadu_ps(rows[i + 4] + at), 1);
#else
  return vload(rows[i] + at);
#endif
}

/* WW_LANES rows, four floats from `at` on: columns[j] = the rows' float at + j. */
static inline void vtranspose4(const float *const *rows, int64_t at, vf columns[4]) {
  vf a = vload_quarters(rows, 0, at), b = vload_quarters(rows, 1, at);
  vf c = vload_quarters(rows, 2, at), d = vload_quarters(rows, 3, at);
  vf ab01 = WW_IN_QUARTERS(a, b, 0, 4, 1, 5), ab23 = WW_IN_QUARTERS(a, b, 2, 6, 3, 7);
  vf cd01 = WW_IN_QUARTERS(c, d, 0, 4, 1, 5), cd23 = WW_IN_QUARTERS(c, d, 2, 6, 3, 7);
  columns[0] = WW_IN_QUARTERS(ab01, cd01, 0, 1, 4, 5);
  columns[1] = WW_IN_QUARTERS(ab01, cd01, 2, 3, 6, 7);
  columns[2] = WW_IN_QUARTERS(ab23, cd23, 0, 1, 4, 5);
  columns[3] = WW_IN_QUARTERS(ab23, cd23, 2, 3, 6, 7);
}

/* The first n < WW_LANES floats, zeros behind them; nothing beyond is touched. */
static inline vf vload_part(const float *p, int64_t n) {
#if WW_LANES == 16
  return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
  float part[WW_LANES] = {0};
  for (int64_t i = 0; i < n; i++) part[i] = p[i];
  return vload(part);
#endif
}

typedef float v4 __attribute__((vector_size(16)));

/* The sums over the lanes of four vectors, always in the same order. */
static inline v4 vsum4(vf a, vf b, vf c, vf d) {
  vf ab = WW_IN_QUARTERS(a, b, 0, 4, 1, 5) + WW_IN_QUARTERS(a, b, 2, 6, 3, 7);
  vf cd = WW_IN_QUARTERS(c, d, 0, 4, 1, 5) + WW_IN_QUARTERS(c, d, 2, 6, 3, 7);
  vf sums = WW_IN_QUARTERS(ab, cd, 0, 1, 4, 5) + WW_IN_QUARTERS(ab, cd, 2, 3, 6, 7);
  v4 quarter[WW_LANES / 4], sum;
  memcpy(quarter, &sums, sizeof sums);
  sum = quarter[0];
  for (int i = 1; i < WW_LANES / 4; i++) sum += quarter[i];
  return sum;
}

/* even[0], odd[0], even[1], ... */
static inline void vstore_interleaved(float *to, vf even, vf odd) {
#if WW_LANES == 16
  vstore(to, WW_SHUFFLE(even, odd, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
  vstore(to + 16, WW_SHUFFLE(even, odd, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31));
#elif WW_LANES == 8
  vstore(to, WW_SHUFFLE(even, odd, 0, 8, 1, 9, 2, 10, 3, 11));
  vstore(to + 8, WW_SHUFFLE(even, odd, 4, 12, 5, 13, 6, 14, 7, 15));
#else
  vstore(to, WW_SHUFFLE(even, odd, 0, 4, 1, 5));
  vstore(to + 4, WW_SHUFFLE(even, odd, 2, 6, 3, 7));
#endif
}

/* The inverse: 2 * WW_LANES floats to their even and odd ones. */
static inline void vload_interleaved(const float *from, vf *even, vf *odd) {
  vf a = vload(from), b = vload(from + WW_LANES);
#if WW_LANES == 16
  *even = WW_SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  *odd = WW_SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#elif WW_LANES == 8
  *even = WW_SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
  *odd = WW_SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
#else
  *even = WW_SHUFFLE(a, b, 0, 2, 4, 6);
  *odd = WW_SHUFFLE(a, b, 1, 3, 5, 7);
#endif
}

#endif
