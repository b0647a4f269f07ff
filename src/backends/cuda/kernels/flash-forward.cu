/* Attention over whole sequences on tensor cores (FlashAttention-2, arXiv:2307.08691): bf16 factors, f32 sums and softmax. A block takes
 * ROWS queries of one head from the diagonal backward through the keys that they see; a key block that no query of a warp sees costs
 * the warp nothing, one that all see needs no mask. `first` and `end` are what ww_attention_bounds or ww_attention_ranges found. */
#include "flash.cuh"

#ifndef WARPS
#define WARPS 4
#endif
#ifndef M_TILES /* of 16 rows a warp */
#define M_TILES (HEAD_DIM > 128 ? 1 : 2)
#endif
#ifndef KEYS
#define KEYS 64
#endif

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

constexpr int THREADS = WARPS * 32, WARP_ROWS = M_TILES * 16, ROWS = WARPS * WARP_ROWS;

/* KEYS keys and values into a stage, zeros from key `present` on. */
__device__ __forceinline__ void load_keys(u32 to, const bf16 *k, const bf16 *v, i64 stride, int present) {
  load_tile<KEYS, THREADS>(to, k, stride, present);
  load_tile<KEYS, THREADS>(to + tile_bytes(KEYS), v, stride, present);
}

/* Takes a block of scores (-infinity where masked) into the softmax: `s` becomes the numerators, and what was summed shrinks to the new
 * greatest score. */
__device__ __forceinline__ void absorb(float (&s)[M_TILES][KEYS / 8][4], float (&most)[M_TILES][2], float (&total)[M_TILES][2],
                                       float (&sums)[M_TILES][2 * STEPS][4], float toLog2) {
#pragma unroll
  for (int m = 0; m < M_TILES; m++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float peak = most[m][half];
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++) peak = fmaxf(peak, fmaxf(s[m][n][2 * half], s[m][n][2 * half + 1]));
      peak = fmaxf(peak, __shfl_xor_sync(0xffffffffu, peak, 1));
      peak = fmaxf(peak, __shfl_xor_sync(0xffffffffu, peak, 2));
      const float base = peak == -INFINITE ? 0.0f : peak * toLog2;
      const float shrink = exp2_fast(most[m][half] * toLog2 - base);
      most[m][half] = peak;
      float sum = 0;
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; i++) sum += s[m][n][i] = exp2_fast(s[m][n][i] * toLog2 - base);
      total[m][half] = total[m][half] * shrink + sum;
#pragma unroll
      for (int d = 0; d < 2 * STEPS; d++) {
        sums[m][d][2 * half] *= shrink;
        sums[m][d][2 * half + 1] *= shrink;
      }
    }
}

/* Over a row's four lanes. */
__device__ __forceinline__ float row_sum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

#endif

/* Grid (heads, ceil(length / ROWS), batch), dynamic shared memory for ROWS + 4 * KEYS rows of HEAD_DIM + 8 bf16, with BIAS and
 * 2 * (ROWS + KEYS) floats. */
