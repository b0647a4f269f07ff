/* What the flash kernels share: tiles of bf16 rows in shared memory, filled in the background, and the products of tiles. */
#pragma once
#include "mma.cuh"

#ifndef HEAD_DIM /* a multiple of 16; above 128 of 32 */
#define HEAD_DIM 128
#endif
#ifndef RANGED /* 1: a row sees first[row] .. end[row] - 1 of the other side (whole segments, cross attention); 0: causal */
#define RANGED 0
#endif
#ifndef BIAS /* 1: values by distance are added to the scaled scores */
#define BIAS 0
#endif

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

/* Eight elements of padding make a row an odd number of 16-byte chunks long: eight rows at one column then meet all banks. */
constexpr int STRIDE = HEAD_DIM + 8;
constexpr int STEPS = HEAD_DIM / 16; /* of 16 dimensions */
constexpr float LOG2E = 1.4426950408889634f;
#define INFINITE __int_as_float(0x7f800000)

__host__ __device__ constexpr int tile_bytes(int rows) { return rows * STRIDE * 2; }

/* `Rows` rows of HEAD_DIM elements, `stride` apart, into the tile at `to`; zeros from row `present` (> 0) on. */
template <int Rows, int Threads>
__device__ __forceinline__ void load_tile(u32 to, const bf16 *from, i64 stride, int present) {
  constexpr int CHUNKS = HEAD_DIM / 8, STEP = Threads / CHUNKS; /* rows at once; threads left over rest */
  int row = threadIdx.x / CHUNKS, chunk = threadIdx.x % CHUNKS;
  if (Threads % CHUNKS != 0 && row >= STEP) return;
  from += row * stride + chunk * 8;
  to += (row * STRIDE + chunk * 8) * 2;
#pragma unroll
  for (int r = 0; r < Rows; r += STEP) {
    if (Rows % STEP == 0 || row + r < Rows) cp_async_16(to + r * STRIDE * 2, from, row + r < present);
    from += STEP * stride;
  }
}

/* Of the other side, what rows see: none sees anything outside first .. end - 1, and each sees all of commonFirst .. commonEnd - 1. */
struct Seen {
  int first, end, commonFirst, commonEnd;
};
/* The rows row0 .. row0 + Rows - 1 of `length`, by a whole warp. A row that sees nothing, or is not there, empties what is common. */
template <int Rows>
__device__ __forceinline__ Seen seen_by(const int *first, const int *end, int row0, int length) {
  constexpr int MOST = 0x7fffffff;
  Seen all = {MOST, 0, 0, MOST};
#pragma unroll
  for (int r = 0; r < Rows; r += 32) {
    const int row = row0 + r + (int)threadIdx.x % 32;
    if (r + (int)threadIdx.x % 32 >= Rows) continue;
    const int from = row < length ? first[row] : MOST, to = row < length ? end[row] : 0;
    all = {min(all.first, from), max(all.end, to), max(all.commonFirst, from), min(all.commonEnd, to)};
  }
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    all.first = min(all.first, __shfl_xor_sync(0xffffffffu, all.first, offset));
    all.end = max(all.end, __shfl_xor_sync(0xffffffffu, all.end, offset));
    all.commonFirst = max(all.commonFirst, __shfl_xor_sync(0xffffffffu, all.commonFirst, offset));
    all.commonEnd = min(all.commonEnd, __shfl_xor_sync(0xffffffffu, all.commonEnd, offset));
  }
  return all;
}

/* A head's values for `Count` distances from `distance` up, of 2 * reach - 1 at `values`, into shared memory. */
template <int Count, int Threads>
__device__ __forceinline__ void load_distances(u32 to, const float *values, int distance, int reach) {
#pragma unroll
  for (int i = threadIdx.x; i < Count; i += Threads)
    cp_async_4(to + i * 4, values + min(max(distance + i + reach - 1, 0), 2 * reach - 2), true);
}

/* Bytes from a tile's start to the element whose address a lane gives. */
__device__ __forceinline__ u32 tile_offset(LaneElement at) { return (at.row * STRIDE + at.column) * 2; }

