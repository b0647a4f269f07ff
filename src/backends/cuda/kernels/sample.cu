/* The draw of a token from logits (contract.ts, sample) without a sort; a block a row. Keys are the logits' bits in an order that follows
 * their value; to know what stands at a place of the order, by count or by mass, its key is found from the upper bits down, two at a
 * time. All sums are of integers, so that their order does not matter. */
#include "vector.cuh"

constexpr int WARPS = 32;

struct Row {
  const float* logits;
  u32* masses;
  int n;
};
/* The key at a place, and how far the place is behind the first of its equals. */
struct Place {
  u32 key;
  u64 rest;
};

__device__ __forceinline__ u32 key_of(float x) {
  u32 bits = __float_as_uint(x != x ? __uint_as_float(0xff800000u) : x + 0.f); // of the zeros one is left
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

/* Sums over the block, the same in every thread. `shared`: 3 * WARPS words that the call before may have used. */
__device__ __forceinline__ void block_sums(u64 (&sums)[3], u64 (*shared)[WARPS]) {
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  __syncthreads();
#pragma unroll
  for (int j = 0; j < 3; j++) {
    for (int offset = 16; offset > 0; offset >>= 1) sums[j] += __shfl_xor_sync(0xffffffffu, sums[j], offset);
    if (lane == 0) shared[j][warp] = sums[j];
  }
  __syncthreads();
#pragma unroll
  for (int j = 0; j < 3; j++) {
    sums[j] = shared[j][lane];
    for (int offset = 16; offset > 0; offset >>= 1) sums[j] += __shfl_xor_sync(0xffffffffu, sums[j], offset);
  }
}

/* The place is below the sum of all. */
__device__ Place find(const Row& row, bool by_mass, u64 place, u64 (*shared)[WARPS]) {
  u32 prefix = 0;
  for (int shift = 30; shift >= 0; shift -= 2) {
    u64 sums[3] = {};
    for (int i = threadIdx.x; i < row.n; i += blockDim.x) {
      u32 above = key_of(row.logits[i]) >> shift;
      u64 weight = by_mass ? row.masses[i] : 1;
      if (above >> 2 != prefix) continue;
#pragma unroll
      for (int j = 0; j < 3; j++)
        if ((above & 3) == j + 1) sums[j] += weight;
    }
    block_sums(sums, shared);
    u32 digit = 3;
    while (digit > 0 && place >= sums[digit - 1]) place -= sums[--digit];
    prefix = prefix << 2 | digit;
  }
  return {prefix, place};
}

/* Of the keys above a place's, and of that many of its equals, whose mass is in `one`. */
__device__ u64 mass_to(const Row& row, u32 key, u64 equals, u32 one, u64 (*shared)[WARPS]) {
  u64 sums[3] = {};
  for (int i = threadIdx.x; i < row.n; i += blockDim.x)
    if (key_of(row.logits[i]) > key) sums[0] += row.masses[i];
  block_sums(sums, shared);
  return sums[0] + equals * one;
}

__device__ __forceinline__ u32 mass_of(float logit, float largest, double temperature) {
  double share = key_of(logit) == key_of(largest) ? 1 : logit != logit ? 0 : exp(((double)logit - (double)largest) / temperature);
  return (u32)(share * 0x1p31);
}
__device__ __forceinline__ float logit_of(u32 key) { return __uint_as_float(key >> 31 ? key & 0x7fffffffu : ~key); }

extern "C" __global__ void __launch_bounds__(WARPS * 32)
    ww_sample(const float* logits, const u32* draws, int* out, u32* masses, int vocab, double temperature, int top_k, double top_p) {
  begin_kernel();
  __shared__ u64 shared[3][WARPS];
  __shared__ float tops[WARPS];
  Row row = {logits + (i64)blockIdx.x * vocab, masses + (i64)blockIdx.x * vocab, vocab};
  float top = __uint_as_float(0xff800000u);
  for (int i = threadIdx.x; i < vocab; i += blockDim.x) top = fmaxf(top, row.logits[i]);
  top = warp_max(top);
  if (threadIdx.x % 32 == 0) tops[threadIdx.x / 32] = top;
  __syncthreads();
  const float largest = warp_max(tops[threadIdx.x % 32]);
  u64 sums[3] = {};
  // Each thread reads those masses alone that it has written.
  for (int i = threadIdx.x; i < vocab; i += blockDim.x) sums[0] += row.masses[i] = mass_of(row.logits[i], largest, temperature);
  block_sums(sums, shared);
  u64 total = sums[0];
  auto one_of = [&](u32 key) { return mass_of(logit_of(key), largest, temperature); };
  if (top_k > 0 && top_k < vocab) {
    Place last = find(row, false, top_k - 1, shared);
    total = mass_to(row, last.key, last.rest + 1, one_of(last.key), shared);
  }
  u64 kept = total;
  double wanted = ceil(top_p * (double)total) - 1;
  if (wanted < (double)total - 1) {
    Place last = find(row, true, wanted > 0 ? (u64)wanted : 0, shared);
    u32 one = one_of(last.key);
    kept = mass_to(row, last.key, last.rest / one + 1, one, shared);
  }
  Place chosen = find(row, true, (u64)(draws[blockIdx.x] * 0x1p-32 * (double)kept), shared);
  // Which of its equals: each thread counts those of a stretch of ids, in the order of the threads.
  u64 before = chosen.rest / one_of(chosen.key);
  int stretch = (vocab + blockDim.x - 1) / blockDim.x, begin = min(vocab, (int)threadIdx.x * stretch), end = min(vocab, begin + stretch);
  u32 mine = 0;
  for (int i = begin; i < end; i++) mine += key_of(row.logits[i]) == chosen.key;
  u32 up_to = mine;
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (int offset = 1; offset < 32; offset <<= 1) {
    u32 other = __shfl_up_sync(0xffffffffu, up_to, offset);
    if (lane >= offset) up_to += other;
  }
  __syncthreads();
  if (lane == 31) shared[0][warp] = up_to;
  __syncthreads();
  u64 first = up_to - mine;
  for (int i = 0; i < warp; i++) first += shared[0][i];
  if (before < first || before >= first + mine) return;
  for (int i = begin; i < end; i++)
    if (key_of(row.logits[i]) == chosen.key && first++ == before) out[blockIdx.x] = i;
}
