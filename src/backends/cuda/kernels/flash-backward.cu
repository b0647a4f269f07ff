/* The gradient of attention on tensor cores (FlashAttention-2, arXiv:2307.08691): bf16 factors, f32 sums. Two kernels and no atomics: one
 * goes through a query block's keys for dq, one through a key block's queries for dk and dv; each computes the probabilities anew. The
 * second keeps keys as the rows of its products, so that probabilities pass from one product to the next in registers. */
#include "flash.cuh"

#ifndef KEYS /* a step of the kernel of dq */
#define KEYS 32
#endif
#ifndef QUERIES /* a step of the kernel of dk and dv */
#define QUERIES 64
#endif
#ifndef WARPS
#define WARPS 4
#endif
#ifndef M_TILES /* of 16 query rows a warp, for dq */
#define M_TILES (HEAD_DIM > 128 ? 1 : 2)
#endif
#ifndef DBIAS /* 1: the kernel of dq also sums the gradient of the values by distance */
#define DBIAS 0
#endif
/* The sums of dk and dv for all dimensions fit a thread's registers up to 128 of them; beyond, two blocks share them. */
#define PARTS (HEAD_DIM > 128 ? 2 : 1)

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

/* A warp's sums of ds by distance. Its steps go from the last key to the first, so that a distance's rows follow each other: the sums of
 * WARP_ROWS distances go on to the next step, KEYS others are done and leave for device memory, each once. */
struct DistanceSums {
  static constexpr int ROWS = M_TILES * 16, WINDOW = ROWS + KEYS, WIDE = WINDOW - 8, FLOATS = 8 * WIDE + ROWS;
  float *skew, *carry; /* shared: [8][WIDE] and [ROWS] */
  float *part;         /* device: [2 * reach - 1] */
  int reach, offset;   /* of the last step: the least distance */
  float below, above;  /* of distances that share an end's value */

  __device__ __forceinline__ void begin(float *shared, float *to, int reachOf) {
    skew = shared;
    carry = shared + 8 * WIDE;
    part = to;
    reach = reachOf;
    offset = 0;
    below = above = 0;
    for (int i = threadIdx.x % 32; i < ROWS; i += 32) carry[i] = 0;
    for (int i = threadIdx.x % 32; i < 2 * reach - 1; i += 32) part[i] = 0;
    __syncwarp();
  }
  __device__ __forceinline__ void leave(float sum, int distance) {
    const int at = distance + reach - 1;
    if (at <= 0)
      below += sum;
    else if (at >= 2 * reach - 2)
      above += sum;
    else
      part[at] = sum;
  }
  /* `ahead`: the step's first key less the warp's first query. */
  __device__ __forceinline__ void step(const float (&ds)[M_TILES][KEYS / 8][4], int ahead) {
    const int lane = threadIdx.x % 32;
    offset = ahead - (ROWS - 1);
    /* Tiles on one diagonal of tiles are one tile; its row g goes to row g of skew, where distance `offset + e` has column e - 7 + g. */
    float *to = skew + lane / 4 * WIDE + lane % 4 * 2;
#pragma unroll
    for (int c = 0; c < WIDE / 8; c++) {
      float2 sum = make_float2(0, 0);
#pragma unroll
      for (int m = 0; m < M_TILES; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
          const int n = c - (2 * M_TILES - 1) + half + 2 * m;
          if (n < 0 || n >= KEYS / 8) continue;
          sum.x += ds[m][n][2 * half];
          sum.y += ds[m][n][2 * half + 1];
        }
      *reinterpret_cast<float2 *>(to + c * 8) = sum;
    }
    __syncwarp();
    constexpr int SLOTS = (WINDOW + 31) / 32;
    float sums[SLOTS];
#pragma unroll
    for (int slot = 0; slot < SLOTS; slot++) {
      const int e = slot * 32 + lane;
      sums[slot] = e >= KEYS && e < WINDOW ? carry[e - KEYS] : 0.0f;
#pragma unroll
      for (int g = 0; g < 8; g++) {
        const int column = e - 7 + g;
        if (column >= 0 && column < WIDE) sums[slot] += skew[g * WIDE + column];
      }
    }
    __syncwarp();
#pragma unroll
    for (int slot = 0; slot < SLOTS; slot++) {
      const int e = slot * 32 + lane;
      if (e < ROWS)
        carry[e] = sums[slot];
      else if (e < WINDOW)
        leave(sums[slot], offset + e);
    }
  }
  __device__ __forceinline__ void end() {
    __syncwarp();
    for (int e = threadIdx.x % 32; e < ROWS; e += 32) leave(carry[e], offset + e);
    below = warp_sum(below);
    above = warp_sum(above);
    if (threadIdx.x % 32 == 0) { /* they left the ends 0; with a reach of 1 both are one */
      part[0] = below;
      part[2 * reach - 2] = reach > 1 ? above : below + above;
    }
  }
};

