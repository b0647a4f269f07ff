/* The backward of LoRA's inner product (lora-down.cu) on bf16 tensor cores: x and the mask are read and drawn once for both gradients,
 *   parts[slice] = du[rows, r]ᵀ · drop(x)[rows, width]    (rows in slices, multiples of 64; parts.cu's ww_add_parts adds them up)
 *   dx (+)= drop(du · a)[rows, width]
 * A warp: 32 columns. Lane 4g + t holds, of x as of dx, columns 4g to 4g + 3 of rows 2t, 2t + 1, 2t + 8 and 2t + 9 of 16: of the first
 * product that is an operand (k = rows, n = one of four columns), of the second the result (m = one of four columns, n = rows). */
#include "mma.cuh"
#include "random.cuh"
#include "vector.cuh"

#ifndef RANK /* r rounded up to a multiple of 16, at most 64 */
#define RANK 64
#endif
#ifndef RAGGED /* whether r is no multiple of 8: rows of r elements are then read and written one by one */
#define RAGGED 0
#endif
#ifndef ACCUMULATE /* whether dx is added to */
#define ACCUMULATE 1
#endif
#ifndef DROP /* whether x and dx are masked */
#define DROP 1
#endif

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

constexpr int TILES = RANK / 16;
constexpr int ROWS = 64;
constexpr int DEPTH = RANK == 32 || (RANK < 32 && ACCUMULATE) ? 2 : 4; /* steps of 16 rows that are loaded ahead: as the registers allow */
constexpr int STRIDE = RANK + 8; /* by which ldmatrix meets all banks */

/* The masks of this lane's four rows of four columns, as bits of pairs of bf16; `first` is the first one's number. A block of numbers covers 8 columns, those of an even g
 * and of the odd one behind it: the even lane draws for rows 0 and 1, the odd one for 2 and 3, and they exchange halves. */
__device__ __forceinline__ void masks_of(u32 (&mask)[4][2], u64 first, int width, int odd, u32 threshold, Stream random) {
  if (odd) first += 8 * width;
  uint4 low = four_words(first >> 3, random), high = four_words((first + width) >> 3, random);
  u32 mine[4] = {odd ? low.z : low.x, odd ? low.w : low.y, odd ? high.z : high.x, odd ? high.w : high.y};
  u32 theirs[4] = {odd ? low.x : low.z, odd ? low.y : low.w, odd ? high.x : high.z, odd ? high.y : high.w};
#pragma unroll
  for (int i = 0; i < 4; i++) {
    u32 got = kept_pair(__shfl_xor_sync(0xffffffffu, theirs[i], 4), threshold), own = kept_pair(mine[i], threshold);
    mask[i / 2][i % 2] = odd ? got : own;
    mask[2 + i / 2][i % 2] = odd ? own : got;
  }
}

/* `first`, the number of x's first element, and `width` are multiples of 8; dx may be 0. */
extern "C" __global__ void __launch_bounds__(256, RANK <= 32 ? 2 : 1)
    ww_lora_down_backward(const bf16* x, const bf16* du, const float* a, float* parts, bf16* dx, int rows, int width, int r,
                          int slice, float factor, u32 threshold, u32 seed, u32 stream, u32 step, i64 first) {
  let_next_begin();
  __shared__ alignas(16) bf16 shared[2][ROWS * STRIDE];
  int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  int columns = blockIdx.x * 256 + threadIdx.x / 32 * 32, column = columns + 4 * g;
  bool inside = column < width;
  int begin = blockIdx.y * slice, end = min(rows, begin + slice);
  int chunks = (end - begin + ROWS - 1) / ROWS;

  // a's 32 columns: tile i has column 4g + 2i as its m = g, 4g + 2i + 1 as g + 8.
  u32 weight[2][TILES][4];
#pragma unroll
  for (int i = 0; i < 2; i++)
#pragma unroll
    for (int s = 0; s < TILES; s++)
#pragma unroll
      for (int j = 0; j < 4; j++) {
        int k = 16 * s + 2 * t + j / 2 * 8, at = column + 2 * i + j % 2;
        bool valid = inside && k < r;
        float even = valid ? a[(i64)k * width + at] : 0, odd = valid && k + 1 < r ? a[(i64)(k + 1) * width + at] : 0;
        weight[i][s][j] = pack_bf16(factor * even, factor * odd);
      }

  wait_for_inputs(); // a is a weight

  auto load_thin = [&](int chunk) {
    if (RAGGED) {
      for (int i = threadIdx.x; i < ROWS * RANK; i += 256) {
        int row = i / RANK, at = i % RANK, from = begin + chunk * ROWS + row;
        shared[chunk % 2][row * STRIDE + at] = from < end && at < r ? du[(i64)from * r + at] : bf16{};
      }
    } else {
      for (int i = threadIdx.x; i < ROWS * (RANK / 8); i += 256) {
        int row = i / (RANK / 8), at = i % (RANK / 8) * 8, from = begin + chunk * ROWS + row;
        bool valid = from < end && at < r;
        cp_async_16(shared_address(&shared[chunk % 2][row * STRIDE + at]), du + (valid ? (i64)from * r + at : 0), valid);
      }
    }
    cp_async_commit();
  };
  auto step_of = [](int i) { return i % 2 + i / 2 * 8; };
  uint2 large[DEPTH][4], before[DEPTH][4];
  auto load_large = [&](int row, int slot) {
    i64 at = (i64)row * width + column;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      bool valid = row + step_of(i) < end && inside;
      large[slot][i] = stream_8(x + at + step_of(i) * width, valid);
      if (ACCUMULATE)
        before[slot][i] = valid && dx ? *reinterpret_cast<const uint2*>(dx + at + step_of(i) * width) : make_uint2(0, 0);
    }
  };

  float sum[TILES][4][4] = {};
  LaneElement across = a_trans_at(lane), along = b_at(lane);
  load_thin(0);
