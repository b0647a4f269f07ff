/* Attention over whole sequences for any type and head size, in f32 throughout; the mathematics stands in the reference backend. Four
 * warps work on tiles in shared memory: a warp owns some rows (queries; in the kernel of dk and dv keys), a lane one of 32 rows of the
 * other side, and the sums over those a lane's share of the head's dimensions. Which keys a query sees is one range, found beforehand. */
#include "prelude.cuh"

#ifndef T
#define T float
#endif
#ifndef HEAD_DIM
#define HEAD_DIM 128
#endif
#ifndef ROWS /* a warp's */
#define ROWS 4
#endif

constexpr int WARPS = 4, LANES = 32, TILE = WARPS * ROWS;
constexpr int STRIDE = HEAD_DIM | 1; /* odd: 32 lanes at one column of 32 rows meet 32 banks */
constexpr int PARTS = (HEAD_DIM + LANES - 1) / LANES;
#define INFINITE __int_as_float(0x7f800000)

/* The furthest of 0..most steps from row i in the given direction that still is in segment `own`; the warp probes 32 at once. */
__device__ int reach(const int *segments, int i, int direction, int most, int own) {
  int lane = threadIdx.x % LANES, low = 0, high = most;
  while (low < high) {
    int step = (high - low + LANES - 1) / LANES, probe = low + (lane + 1) * step;
    bool inside = probe <= high && segments[i + direction * probe] == own;
    low += __popc(__ballot_sync(0xffffffffu, inside)) * step;
    high = min(high, low + step - 1);
  }
  return low;
}

/* Query i of a sequence sees the keys first[i]..i, and key i is seen from the queries i..end[i]-1; both never fall with i, as equal
 * segments stand together. Padding: no keys, no queries. A warp a row; grid (ceil(length / 4), batch). */
extern "C" __global__ void __launch_bounds__(WARPS * LANES)
    ww_attention_bounds(const int *segments, int *first, int *end, int length, int window) {
  begin_kernel();
  int i = blockIdx.x * WARPS + threadIdx.x / LANES;
  if (i >= length) return;
  i64 sequence = (i64)blockIdx.y * length;
  segments += sequence;
  int own = segments[i], limit = window > 0 ? window - 1 : length;
  int before = -1, after = -1;
  if (own >= 0) {
    before = reach(segments, i, -1, min(i, limit), own);
    after = reach(segments, i, 1, min(length - 1 - i, limit), own);
  }
  if (threadIdx.x % LANES == 0) {
    first[sequence + i] = i - before;
    end[sequence + i] = i + after + 1;
  }
}

/* Rows of `stride` elements into a tile; zeros from row `present` on. */
template <int N>
__device__ void load_rows(float *tile, const T *from, i64 stride, int present) {
  for (int i = threadIdx.x; i < N * HEAD_DIM; i += WARPS * LANES) {
    int row = i / HEAD_DIM, d = i % HEAD_DIM;
    tile[row * STRIDE + d] = row < present ? to_float(from[row * stride + d]) : 0.0f;
  }
}

/* The warp's rows times this lane's row of the other tile. */
__device__ void dots(float (&sums)[ROWS], const float *own, const float *other) {
  for (int r = 0; r < ROWS; r++) sums[r] = 0;
  for (int d = 0; d < HEAD_DIM; d++) {
    float x = other[d];
#pragma unroll
    for (int r = 0; r < ROWS; r++) sums[r] += own[r * STRIDE + d] * x;
  }
}

/* sums[row] += weight[row] of lane j · row j of the tile, over all j; a lane holds every 32nd dimension. */
__device__ void add_weighted(float (&sums)[ROWS][PARTS], const float (&weights)[ROWS], const float *tile) {
  int lane = threadIdx.x % LANES;
  for (int j = 0; j < LANES; j++) {
    float w[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++) w[r] = __shfl_sync(0xffffffffu, weights[r], j);
#pragma unroll
    for (int part = 0; part < PARTS; part++) {
      int d = part * LANES + lane;
      float x = d < HEAD_DIM ? tile[j * STRIDE + d] : 0.0f;
#pragma unroll
      for (int r = 0; r < ROWS; r++) sums[r][part] += w[r] * x;
    }
  }
}

/* to[row] = factors[row] · sums[row] for the warp's rows below `present`. */
__device__ void store_rows(T *to, i64 stride, int present, const float (&sums)[ROWS][PARTS], const float (&factors)[ROWS]) {
  int lane = threadIdx.x % LANES;
#pragma unroll
  for (int r = 0; r < ROWS; r++)
#pragma unroll
    for (int part = 0; part < PARTS; part++) {
      int d = part * LANES + lane;
      if (r < present && d < HEAD_DIM) to[r * stride + d] = from_float<T>(factors[r] * sums[r][part]);
    }
}

