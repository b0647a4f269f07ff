/* The matrix product of decoding on bf16 tensor cores: y[m, n] = alpha · x[m, k] · w[n, k]ᵀ and what is added to it, w in NF4 (nf4.cuh),
 * read once as it is stored, which bounds the time; for up to three weights of one x in a launch. mma's 16 rows are w's, its 8 columns rows of x. A block takes 16 rows of w,
 * whose k its warps share, in chunks of 64: the blocks of NF4, whose scale multiplies the chunk's sums, so that the 16 codes alone are rounded to bf16. A sum
 * does not care for its order: lane 4g + t takes the chunk's k's 16t to 16t + 15 of rows g and g + 8, as they lie, and of x's row g. */
#include "added.cuh"
#include "mma.cuh"
#include "nf4.cuh"

#ifndef ROWS /* of x at most, 8 or 16 */
#define ROWS 8
#endif
#ifndef OUT
#define OUT bf16
#endif

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

constexpr int WARPS = 8; /* which share k */
constexpr int TILES = ROWS / 8;
/* A warp's part of w comes to shared memory in stages of 16 rows by 4 chunks, 128 bytes of each row at a time, several of them ahead. */
constexpr int CHUNKS = 4;
constexpr int STAGES = 3;
constexpr int STAGE_BYTES = 16 * CHUNKS * 32;
constexpr int X_AHEAD = 4 / TILES; /* chunks of x that are read ahead: as the registers allow */
constexpr int SUMS = 16 * ROWS;
constexpr int WEIGHTS = 3;

struct Weight {
  const u8* codes;
  const void* absmax;
  const float *nested, *map, *offset;
  OUT* y;
  const float* bias;
  const OUT* residual;
  const bf16* u;
  const float* b;
  i64 n;
  int r;
  float extra_alpha;
};
struct Weights {
  Weight of[WEIGHTS];
};

struct Shared {
  u32 pairs[256][32]; /* what a byte's two codes stand for, once for each bank */
  u8 codes[WARPS][STAGES][STAGE_BYTES];
  float map[WEIGHTS][256], shift[WEIGHTS];
  float sums[2][WARPS][SUMS];
};

/* Dynamic shared memory: Shared. All n are multiples of 16, k of 256; weights behind the last have n = 0. A block takes every gridDim.x-th 16
 * rows of the weights, without a break between them in its reading. */
