/* The matrix product of decoding on bf16 tensor cores: y[m, n] = alpha · x[m, k] · w[n, k]ᵀ and what is added to it, w in NF4 (nf4.cuh),
 * read once as it is stored, which bounds the time. mma's 16 rows are w's, its 8 columns rows of x. A warp takes 16 rows of w and a share
 * of k, in chunks of 64: the blocks of NF4, whose scale multiplies the chunk's sums, so that the 16 codes alone are rounded to bf16. A sum
 * does not care for its order: lane 4g + t takes the chunk's k's 16t to 16t + 15 of rows g and g + 8, as they lie, and of x's row g. */
#include "mma.cuh"
#include "nf4.cuh"

#ifndef ROWS /* of x, a multiple of 8 */
#define ROWS 8
#endif
#ifndef OUT
#define OUT bf16
#endif

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

constexpr int WARPS = 8;
constexpr int TILES = ROWS / 8;
/* Chunks of w and of x that are read ahead: as the registers allow. */
constexpr int AHEAD = ROWS <= 16 ? 8 : 4;
constexpr int X_AHEAD = 4 / TILES > 0 ? 4 / TILES : 1;
constexpr int TURN = 8; /* chunks of a turn of the loop: a lane has the scales of two */
constexpr int SUMS = 16 * ROWS;

struct Shared {
  u32 pairs[256][32]; /* what a byte's two codes stand for, once for each bank */
  float map[256];
  float sums[WARPS][SUMS];
};

/* Dynamic shared memory: Shared. k is a multiple of 64; `splits` warps share k. */
extern "C" __global__ void __launch_bounds__(WARPS * 32, 2)
    ww_nf4_rows(const bf16* x, const u8* w, const void* absmax, const float* nested, const float* map, const float* offset, OUT* y,
                const float* bias, const OUT* residual, const bf16* u, const float* b, int m, int n, int k, int r, float alpha,
                float extra_alpha, int splits) {
  extern __shared__ float4 dynamic[];
  Shared& shared = *reinterpret_cast<Shared*>(dynamic);
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
  int groups = WARPS / splits, group = blockIdx.x * groups + warp / splits, split = warp % splits;
  int blocks = k / 64, per = (blocks + splits - 1) / splits, begin = split * per, end = min(blocks, begin + per);
  if (group * 16 >= n) end = begin; // this warp has nothing to do but to take part in the barriers

  const int first = blockIdx.y * ROWS;
  i64 row[2];
  for (int h = 0; h < 2; h++) row[h] = (i64)min(group * 16 + g + 8 * h, n - 1) * k;
  uint2 codes[AHEAD][2];
  auto read_codes = [&](int block, int slot) {
#pragma unroll
    for (int h = 0; h < 2; h++) codes[slot][h] = stream_8(w + (row[h] + block * 64 + 16 * t) / 2, block < end);
  };
  uint4 xs[X_AHEAD][TILES][2];
  auto read_x = [&](int block, int slot) {
#pragma unroll
    for (int tile = 0; tile < TILES; tile++)
#pragma unroll
      for (int h = 0; h < 2; h++) {
        const bf16* from = x + (i64)(first + 8 * tile + g) * k + block * 64 + 16 * t;
        xs[slot][tile][h] = make_uint4(0, 0, 0, 0);
        if (block < end && first + 8 * tile + g < m) xs[slot][tile][h] = reinterpret_cast<const uint4*>(from)[h];
      }
  };
  // Of rows g and g + 8 in chunks t and t + 4 of a turn.
  float scale[2][2];
#if NESTED
  u8 codes_of_scales[2][2];
#endif
  auto read_scales = [&](int block) {
#pragma unroll
    for (int h = 0; h < 2; h++)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        i64 place = (row[h] >> 6) + min(block + t + 4 * i, blocks - 1);
#if NESTED
        codes_of_scales[h][i] = ((const u8*)absmax)[place];
        scale[h][i] = nested[place >> 8];
#else
        scale[h][i] = ((const float*)absmax)[place];
#endif
      }
  };
  // All of that are weights, which no kernel that may still run has written.
  let_next_begin();
#pragma unroll
  for (int i = 0; i < AHEAD; i++) read_codes(begin + i, i);
  read_scales(begin);