/* Grid (heads, ceil(length / TILE), batch), dynamic shared memory for TILE + 32 rows of STRIDE floats. */
extern "C" __global__ void __launch_bounds__(WARPS * LANES)
    ww_attention(const T *q, const T *k, const T *v, const int *first, T *out, float *lse, int length, int heads, int kvHeads,
                 float scale) {
  begin_kernel();
  extern __shared__ float shared[];
  float *queries = shared, *other = shared + TILE * STRIDE;
  int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, head = blockIdx.x, q0 = blockIdx.y * TILE;
  i64 sequence = (i64)blockIdx.z * length, qStride = (i64)heads * HEAD_DIM, kStride = (i64)kvHeads * HEAD_DIM;
  i64 queryAt = (sequence + q0) * qStride + head * HEAD_DIM;
  i64 keyAt = sequence * kStride + head / (heads / kvHeads) * HEAD_DIM;
  int own = q0 + warp * ROWS, last = min(q0 + TILE, length) - 1;
  float most[ROWS], total[ROWS], sums[ROWS][PARTS];
  int low[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    most[r] = -INFINITE;
    total[r] = 0;
    low[r] = own + r < length ? first[sequence + own + r] : own + r + 1;
    for (int part = 0; part < PARTS; part++) sums[r][part] = 0;
  }
  load_rows<TILE>(queries, q + queryAt, qStride, length - q0);
  for (int k0 = first[sequence + q0]; k0 <= last; k0 += LANES) {
    __syncthreads();
    load_rows<LANES>(other, k + keyAt + k0 * kStride, kStride, length - k0);
    __syncthreads();
    float s[ROWS];
    dots(s, queries + warp * ROWS * STRIDE, other + lane * STRIDE);
    __syncthreads();
    load_rows<LANES>(other, v + keyAt + k0 * kStride, kStride, length - k0);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      s[r] = k0 + lane >= low[r] && k0 + lane <= own + r ? s[r] * scale : -INFINITE;
      float before = most[r];
      most[r] = fmaxf(before, warp_max(s[r]));
      float base = most[r] == -INFINITE ? 0.0f : most[r], shrink = expf(before - base);
      s[r] = expf(s[r] - base);
      total[r] = total[r] * shrink + warp_sum(s[r]);
      for (int part = 0; part < PARTS; part++) sums[r][part] *= shrink;
    }
    __syncthreads();
    add_weighted(sums, s, other);
  }
  float factors[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    factors[r] = total[r] > 0 ? 1 / total[r] : 0.0f;
    if (lane == 0 && own + r < length)
      lse[((i64)blockIdx.z * heads + head) * length + own + r] = total[r] > 0 ? most[r] + logf(total[r]) : 0.0f;
  }
  store_rows(out + queryAt + warp * ROWS * qStride, qStride, length - own, sums, factors);
}

/* dq, and delta[batch][heads][length] = dOut · out for the kernel of dk and dv. Grid as forward's; memory for 2 * TILE + 32 rows. */
extern "C" __global__ void __launch_bounds__(WARPS * LANES)
    ww_attention_dq(const T *q, const T *k, const T *v, const int *first, const T *out, const T *dOut, const float *lse,
                    float *delta, T *dq, int length, int heads, int kvHeads, float scale) {
  begin_kernel();
  extern __shared__ float shared[];
  float *queries = shared, *dOuts = shared + TILE * STRIDE, *other = shared + 2 * TILE * STRIDE;
  int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, head = blockIdx.x, q0 = blockIdx.y * TILE;
  i64 sequence = (i64)blockIdx.z * length, qStride = (i64)heads * HEAD_DIM, kStride = (i64)kvHeads * HEAD_DIM;
  i64 queryAt = (sequence + q0) * qStride + head * HEAD_DIM, scalarAt = ((i64)blockIdx.z * heads + head) * length;
  i64 keyAt = sequence * kStride + head / (heads / kvHeads) * HEAD_DIM;
  int own = q0 + warp * ROWS, last = min(q0 + TILE, length) - 1;
  float logs[ROWS], deltas[ROWS], sums[ROWS][PARTS], factors[ROWS];
  int low[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    bool present = own + r < length;
    i64 row = queryAt + (warp * ROWS + r) * qStride;
    float part = 0;
    for (int d = lane; present && d < HEAD_DIM; d += LANES) part += to_float(dOut[row + d]) * to_float(out[row + d]);
    deltas[r] = warp_sum(part);
    logs[r] = present ? lse[scalarAt + own + r] : 0.0f;
    low[r] = present ? first[sequence + own + r] : own + r + 1;
    factors[r] = scale;
    if (present && lane == 0) delta[scalarAt + own + r] = deltas[r];
    for (int i = 0; i < PARTS; i++) sums[r][i] = 0;
  }
  load_rows<TILE>(queries, q + queryAt, qStride, length - q0);
  load_rows<TILE>(dOuts, dOut + queryAt, qStride, length - q0);
  for (int k0 = first[sequence + q0]; k0 <= last; k0 += LANES) {
    float s[ROWS], dp[ROWS];
    __syncthreads();
    load_rows<LANES>(other, v + keyAt + k0 * kStride, kStride, length - k0);
    __syncthreads();
    dots(dp, dOuts + warp * ROWS * STRIDE, other + lane * STRIDE);
    __syncthreads();
    load_rows<LANES>(other, k + keyAt + k0 * kStride, kStride, length - k0);
    __syncthreads();
    dots(s, queries + warp * ROWS * STRIDE, other + lane * STRIDE);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      bool seen = k0 + lane >= low[r] && k0 + lane <= own + r;
      s[r] = seen ? expf(s[r] * scale - logs[r]) * (dp[r] - deltas[r]) : 0.0f;
    }
    add_weighted(sums, s, other);
  }
  store_rows(dq + queryAt + warp * ROWS * qStride, qStride, length - own, sums, factors);
}

