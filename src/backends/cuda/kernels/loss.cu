/* What is computed from a row of logits: cross-entropy with its gradient, and the place of the largest. A block a row. */
#include "vector.cuh"

/* A running logsumexp: `sum` of e^(x - most). */
struct Softmax {
  float most, sum;
};
/* Finite, so that logits of -Infinity are weighed with 0. */
#define LOWEST -3.402823466e38f

__device__ __forceinline__ Softmax merged(Softmax a, Softmax b) {
  float most = fmaxf(a.most, b.most);
  return {most, a.sum * expf(a.most - most) + b.sum * expf(b.most - most)};
}

/* `gradient` (null: none) may be `logits`: a thread writes what it alone has read, after the target's logit was. */
extern "C" __global__ void ww_cross_entropy(const float* logits, const int* targets, float* losses, T* gradient, int vocab,
                                            float scale, float smoothing, int vector) {
  begin_kernel();
  __shared__ Softmax shared[32];
  __shared__ float totals[32];
  i64 start = (i64)blockIdx.x * vocab;
  const float* row = logits + start;
  int target = targets[blockIdx.x];
  if (target < 0) {
    if (threadIdx.x == 0) losses[blockIdx.x] = 0;
    if (gradient)
      for_row<4>(vocab, vector, threadIdx.x, blockDim.x, [&](int i, auto width) {
        Floats<WIDTH_OF(width)> zero = {};
        store(gradient + start + i, zero);
      });
    return;
  }
  Softmax all = {LOWEST, 0};
  float total = 0;
  for_row<4>(vocab, vector, threadIdx.x, blockDim.x, [&](int i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> x = load<N>(row + i);
    float most = all.most;
    for (int j = 0; j < N; j++) most = fmaxf(most, x.v[j]);
    if (most != all.most) all = {most, all.sum * expf(all.most - most)};
    for (int j = 0; j < N; j++) all.sum += expf(x.v[j] - most);
    if (smoothing > 0)
      for (int j = 0; j < N; j++) total += x.v[j];
  });
  for (int offset = 16; offset > 0; offset >>= 1) {
    total += __shfl_xor_sync(0xffffffffu, total, offset);
    all = merged(all, {__shfl_xor_sync(0xffffffffu, all.most, offset), __shfl_xor_sync(0xffffffffu, all.sum, offset)});
  }
  // A target beyond the row has no logit: its loss is NaN.
  float goal = target < vocab ? row[target] : __int_as_float(0x7fc00000);
  if (threadIdx.x % 32 == 0) {
    shared[threadIdx.x / 32] = all;
    totals[threadIdx.x / 32] = total;
  }
  __syncthreads();
  all = shared[0];
  for (int i = 1; i < (int)blockDim.x / 32; i++) all = merged(all, shared[i]);
  if (threadIdx.x == 0) {
    float loss = all.most - goal + logf(all.sum);
    if (smoothing > 0) {
      total = 0;
      for (int i = 0; i < (int)blockDim.x / 32; i++) total += totals[i];
      loss += smoothing * (goal - total / vocab);
    }
    losses[blockIdx.x] = loss;
  }
  if (!gradient) return;
  // In double: what is taken from the target of a row of one logit is all of `scale`.
  float by = scale / all.sum, everywhere = scale * smoothing / vocab;
  float at_target = scale * (float)(1 - (double)smoothing * (1 - 1. / vocab));
  for_row<4>(vocab, vector, threadIdx.x, blockDim.x, [&](int i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> x = load<N>(row + i);
    for (int j = 0; j < N; j++) x.v[j] = expf(x.v[j] - all.most) * by - (i + j == target ? at_target : everywhere);
    store(gradient + start + i, x);
  });
}

struct Best {
  float value;
  int place;
};
/* A NaN counts as the largest, as in torch; of equals the first wins. */
__device__ __forceinline__ Best better(Best a, Best b) {
  bool a_nan = a.value != a.value, b_nan = b.value != b.value;
  if (a_nan != b_nan) return a_nan ? a : b;
  if (a_nan || a.value == b.value) return a.place < b.place ? a : b;
  return a.value > b.value ? a : b;
}

extern "C" __global__ void ww_argmax(const float* x, int* out, int cols, int vector) {
  begin_kernel();
  __shared__ Best shared[32];
  const float* row = x + (i64)blockIdx.x * cols;
  Best best = {row[0], 0};
  for_row<4>(cols, vector, threadIdx.x, blockDim.x, [&](int i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> v = load<N>(row + i);
    for (int j = 0; j < N; j++) best = better(best, {v.v[j], i + j});
  });
  for (int offset = 16; offset > 0; offset >>= 1)
    best = better(best, {__shfl_xor_sync(0xffffffffu, best.value, offset), __shfl_xor_sync(0xffffffffu, best.place, offset)});
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = best;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int i = 1; i < (int)blockDim.x / 32; i++) best = better(best, shared[i]);
  out[blockIdx.x] = best.place;
}
