/* The last stage of sums that several blocks share: their parts, added up in a fixed order. */
#include "vector.cuh"

#ifndef OUT
#define OUT float
#endif

/* c = [from] + alpha · Σ over `count` parts of n elements. */
extern "C" __global__ void ww_add_parts(const float* parts, const OUT* from, OUT* c, i64 n, int count, float alpha, int vector) {
  begin_kernel();
  for_elements<4>(n, vector, [=](i64 i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> sum = load<N>(parts + i);
#pragma unroll 16
    for (int p = 1; p < count; p++) {
      Floats<N> part = load<N>(parts + p * n + i);
      for (int j = 0; j < N; j++) sum.v[j] += part.v[j];
    }
    Floats<N> before = {};
    if (from) before = load<N>(from + i);
    for (int j = 0; j < N; j++) sum.v[j] = before.v[j] + alpha * sum.v[j];
    store(c + i, sum);
  });
}
