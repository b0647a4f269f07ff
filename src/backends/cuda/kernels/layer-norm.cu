/* LayerNorm (arXiv:1607.06450): y = n · w + b with n = (x - mean) · rstd, rstd = 1 / sqrt(variance + eps). A block a row; later looks at a
 * row find it in the cache. */
#include "vector.cuh"

extern "C" __global__ void ww_layer_norm(const T* x, const float* w, const float* b, T* y, float* mean, float* rstd, int dim,
                                         float eps, int vector) {
  begin_kernel();
  __shared__ float shared[32];
  i64 start = (i64)blockIdx.x * dim;
  float sum = 0, squares = 0;
  for_row<LANES>(dim, vector, threadIdx.x, blockDim.x, [&](int i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> v = load<N>(x + start + i);
    for (int j = 0; j < N; j++) sum += v.v[j];
  });
  float middle = block_sum(sum, shared) / (float)dim;
  for_row<LANES>(dim, vector, threadIdx.x, blockDim.x, [&](int i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> v = load<N>(x + start + i);
    for (int j = 0; j < N; j++) squares += (v.v[j] - middle) * (v.v[j] - middle);
  });
  float by = 1.f / sqrtf(block_sum(squares, shared) / (float)dim + eps);
  if (threadIdx.x == 0) {
    mean[blockIdx.x] = middle;
    rstd[blockIdx.x] = by;
  }
  for_row<LANES>(dim, vector, threadIdx.x, blockDim.x, [&](int i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> v = load<N>(x + start + i), weight = load<N>(w + i), bias = load<N>(b + i);
    for (int j = 0; j < N; j++) v.v[j] = (v.v[j] - middle) * by * weight.v[j] + bias.v[j];
    store(y + start + i, v);
  });
}

/* With g = dy · w: dx (+)= rstd · (g - mean(g) - n · mean(g · n)). */
extern "C" __global__ void ww_layer_norm_backward(const T* dy, const T* x, const float* w, const float* mean, const float* rstd,
                                                  T* dx, int dim, int accumulate, int vector) {
  begin_kernel();
  __shared__ float shared[32];
  i64 start = (i64)blockIdx.x * dim;
  float middle = mean[blockIdx.x], by = rstd[blockIdx.x], sum = 0, dot = 0;
  for_row<LANES>(dim, vector, threadIdx.x, blockDim.x, [&](int i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> d = load<N>(dy + start + i), v = load<N>(x + start + i), weight = load<N>(w + i);
    for (int j = 0; j < N; j++) {
      float g = d.v[j] * weight.v[j];
      sum += g;
      dot += g * ((v.v[j] - middle) * by);
    }
  });
  float shift = block_sum(sum, shared) / (float)dim, slope = block_sum(dot, shared) / (float)dim;
  for_row<LANES>(dim, vector, threadIdx.x, blockDim.x, [&](int i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> d = load<N>(dy + start + i), v = load<N>(x + start + i), weight = load<N>(w + i);
    for (int j = 0; j < N; j++) d.v[j] = by * (d.v[j] * weight.v[j] - shift - (v.v[j] - middle) * by * slope);
    if (accumulate) {
      Floats<N> before = load<N>(dx + start + i);
      for (int j = 0; j < N; j++) d.v[j] += before.v[j];
    }
    store(dx + start + i, d);
  });
}

/* parts[chunk, c] = Σ dy · n over `chunk` rows of column c, and, behind those of all chunks, Σ dy; reduce.cu adds the chunks up. */
extern "C" __global__ void ww_layer_norm_parts(const T* dy, const T* x, const float* mean, const float* rstd, float* parts,
                                               int rows, int dim, int chunk) {
  begin_kernel();
  int c = blockIdx.x * blockDim.x + threadIdx.x;
  if (c >= dim) return;
  int first = blockIdx.y * chunk, end = min(rows, first + chunk);
  float weight = 0, bias = 0;
#pragma unroll 4
  for (int r = first; r < end; r++) {
    float d = to_float(dy[(i64)r * dim + c]);
    weight += d * ((to_float(x[(i64)r * dim + c]) - mean[r]) * rstd[r]);
    bias += d;
  }
  parts[(i64)blockIdx.y * dim + c] = weight;
  parts[((i64)gridDim.y + blockIdx.y) * dim + c] = bias;
}
