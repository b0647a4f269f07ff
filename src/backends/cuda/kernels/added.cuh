/* What decoding's products add to place (j, column) of y [m, n]. */
#pragma once
#include "vector.cuh"

/* alpha · u[j, r] · b[column, r]ᵀ (LoRA's) + bias[column] + residual[j, column]; null pointers add nothing. */
template <typename Thin, typename Kept>
__device__ __forceinline__ float added(const Thin* u, const float* b, int r, float alpha, const float* bias, const Kept* residual, int j,
                                       int column, int n) {
  float sum = 0;
  if (u) {
    for (int i = 0; i < r; i++) sum += to_float(u[(i64)j * r + i]) * b[(i64)column * r + i];
    sum *= alpha;
  }
  if (bias) sum += bias[column];
  if (residual) sum += to_float(residual[(i64)j * n + column]);
  return sum;
}
