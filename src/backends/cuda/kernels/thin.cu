/* What stands in c before a product is added to it, LoRA's thin product (arXiv:2106.09685) with it, on bf16 tensor cores: a pass over c,
 * so that memory is the limit. A product does not care in which order k is summed: a lane takes neighbouring elements of memory for the
 * k's (or n's) that the instruction gives it, and the other factor follows the same order. */
#include "mma.cuh"
#include "vector.cuh"

#ifndef RANK /* r rounded up to a multiple of 16, at most 64 */
#define RANK 64
#endif
#ifndef RAGGED /* whether r is no multiple of 8: rows of r elements are then read and written one by one */
#define RAGGED 0
#endif
#ifndef TRANS_B /* whether the f32 factor is [n, k], not [k, n] */
#define TRANS_B 1
#endif
#ifndef FROM /* whether anything stands there already */
#define FROM 1
#endif
#ifndef OUT /* the type of the result */
#define OUT bf16
#endif

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

/* c[m, n] = [from] + [bias] + alpha · u[m, r] · op(w). A warp: 32 columns, whose factors it keeps in registers, of `slice`
 * rows (a multiple of 32). Lane 4g + t holds columns 8t to 8t + 7 of its rows, two of each of four n tiles. r may be 0. */

constexpr int K_STEPS = RANK / 16;

/* k of slot (half, 0) of step s in lane t: two steps share 16 bytes of a row of u, a last odd one takes 8. */
__device__ __forceinline__ int k_of(int s, int t, int half) {
  return s / 2 * 2 + 1 < K_STEPS ? s / 2 * 32 + 8 * t + s % 2 * 4 + half * 2 : s * 16 + 4 * t + half * 2;
}

/* Eight elements as they lie in memory. */
struct Raw {
  uint4 words[sizeof(OUT) / 2];
  __device__ __forceinline__ void read(const OUT* p) {
#pragma unroll
    for (int i = 0; i < (int)sizeof(OUT) / 2; i++) words[i] = reinterpret_cast<const uint4*>(p)[i];
  }
  __device__ __forceinline__ float value(int e) const {
    constexpr int EACH = 4 / sizeof(OUT);
    const uint4& w = words[e / EACH / 4];
    int i = e / EACH % 4;
    u32 word = i == 0 ? w.x : i == 1 ? w.y : i == 2 ? w.z : w.w;
    return EACH == 1 ? __uint_as_float(word) : e % 2 ? high_bf16(word) : low_bf16(word);
  }
};

extern "C" __global__ void __launch_bounds__(256, RANK <= 16 ? 3 : 2)
    ww_thin_outer(const bf16* u, const float* w, const OUT* from, const float* bias, OUT* c, int m, int n, int r, float alpha,
                  int slice) {
  let_next_begin();
  int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  int columns = blockIdx.x * 256 + threadIdx.x / 32 * 32, column = columns + 8 * t;
  if (columns >= n) return;
  bool inside = column < n;

  u32 b[K_STEPS][4][2];
#pragma unroll
  for (int s = 0; s < K_STEPS; s++)
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        int at = columns + g / 2 * 8 + 2 * j + g % 2, k = k_of(s, t, half);
        float low = 0, high = 0;
        if (k < r && at < n) {
          low = TRANS_B ? w[(i64)at * r + k] : w[(i64)k * n + at];
          if (!RAGGED || k + 1 < r) high = TRANS_B ? w[(i64)at * r + k + 1] : w[(i64)(k + 1) * n + at];
        }
        b[s][j][half] = pack_bf16(low, high);
      }
  Floats<8> shift = {};
  if (bias && inside) shift = load<8>(bias + column);

  wait_for_inputs(); // w and the bias are weights

  // What 16 rows want is read while the 32 before them are computed.
  int begin = blockIdx.y * slice, end = min(m, begin + slice);
  u32 next[2][K_STEPS][4];
  Raw before[2][2];
  auto read = [&](int rows, int tile) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      int row = rows + 16 * tile + 8 * h;
      const bf16* at = u + (i64)row * r;
#pragma unroll
      for (int s = 0; s < K_STEPS; s++) {
        u32(&even)[4] = next[tile][s];
        int k = k_of(s, t, 0);
        bool valid = row < end && k < r;
        if (RAGGED) {
#pragma unroll
          for (int half = 0; half < 2; half++) {
            int first = k_of(s, t, half);
            u32 low = row < end && first < r ? at[first].bits : 0, high = row < end && first + 1 < r ? at[first + 1].bits : 0;
            even[2 * half + h] = low | high << 16;
          }
          continue;
        }
        if (s % 2 == 0 && s + 1 < K_STEPS) {
          u32(&odd)[4] = next[tile][s + 1];
          uint4 v = make_uint4(0, 0, 0, 0);
          if (valid) v = *reinterpret_cast<const uint4*>(at + k);
          even[h] = v.x, even[2 + h] = v.y, odd[h] = v.z, odd[2 + h] = v.w;
        } else if (s % 2 == 0) {
          uint2 v = make_uint2(0, 0);
          if (valid) v = *reinterpret_cast<const uint2*>(at + k);
          even[h] = v.x, even[2 + h] = v.y;
        }
      }
      if (FROM && inside && row < end) before[tile][h].read(from + (i64)row * n + column);
    }
  };
  read(begin + g, 0);
  read(begin + g, 1);
  for (int rows = begin + g; rows - g < end; rows += 32) {
#pragma unroll
    for (int tile = 0; tile < 2; tile++) {
      float sum[4][4] = {};
#pragma unroll
      for (int s = 0; s < K_STEPS; s++)
#pragma unroll
        for (int j = 0; j < 4; j++) mma_bf16(sum[j], next[tile][s], b[s][j][0], b[s][j][1]);
      Floats<8> v[2] = {shift, shift};
#pragma unroll
      for (int h = 0; h < 2; h++)
#pragma unroll
        for (int e = 0; e < 8; e++) {
          v[h].v[e] += alpha * sum[e / 2][2 * h + e % 2];
          if (FROM) v[h].v[e] += before[tile][h].value(e);
        }
      read(rows + 32, tile);
#pragma unroll
      for (int h = 0; h < 2; h++) {
        int row = rows + 16 * tile + 8 * h;
        if (inside && row < end) store(c + (i64)row * n + column, v[h]);
      }
    }
  }
}

#endif
