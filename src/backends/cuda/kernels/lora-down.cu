/* LoRA's inner product u = drop(x) · aᵀ (arXiv:2106.09685) on bf16 tensor cores, its sum over k split:
 *   parts[slice][rows, r] = drop(x)[rows, k] · a[r, k]ᵀ    (k in slices; parts.cu's ww_add_parts adds them up)
 * x is read once, straight into the instructions' registers: a sum does not care for its order, so that a lane takes neighbouring
 * elements of memory for the k's that the instruction gives it, and a, which lies in shared memory, follows the same order. */
#include "mma.cuh"
#include "random.cuh"
#include "vector.cuh"

#ifndef RANK /* r rounded up to a multiple of 8, at most 64 */
#define RANK 64
#endif
#ifndef RAGGED /* whether r is no multiple of 8: rows of r elements are then read and written one by one */
#define RAGGED 0
#endif
#ifndef DROP /* whether x is masked */
#define DROP 1
#endif

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

constexpr int TILES = RANK / 8;

/* A block: 256 rows, by 8 warps of 32 rows for each half of a chunk of 64 k's; lane 4g + t takes k 8t to 8t + 7 of its half of rows
 * g + 8i. `slice` is a multiple of 64. Dynamic shared memory: RANK (slice + 32) bf16, or 256 RANK floats where that is more. */
extern "C" __global__ void __launch_bounds__(512, 1)
    ww_lora_down(const bf16* x, const float* a, float* parts, int rows, int k, int r, int slice, u32 threshold, u32 seed,
                 u32 stream, u32 step, i64 first) {
  let_next_begin();
  extern __shared__ float4 dynamic[];
  bf16* factor = reinterpret_cast<bf16*>(dynamic);
  int stride = slice + 32; /* by which a warp's reads meet all banks */
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
  int half = warp / 8, begin = blockIdx.y * slice, end = min(k, begin + slice);
  int chunks = (end - begin + 63) / 64;
  int row = blockIdx.x * 256 + warp % 8 * 32 + g, column = half * 32 + 8 * t;

  auto load_rows = [&](uint4(&to)[4], int chunk) {
    int at = begin + column + chunk * 64;
#pragma unroll
    for (int i = 0; i < 4; i++) to[i] = stream_16(x + (i64)(row + 8 * i) * k + at, row + 8 * i < rows && at < end);
  };
  for (int i = threadIdx.x; i < RANK * (slice / 8); i += 512) {
    int n = i / (slice / 8), at = i % (slice / 8) * 8;
    Floats<8> f = {};
    if (begin + at < end && n < r) f = load<8>(a + (i64)n * k + begin + at);
    store(factor + n * stride + at, f);
  }
  wait_for_inputs(); // a is a weight
  uint4 even[4], odd[4];
  load_rows(even, 0);
  load_rows(odd, 1);
  __syncthreads();

  float c[2][TILES][4] = {};
  auto multiply = [&](uint4(&x4)[4], int chunk) {
    if (DROP) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        u64 element = first + (i64)(row + 8 * i) * k + begin + column + chunk * 64;
        uint4 w = four_words(element >> 3, {seed, stream, step});
        x4[i].x &= kept_pair(w.x, threshold), x4[i].y &= kept_pair(w.y, threshold);
        x4[i].z &= kept_pair(w.z, threshold), x4[i].w &= kept_pair(w.w, threshold);
      }
    }
#pragma unroll
    for (int j = 0; j < TILES; j++) {
      uint4 b = *reinterpret_cast<const uint4*>(factor + (8 * j + g) * stride + chunk * 64 + column);
#pragma unroll
      for (int tile = 0; tile < 2; tile++) {
        const uint4 &low = x4[2 * tile], &high = x4[2 * tile + 1];
        mma_bf16(c[tile][j], {low.x, high.x, low.y, high.y}, b.x, b.y);
        mma_bf16(c[tile][j], {low.z, high.z, low.w, high.w}, b.z, b.w);
      }
    }
    load_rows(x4, chunk + 2);
  };
  for (int chunk = 0; chunk < chunks; chunk += 2) {
    multiply(even, chunk);
    if (chunk + 1 < chunks) multiply(odd, chunk + 1);
  }

  // The halves' sums meet in the first half's warps.
  __syncthreads();
  float* mine = reinterpret_cast<float*>(dynamic) + threadIdx.x % 256;
  if (half == 1) {
#pragma unroll
    for (int tile = 0; tile < 2; tile++)
#pragma unroll
      for (int j = 0; j < TILES; j++)
#pragma unroll
        for (int i = 0; i < 4; i++) mine[((tile * TILES + j) * 4 + i) * 256] = c[tile][j][i];
  }
  __syncthreads();
  if (half == 1) return;
#pragma unroll
  for (int tile = 0; tile < 2; tile++)
#pragma unroll
    for (int j = 0; j < TILES; j++) {
#pragma unroll
      for (int i = 0; i < 4; i++) c[tile][j][i] += mine[((tile * TILES + j) * 4 + i) * 256];
#pragma unroll
      for (int h = 0; h < 2; h++) {
        int at = row + 16 * tile + 8 * h, n = 8 * j + 2 * t;
        float* to = parts + ((i64)blockIdx.y * rows + at) * r + n;
        if (at >= rows) continue;
        if (!RAGGED) {
          *reinterpret_cast<float2*>(to) = make_float2(c[tile][j][2 * h], c[tile][j][2 * h + 1]);
        } else {
          if (n < r) to[0] = c[tile][j][2 * h];
          if (n + 1 < r) to[1] = c[tile][j][2 * h + 1];
        }
      }
    }
}

#endif