#pragma unroll
  for (int s = 0; s < DEPTH; s++) load_large(begin + 16 * s + 2 * t, s);
  for (int chunk = 0; chunk < chunks; chunk++) {
    cp_async_wait<0>();
    __syncthreads();
    if (chunk + 1 < chunks) load_thin(chunk + 1);
    u32 stage = shared_address(shared[chunk % 2]);
#pragma unroll
    for (int s = 0; s < 4; s++) {
      int row = begin + chunk * ROWS + s * 16 + 2 * t, slot = s % DEPTH;
      i64 at = (i64)row * width + column;
      u32 mask[4][2];
      if (DROP) {
        masks_of(mask, first + at, width, g & 1, threshold, {seed, stream, step});
#pragma unroll
        for (int i = 0; i < 4; i++) large[slot][i].x &= mask[i][0], large[slot][i].y &= mask[i][1];
      }

      // Pairs of rows, column by column.
      u32 b[4][2];
#pragma unroll
      for (int h = 0; h < 2; h++) {
        uint2 low = large[slot][2 * h], high = large[slot][2 * h + 1];
        b[0][h] = __byte_perm(low.x, high.x, 0x5410);
        b[1][h] = __byte_perm(low.x, high.x, 0x7632);
        b[2][h] = __byte_perm(low.y, high.y, 0x5410);
        b[3][h] = __byte_perm(low.y, high.y, 0x7632);
      }
#pragma unroll
      for (int tile = 0; tile < TILES; tile++) {
        u32 f[4];
        ldmatrix_x4_trans(f, stage + ((s * 16 + across.row) * STRIDE + tile * 16 + across.column) * 2);
#pragma unroll
        for (int j = 0; j < 4; j++) mma_bf16(sum[tile][j], f, b[j][0], b[j][1]);
      }
      if (dx) {
        float c[2][2][4] = {};
#pragma unroll
        for (int k = 0; k < TILES; k++) {
          u32 f[4];
          ldmatrix_x4(f, stage + ((s * 16 + along.row) * STRIDE + k * 16 + along.column) * 2);
#pragma unroll
          for (int i = 0; i < 2; i++)
#pragma unroll
            for (int h = 0; h < 2; h++) mma_bf16(c[i][h], weight[i][k], f[2 * h], f[2 * h + 1]);
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
          int h = i / 2, e = i % 2;
          u32 pairs[2];
#pragma unroll
          for (int j = 0; j < 2; j++) {
            float low = c[j][h][e], high = c[j][h][2 + e];
            if (DROP) {
              low = __uint_as_float(__float_as_uint(low) & __byte_perm(mask[i][j], 0, 0x1010));
              high = __uint_as_float(__float_as_uint(high) & __byte_perm(mask[i][j], 0, 0x3232));
            }
            if (ACCUMULATE) {
              u32 old = j ? before[slot][i].y : before[slot][i].x;
              low += low_bf16(old), high += high_bf16(old);
            }
            pairs[j] = pack_bf16(low, high);
          }
          if (inside && row + step_of(i) < end)
            *reinterpret_cast<uint2*>(dx + at + step_of(i) * width) = make_uint2(pairs[0], pairs[1]);
        }
      }
      load_large(row + 16 * DEPTH, slot);
    }
  }

  // This lane's sums are those of columns 8t + 4e + j, e the low bit of a sum's place.
  float* part = parts + (i64)blockIdx.y * r * width;
#pragma unroll
  for (int tile = 0; tile < TILES; tile++)
#pragma unroll
    for (int h = 0; h < 2; h++)
#pragma unroll
      for (int e = 0; e < 2; e++) {
        int i = tile * 16 + 8 * h + g, at = columns + 8 * t + 4 * e;
        if (i >= r || at >= width) continue;
        const auto& from = sum[tile];
        *reinterpret_cast<float4*>(part + (i64)i * width + at) =
            make_float4(from[0][2 * h + e], from[1][2 * h + e], from[2][2 * h + e], from[3][2 * h + e]);
      }
}

#endif