#endif

/* dq, and delta[batch][heads][length] = dOut · out. Grid (heads, ceil(length / (64 * M_TILES)), batch), dynamic shared memory for
 * 2 * (64 * M_TILES) + 4 * KEYS rows, with BIAS and 2 * (64 * M_TILES + KEYS) floats, with DBIAS and WARPS * DistanceSums::FLOATS.
 * parts[batch][heads][warps of all blocks][2 * reach - 1] get each warp's part of dBias. */
extern "C" __global__ void __launch_bounds__(WARPS * 32)
    ww_flash_dq(const bf16 *q, const bf16 *k, const bf16 *v, const int *first, const int *end, const float *bias, const bf16 *out,
                const bf16 *dOut, const float *lse, float *delta, bf16 *dq, float *parts, int length, int keyLength, int heads,
                int kvHeads, float scale, int reach) {
  begin_kernel();
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  constexpr int THREADS = WARPS * 32, WARP_ROWS = M_TILES * 16, ROWS = WARPS * WARP_ROWS;
  extern __shared__ __align__(16) bf16 shared[];
  const u32 queries = shared_address(shared), stages = queries + 2 * tile_bytes(ROWS);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, head = blockIdx.x;
  const int q0 = (gridDim.y - 1 - blockIdx.y) * ROWS, own = q0 + warp * WARP_ROWS;
  const i64 sequence = (i64)blockIdx.z * length;
  const i64 qStride = (i64)heads * HEAD_DIM, kStride = (i64)kvHeads * HEAD_DIM;
  const i64 queryAt = (sequence + q0) * qStride + head * HEAD_DIM, scalarAt = ((i64)blockIdx.z * heads + head) * length;
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
  float *const distanceTile = reinterpret_cast<float *>(shared + (2 * ROWS + 4 * KEYS) * STRIDE);
  auto load_keys = [&](int block, int stage) {
    u32 to = stages + stage * 2 * tile_bytes(KEYS);
    i64 at = (i64)block * KEYS * kStride;
    load_tile<KEYS, THREADS>(to, k + at, kStride, keyCount - block * KEYS);
    load_tile<KEYS, THREADS>(to + tile_bytes(KEYS), v + at, kStride, keyCount - block * KEYS);
    if constexpr (BIAS)
      load_distances<DISTANCES, THREADS>(distances + stage * DISTANCES * 4, bias, block * KEYS - q0 - (ROWS - 1), reach);
  };
  const int lastRow = min(q0 + ROWS, length) - 1;
  int block, lowest, stage = 0;
  if constexpr (RANGED) {
    const Seen tile = seen_by<ROWS>(first, end, q0, length);
    lowest = tile.end > 0 ? tile.first / KEYS : 0;
    block = tile.end > 0 ? (tile.end - 1) / KEYS : -1;
  } else {
    block = lastRow / KEYS;
  }
  load_tile<ROWS, THREADS>(queries, q + queryAt, qStride, length - q0);
  load_tile<ROWS, THREADS>(queries + tile_bytes(ROWS), dOut + queryAt, qStride, length - q0);
  if (!RANGED || block >= 0) load_keys(block, stage);
  cp_async_commit();

  if constexpr (!RANGED) lowest = min(first[q0], lastRow) / KEYS;
  auto first_of = [&](int row) { return row < length ? first[row] : row + 1; };
  auto last_of = [&](int row) { return row < length ? end[row] - 1 : -1; };
  Seen mine; /* by the warp's rows */
  if constexpr (RANGED)
    mine = seen_by<WARP_ROWS>(first, end, own, length);
  else
    mine = {first_of(own), own + WARP_ROWS, first_of(own + WARP_ROWS - 1), own + 1};
  DistanceSums byDistance;
  if constexpr (DBIAS) {
    const i64 warps = (i64)gridDim.y * WARPS, at = ((i64)blockIdx.z * heads + head) * warps + own / WARP_ROWS;
    byDistance.begin(distanceTile + 2 * DISTANCES + warp * DistanceSums::FLOATS, parts + at * (2 * reach - 1), reach);
  }
  float logs[M_TILES][2], deltas[M_TILES][2], factors[M_TILES][2], sums[M_TILES][2 * STEPS][4];
  clear(sums);
#pragma unroll
  for (int m = 0; m < M_TILES; m++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int row = own + m * 16 + half * 8 + lane / 4;
      float part = 0;
      if (row < length) {
        /* A row's four lanes share its chunks of eight. */
        const i64 at = queryAt + (row - q0) * qStride;
#pragma unroll
        for (int chunk = 0; chunk < HEAD_DIM / 8; chunk += 4) {
          if (HEAD_DIM % 32 != 0 && chunk + lane % 4 >= HEAD_DIM / 8) break;
          const uint4 x = *reinterpret_cast<const uint4 *>(out + at + (chunk + lane % 4) * 8);
          const uint4 y = *reinterpret_cast<const uint4 *>(dOut + at + (chunk + lane % 4) * 8);
          part += low_bf16(x.x) * low_bf16(y.x) + high_bf16(x.x) * high_bf16(y.x);
          part += low_bf16(x.y) * low_bf16(y.y) + high_bf16(x.y) * high_bf16(y.y);
          part += low_bf16(x.z) * low_bf16(y.z) + high_bf16(x.z) * high_bf16(y.z);
          part += low_bf16(x.w) * low_bf16(y.w) + high_bf16(x.w) * high_bf16(y.w);
        }
      }
      part += __shfl_xor_sync(0xffffffffu, part, 1);
      part += __shfl_xor_sync(0xffffffffu, part, 2);
      if (row < length && lane % 4 == 0) delta[scalarAt + row] = part;
      deltas[m][half] = part;
      logs[m][half] = row < length ? lse[scalarAt + row] * LOG2E : 0.0f;
      factors[m][half] = scale;
    }
  const u32 a = queries + warp * tile_bytes(WARP_ROWS) + tile_offset(a_at(lane));
  const u32 b = tile_offset(b_at(lane)), bTrans = tile_offset(b_trans_at(lane));
  const float toLog2 = scale * LOG2E;

  for (; block >= lowest; block--, stage ^= 1) {
    cp_async_wait<0>();
    __syncthreads(); /* this stage is filled, and nobody reads the other one any more */
    if (block > lowest) load_keys(block - 1, stage ^ 1);
    cp_async_commit();
    const int k0 = block * KEYS;
    if (k0 >= mine.end || k0 + KEYS <= mine.first) continue;

    const u32 keys = stages + stage * 2 * tile_bytes(KEYS);
    const bool masked = k0 + KEYS > mine.commonEnd || k0 < mine.commonFirst;
    const float *near = distanceTile + stage * DISTANCES + ROWS - 1 - warp * WARP_ROWS - lane / 4 + lane % 4 * 2;
    float s[M_TILES][KEYS / 8][4], dp[M_TILES][KEYS / 8][4];
    clear(s);
    clear(dp);
    multiply_rows(s, a, keys + b);
    multiply_rows(dp, a + tile_bytes(ROWS), keys + tile_bytes(KEYS) + b);
#pragma unroll
    for (int m = 0; m < M_TILES; m++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int row = own + m * 16 + half * 8 + lane / 4, low = masked ? first_of(row) : 0, last = RANGED && masked ? last_of(row) : row;
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
          for (int i = 2 * half; i < 2 * half + 2; i++) {
            float score = s[m][n][i] * toLog2;
            if constexpr (BIAS) score += near[n * 8 + i % 2 - m * 16 - half * 8] * LOG2E;
            float p = exp2_fast(score - logs[m][half]);
            if (masked) {
              const int key = k0 + n * 8 + lane % 4 * 2 + i % 2;
              if (key > last || key < low) p = 0;
            }
            s[m][n][i] = p * (dp[m][n][i] - deltas[m][half]);
          }
      }
    if constexpr (DBIAS) byDistance.step(s, k0 - own);
    add_products(sums, s, keys + bTrans);
  }
  if constexpr (DBIAS) byDistance.end();
  if constexpr (RANGED) { /* where the loop never ran, the queries are still on their way */
    cp_async_wait<0>();
    __syncthreads();
  }
  store_rows(dq + queryAt + warp * WARP_ROWS * qStride, qStride, length - own, shared + warp * WARP_ROWS * STRIDE, sums, factors);
#endif
}

