/* thin.cu's product in f32 arithmetic, for activations in f32 and for sizes and addresses that the tensor cores' kernel does not take. */
#include "vector.cuh"

#ifndef TA /* types of u and of the result */
#define TA float
#endif
#ifndef OUT
#define OUT float
#endif

constexpr int TILE = 64;
constexpr int DEPTH = 16;

/* c[m, n] = [from] + [bias] + alpha · u[m, k] · op(w); w is [n, k] or, not `trans`, [k, n]. A block: 64 x 64 results, 256 threads with
 * 4 x 4 each, 16 apart. */
extern "C" __global__ void __launch_bounds__(256)
    ww_thin_plain(const TA* u, const float* w, const OUT* from, const float* bias, OUT* c, int m, int n, int k, int trans,
                  float alpha) {
  begin_kernel();
  __shared__ float left[DEPTH][TILE + 1], right[DEPTH][TILE + 1];
  int row0 = blockIdx.x * TILE, column0 = blockIdx.y * TILE, x = threadIdx.x % 16, y = threadIdx.x / 16;
  float sum[4][4] = {};
  for (int k0 = 0; k0 < k; k0 += DEPTH) {
    for (int i = threadIdx.x; i < TILE * DEPTH; i += 256) {
      int line = i / DEPTH, depth = i % DEPTH;
      bool valid = row0 + line < m && k0 + depth < k;
      left[depth][line] = valid ? to_float(u[(i64)(row0 + line) * k + k0 + depth]) : 0.f;
      if (!trans) line = i % TILE, depth = i / TILE;
      valid = column0 + line < n && k0 + depth < k;
      i64 at = trans ? (i64)(column0 + line) * k + k0 + depth : (i64)(k0 + depth) * n + column0 + line;
      right[depth][line] = valid ? w[at] : 0.f;
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
      float v = alpha * sum[i][j];
      if (bias) v += bias[column];
      if (from) v += to_float(from[at]);
      c[at] = from_float<OUT>(v);
    }
}
