/* Sums over rows in two stages of a fixed order: f32 over a few rows, then double over the parts. */
#include "vector.cuh"

/* parts[chunk, c] = Σ x over `chunk` rows of column c. */
extern "C" __global__ void ww_sum_rows_parts(const T* x, float* parts, int rows, int cols, int chunk) {
  begin_kernel();
  int c = blockIdx.x * blockDim.x + threadIdx.x;
  if (c >= cols) return;
  int first = blockIdx.y * chunk, end = min(rows, first + chunk);
  float sum = 0;
#pragma unroll 4
  for (int r = first; r < end; r++) sum += to_float(x[(i64)r * cols + c]);
  parts[(i64)blockIdx.y * cols + c] = sum;
}

/* y[c] (+)= Σ over the parts. */
extern "C" __global__ void ww_sum_parts(const float* parts, float* y, int count, int cols, int accumulate) {
  begin_kernel();
  int c = blockIdx.x * blockDim.x + threadIdx.x;
  if (c >= cols) return;
  double sum = accumulate ? y[c] : 0;
  for (int i = 0; i < count; i++) sum += parts[(i64)i * cols + c];
  y[c] = (float)sum;
}
