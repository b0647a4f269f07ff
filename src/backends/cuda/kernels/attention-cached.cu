/* Attention of single queries over a key-value cache (decoding), and the writes into that cache. Memory-bound: a block reads a range of
 * one slot's keys and values of one key head once for HEADS query heads. LANES lanes hold one key's dimensions, VEC at a time; each such
 * group of lanes goes through every GROUPSth key with a softmax of its own; those are put together in a fixed order. Ranges of a long
 * sequence go to several blocks (splits), whose results a second kernel combines; what it needs lies in device memory, so that a
 * recorded call works at any position. */
#include "prelude.cuh"

#ifndef T
#define T float
#endif
#ifndef CACHE /* the cache's type */
#define CACHE bf16
#endif
#ifndef HEAD_DIM
#define HEAD_DIM 128
#endif
#ifndef HEADS /* query heads of one key head in a block */
#define HEADS 4
#endif
#ifndef VEC /* elements a load: divides HEAD_DIM, at most 16 bytes of the cache, whose address is a multiple of as much */
#define VEC 8
#endif

__host__ __device__ constexpr int least_power(int x) {
  int y = 1;
  while (y < x) y *= 2;
  return y;
}
constexpr int WARPS = 4;
#ifndef BIAS /* 1: values by distance, [heads][2 * reach - 1], are added to the scaled scores */
#define BIAS 0
#endif
#ifndef BATCH /* keys that a group of lanes reads at once: with 3 four blocks of head size 128 have registers on a multiprocessor */
#define BATCH 3
#endif
constexpr int CHUNKS = HEAD_DIM / VEC, WANTED = least_power(CHUNKS), LANES = WANTED < 32 ? WANTED : 32;
constexpr int PARTS = (CHUNKS + LANES - 1) / LANES, GROUPS = WARPS * 32 / LANES;
#define INFINITE __int_as_float(0x7f800000)

struct __align__(VEC * sizeof(CACHE)) Chunk {
  CACHE x[VEC];
};

__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/* cache[slotOf[row], positions[row]] = x[row], rows of `dim`; one outside the cache is left out. `vector`: dim and the addresses allow
 * 16 bytes at a time. Grid (rows). */
extern "C" __global__ void ww_cache_write(const T *x, CACHE *cache, const int *slotOf, const int *positions, int slots, int capacity,
                                          int dim, int vector) {
  begin_kernel();
  int slot = slotOf[blockIdx.x], position = positions[blockIdx.x];
  if (slot < 0 || slot >= slots || position < 0 || position >= capacity) return;
  x += (i64)blockIdx.x * dim;
  cache += ((i64)slot * capacity + position) * dim;
  if (sizeof(T) == sizeof(CACHE) && vector) {
    constexpr int EACH = 16 / sizeof(T);
    for (int d = threadIdx.x; d < dim / EACH; d += blockDim.x)
      reinterpret_cast<uint4 *>(cache)[d] = reinterpret_cast<const uint4 *>(x)[d];
    return;
  }
  for (int d = threadIdx.x; d < dim; d += blockDim.x) cache[d] = from_float<CACHE>(to_float(x[d]));
}

/* The keys of split `split` of a row at `position`: even parts, of at least `least` keys. */
struct Range {
  int begin, end, active; /* splits that have keys */
};
__device__ __forceinline__ Range range_of(int position, int window, int capacity, int split, int splits, int least) {
  int last = min(position, capacity - 1), first = window > 0 ? max(0, position - window + 1) : 0;
  int count = last - first + 1, part = max((count + splits - 1) / splits, least);
  int begin = first + split * part;
  return {begin, min(begin + part, last + 1), (count + part - 1) / part};
}

/* Grid (rows, heads / HEADS, splits). A row with one active split writes `out`; others write the softmax's numerators to
 * sums[row][head][split][HEAD_DIM] (f32), and its greatest exponent and denominator to scales[row][head][split]. */