#if NESTED
  float shift = offset[0];
#endif
  {
    u32 pair = pack_bf16(CODES[threadIdx.x >> 4], CODES[threadIdx.x & 15]); // the earlier value stands in a byte's high half
    uint4* to = reinterpret_cast<uint4*>(shared.pairs[threadIdx.x]);
#pragma unroll
    for (int i = 0; i < 8; i++) to[(i + lane) % 8] = make_uint4(pair, pair, pair, pair);
#if NESTED
    shared.map[threadIdx.x] = map[threadIdx.x];
#endif
  }
  wait_for_inputs();
#pragma unroll
  for (int i = 0; i < X_AHEAD; i++) read_x(begin + i, i);
  __syncthreads();

  u32 table = shared_address(&shared.pairs[0][lane]);
  auto pair_of = [&](u32 word, int i) {
    u32 value, at = __byte_perm(word, 0, 0x4440 + i) * 128 + table;
    asm("ld.shared.u32 %0, [%1];" : "=r"(value) : "r"(at));
    return value;
  };
  float acc[TILES][4] = {};
  for (int turn = begin; turn < end; turn += TURN) {
    float mine[2][2];
#pragma unroll
    for (int h = 0; h < 2; h++)
#pragma unroll
      for (int i = 0; i < 2; i++) {
#if NESTED
        mine[h][i] = __fadd_rn(__fmul_rn(shared.map[codes_of_scales[h][i]], scale[h][i]), shift);
#else
        mine[h][i] = scale[h][i];
#endif
      }
    if (turn + TURN < end) read_scales(turn + TURN);
#pragma unroll
    for (int i = 0; i < TURN; i++) {
      if (turn + i >= end) break;
      int slot = i % AHEAD, x_slot = i % X_AHEAD;
      float part[TILES][4] = {};
#pragma unroll
      for (int s = 0; s < 4; s++) {
        u32 a[4];
#pragma unroll
        for (int h = 0; h < 2; h++) {
          u32 word = s < 2 ? codes[slot][h].x : codes[slot][h].y;
          a[h] = pair_of(word, s % 2 * 2), a[2 + h] = pair_of(word, s % 2 * 2 + 1);
        }
#pragma unroll
        for (int tile = 0; tile < TILES; tile++) {
          const uint4& v = xs[x_slot][tile][s / 2];
          mma_bf16(part[tile], a, s % 2 ? v.z : v.x, s % 2 ? v.w : v.y);
        }
      }
      read_codes(turn + i + AHEAD, slot);
      read_x(turn + i + X_AHEAD, x_slot);
      float low = __shfl_sync(0xffffffffu, mine[0][i / 4], 4 * g + i % 4);
      float high = __shfl_sync(0xffffffffu, mine[1][i / 4], 4 * g + i % 4);
#pragma unroll
      for (int tile = 0; tile < TILES; tile++) {
        acc[tile][0] += low * part[tile][0], acc[tile][1] += low * part[tile][1];
        acc[tile][2] += high * part[tile][2], acc[tile][3] += high * part[tile][3];
      }
    }
  }

#pragma unroll
  for (int tile = 0; tile < TILES; tile++)
#pragma unroll
    for (int i = 0; i < 4; i++) shared.sums[warp][(8 * tile + 2 * t + i % 2) * 16 + g + i / 2 * 8] = acc[tile][i];
  __syncthreads();
  for (int item = threadIdx.x; item < groups * SUMS; item += WARPS * 32) {
    int part = item / SUMS, place = item % SUMS, j = first + place / 16, column = (blockIdx.x * groups + part) * 16 + place % 16;
    if (j >= m || column >= n) continue;
    float sum = 0;
    for (int s = 0; s < splits; s++) sum += shared.sums[part * splits + s][place];
    sum *= alpha;
    if (u) {
      float extra = 0;
      for (int i = 0; i < r; i++) extra += to_float(u[(i64)j * r + i]) * b[(i64)column * r + i];
      sum += extra_alpha * extra;
    }
    if (bias) sum += bias[column];
    i64 at = (i64)j * n + column;
    if (residual) sum += to_float(residual[at]);
    y[at] = from_float<OUT>(sum);
  }
}

#endif
