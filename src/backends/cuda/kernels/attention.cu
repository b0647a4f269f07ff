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
#ifndef RANGED /* 1: a row sees first[row] .. end[row] - 1 of the other side (whole segments, cross attention); 0: causal */
#define RANGED 0
#endif
#ifndef BIAS /* 1: values by distance, [heads][2 * reach - 1], are added to the scaled scores */
#define BIAS 0
#endif
#ifndef DBIAS /* 1: the kernel of dq also sums their gradient */
#define DBIAS 0
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

/* Elements below x of numbers that ascend as unsigned ones once their bits are turned by `turn`; the warp probes 32 at once. */
__device__ int count_below(const int *numbers, int n, u32 x, u32 turn) {
  int lane = threadIdx.x % LANES, low = 0, high = n;
  while (low < high) {
    int step = (high - low + LANES - 1) / LANES, probe = low + (lane + 1) * step - 1;
    bool below = probe < high && ((u32)numbers[probe] ^ turn) < (x ^ turn);
    low += __popc(__ballot_sync(0xffffffffu, below)) * step;
    high = min(high, low + step - 1);
  }
  return low;
}

/* Row i of a sequence sees the rows first[i]..end[i]-1 of the other one, whose segment has its number, or of its own where that is the
 * other (`others` is `segments`); none: first[i] is greater than any row, end[i] is 0. Padding stands at one end of the other sequence,
 * negative numbers: in front they are below all as signed numbers, behind above all as unsigned ones. A warp a row; grid
 * (ceil(length / 4), batch). */
extern "C" __global__ void __launch_bounds__(WARPS * LANES)
    ww_attention_ranges(const int *segments, const int *others, int *first, int *end, int length, int otherLength) {
  begin_kernel();
  int i = blockIdx.x * WARPS + threadIdx.x / LANES;
  if (i >= length) return;
  bool same = segments == others;
  segments += (i64)blockIdx.y * length;
  others += (i64)blockIdx.y * otherLength;
  int own = segments[i], from = 0, to = 0;
  if (own >= 0 && same) {
    from = i - reach(segments, i, -1, i, own);
    to = i + 1 + reach(segments, i, 1, length - 1 - i, own);
  } else if (own >= 0 && otherLength > 0) {
    u32 turn = others[0] < 0 ? 0x80000000u : 0;
    from = count_below(others, otherLength, (u32)own, turn);
    to = count_below(others, otherLength, (u32)own + 1, turn);
  }
  if (threadIdx.x % LANES == 0) {
    first[(i64)blockIdx.y * length + i] = from < to ? from : 0x7fffffff;
    end[(i64)blockIdx.y * length + i] = from < to ? to : 0;
  }
}

/* The least range of the other side outside which no row of a tile sees anything: rows row0 .. row0 + TILE - 1 of `length`. */
__device__ int2 seen_by_tile(const int *first, const int *end, int row0, int length) {
  int2 seen = make_int2(0x7fffffff, 0);
  for (int row = row0; row < min(row0 + TILE, length); row++) seen = make_int2(min(seen.x, first[row]), max(seen.y, end[row]));
  return seen;
}