extern "C" __global__ void __launch_bounds__(WARPS * 32)
    ww_attention_cached(const T *q, const CACHE *keys, const CACHE *values, const int *slotOf, const int *positions, T *out, float *sums,
                        float2 *scales, const float *bias, int heads, int kvHeads, int capacity, float scale, int window,
                        int least, int reach) {
  begin_kernel();
  const int lane = threadIdx.x % LANES, group = threadIdx.x / LANES, row = blockIdx.x, head0 = blockIdx.y * HEADS;
  const Range range = range_of(positions[row], window, capacity, blockIdx.z, gridDim.z, least);
  if (range.begin >= range.end) return;
  const int dim = kvHeads * HEAD_DIM;
  const i64 at = (i64)slotOf[row] * capacity * dim + head0 / (heads / kvHeads) * HEAD_DIM + lane * VEC;
  keys += at;
  values += at;

  float query[HEADS][PARTS][VEC], sum[HEADS][PARTS][VEC], most[HEADS], total[HEADS];
#pragma unroll
  for (int h = 0; h < HEADS; h++) {
    most[h] = -INFINITE;
    total[h] = 0;
#pragma unroll
    for (int part = 0; part < PARTS; part++)
#pragma unroll
      for (int i = 0; i < VEC; i++) {
        int chunk = part * LANES + lane;
        const T *from = q + ((i64)row * heads + head0 + h) * HEAD_DIM + chunk * VEC + i;
        query[h][part][i] = chunk < CHUNKS ? to_float(*from) * (scale * 1.4426950408889634f) : 0.0f;
        sum[h][part][i] = 0;
      }
  }

  /* Every group goes round equally often: the shuffles below need whole warps. */
  for (int begin = range.begin; begin < range.end; begin += BATCH * GROUPS) {
    Chunk k[BATCH][PARTS], v[BATCH][PARTS];
#pragma unroll
    for (int b = 0; b < BATCH; b++) {
      int key = begin + b * GROUPS + group;
#pragma unroll
      for (int part = 0; part < PARTS; part++) {
        if (key < range.end && part * LANES + lane < CHUNKS) {
          i64 offset = (i64)key * dim + part * LANES * VEC;
          k[b][part] = *reinterpret_cast<const Chunk *>(keys + offset);
          v[b][part] = *reinterpret_cast<const Chunk *>(values + offset);
        } else {
#pragma unroll
          for (int i = 0; i < VEC; i++) k[b][part].x[i] = v[b][part].x[i] = from_float<CACHE>(0.0f);
        }
      }
    }
    float s[HEADS][BATCH];
#pragma unroll
    for (int b = 0; b < BATCH; b++) {
#pragma unroll
      for (int h = 0; h < HEADS; h++) s[h][b] = 0;
#pragma unroll
      for (int part = 0; part < PARTS; part++)
#pragma unroll
        for (int i = 0; i < VEC; i++) {
          float x = to_float(k[b][part].x[i]);
#pragma unroll
          for (int h = 0; h < HEADS; h++) s[h][b] += query[h][part][i] * x;
        }
      bool seen = begin + b * GROUPS + group < range.end;
#pragma unroll
      for (int h = 0; h < HEADS; h++) {
#pragma unroll
        for (int offset = LANES / 2; offset > 0; offset /= 2) s[h][b] += __shfl_xor_sync(0xffffffffu, s[h][b], offset);
        if constexpr (BIAS) { /* keys stand before the query, or where it does */
          const int at = min(begin + b * GROUPS + group - positions[row] + reach - 1, reach - 1);
          s[h][b] += bias[(head0 + h) * (2 * reach - 1) + max(at, 0)] * 1.4426950408889634f;
        }
        if (!seen) s[h][b] = -INFINITE;
      }
    }
#pragma unroll
    for (int h = 0; h < HEADS; h++) {
      float peak = most[h];
#pragma unroll
      for (int b = 0; b < BATCH; b++) peak = fmaxf(peak, s[h][b]);
      float base = peak == -INFINITE ? 0.0f : peak, shrink = exp2_fast(most[h] - base);
      most[h] = peak;
      total[h] *= shrink;
#pragma unroll
      for (int b = 0; b < BATCH; b++) total[h] += s[h][b] = exp2_fast(s[h][b] - base);
#pragma unroll
      for (int part = 0; part < PARTS; part++)
#pragma unroll
        for (int i = 0; i < VEC; i++) sum[h][part][i] *= shrink;
    }
#pragma unroll
    for (int b = 0; b < BATCH; b++)
#pragma unroll
      for (int part = 0; part < PARTS; part++)
#pragma unroll
        for (int i = 0; i < VEC; i++) {
          float x = to_float(v[b][part].x[i]);
#pragma unroll
          for (int h = 0; h < HEADS; h++) sum[h][part][i] += s[h][b] * x;
        }
  }

  __shared__ float groupSums[GROUPS][HEADS][HEAD_DIM];
  __shared__ float2 groupScales[GROUPS][HEADS];
#pragma unroll
  for (int h = 0; h < HEADS; h++) {
    if (lane == 0) groupScales[group][h] = make_float2(most[h], total[h]);
#pragma unroll
    for (int part = 0; part < PARTS; part++)
#pragma unroll
      for (int i = 0; i < VEC; i++) {
        int chunk = part * LANES + lane;
        if (chunk < CHUNKS) groupSums[group][h][chunk * VEC + i] = sum[h][part][i];
      }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < HEADS * HEAD_DIM; i += WARPS * 32) {
    int h = i / HEAD_DIM, d = i % HEAD_DIM;
    float peak = -INFINITE, all = 0, denominator = 0;
    for (int g = 0; g < GROUPS; g++) peak = fmaxf(peak, groupScales[g][h].x);
    for (int g = 0; g < GROUPS; g++) {
      float weight = exp2_fast(groupScales[g][h].x - peak);
      denominator += weight * groupScales[g][h].y;
      all += weight * groupSums[g][h][d];
    }
    i64 to = (i64)row * heads + head0 + h;
    if (range.active == 1) {
      out[to * HEAD_DIM + d] = from_float<T>(all / denominator);
    } else {
      to = to * gridDim.z + blockIdx.z;
      sums[to * HEAD_DIM + d] = all;
      if (d == 0) scales[to] = make_float2(peak, denominator);
    }
  }
}

/* Puts the active splits of a row's head together. Grid (rows, heads). */
extern "C" __global__ void ww_attention_cached_combine(const int *positions, const float *sums, const float2 *scales, T *out, int heads,
                                                       int capacity, int window, int splits, int least) {
  begin_kernel();
  const int active = range_of(positions[blockIdx.x], window, capacity, 0, splits, least).active;
  if (active <= 1) return;
  const i64 head = (i64)blockIdx.x * heads + blockIdx.y;
  sums += head * splits * HEAD_DIM;
  scales += head * splits;
  float peak = -INFINITE;
  for (int s = 0; s < active; s++) peak = fmaxf(peak, scales[s].x);
  for (int d = threadIdx.x; d < HEAD_DIM; d += blockDim.x) {
    float all = 0, denominator = 0;
    for (int s = 0; s < active; s++) {
      float weight = exp2_fast(scales[s].x - peak);
      denominator += weight * scales[s].y;
      all += weight * sums[s * HEAD_DIM + d];
    }
    out[head * HEAD_DIM + d] = from_float<T>(all / denominator);
  }
}