extern "C" __global__ void __launch_bounds__(WARPS * 32, 2)
    ww_nf4_rows(const bf16* x, const __grid_constant__ Weights weights, int m, int k, float alpha) {
  extern __shared__ float4 dynamic[];
  Shared& shared = *reinterpret_cast<Shared*>(dynamic);
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
  int stages = k / (64 * CHUNKS), per = (stages + WARPS - 1) / WARPS, begin = warp * per;
  int count = max(0, min(stages - begin, per)); // of this warp in 16 rows
  // Of 16 rows: where the second weight's begin, the third's, and all end.
  const int groups0 = weights.of[0].n / 16, groups1 = groups0 + weights.of[1].n / 16, groups = groups1 + weights.of[2].n / 16;
  auto index_of = [&](int group) { return group < groups0 ? 0 : group < groups1 ? 1 : 2; };
  auto row_of = [&](int group) { return (group - (group < groups0 ? 0 : group < groups1 ? groups0 : groups1)) * 16; };

  // 16 bytes each, 8 lanes a row; a row's eight are permuted by its number, so that the reads meet all banks.
  u32 staged = shared_address(shared.codes[warp]);
  const u32 place_in_rows = (u32)(lane / 8) * k / 2 + begin * (CHUNKS * 32) + lane % 8 * 16;
  auto codes_of = [&](int group) { return weights.of[index_of(group)].codes + (i64)row_of(group) * k / 2 + place_in_rows; };
  const u8* from = codes_of(blockIdx.x);
  u32 to[2];
  for (int i = 0; i < 2; i++) to[i] = staged + (4 * i + lane / 8) * 128 + (lane % 8 ^ (4 * i + lane / 8)) * 16;
  int ahead_group = blockIdx.x, ahead_stage = 0;
  u32 ahead_slot = 0;
  auto load_stage = [&]() {
    if (ahead_group < groups && count > 0) {
#pragma unroll
      for (int i = 0; i < 4; i++)
        cp_async_16(to[i % 2] + ahead_slot + i / 2 * 1024, from + (i64)i * 2 * k, true);
      ahead_slot = ahead_slot == (STAGES - 1) * STAGE_BYTES ? 0 : ahead_slot + STAGE_BYTES;
      from += CHUNKS * 32;
      if (++ahead_stage == count) ahead_stage = 0, from = codes_of(ahead_group += gridDim.x);
    }
    cp_async_commit();
  };
  // The scales of rows g and g + 8 in chunk t of a stage.
  float scale[2];
#if NESTED
  u8 codes_of_scales[2];
#endif
  auto read_scales = [&](int group, int stage) {
    if (group >= groups || stage >= count) return;
    const Weight& w = weights.of[index_of(group)];
#pragma unroll
    for (int h = 0; h < 2; h++) {
      i64 place = (i64)(row_of(group) + g + 8 * h) * (k / 64) + (begin + stage) * CHUNKS + t;
#if NESTED
      codes_of_scales[h] = ((const u8*)w.absmax)[place];
      scale[h] = w.nested[place >> 8];
#else
      scale[h] = ((const float*)w.absmax)[place];
#endif
    }
  };
  // Up to here all are weights, which no kernel that may still run has written.
  let_next_begin();
#pragma unroll
  for (int i = 0; i < STAGES - 1; i++) load_stage();
  read_scales(blockIdx.x, 0);
  {
    u32 pair = pack_bf16(code_of(threadIdx.x >> 4), code_of(threadIdx.x & 15)); // the earlier value stands in a byte's high half
    uint4* entry = reinterpret_cast<uint4*>(shared.pairs[threadIdx.x]);
#pragma unroll
    for (int i = 0; i < 8; i++) entry[(i + lane) % 8] = make_uint4(pair, pair, pair, pair);
#if NESTED
#pragma unroll
    for (int i = 0; i < WEIGHTS; i++)
      if (weights.of[i].n > 0) {
        shared.map[i][threadIdx.x] = weights.of[i].map[threadIdx.x];
        if (threadIdx.x == 0) shared.shift[i] = weights.of[i].offset[0];
      }
#endif
  }
  wait_for_inputs();

  // Columns of the result behind the last row of x are computed from that row, and not written.
  uint4 xs[X_AHEAD][TILES][2];
  const bf16* x_from[TILES];
#pragma unroll
  for (int tile = 0; tile < TILES; tile++)
    x_from[tile] = x + (i64)min(8 * tile + g, m - 1) * k + begin * (CHUNKS * 64) + 16 * t;
  auto read_x = [&](int chunk, int slot) {
#pragma unroll
    for (int tile = 0; tile < TILES; tile++)
#pragma unroll
      for (int h = 0; h < 2; h++)
        xs[slot][tile][h] = *reinterpret_cast<const uint4*>(x_from[tile] + chunk * 64 + 8 * h);
  };
  if (count > 0) {
#pragma unroll
    for (int i = 0; i < X_AHEAD; i++) read_x(i, i);
  }
  __syncthreads();

  // By hand, for an address in two instructions.
  u32 table = shared_address(&shared.pairs[0][lane]);
  auto pair_of = [&](u32 word, int i) {
    u32 pair;
    asm("ld.shared.u32 %0, [%1];" : "=r"(pair) : "r"(__byte_perm(word, 0, 0x4440 + i) * 128 + table));
    return pair;
  };
  u32 place[CHUNKS];
#pragma unroll
  for (int i = 0; i < CHUNKS; i++) place[i] = g * 128 + ((2 * i + t / 2) ^ g) * 16 + t % 2 * 8;
  u32 slot = 0;
  int turn = 0;
  for (int group = blockIdx.x; group < groups; group += gridDim.x, turn ^= 1) {
    const int index = index_of(group);
    float acc[TILES][4] = {};
#pragma unroll 1
    for (int stage = 0; stage < count; stage++) {
      cp_async_wait<STAGES - 2>();
      __syncwarp();
      load_stage();
      float mine[2];
#pragma unroll
      for (int h = 0; h < 2; h++) {
#if NESTED
        mine[h] = __fadd_rn(__fmul_rn(shared.map[index][codes_of_scales[h]], scale[h]), shared.shift[index]);
#else
        mine[h] = scale[h];
#endif
      }
      bool last = stage + 1 == count;
      read_scales(last ? group + gridDim.x : group, last ? 0 : stage + 1);
      const u8* codes_at = shared.codes[warp][0] + slot;
      slot = slot == (STAGES - 1) * STAGE_BYTES ? 0 : slot + STAGE_BYTES;
      // The next chunks of x: after the last those of the next 16 rows, which are the first again.
      int back = last ? count * CHUNKS : 0;
#pragma unroll
      for (int i = 0; i < CHUNKS; i++) {
        uint2 codes[2];
#pragma unroll
        for (int h = 0; h < 2; h++) codes[h] = *reinterpret_cast<const uint2*>(codes_at + place[i] + h * 1024);
        float part[TILES][4] = {};
#pragma unroll
        for (int s = 0; s < 4; s++) {
          u32 a[4];
#pragma unroll
          for (int h = 0; h < 2; h++) {
            u32 word = s < 2 ? codes[h].x : codes[h].y;
            a[h] = pair_of(word, s % 2 * 2), a[2 + h] = pair_of(word, s % 2 * 2 + 1);
          }
#pragma unroll
          for (int tile = 0; tile < TILES; tile++) {
            const uint4& v = xs[i % X_AHEAD][tile][s / 2];
            mma_bf16(part[tile], a, s % 2 ? v.z : v.x, s % 2 ? v.w : v.y);
          }
        }
        read_x(i + X_AHEAD < CHUNKS ? i + X_AHEAD : i + X_AHEAD - back, i % X_AHEAD);
        float low = __shfl_sync(0xffffffffu, mine[0], 4 * g + i), high = __shfl_sync(0xffffffffu, mine[1], 4 * g + i);
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
          acc[tile][0] += low * part[tile][0], acc[tile][1] += low * part[tile][1];
          acc[tile][2] += high * part[tile][2], acc[tile][3] += high * part[tile][3];
        }
      }
#pragma unroll
      for (int tile = 0; tile < TILES; tile++) x_from[tile] += (CHUNKS - back) * 64;
    }

    // The warps' sums in turn; the next 16 rows' have other memory, so that one barrier is enough.
    float(*sums)[SUMS] = shared.sums[turn];
#pragma unroll
    for (int tile = 0; tile < TILES; tile++)
#pragma unroll
      for (int i = 0; i < 4; i++) sums[warp][(8 * tile + 2 * t + i % 2) * 16 + g + i / 2 * 8] = acc[tile][i];
    __syncthreads();
    for (int item = threadIdx.x; item < SUMS; item += WARPS * 32) {
      const Weight& w = weights.of[index];
      int j = item / 16, column = row_of(group) + item % 16;
      if (j >= m) continue;
      float rest = added(w.u, w.b, w.r, w.extra_alpha, w.bias, w.residual, j, column, (int)w.n), sum = 0;
#pragma unroll
      for (int s = 0; s < WARPS; s++) sum += sums[s][item];
      w.y[(i64)j * w.n + column] = from_float<OUT>(alpha * sum + rest);
    }
  }
}

#endif
