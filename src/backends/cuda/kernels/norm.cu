/* RMSNorm (arXiv:1910.07467): y = x · rstd · w with rstd = 1 / sqrt(mean(x²) + eps). A block a row; the second look at a row finds it
 * in the cache. */
#include "vector.cuh"

extern "C" __global__ void ww_rms_norm(const T* x, const float* w, T* y, float* rstd, int dim, float eps, int vector) {
  begin_kernel();
  __shared__ float shared[32];
  i64 start = (i64)blockIdx.x * dim;
  float squares = 0;
  for_row<LANES>(dim, vector, threadIdx.x, blockDim.x, [&](int i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> v = load<N>(x + start + i);
    for (int j = 0; j < N; j++) squares += v.v[j] * v.v[j];
  });
  float by = 1.f / sqrtf(block_sum(squares, shared) / (float)dim + eps);
  if (threadIdx.x == 0) rstd[blockIdx.x] = by;
  for_row<LANES>(dim, vector, threadIdx.x, blockDim.x, [&](int i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> v = load<N>(x + start + i), weight = load<N>(w + i);
    for (int j = 0; j < N; j++) v.v[j] = v.v[j] * by * weight.v[j];
    store(y + start + i, v);
  });
}

/* With g = dy · w: dx (+)= rstd · (g - x · rstd² · mean(g · x)). */
extern "C" __global__ void ww_rms_norm_backward(const T* dy, const T* x, const float* w, const float* rstd, T* dx,
                                                int dim, int accumulate, int vector) {
  begin_kernel();
  __shared__ float shared[32];
  i64 start = (i64)blockIdx.x * dim;
  float dot = 0;
  for_row<LANES>(dim, vector, threadIdx.x, blockDim.x, [&](int i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> d = load<N>(dy + start + i), v = load<N>(x + start + i), weight = load<N>(w + i);
    for (int j = 0; j < N; j++) dot += d.v[j] * weight.v[j] * v.v[j];
  });
  float by = rstd[blockIdx.x];
  float slope = block_sum(dot, shared) / (float)dim * by * by;
  for_row<LANES>(dim, vector, threadIdx.x, blockDim.x, [&](int i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> d = load<N>(dy + start + i), v = load<N>(x + start + i), weight = load<N>(w + i);
    for (int j = 0; j < N; j++) d.v[j] = by * (d.v[j] * weight.v[j] - v.v[j] * slope);
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