/* Where a distance's value stands among a head's 2 * reach - 1. */
__device__ __forceinline__ int distance_at(int distance, int reach) { return min(max(distance + reach - 1, 0), 2 * reach - 2); }

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
    ww_attention(const T *q, const T *k, const T *v, const int *first, const int *end, const float *bias, T *out, float *lse, int length,
                 int keyLength, int heads, int kvHeads, float scale, int reach) {
  begin_kernel();
  extern __shared__ float shared[];
  float *queries = shared, *other = shared + TILE * STRIDE;
  int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, head = blockIdx.x, q0 = blockIdx.y * TILE;
  i64 sequence = (i64)blockIdx.z * length, qStride = (i64)heads * HEAD_DIM, kStride = (i64)kvHeads * HEAD_DIM;
  i64 queryAt = (sequence + q0) * qStride + head * HEAD_DIM;
  int keyCount = RANGED ? keyLength : length, own = q0 + warp * ROWS;
  i64 keyAt = (i64)blockIdx.z * keyCount * kStride + head / (heads / kvHeads) * HEAD_DIM;
  bias += head * (2 * reach - 1);
  float most[ROWS], total[ROWS], sums[ROWS][PARTS];
  int low[ROWS], high[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    most[r] = -INFINITE;
    total[r] = 0;
    low[r] = own + r < length ? first[sequence + own + r] : own + r + 1;
    high[r] = !RANGED ? own + r + 1 : own + r < length ? end[sequence + own + r] : 0;
    for (int part = 0; part < PARTS; part++) sums[r][part] = 0;
  }
  load_rows<TILE>(queries, q + queryAt, qStride, length - q0);
  int2 seen = RANGED ? seen_by_tile(first + sequence, end + sequence, q0, length)
                     : make_int2(first[sequence + q0], min(q0 + TILE, length));
  for (int k0 = seen.x; k0 < seen.y; k0 += LANES) {
    __syncthreads();
    load_rows<LANES>(other, k + keyAt + k0 * kStride, kStride, keyCount - k0);
    __syncthreads();
    float s[ROWS];
    dots(s, queries + warp * ROWS * STRIDE, other + lane * STRIDE);
    __syncthreads();
    load_rows<LANES>(other, v + keyAt + k0 * kStride, kStride, keyCount - k0);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      s[r] *= scale;
      if constexpr (BIAS) s[r] += bias[distance_at(k0 + lane - own - r, reach)];
      if (k0 + lane < low[r] || k0 + lane >= high[r]) s[r] = -INFINITE;
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

/* dq, and delta[batch][heads][length] = dOut · out for the kernel of dk and dv. Grid as forward's; memory for 2 * TILE + 32 rows. With
 * DBIAS parts[batch][heads][warps of all blocks][2 * reach - 1] get each warp's part of dBias. */
extern "C" __global__ void __launch_bounds__(WARPS * LANES)
    ww_attention_dq(const T *q, const T *k, const T *v, const int *first, const int *end, const float *bias, const T *out,
                    const T *dOut, const float *lse, float *delta, T *dq, float *parts, int length, int keyLength, int heads,
                    int kvHeads, float scale, int reach) {
  begin_kernel();
  extern __shared__ float shared[];
  float *queries = shared, *dOuts = shared + TILE * STRIDE, *other = shared + 2 * TILE * STRIDE;
  int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, head = blockIdx.x, q0 = blockIdx.y * TILE;
  i64 sequence = (i64)blockIdx.z * length, qStride = (i64)heads * HEAD_DIM, kStride = (i64)kvHeads * HEAD_DIM;
  i64 queryAt = (sequence + q0) * qStride + head * HEAD_DIM, scalarAt = ((i64)blockIdx.z * heads + head) * length;
  int keyCount = RANGED ? keyLength : length, own = q0 + warp * ROWS;
  i64 keyAt = (i64)blockIdx.z * keyCount * kStride + head / (heads / kvHeads) * HEAD_DIM;
  bias += head * (2 * reach - 1);
  float logs[ROWS], deltas[ROWS], sums[ROWS][PARTS], factors[ROWS];
  int low[ROWS], high[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    bool present = own + r < length;
    i64 row = queryAt + (warp * ROWS + r) * qStride;
    float part = 0;
    for (int d = lane; present && d < HEAD_DIM; d += LANES) part += to_float(dOut[row + d]) * to_float(out[row + d]);
    deltas[r] = warp_sum(part);
    logs[r] = present ? lse[scalarAt + own + r] : 0.0f;
    low[r] = present ? first[sequence + own + r] : own + r + 1;
    high[r] = !RANGED ? own + r + 1 : present ? end[sequence + own + r] : 0;
    factors[r] = scale;
    if (present && lane == 0) delta[scalarAt + own + r] = deltas[r];
    for (int i = 0; i < PARTS; i++) sums[r][i] = 0;
  }
  load_rows<TILE>(queries, q + queryAt, qStride, length - q0);
  load_rows<TILE>(dOuts, dOut + queryAt, qStride, length - q0);
  float below = 0, above = 0; /* of distances that share an end's value */
  if constexpr (DBIAS) {
    parts += (((i64)blockIdx.z * heads + head) * gridDim.y * WARPS + blockIdx.y * WARPS + warp) * (2 * reach - 1);
    for (int i = lane; i < 2 * reach - 1; i += LANES) parts[i] = 0;
    __syncwarp();
  }
  int2 seen = RANGED ? seen_by_tile(first + sequence, end + sequence, q0, length)
                     : make_int2(first[sequence + q0], min(q0 + TILE, length));
  for (int k0 = seen.x; k0 < seen.y; k0 += LANES) {
    float s[ROWS], dp[ROWS];
    __syncthreads();
    load_rows<LANES>(other, v + keyAt + k0 * kStride, kStride, keyCount - k0);
    __syncthreads();
    dots(dp, dOuts + warp * ROWS * STRIDE, other + lane * STRIDE);
    __syncthreads();
    load_rows<LANES>(other, k + keyAt + k0 * kStride, kStride, keyCount - k0);
    __syncthreads();
    dots(s, queries + warp * ROWS * STRIDE, other + lane * STRIDE);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      const int distance = k0 + lane - own - r;
      float score = s[r] * scale;
      if constexpr (BIAS) score += bias[distance_at(distance, reach)];
      s[r] = k0 + lane >= low[r] && k0 + lane < high[r] ? expf(score - logs[r]) * (dp[r] - deltas[r]) : 0.0f;
      if constexpr (DBIAS) { /* a row's lanes differ in their distance, and rows follow each other */
        const int at = distance + reach - 1;
        if (at <= 0)
          below += s[r];
        else if (at >= 2 * reach - 2)
          above += s[r];
        else
          parts[at] += s[r];
        __syncwarp();
      }
    }
    add_weighted(sums, s, other);
  }
  if constexpr (DBIAS) {
    below = warp_sum(below);
    above = warp_sum(above);
    if (lane == 0) {
      parts[0] = below;
      parts[2 * reach - 2] = reach > 1 ? above : below + above;
    }
  }
  store_rows(dq + queryAt + warp * ROWS * qStride, qStride, length - own, sums, factors);
}

/* dk and dv: a block takes TILE keys of one key head through all its query heads. Grid (kvHeads, ceil(keyLength / TILE), batch), memory
 * for 2 * TILE + 32 rows. `first` and `end` are the keys'. */
extern "C" __global__ void __launch_bounds__(WARPS * LANES)
    ww_attention_dkv(const T *q, const T *k, const T *v, const int *first, const int *end, const float *bias, const T *dOut,
                     const float *lse, const float *delta, T *dk, T *dv, int length, int keyLength, int heads, int kvHeads, float scale,
                     int reach) {
  begin_kernel();
  extern __shared__ float shared[];
  float *keys = shared, *values = shared + TILE * STRIDE, *other = shared + 2 * TILE * STRIDE;
  int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, group = heads / kvHeads, k0 = blockIdx.y * TILE;
  i64 sequence = (i64)blockIdx.z * length, qStride = (i64)heads * HEAD_DIM, kStride = (i64)kvHeads * HEAD_DIM;
  int keyCount = RANGED ? keyLength : length, own = k0 + warp * ROWS;
  i64 keySequence = (i64)blockIdx.z * keyCount, keyAt = (keySequence + k0) * kStride + blockIdx.x * HEAD_DIM;
  float dkSums[ROWS][PARTS], dvSums[ROWS][PARTS], scales[ROWS], ones[ROWS];
  int low[ROWS], high[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
    low[r] = RANGED && own + r < keyCount ? first[keySequence + own + r] : own + r;
    high[r] = own + r < keyCount ? end[keySequence + own + r] : 0;
    scales[r] = scale;
    ones[r] = 1;
    for (int i = 0; i < PARTS; i++) dkSums[r][i] = dvSums[r][i] = 0;
  }
  load_rows<TILE>(keys, k + keyAt, kStride, keyCount - k0);
  load_rows<TILE>(values, v + keyAt, kStride, keyCount - k0);
  int2 seen = RANGED ? seen_by_tile(first + keySequence, end + keySequence, k0, keyCount)
                     : make_int2(k0, end[sequence + min(k0 + TILE, length) - 1]);
  for (int head = blockIdx.x * group; head < (blockIdx.x + 1) * group; head++) {
    i64 scalarAt = ((i64)blockIdx.z * heads + head) * length;
    for (int q0 = seen.x; q0 < seen.y; q0 += LANES) {
      i64 queryAt = (sequence + q0) * qStride + head * HEAD_DIM;
      int i = q0 + lane;
      float log = i < length ? lse[scalarAt + i] : 0.0f, di = i < length ? delta[scalarAt + i] : 0.0f;
      float p[ROWS], ds[ROWS];
      __syncthreads();
      load_rows<LANES>(other, q + queryAt, qStride, length - q0);
      __syncthreads();
      dots(p, keys + warp * ROWS * STRIDE, other + lane * STRIDE);
#pragma unroll
      for (int r = 0; r < ROWS; r++) {
        float score = p[r] * scale;
        if constexpr (BIAS) score += bias[head * (2 * reach - 1) + distance_at(own + r - i, reach)];
        p[r] = i >= low[r] && i < high[r] ? expf(score - log) : 0.0f;
      }
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
  store_rows(dk + keyAt + warp * ROWS * kStride, kStride, keyCount - own, dkSums, scales);
  store_rows(dv + keyAt + warp * ROWS * kStride, kStride, keyCount - own, dvSums, ones);
}

/* dBias[heads][width] += the sums of parts[batch][heads][count][width], in a fixed order. Grid (heads, ceil(width / 32)), 256 threads. */
extern "C" __global__ void __launch_bounds__(256)
    ww_attention_distances(const float *parts, float *dBias, int batch, int heads, int count, int width) {
  begin_kernel();
  __shared__ float slices[8][LANES];
  int lane = threadIdx.x % LANES, slice = threadIdx.x / LANES, at = blockIdx.y * LANES + lane;
  float sum = 0;
  for (int b = 0; b < batch; b++) {
    const float *from = parts + ((i64)b * heads + blockIdx.x) * count * width + at;
#pragma unroll 8
    for (int i = slice; i < count; i += 8) sum += at < width ? from[(i64)i * width] : 0.0f;
  }
  slices[slice][lane] = sum;
  __syncthreads();
  if (slice > 0 || at >= width) return;
  for (int i = 1; i < 8; i++) sum += slices[i][lane];
  dBias[(i64)blockIdx.x * width + at] += sum;
}
