/* Normal numbers, dropout and NEFTune's noise (arXiv:2310.05914): an element's number depends on seed, stream, step and place alone. */
#include "random.cuh"
#include "vector.cuh"

#ifndef OUT /* what normal numbers are rounded to */
#define OUT float
#endif

/* Box and Muller (Annals of Mathematical Statistics 29, 1958), in double: near 1 float32 has too few numbers for the logarithm. A
 * thread makes four elements. */
extern "C" __global__ void ww_fill_normal(OUT* y, i64 n, double deviation, u32 seed, u32 stream, u32 step) {
  wait_for_inputs();
  i64 first = 4 * ((i64)blockIdx.x * blockDim.x + threadIdx.x);
  if (first >= n) return;
  uint4 w = four_words(first >> 2, {seed, stream, step});
  u32 a[2] = {w.x, w.z}, b[2] = {w.y, w.w};
  for (int pair = 0; pair < 2; pair++) {
    double radius = deviation * sqrt(-2 * log((a[pair] + 0.5) * 0x1p-32)), sine, cosine;
    sincospi(b[pair] * 0x1p-31, &sine, &cosine);
    i64 i = first + 2 * pair;
    if (i < n) y[i] = from_float<OUT>((float)(radius * cosine));
    if (i + 1 < n) y[i + 1] = from_float<OUT>((float)(radius * sine));
  }
}

/* The upper 24 bits of a word make u, which float32 holds exactly. */
extern "C" __global__ void ww_add_uniform_noise(T* x, const float* magnitude, int rows, int dim, u32 seed, u32 stream,
                                                u32 step, int shift, int vector) {
  begin_kernel();
  RowPlace at = row_place(shift);
  if (at.row >= rows) return;
  float by = magnitude[at.row];
  for_row<LANES>(dim, vector, at.thread, at.threads, [=](int i, auto width) {
    constexpr int N = WIDTH_OF(width);
    i64 element = at.row * dim + i;
    Floats<N> v = load<N>(x + element);
    uint4 w = {};
#pragma unroll
    for (int j = 0; j < N; j++) {
      if (j % 4 == 0) w = four_words((u64)(element + j) >> 2, {seed, stream, step});
      u32 word = word_of(w, N % 4 == 0 ? j % 4 : (int)(element & 3));
      v.v[j] += by * ((float)(word >> 8) * 0x1p-23f - 1.f);
    }
    store(x + element, v);
  });
}

extern "C" __global__ void ww_dropout(const T* x, T* y, i64 n, u32 threshold, float factor, u32 seed, u32 stream,
                                      u32 step, i64 first, int accumulate, int vector) {
  begin_kernel();
  for_elements<LANES>(n, vector, [=](i64 i, auto width) {
    constexpr int N = WIDTH_OF(width);
    u32 bits = kept<N>(first + i, {seed, stream, step}, threshold);
    Floats<N> v = load<N>(x + i), before;
    if (accumulate) before = load<N>(y + i);
    for (int j = 0; j < N; j++) {
      v.v[j] = bits >> j & 1 ? v.v[j] * factor : 0.f;
      if (accumulate) v.v[j] += before.v[j];
    }
    store(y + i, v);
  });
}