extern "C" __global__ void __launch_bounds__(WARPS * 32)
    ww_flash_forward(const bf16 *q, const bf16 *k, const bf16 *v, const int *first, const int *end, const float *bias, bf16 *out,
                     float *lse, int length, int keyLength, int heads, int kvHeads, float scale, int reach) {
  begin_kernel();
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  extern __shared__ __align__(16) bf16 shared[];
  const u32 queries = shared_address(shared), stages = queries + tile_bytes(ROWS);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, head = blockIdx.x;
  const int q0 = (gridDim.y - 1 - blockIdx.y) * ROWS, own = q0 + warp * WARP_ROWS;
  const i64 sequence = (i64)blockIdx.z * length;
  const i64 qStride = (i64)heads * HEAD_DIM, kStride = (i64)kvHeads * HEAD_DIM;
  const i64 queryAt = (sequence + q0) * qStride + head * HEAD_DIM;
  const int keyCount = RANGED ? keyLength : length;
  const i64 keyAt = (i64)blockIdx.z * keyCount * kStride + head / (heads / kvHeads) * HEAD_DIM;
  k += keyAt;
  v += keyAt;
  first += sequence;
  end += sequence;
  bias += head * (2 * reach - 1);

  /* The values of a step's distances stand behind the stages: the least is that of its first key and the block's last query. */
  constexpr int DISTANCES = ROWS + KEYS;
  const u32 distances = stages + 4 * tile_bytes(KEYS);
  auto load = [&](int block, int stage) {
    const i64 at = (i64)block * KEYS * kStride;
    load_keys(stages + stage * 2 * tile_bytes(KEYS), k + at, v + at, kStride, keyCount - block * KEYS);
    if constexpr (BIAS)
      load_distances<DISTANCES, THREADS>(distances + stage * DISTANCES * 4, bias, block * KEYS - q0 - (ROWS - 1), reach);
  };
  const int last = min(q0 + ROWS, length) - 1;
  int block, lowest, stage = 0;
  if constexpr (RANGED) {
    const Seen tile = seen_by<ROWS>(first, end, q0, length);
    lowest = tile.end > 0 ? tile.first / KEYS : 0;
    block = tile.end > 0 ? (tile.end - 1) / KEYS : -1;
  } else {
    block = last / KEYS;
  }
  load_tile<ROWS, THREADS>(queries, q + queryAt, qStride, length - q0);
  if (!RANGED || block >= 0) load(block, stage);
  cp_async_commit();

  if constexpr (!RANGED) lowest = min(first[q0], last) / KEYS;
  auto first_of = [&](int row) { return row < length ? first[row] : row + 1; };
  auto end_of = [&](int row) { return !RANGED ? row + 1 : row < length ? end[row] : 0; };
  Seen mine; /* by the warp's rows */
  if constexpr (RANGED)
    mine = seen_by<WARP_ROWS>(first, end, own, length);
  else
    mine = {first_of(own), own + WARP_ROWS, first_of(own + WARP_ROWS - 1), own + 1};
  float most[M_TILES][2], total[M_TILES][2], sums[M_TILES][2 * STEPS][4];
  clear(sums);
#pragma unroll
  for (int m = 0; m < M_TILES; m++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      most[m][half] = -INFINITE;
      total[m][half] = 0;
    }
  const u32 a = queries + warp * tile_bytes(WARP_ROWS) + tile_offset(a_at(lane));
  const u32 b = tile_offset(b_at(lane)), bTrans = tile_offset(b_trans_at(lane));
  const float toLog2 = scale * LOG2E;
  /* This lane's, at its first key and first query. */
  const float *const distanceTile =
      reinterpret_cast<const float *>(shared + (ROWS + 4 * KEYS) * STRIDE) + ROWS - 1 - warp * WARP_ROWS - lane / 4 + lane % 4 * 2;

  for (; block >= lowest; block--, stage ^= 1) {
    cp_async_wait<0>();
    __syncthreads(); /* this stage is filled, and nobody reads the other one any more */
    if (block > lowest) load(block - 1, stage ^ 1);
    cp_async_commit();
    const int k0 = block * KEYS;
    if (k0 >= mine.end || k0 + KEYS <= mine.first) continue;

    const u32 keys = stages + stage * 2 * tile_bytes(KEYS);
    float s[M_TILES][KEYS / 8][4];
    clear(s);
    multiply_rows(s, a, keys + b);
    if constexpr (BIAS) {
      const float *near = distanceTile + stage * DISTANCES;
#pragma unroll
      for (int m = 0; m < M_TILES; m++)
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
          for (int i = 0; i < 4; i++) s[m][n][i] = s[m][n][i] * toLog2 + near[n * 8 + i % 2 - m * 16 - i / 2 * 8] * LOG2E;
    }
    if (k0 + KEYS > mine.commonEnd || k0 < mine.commonFirst) {
#pragma unroll
      for (int m = 0; m < M_TILES; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
          const int row = own + m * 16 + half * 8 + lane / 4, low = first_of(row), high = end_of(row);
#pragma unroll
          for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
              const int key = k0 + n * 8 + lane % 4 * 2 + i;
              if (key >= high || key < low) s[m][n][2 * half + i] = -INFINITE;
            }
        }
    }
    absorb(s, most, total, sums, BIAS ? 1.0f : toLog2);
    add_products(sums, s, keys + tile_bytes(KEYS) + bTrans);
  }
  if constexpr (RANGED) { /* where the loop never ran, the queries are still on their way */
    cp_async_wait<0>();
    __syncthreads();
  }

#pragma unroll
  for (int m = 0; m < M_TILES; m++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const float sum = row_sum(total[m][half]);
      total[m][half] = sum > 0 ? 1 / sum : 0.0f;
      const int row = own + m * 16 + half * 8 + lane / 4;
      if (lane % 4 == 0 && row < length)
        lse[((i64)blockIdx.z * heads + head) * length + row] = sum > 0 ? most[m][half] * (BIAS ? 1 / LOG2E : scale) + logf(sum) : 0.0f;
    }
  store_rows(out + queryAt + warp * WARP_ROWS * qStride, qStride, length - own, shared + warp * WARP_ROWS * STRIDE, sums, total);
#endif
}

