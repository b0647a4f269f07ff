/* The gradient's norm, its clipping, and AdamW (arXiv:1711.05101) in the order of torch.optim.AdamW's operations. All f32. */
#include "vector.cuh"

/* Sum over a block of 256 threads, in thread 0. */
__device__ __forceinline__ double block_sum_double(double x) {
  __shared__ double shared[256];
  shared[threadIdx.x] = x;
  for (int half = 128; half > 0; half >>= 1) {
    __syncthreads();
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
  }
  return shared[0];
}

/* parts[block] = Σ x² over `chunk` (a multiple of 4) elements. */
extern "C" __global__ void ww_sum_squares_parts(const float* x, i64 n, double* parts, int chunk, int vector) {
  begin_kernel();
  i64 first = (i64)blockIdx.x * chunk;
  int length = (int)min((i64)chunk, n - first), whole = vector ? length / 4 * 4 : 0;
  double sum = 0;
  for (int i = 4 * threadIdx.x; i < whole; i += 4 * blockDim.x) {
    Floats<4> v = load<4>(x + first + i);
    for (int j = 0; j < 4; j++) sum += (double)v.v[j] * v.v[j];
  }
  for (int i = whole + threadIdx.x; i < length; i += blockDim.x) sum += (double)x[first + i] * x[first + i];
  sum = block_sum_double(sum);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

extern "C" __global__ void ww_sum_squares(const double* parts, int count, float* out, int accumulate) {
  begin_kernel();
  double sum = 0;
  for (int i = threadIdx.x; i < count; i += blockDim.x) sum += parts[i];
  sum = block_sum_double(sum);
  if (threadIdx.x == 0) *out = (float)(sum + (accumulate ? *out : 0.f));
}

extern "C" __global__ void ww_clip_coefficient(const float* sum_squares, double max_norm, float* out) {
  begin_kernel();
  double sum = *sum_squares;
  bool finite = fabs(sum) < __longlong_as_double(0x7ff0000000000000ll);
  *out = finite ? (float)fmin(1.0, max_norm / (sqrt(sum) + 1e-6)) : __int_as_float(0x7fc00000);
}

/* `rate` = lr / (1 - beta1^step), `root_correction` = sqrt(1 - beta2^step), `keep` = 1 - lr · weightDecay; rest1 = 1 - beta1 and rest2
 * are rounded from double. */
extern "C" __global__ void ww_adamw(float* param, const float* grad, float* m, float* v, i64 n, float rate, float beta1,
                                    float rest1, float beta2, float rest2, float root_correction, float eps, float keep,
                                    const float* grad_scale, int vector) {
  wait_for_inputs();
  float scale = *grad_scale;
  if (scale != scale) return;
  for_elements<4>(n, vector, [=](i64 i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> p = load<N>(param + i), g = load<N>(grad + i), mean = load<N>(m + i), square = load<N>(v + i);
    for (int j = 0; j < N; j++) {
      float d = g.v[j] * scale;
      mean.v[j] = beta1 * mean.v[j] + rest1 * d;
      square.v[j] = beta2 * square.v[j] + rest2 * d * d;
      p.v[j] = p.v[j] * keep - rate * mean.v[j] / (sqrtf(square.v[j]) / root_correction + eps);
    }
    store(param + i, p);
    store(m + i, mean);
    store(v + i, square);
  });
}
