/* Thin products in f32 arithmetic, for activations in f32 and for sizes and addresses that the tensor cores' kernels do not take; and
 * the last stage of both, which adds up the parts of a split sum in a fixed order. */
#include "vector.cuh"

#ifndef TA /* types of the factors and of the result */
#define TA float
#endif
#ifndef TB
#define TB float
#endif
#ifndef OUT
#define OUT float
#endif

constexpr int TILE = 64;
constexpr int DEPTH = 16;

/* c = [from] + [bias] + alpha · op(a) · op(b), or, with `parts`, parts[slice] = op(a) · op(b) over a slice of k (a multiple of 16). A
 * block: 64 x 64 results, 256 threads with 4 x 4 each, 16 apart. */
extern "C" __global__ void __launch_bounds__(256)
    ww_thin_plain(const TA* a, const TB* b, const OUT* from, const float* bias, OUT* c, float* parts, int m, int n, int k,
                  int trans_a, int trans_b, float alpha, int slice) {
  __shared__ float left[DEPTH][TILE + 1], right[DEPTH][TILE + 1];
  int row0 = blockIdx.x * TILE, column0 = blockIdx.y * TILE, x = threadIdx.x % 16, y = threadIdx.x / 16;
  int begin = blockIdx.z * slice, end = min(k, begin + slice);
  float sum[4][4] = {};
  for (int k0 = begin; k0 < end; k0 += DEPTH) {
    for (int i = threadIdx.x; i < TILE * DEPTH; i += 256) {
      int line = trans_a ? i % TILE : i / DEPTH, depth = trans_a ? i / TILE : i % DEPTH;
      float v = 0;
      if (row0 + line < m && k0 + depth < end) {
        i64 at = trans_a ? (i64)(k0 + depth) * m + row0 + line : (i64)(row0 + line) * k + k0 + depth;
        v = to_float(a[at]);
      }
      left[depth][line] = v;
      line = trans_b ? i / DEPTH : i % TILE, depth = trans_b ? i % DEPTH : i / TILE;
      v = 0;
      if (column0 + line < n && k0 + depth < end) {
        i64 at = trans_b ? (i64)(column0 + line) * k + k0 + depth : (i64)(k0 + depth) * n + column0 + line;
        v = to_float(b[at]);
      }
      right[depth][line] = v;
    }
    __syncthreads();
#pragma unroll
    for (int depth = 0; depth < DEPTH; depth++)
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) sum[i][j] += left[depth][y + 16 * i] * right[depth][x + 16 * j];
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) {
      int row = row0 + y + 16 * i, column = column0 + x + 16 * j;
      if (row >= m || column >= n) continue;
      i64 at = (i64)row * n + column;
      if (parts) {
        parts[(i64)blockIdx.z * m * n + at] = sum[i][j];
        continue;
      }
      float v = alpha * sum[i][j];
      if (bias) v += bias[column];
      if (from) v += to_float(from[at]);
      c[at] = from_float<OUT>(v);
    }
}

/* c = [from] + alpha · Σ over `count` parts of n elements. */
extern "C" __global__ void ww_thin_reduce(const float* parts, const OUT* from, OUT* c, i64 n, int count, float alpha,
                                          int vector) {
  for_elements<4>(n, vector, [=](i64 i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> sum = load<N>(parts + i);
#pragma unroll 8
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
