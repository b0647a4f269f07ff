/* The matrix product of decoding: y[m, n] = alpha · x[m, k] · w[n, k]ᵀ and what is added to it, for a few rows of x. The weight is read once,
 * NF4 as it is stored, which bounds the time; a warp takes R rows of w, so that the numbers of x, once unpacked, serve R times, and the
 * warps of a group share k. Sums have an order that the shape alone fixes. */
#include "added.cuh"
#include "nf4.cuh"

#ifndef WEIGHT /* of a dense w; NF4 where PACKED */
#define WEIGHT bf16
#endif
#ifndef PACKED
#define PACKED 0
#endif
#ifndef M /* rows of x at most */
#define M 1
#endif
#ifndef R /* rows of w a warp */
#define R 4
#endif
#ifndef OUT
#define OUT T
#endif

constexpr int WARPS = 8;
/* Neighbouring weights that a lane takes at a time: 16 bytes of NF4, 16 or 32 bytes of the others. */
constexpr int CHUNK = PACKED ? 32 : 8;

extern "C" __global__ void __launch_bounds__(WARPS * 32)
    ww_matvec(const T* x, const void* w, const void* absmax, const float* nested, const float* map, const float* offset, OUT* y,
              const float* bias, const OUT* residual, const T* u, const float* b, int m, int n, int k, int r, float alpha,
              float extra_alpha, int splits) {
  begin_kernel();
  __shared__ float sums[WARPS][M * R];
#if PACKED
  __shared__ float codes[16];
  if (threadIdx.x < 16) codes[threadIdx.x] = CODES[threadIdx.x];
#if NESTED
  __shared__ float scale_map[256];
  scale_map[threadIdx.x] = map[threadIdx.x];
#endif
  __syncthreads();
#endif
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, groups = WARPS / splits;
  const int group = blockIdx.x * groups + warp / splits, split = warp % splits;
  const int first_m = blockIdx.y * M;
  float acc[M][R] = {};
  i64 row[R];
  for (int i = 0; i < R; i++) row[i] = (i64)min(group * R + i, n - 1) * k;
  const T* from[M];
  for (int j = 0; j < M; j++) from[j] = x + (i64)min(first_m + j, m - 1) * k;

  for (int at = (split * 32 + lane) * CHUNK; at < k; at += splits * 32 * CHUNK) {
    float part[M][R] = {};
#if PACKED
    uint4 words[R];
    float scale[R];
#pragma unroll
    for (int i = 0; i < R; i++) {
      words[i] = __ldg(reinterpret_cast<const uint4*>((const u8*)w + (row[i] + at) / 2));
      i64 block = (row[i] + at) >> 6;
#if NESTED
      scale[i] = __fadd_rn(__fmul_rn(scale_map[((const u8*)absmax)[block]], nested[block >> 8]), offset[0]);
#else
      scale[i] = ((const float*)absmax)[block];
#endif
    }
#endif
#pragma unroll
    for (int sub = 0; sub < CHUNK / 8; sub++) {
      Floats<8> xs[M];
#pragma unroll
      for (int j = 0; j < M; j++) xs[j] = load<8>(from[j] + at + sub * 8);
#pragma unroll
      for (int i = 0; i < R; i++) {
#if PACKED
        Floats<8> ws;
        u32 word = sub == 0 ? words[i].x : sub == 1 ? words[i].y : sub == 2 ? words[i].z : words[i].w;
        // The earlier value stands in a byte's high half.
#pragma unroll
        for (int j = 0; j < 4; j++) {
          ws.v[2 * j] = codes[(word >> (8 * j + 4)) & 15u];
          ws.v[2 * j + 1] = codes[(word >> (8 * j)) & 15u];
        }
#else
        Floats<8> ws = load<8>((const WEIGHT*)w + row[i] + at);
#endif
#pragma unroll
        for (int j = 0; j < M; j++)
#pragma unroll
          for (int e = 0; e < 8; e++) part[j][i] += xs[j].v[e] * ws.v[e];
      }
    }
#pragma unroll
    for (int i = 0; i < R; i++)
#pragma unroll
      for (int j = 0; j < M; j++) {
#if PACKED
        acc[j][i] += part[j][i] * scale[i];
#else
        acc[j][i] += part[j][i];
#endif
      }
  }

#pragma unroll
  for (int j = 0; j < M; j++)
#pragma unroll
    for (int i = 0; i < R; i++) {
      float sum = warp_sum(acc[j][i]);
      if (lane == 0) sums[warp][j * R + i] = sum;
    }
  __syncthreads();
  if ((int)threadIdx.x >= groups * M * R) return;
  const int g = threadIdx.x / (M * R), item = threadIdx.x % (M * R);
  const int j = first_m + item / R, column = (blockIdx.x * groups + g) * R + item % R;
  if (j >= m || column >= n) return;
  float sum = 0;
  for (int s = 0; s < splits; s++) sum += sums[g * splits + s][item];
  y[(i64)j * n + column] = from_float<OUT>(alpha * sum + added(u, b, r, extra_alpha, bias, residual, j, column, n));
}
