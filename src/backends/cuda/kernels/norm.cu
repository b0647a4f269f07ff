/* RMSNorm (arXiv:1910.07467): y = x · rstd · (offset + w) with rstd = 1 / sqrt(mean(x²) + eps). A block a row; where one warp is
 * enough for a row, as for that of a head, a warp. The second look at a row finds it in the cache. */
#include "vector.cuh"

/* The row that a thread works on, and how many do. */
struct NormRow {
  i64 row;
  int thread, threads;
};
__device__ __forceinline__ NormRow norm_row(int warps) {
  if (!warps) return {(i64)blockIdx.x, (int)threadIdx.x, (int)blockDim.x};
  return {(i64)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, (int)threadIdx.x % 32, 32};
}

extern "C" __global__ void ww_rms_norm(const T* x, const float* w, T* y, float* rstd, int rows, int dim, float eps,
                                       float offset, int warps, int vector) {
  begin_kernel();
  __shared__ float shared[32];
  NormRow at = norm_row(warps);
  if (at.row >= rows) return;
  i64 start = at.row * dim;
  float squares = 0;
  for_row<LANES>(dim, vector, at.thread, at.threads, [&](int i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> v = load<N>(x + start + i);
    for (int j = 0; j < N; j++) squares += v.v[j] * v.v[j];
  });
  float sum = warps ? warp_sum(squares) : block_sum(squares, shared);
  float by = 1.f / sqrtf(sum / (float)dim + eps);
  if (at.thread == 0) rstd[at.row] = by;
  for_row<LANES>(dim, vector, at.thread, at.threads, [&](int i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> v = load<N>(x + start + i), weight = load<N>(w + i);
    for (int j = 0; j < N; j++) v.v[j] = v.v[j] * by * (offset + weight.v[j]);
    store(y + start + i, v);
  });
}

/* With g = dy · (offset + w): dx (+)= rstd · (g - x · rstd² · mean(g · x)). */
extern "C" __global__ void ww_rms_norm_backward(const T* dy, const T* x, const float* w, const float* rstd, T* dx,
                                                int rows, int dim, float offset, int accumulate, int warps, int vector) {
  begin_kernel();
  __shared__ float shared[32];
  NormRow at = norm_row(warps);
  if (at.row >= rows) return;
  i64 start = at.row * dim;
  float dot = 0;
  for_row<LANES>(dim, vector, at.thread, at.threads, [&](int i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> d = load<N>(dy + start + i), v = load<N>(x + start + i), weight = load<N>(w + i);
    for (int j = 0; j < N; j++) dot += d.v[j] * (offset + weight.v[j]) * v.v[j];
  });
  float by = rstd[at.row];
  float slope = (warps ? warp_sum(dot) : block_sum(dot, shared)) / (float)dim * by * by;
  for_row<LANES>(dim, vector, at.thread, at.threads, [&](int i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> d = load<N>(dy + start + i), v = load<N>(x + start + i), weight = load<N>(w + i);
    for (int j = 0; j < N; j++) d.v[j] = by * (d.v[j] * (offset + weight.v[j]) - v.v[j] * slope);
    if (accumulate) {
      Floats<N> before = load<N>(dx + start + i);
      for (int j = 0; j < N; j++) d.v[j] += before.v[j];
    }
    store(dx + start + i, d);
  });
}

/* parts[chunk, c] = Σ dy · x · rstd over `chunk` rows of column c; reduce.cu adds the chunks up. */
extern "C" __global__ void ww_norm_weight_parts(const T* dy, const T* x, const float* rstd, float* parts, int rows, int dim,
                                                int chunk) {
  begin_kernel();
  int c = blockIdx.x * blockDim.x + threadIdx.x;
  if (c >= dim) return;
  int first = blockIdx.y * chunk, end = min(rows, first + chunk);
  float sum = 0;
#pragma unroll 4
  for (int r = first; r < end; r++)
    sum += to_float(dy[(i64)r * dim + c]) * to_float(x[(i64)r * dim + c]) * rstd[r];
  parts[(i64)blockIdx.y * dim + c] = sum;
}