/* dk and dv of 64 keys of one key head, over all its query heads. Grid (kvHeads, ceil(keyLength / 64), batch * PARTS), dynamic shared
 * memory for 2 * 64 + 4 * QUERIES rows and 4 * QUERIES floats, with BIAS and 2 * (64 + QUERIES) more. `first` and `end` are the keys'. */
extern "C" __global__ void __launch_bounds__(WARPS * 32)
    ww_flash_dkv(const bf16 *q, const bf16 *k, const bf16 *v, const int *first, const int *end, const float *bias, const bf16 *dOut,
                 const float *lse, const float *delta, bf16 *dk, bf16 *dv, int length, int keyLength, int heads, int kvHeads,
                 float scale, int reach) {
  begin_kernel();
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  constexpr int THREADS = WARPS * 32, ROWS = WARPS * 16, D_TILES = 2 * STEPS / PARTS;
  extern __shared__ __align__(16) bf16 shared[];
  const u32 keys = shared_address(shared), stages = keys + 2 * tile_bytes(ROWS), scalars = stages + 4 * tile_bytes(QUERIES);
  const float *const scalarTile = reinterpret_cast<float *>(shared + (2 * ROWS + 4 * QUERIES) * STRIDE);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, group = heads / kvHeads;
  const int k0 = blockIdx.y * ROWS, own = k0 + warp * 16, batch = blockIdx.z / PARTS, column = blockIdx.z % PARTS * D_TILES * 8;
  const int keyCount = RANGED ? keyLength : length;
  const i64 sequence = (i64)batch * length, keySequence = (i64)batch * keyCount;
  const i64 qStride = (i64)heads * HEAD_DIM, kStride = (i64)kvHeads * HEAD_DIM;
  const i64 keyAt = (keySequence + k0) * kStride + blockIdx.x * HEAD_DIM;
  first += keySequence;
  end += keySequence;

  /* Query blocks from the first (causal: the diagonal's) to the last that sees a key of the block, head after head. */
  int lowest, blocks;
  if constexpr (RANGED) {
    const Seen tile = seen_by<ROWS>(first, end, k0, keyCount);
    lowest = tile.first / QUERIES;
    blocks = max(0, (tile.end + QUERIES - 1) / QUERIES - lowest);
  } else {
    lowest = k0 / QUERIES;
    blocks = max(0, (end[min(k0 + ROWS, length) - 1] + QUERIES - 1) / QUERIES - lowest);
  }
  /* The values of a step's distances stand behind the scalars: the least is that of the block's first key and the step's last query. */
  constexpr int DISTANCES = ROWS + QUERIES;
  const u32 distances = scalars + 4 * QUERIES * 4;
  auto load_queries = [&](int head, int block, int stage) {
    const u32 to = stages + stage * 2 * tile_bytes(QUERIES);
    const int q0 = (lowest + block) * QUERIES;
    head += blockIdx.x * group;
    const i64 at = (sequence + q0) * qStride + head * HEAD_DIM;
    load_tile<QUERIES, THREADS>(to, q + at, qStride, length - q0);
    load_tile<QUERIES, THREADS>(to + tile_bytes(QUERIES), dOut + at, qStride, length - q0);
    for (int i = threadIdx.x; i < 2 * QUERIES; i += THREADS) {
      const float *from = i < QUERIES ? lse : delta;
      const int row = q0 + i % QUERIES;
      cp_async_4(scalars + (stage * 2 * QUERIES + i) * 4, from + ((i64)batch * heads + head) * length + row, row < length);
    }
    if constexpr (BIAS)
      load_distances<DISTANCES, THREADS>(distances + stage * DISTANCES * 4, bias + head * (2 * reach - 1), k0 - q0 - (QUERIES - 1), reach);
  };
  load_tile<ROWS, THREADS>(keys, k + keyAt, kStride, keyCount - k0);
  load_tile<ROWS, THREADS>(keys + tile_bytes(ROWS), v + keyAt, kStride, keyCount - k0);
  if (blocks > 0) load_queries(0, 0, 0);
  cp_async_commit();

  auto end_of = [&](int row) { return row < keyCount ? end[row] : RANGED ? 0 : row; };
  auto first_of = [&](int row) { return !RANGED ? row : row < keyCount ? first[row] : 0; };
  Seen mine; /* from the warp's keys */
  if constexpr (RANGED)
    mine = seen_by<16>(first, end, own, keyCount);
  else
    mine = {own, end_of(own + 15), own + 15, end_of(own)};
  const int high[2] = {end_of(own + lane / 4), end_of(own + 8 + lane / 4)};
  const int low[2] = {first_of(own + lane / 4), first_of(own + 8 + lane / 4)};
  float dkSums[1][D_TILES][4], dvSums[1][D_TILES][4];
  clear(dkSums);
  clear(dvSums);
  const u32 a = keys + warp * tile_bytes(16) + tile_offset(a_at(lane));
  const u32 b = tile_offset(b_at(lane)), bTrans = tile_offset(b_trans_at(lane)) + column * 2;
  const float toLog2 = scale * LOG2E;
  /* This lane's, at its first key and first query. */
  const float *const distanceTile = scalarTile + 4 * QUERIES + QUERIES - 1 + warp * 16 + lane / 4 - lane % 4 * 2;

  int stage = 0;
  for (int head = 0; head < group; head++)
    for (int block = 0; block < blocks; block++, stage ^= 1) {
      cp_async_wait<0>();
      __syncthreads(); /* this stage is filled, and nobody reads the other one any more */
      if (block + 1 < blocks)
        load_queries(head, block + 1, stage ^ 1);
      else if (head + 1 < group)
        load_queries(head + 1, 0, stage ^ 1);
      cp_async_commit();
      const int q0 = (lowest + block) * QUERIES;
      if (q0 + QUERIES <= mine.first || q0 >= mine.end) continue;

      const u32 queries = stages + stage * 2 * tile_bytes(QUERIES), dOuts = queries + tile_bytes(QUERIES);
      const float *const logs = scalarTile + stage * 2 * QUERIES, *const deltas = logs + QUERIES;
      const bool masked = q0 < mine.commonFirst || q0 + QUERIES > mine.commonEnd;
      const float *near = distanceTile + stage * DISTANCES;
      float p[1][QUERIES / 8][4], ds[1][QUERIES / 8][4];
      clear(p);
      multiply_rows(p, a, queries + b);
#pragma unroll
      for (int n = 0; n < QUERIES / 8; n++) {
        const float2 log = *reinterpret_cast<const float2 *>(logs + n * 8 + lane % 4 * 2);
#pragma unroll
        for (int i = 0; i < 4; i++) {
          float score = p[0][n][i] * toLog2;
          if constexpr (BIAS) score += near[i / 2 * 8 - n * 8 - i % 2] * LOG2E;
          p[0][n][i] = exp2_fast(score - (i % 2 ? log.y : log.x) * LOG2E);
          if (masked) {
            int query = q0 + n * 8 + lane % 4 * 2 + i % 2;
            if (query < low[i / 2] || query >= high[i / 2]) p[0][n][i] = 0;
          }
        }
      }
      add_products(dvSums, p, dOuts + bTrans);
      clear(ds);
      multiply_rows(ds, a + tile_bytes(ROWS), dOuts + b);
#pragma unroll
      for (int n = 0; n < QUERIES / 8; n++) {
        const float2 di = *reinterpret_cast<const float2 *>(deltas + n * 8 + lane % 4 * 2);
#pragma unroll
        for (int i = 0; i < 4; i++) ds[0][n][i] = p[0][n][i] * (ds[0][n][i] - (i % 2 ? di.y : di.x));
      }
      add_products(dkSums, ds, queries + bTrans);
    }

  cp_async_wait<0>();
  __syncthreads(); /* also where the loop never ran */
  const float scales[1][2] = {{scale, scale}}, ones[1][2] = {{1, 1}};
  bf16 *const rows = shared + warp * 16 * STRIDE;
  const i64 to = keyAt + warp * 16 * kStride + column;
  store_rows(dk + to, kStride, keyCount - own, rows, dkSums, scales);
  store_rows(dv + to, kStride, keyCount - own, rows + ROWS * STRIDE, dvSums, ones);
#endif
}