/* dk and dv: a block takes TILE keys of one key head through all its query heads. Grid (kvHeads, ceil(length / TILE), batch), memory
 * for 2 * TILE + 32 rows. */
extern "C" __global__ void __launch_bounds__(WARPS * LANES)
    ww_attention_dkv(const T *q, const T *k, const T *v, const int *end, const T *dOut, const float *lse, const float *delta, T *dk,
                     T *dv, int length, int heads, int kvHeads, float scale) {
  begin_kernel();
  extern __shared__ float shared[];
  float *keys = shared, *values = shared + TILE * STRIDE, *other = shared + 2 * TILE * STRIDE;
  int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, group = heads / kvHeads, k0 = blockIdx.y * TILE;
  i64 sequence = (i64)blockIdx.z * length, qStride = (i64)heads * HEAD_DIM, kStride = (i64)kvHeads * HEAD_DIM;
  i64 keyAt = (sequence + k0) * kStride + blockIdx.x * HEAD_DIM;
  int own = k0 + warp * ROWS, stop = end[sequence + min(k0 + TILE, length) - 1];
  float dkSums[ROWS][PARTS], dvSums[ROWS][PARTS], scales[ROWS], ones[ROWS];
  int high[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    high[r] = own + r < length ? end[sequence + own + r] : 0;
    scales[r] = scale;
    ones[r] = 1;
    for (int i = 0; i < PARTS; i++) dkSums[r][i] = dvSums[r][i] = 0;
  }
  load_rows<TILE>(keys, k + keyAt, kStride, length - k0);
  load_rows<TILE>(values, v + keyAt, kStride, length - k0);
  for (int head = blockIdx.x * group; head < (blockIdx.x + 1) * group; head++) {
    i64 scalarAt = ((i64)blockIdx.z * heads + head) * length;
    for (int q0 = k0; q0 < stop; q0 += LANES) {
      i64 queryAt = (sequence + q0) * qStride + head * HEAD_DIM;
      int i = q0 + lane;
      float log = i < length ? lse[scalarAt + i] : 0.0f, di = i < length ? delta[scalarAt + i] : 0.0f;
      float p[ROWS], ds[ROWS];
      __syncthreads();
      load_rows<LANES>(other, q + queryAt, qStride, length - q0);
      __syncthreads();
      dots(p, keys + warp * ROWS * STRIDE, other + lane * STRIDE);
#pragma unroll
      for (int r = 0; r < ROWS; r++) p[r] = i >= own + r && i < high[r] ? expf(p[r] * scale - log) : 0.0f;
      __syncthreads();
      load_rows<LANES>(other, dOut + queryAt, qStride, length - q0);
      __syncthreads();
      dots(ds, values + warp * ROWS * STRIDE, other + lane * STRIDE);
      add_weighted(dvSums, p, other);
#pragma unroll
      for (int r = 0; r < ROWS; r++) ds[r] = p[r] * (ds[r] - di);
      __syncthreads();
      load_rows<LANES>(other, q + queryAt, qStride, length - q0);
      __syncthreads();
      add_weighted(dkSums, ds, other);
    }
  }
  store_rows(dk + keyAt + warp * ROWS * kStride, kStride, length - own, dkSums, scales);
  store_rows(dv + keyAt + warp * ROWS * kStride, kStride, length - own, dvSums, ones);
}
