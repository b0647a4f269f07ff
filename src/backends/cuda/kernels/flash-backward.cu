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
/* The sums of dk and dv for all dimensions fit a thread's registers up to 128 of them; beyond, two blocks share them. */
#define PARTS (HEAD_DIM > 128 ? 2 : 1)

/* dq, and delta[batch][heads][length] = dOut · out. Grid (heads, ceil(length / (64 * M_TILES)), batch), dynamic shared memory for
 * 2 * (64 * M_TILES) + 4 * KEYS rows. */
extern "C" __global__ void __launch_bounds__(WARPS * 32)
    ww_flash_dq(const bf16 *q, const bf16 *k, const bf16 *v, const int *first, const bf16 *out, const bf16 *dOut, const float *lse,
                float *delta, bf16 *dq, int length, int heads, int kvHeads, float scale) {
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
  k += sequence * kStride + head / (heads / kvHeads) * HEAD_DIM;
  v += sequence * kStride + head / (heads / kvHeads) * HEAD_DIM;
  first += sequence;

  auto load_keys = [&](int block, int stage) {
    u32 to = stages + stage * 2 * tile_bytes(KEYS);
    i64 at = (i64)block * KEYS * kStride;
    load_tile<KEYS, THREADS>(to, k + at, kStride, length - block * KEYS);
    load_tile<KEYS, THREADS>(to + tile_bytes(KEYS), v + at, kStride, length - block * KEYS);
  };
  const int last = min(q0 + ROWS, length) - 1;
  int block = last / KEYS, stage = 0;
  load_tile<ROWS, THREADS>(queries, q + queryAt, qStride, length - q0);
  load_tile<ROWS, THREADS>(queries + tile_bytes(ROWS), dOut + queryAt, qStride, length - q0);
  load_keys(block, stage);
  cp_async_commit();

  const int lowest = min(first[q0], last) / KEYS;
  auto first_of = [&](int row) { return row < length ? first[row] : row + 1; };
  const int seenByFirst = first_of(own), seenByLast = first_of(own + WARP_ROWS - 1);
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
    if (k0 >= own + WARP_ROWS || k0 + KEYS <= seenByFirst) continue;

    const u32 keys = stages + stage * 2 * tile_bytes(KEYS);
    const bool masked = k0 + KEYS - 1 > own || k0 < seenByLast;
    float s[M_TILES][KEYS / 8][4], dp[M_TILES][KEYS / 8][4];
    clear(s);
    clear(dp);
    multiply_rows(s, a, keys + b);
    multiply_rows(dp, a + tile_bytes(ROWS), keys + tile_bytes(KEYS) + b);
#pragma unroll
    for (int m = 0; m < M_TILES; m++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int row = own + m * 16 + half * 8 + lane / 4, low = masked ? first_of(row) : 0;
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
          for (int i = 2 * half; i < 2 * half + 2; i++) {
            float p = exp2_fast(s[m][n][i] * toLog2 - logs[m][half]);
            if (masked) {
              const int key = k0 + n * 8 + lane % 4 * 2 + i % 2;
              if (key > row || key < low) p = 0;
            }
            s[m][n][i] = p * (dp[m][n][i] - deltas[m][half]);
          }
      }
    add_products(sums, s, keys + bTrans);
  }
  store_rows(dq + queryAt + warp * WARP_ROWS * qStride, qStride, length - own, shared + warp * WARP_ROWS * STRIDE, sums, factors);
#endif
}

/* dk and dv of 64 keys of one key head, over all its query heads. Grid (kvHeads, ceil(length / 64), batch * PARTS), dynamic shared memory
 * for 2 * 64 + 4 * QUERIES rows and 4 * QUERIES floats. */
extern "C" __global__ void __launch_bounds__(WARPS * 32)
    ww_flash_dkv(const bf16 *q, const bf16 *k, const bf16 *v, const int *end, const bf16 *dOut, const float *lse, const float *delta,
                 bf16 *dk, bf16 *dv, int length, int heads, int kvHeads, float scale) {
  begin_kernel();
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  constexpr int THREADS = WARPS * 32, ROWS = WARPS * 16, D_TILES = 2 * STEPS / PARTS;
  extern __shared__ __align__(16) bf16 shared[];
  const u32 keys = shared_address(shared), stages = keys + 2 * tile_bytes(ROWS), scalars = stages + 4 * tile_bytes(QUERIES);
  const float *const scalarTile = reinterpret_cast<float *>(shared + (2 * ROWS + 4 * QUERIES) * STRIDE);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, group = heads / kvHeads;
  const int k0 = blockIdx.y * ROWS, own = k0 + warp * 16, batch = blockIdx.z / PARTS, column = blockIdx.z % PARTS * D_TILES * 8;
  const i64 sequence = (i64)batch * length;
  const i64 qStride = (i64)heads * HEAD_DIM, kStride = (i64)kvHeads * HEAD_DIM;
  const i64 keyAt = (sequence + k0) * kStride + blockIdx.x * HEAD_DIM;
  end += sequence;

  /* Query blocks from the diagonal to the last that sees a key of the block, head after head. */
  const int lowest = k0 / QUERIES, blocks = max(0, (end[min(k0 + ROWS, length) - 1] + QUERIES - 1) / QUERIES - lowest);
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
  };
  load_tile<ROWS, THREADS>(keys, k + keyAt, kStride, length - k0);
  load_tile<ROWS, THREADS>(keys + tile_bytes(ROWS), v + keyAt, kStride, length - k0);
  if (blocks > 0) load_queries(0, 0, 0);
  cp_async_commit();

  auto end_of = [&](int row) { return row < length ? end[row] : row; };
  const int seesFirst = end_of(own), seesLast = end_of(own + 15);
  const int high[2] = {end_of(own + lane / 4), end_of(own + 8 + lane / 4)};
  float dkSums[1][D_TILES][4], dvSums[1][D_TILES][4];
  clear(dkSums);
  clear(dvSums);
  const u32 a = keys + warp * tile_bytes(16) + tile_offset(a_at(lane));
  const u32 b = tile_offset(b_at(lane)), bTrans = tile_offset(b_trans_at(lane)) + column * 2;
  const float toLog2 = scale * LOG2E;

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
      if (q0 + QUERIES <= own || q0 >= seesLast) continue;

      const u32 queries = stages + stage * 2 * tile_bytes(QUERIES), dOuts = queries + tile_bytes(QUERIES);
      const float *const logs = scalarTile + stage * 2 * QUERIES, *const deltas = logs + QUERIES;
      const bool masked = q0 < own + 15 || q0 + QUERIES > seesFirst;
      float p[1][QUERIES / 8][4], ds[1][QUERIES / 8][4];
      clear(p);
      multiply_rows(p, a, queries + b);
#pragma unroll
      for (int n = 0; n < QUERIES / 8; n++) {
        const float2 log = *reinterpret_cast<const float2 *>(logs + n * 8 + lane % 4 * 2);
#pragma unroll
        for (int i = 0; i < 4; i++) {
          p[0][n][i] = exp2_fast(p[0][n][i] * toLog2 - (i % 2 ? log.y : log.x) * LOG2E);
          if (masked) {
            int query = q0 + n * 8 + lane % 4 * 2 + i % 2, key = own + i / 2 * 8 + lane / 4;
            if (query < key || query >= high[i / 2]) p[0][n][i] = 0;
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
  store_rows(dk + to, kStride, length - own, rows, dkSums, scales);
  store_rows(dv + to, kStride, length - own, rows + ROWS * STRIDE, dvSums, ones);
#endif
}