/* Many query rows over a cache (a prompt behind what its slot holds already): row r stands at positions[r] of slot slotOf[r]. A block goes
 * through its runs of rows of one slot. All keys up to a run's greatest position were written. Grid (heads, ceil(rows / ROWS)), shared
 * memory as above. */
extern "C" __global__ void __launch_bounds__(WARPS * 32)
    ww_flash_cached(const bf16 *q, const bf16 *keys, const bf16 *values, const int *slotOf, const int *positions, bf16 *out, int rows,
                    int heads, int kvHeads, int capacity, float scale, int window, const float *bias, int reach) {
  begin_kernel();
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  extern __shared__ __align__(16) bf16 shared[];
  const u32 queries = shared_address(shared), stages = queries + tile_bytes(ROWS);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, head = blockIdx.x;
  const int q0 = blockIdx.y * ROWS, own = q0 + warp * WARP_ROWS, stop = min(q0 + ROWS, rows);
  const i64 qStride = (i64)heads * HEAD_DIM, kStride = (i64)kvHeads * HEAD_DIM;
  const i64 queryAt = (i64)q0 * qStride + head * HEAD_DIM;
  const int seen = window > 0 ? window : capacity;
  bias += head * (2 * reach - 1);
  load_tile<ROWS, THREADS>(queries, q + queryAt, qStride, rows - q0);

  float most[M_TILES][2], total[M_TILES][2], sums[M_TILES][2 * STEPS][4];
  clear(sums);
#pragma unroll
  for (int m = 0; m < M_TILES; m++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      most[m][half] = -INFINITE;
      total[m][half] = 0;
    }
  const u32 a = queries + warp * tile_bytes(WARP_ROWS) + tile_offset(a_at(lane));
  const u32 b = tile_offset(b_at(lane)), bTrans = tile_offset(b_trans_at(lane));
  const float toLog2 = scale * LOG2E;

  for (int begin = q0, end; begin < stop; begin = end) {
    const int slot = slotOf[begin];
    int highest = positions[begin], least = highest;
    for (end = begin + 1; end < stop && slotOf[end] == slot; end++) {
      highest = max(highest, positions[end]);
      least = min(least, positions[end]);
    }
    highest = min(highest, capacity - 1);
    const i64 slotAt = (i64)slot * capacity * kStride + head / (heads / kvHeads) * HEAD_DIM;
    int position[M_TILES][2]; /* -1: another run's row, which sees nothing here */
#pragma unroll
    for (int m = 0; m < M_TILES; m++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int row = own + m * 16 + half * 8 + lane / 4;
        position[m][half] = row >= begin && row < end ? positions[row] : -1;
      }
    auto load = [&](int block, int stage) {
      const i64 at = slotAt + (i64)block * KEYS * kStride;
      load_keys(stages + stage * 2 * tile_bytes(KEYS), keys + at, values + at, kStride, highest + 1 - block * KEYS);
    };
    const int lowest = max(0, least - seen + 1) / KEYS;
    int block = highest / KEYS, stage = 0;
    __syncthreads(); /* nobody reads the last run's stages any more */
    load(block, stage);
    cp_async_commit();
    for (; block >= lowest; block--, stage ^= 1) {
      cp_async_wait<0>();
      __syncthreads();
      if (block > lowest) load(block - 1, stage ^ 1);
      cp_async_commit();
      if (begin >= own + WARP_ROWS || end <= own) continue;

      const u32 tile = stages + stage * 2 * tile_bytes(KEYS);
      float s[M_TILES][KEYS / 8][4];
      clear(s);
      multiply_rows(s, a, tile + b);
#pragma unroll
      for (int m = 0; m < M_TILES; m++)
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
          for (int i = 0; i < 4; i++) {
            const int key = block * KEYS + n * 8 + lane % 4 * 2 + i % 2, at = position[m][i / 2];
            if (key > at || key <= at - seen)
              s[m][n][i] = -INFINITE;
            else if constexpr (BIAS)
              s[m][n][i] = s[m][n][i] * toLog2 + bias[max(key - at + reach - 1, 0)] * LOG2E;
          }
      absorb(s, most, total, sums, BIAS ? 1.0f : toLog2);
      add_products(sums, s, tile + tile_bytes(KEYS) + bTrans);
    }
  }

#pragma unroll
  for (int m = 0; m < M_TILES; m++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const float sum = row_sum(total[m][half]);
      total[m][half] = sum > 0 ? 1 / sum : 0.0f;
    }
  store_rows(out + queryAt + warp * WARP_ROWS * qStride, qStride, rows - own, shared + warp * WARP_ROWS * STRIDE, sums, total);
#endif
}