/* c[m][n] += Σ over the head's dimensions of a[m] · b[n], both tiles stored row by row. `a`, `b`: with this lane's a_at, b_at offset. */
template <int MTiles, int NTiles>
__device__ __forceinline__ void multiply_rows(float (&c)[MTiles][NTiles][4], u32 a, u32 b) {
#pragma unroll
  for (int step = 0; step < STEPS; step++) {
    u32 af[MTiles][4];
#pragma unroll
    for (int m = 0; m < MTiles; m++) ldmatrix_x4(af[m], a + (m * 16 * STRIDE + step * 16) * 2);
#pragma unroll
    for (int n = 0; n < NTiles; n += 2) {
      u32 bf[4];
      ldmatrix_x4(bf, b + (n * 8 * STRIDE + step * 16) * 2);
#pragma unroll
      for (int m = 0; m < MTiles; m++) {
        mma_bf16(c[m][n], af[m], bf[0], bf[1]);
        mma_bf16(c[m][n + 1], af[m], bf[2], bf[3]);
      }
    }
  }
}

/* c[m][d] += Σ over n of w[m][n] · b[n][d], w rounded to bf16, d over 8 · DTiles columns. `b`: with this lane's b_trans_at offset. */
template <int MTiles, int NTiles, int DTiles>
__device__ __forceinline__ void add_products(float (&c)[MTiles][DTiles][4], const float (&w)[MTiles][NTiles][4], u32 b) {
#pragma unroll
  for (int n = 0; n < NTiles; n += 2) {
    u32 af[MTiles][4];
#pragma unroll
    for (int m = 0; m < MTiles; m++) {
      af[m][0] = pack_bf16(w[m][n][0], w[m][n][1]);
      af[m][1] = pack_bf16(w[m][n][2], w[m][n][3]);
      af[m][2] = pack_bf16(w[m][n + 1][0], w[m][n + 1][1]);
      af[m][3] = pack_bf16(w[m][n + 1][2], w[m][n + 1][3]);
    }
#pragma unroll
    for (int d = 0; d < DTiles; d += 2) {
      u32 bf[4];
      ldmatrix_x4_trans(bf, b + (n * 8 * STRIDE + d * 8) * 2);
#pragma unroll
      for (int m = 0; m < MTiles; m++) {
        mma_bf16(c[m][d], af[m], bf[0], bf[1]);
        mma_bf16(c[m][d + 1], af[m], bf[2], bf[3]);
      }
    }
  }
}

template <int MTiles, int NTiles>
__device__ __forceinline__ void clear(float (&c)[MTiles][NTiles][4]) {
#pragma unroll
  for (int m = 0; m < MTiles; m++)
#pragma unroll
    for (int n = 0; n < NTiles; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) c[m][n][i] = 0;
}

/* Writes the warp's 16 · MTiles rows of 8 · DTiles columns, times factors[m][half], to device memory by way of its own rows of a tile
 * in shared memory, which nobody else reads any more. Rows from `present` on are left out. */
template <int MTiles, int DTiles>
__device__ __forceinline__ void store_rows(bf16 *to, i64 stride, int present, bf16 *tile, const float (&c)[MTiles][DTiles][4],
                                           const float (&factors)[MTiles][2]) {
  constexpr int CHUNKS = DTiles;
  int lane = threadIdx.x % 32;
  __syncwarp();
#pragma unroll
  for (int m = 0; m < MTiles; m++)
#pragma unroll
    for (int half = 0; half < 2; half++)
#pragma unroll
      for (int d = 0; d < DTiles; d++) {
        float f = factors[m][half];
        bf16 *at = tile + (m * 16 + half * 8 + lane / 4) * STRIDE + d * 8 + lane % 4 * 2;
        *reinterpret_cast<u32 *>(at) = pack_bf16(f * c[m][d][2 * half], f * c[m][d][2 * half + 1]);
      }
  __syncwarp();
  for (int i = lane; i < MTiles * 16 * CHUNKS; i += 32) {
    int row = i / CHUNKS, chunk = i % CHUNKS;
    if (row < present)
      *reinterpret_cast<uint4 *>(to + row * stride + chunk * 8) = *reinterpret_cast<uint4 *>(tile + row * STRIDE + chunk * 8);
  }
}

#endif
