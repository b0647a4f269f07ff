/* The matrix products of decoding for 17 to 64 rows of x with weights in NF4 (nf4.cuh), on Hopper's tensor cores:
 *   y[m, n] = [from] + alpha · x[m, k] · w[n, k]ᵀ    for up to three weights of one k in a launch
 * A block takes 256 rows of a weight, and all of k or a slice of it. Slices' sums go to device memory, and once all of a tile's have come
 * its blocks add them up, each a share of the tile, in the slices' order (all blocks run at once, so that none waits for one that has not
 * begun). Four groups of four warps multiply 64 rows of w each, whose codes their lanes look up in registers, by x in shared memory (PTX
 * ISA, wgmma.mma_async with A in registers; B "K-major" in the layout of 128 bytes' swizzle), and scale the sums of each 64 k's, which are
 * one block of NF4. The groups share x alone, so that one multiplies while others look up and scale. A sum does not care for its order: with
 * g = lane / 4 and t = lane % 4 a lane takes a block's k's 16t to 16t + 15, as they lie, and of its warp's 16 rows of w 2g and 2g + 1. For
 * that, and to be copied as a whole, x is laid out before as it will stand in shared memory (ww_nf4_tile_x). */
#include "mma.cuh"
#include "nf4.cuh"

#ifndef OUT
#define OUT bf16
#endif

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)

constexpr int X_ROWS = 64;
constexpr int W_ROWS = 256;
constexpr int CHUNKS = 4; /* of 64 k's: the blocks of NF4 */
constexpr int X_BYTES = X_ROWS * 128; /* of x in a chunk */
constexpr int THREADS = 512;
constexpr int STAGES = 3;
constexpr int WEIGHTS = 3;
constexpr int QUADS = X_ROWS * W_ROWS / 4; /* of sums in a tile */

struct Weight {
  const u8* codes;
  const void* absmax;
  const float *nested, *map, *offset;
  OUT* y;
  const OUT* from;
  i64 n;
};
struct Weights {
  Weight of[WEIGHTS];
};
struct Stage {
  u8 x[CHUNKS][X_BYTES];
  u8 codes[W_ROWS * CHUNKS * 32];
};
struct Shared {
  Stage stages[STAGES];
  u32 pairs[256][32]; /* what a byte's two codes stand for, in bf16, once for each bank */
  float map[256];
  u64 full[STAGES], empty[STAGES];
};

/* B of 16 k's: 64 rows of 128 bytes, the 16-byte units of each permuted by its number. */
__device__ __forceinline__ u64 descriptor(u32 at) {
  constexpr u64 EIGHT_ROWS = 1024 >> 4, SWIZZLE_128 = 1;
  return (u64)((at & 0x3ffff) >> 4) | (u64)1 << 16 | EIGHT_ROWS << 32 | SWIZZLE_128 << 62;
}

/* c[64, 64] = [c] + a[64, 16] · b[16, 64] */
template <int Accumulate>
__device__ __forceinline__ void multiply(float (&c)[32], const u32 (&a)[4], u64 b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
      "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}, "
      "{%32,%33,%34,%35}, %36, %37, 1, 1, 0;"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]), "+f"(c[4]), "+f"(c[5]), "+f"(c[6]), "+f"(c[7]), "+f"(c[8]), "+f"(c[9]),
        "+f"(c[10]), "+f"(c[11]), "+f"(c[12]), "+f"(c[13]), "+f"(c[14]), "+f"(c[15]), "+f"(c[16]), "+f"(c[17]), "+f"(c[18]),
        "+f"(c[19]), "+f"(c[20]), "+f"(c[21]), "+f"(c[22]), "+f"(c[23]), "+f"(c[24]), "+f"(c[25]), "+f"(c[26]), "+f"(c[27]),
        "+f"(c[28]), "+f"(c[29]), "+f"(c[30]), "+f"(c[31])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(Accumulate));
}

__device__ __forceinline__ void barrier_init(const u64& barrier, int count) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared_address(&barrier)), "r"(count) : "memory");
}
__device__ __forceinline__ void barrier_arrive(const u64& barrier) {
  asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(shared_address(&barrier)) : "memory");
}
/* Copies device memory to shared memory in the background, and arrives, one for all, when it is there. */
__device__ __forceinline__ void copy_and_arrive(void* to, const void* from, u32 bytes, const u64& barrier) {
  asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(shared_address(&barrier)), "r"(bytes) : "memory");
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(shared_address(to)),
               "l"(from), "r"(bytes), "r"(shared_address(&barrier))
               : "memory");
}
__device__ __forceinline__ void barrier_wait(const u64& barrier, u32 parity) {
  asm volatile(
      "{\n.reg .pred p;\nagain:\nmbarrier.try_wait.parity.shared.b64 p, [%0], %1;\n@!p bra again;\n}" ::"r"(shared_address(&barrier)),
      "r"(parity)
      : "memory");
}

__device__ __forceinline__ int arrive(int* counter) {
  int before;
  asm volatile("atom.add.acq_rel.gpu.s32 %0, [%1], 1;" : "=r"(before) : "l"(counter) : "memory");
  return before;
}
__device__ __forceinline__ int look(const int* counter) {
  int now;
  asm volatile("ld.acquire.gpu.s32 %0, [%1];" : "=r"(now) : "l"(counter) : "memory");
  return now;
}

/* Two neighbours of a row of y; n is even, and y aligned as pairs are. */
__device__ __forceinline__ void put(const Weight& w, int m, float alpha, int row, int column, float low, float high) {
  if (row >= m) return;
  i64 at = (i64)row * w.n + column;
  float before[2] = {};
  if (w.from) before[0] = to_float(w.from[at]), before[1] = to_float(w.from[at + 1]);
  low = before[0] + alpha * low, high = before[1] + alpha * high;
  if constexpr (sizeof(OUT) == 2)
    *reinterpret_cast<u32*>(w.y + at) = pack<OUT>(low, high);
  else
    *reinterpret_cast<float2*>(w.y + at) = make_float2(low, high);
}

/* x [m, k] as ww_nf4_tile wants it, rows behind m zeros: of each 64 k's 64 rows of 128 bytes, whose 16-byte unit u, in place u ^ row % 8, holds
 * pairs u, 8 + u, 16 + u and 24 + u. A thread a unit. */
extern "C" __global__ void ww_nf4_tile_x(const bf16* x, uint4* image, int m, int k) {
  begin_kernel();
  int thread = blockIdx.x * blockDim.x + threadIdx.x, unit = thread % 8, row = thread / 8 % X_ROWS, chunk = thread / (8 * X_ROWS);
  if (chunk >= k / 64) return;
  uint4 v = make_uint4(0, 0, 0, 0);
  if (row < m) {
    const u32* from = reinterpret_cast<const u32*>(x + (i64)row * k + chunk * 64) + unit;
    v = make_uint4(from[0], from[8], from[16], from[24]);
  }
  image[thread / 8 * 8 + (unit ^ row % 8)] = v;
}

/* Dynamic shared memory: Shared. All n and k are multiples of 256; weights behind the last have n = 0. Grid: (slices, tiles of all weights),
 * at most the multiprocessors where there are several slices. `parts`: each block's sums; `arrived`: a number for each tile, 0 before and
 * after. */
extern "C" __global__ void __launch_bounds__(THREADS, 1)
    ww_nf4_tile(const u8* x, const __grid_constant__ Weights weights, float4* parts, int* arrived, int m, int k, float alpha) {
  extern __shared__ __align__(1024) u8 dynamic[];
  Shared& shared = *reinterpret_cast<Shared*>(dynamic);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, group = threadIdx.x / 128, g = lane / 4, t = lane % 4;
  const int tiles0 = weights.of[0].n / W_ROWS, tiles1 = tiles0 + weights.of[1].n / W_ROWS, tile = blockIdx.y;
  const int index = tile < tiles0 ? 0 : tile < tiles1 ? 1 : 2, row0 = (tile - (index == 0 ? 0 : index == 1 ? tiles0 : tiles1)) * W_ROWS;
  const Weight& w = weights.of[index];
  const int depth = k / (CHUNKS * 64), slices = gridDim.x, slice = blockIdx.x;
  const int first = depth * slice / slices, count = depth * (slice + 1) / slices - first; // units of 256 k's
  const int row = row0 + warp * 16 + 2 * g;                                                // and the one behind it

  // Of the lane's rows in chunk t of a unit.
  float scale[2];
#if NESTED
  const float shift = w.offset[0];
  u32 code_of_scale[2];
#endif
  u32 scale_at = (u32)row * (k / 64) + first * CHUNKS + t;
  auto read_scales = [&]() {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      u32 place = scale_at + h * (k / 64);
#if NESTED
      asm volatile("ld.global.u8 %0, [%1];" : "=r"(code_of_scale[h]) : "l"((const u8*)w.absmax + place));
      asm volatile("ld.global.f32 %0, [%1];" : "=f"(scale[h]) : "l"(w.nested + (place >> 8)));
#else
      asm volatile("ld.global.f32 %0, [%1];" : "=f"(scale[h]) : "l"((const float*)w.absmax + place));
#endif
    }
    scale_at += CHUNKS;
  };
  // A group's own rows, 16 bytes at a time: halves of the chunks, whose places change with the row, so that reads meet all banks.
  const int code_row = group * 64 + threadIdx.x % 128 / 8, code_unit = threadIdx.x % 8;
  const u32 codes_to =
      shared_address(shared.stages[0].codes) + code_row * 128 + ((code_unit / 2 ^ (code_row / 2 & 3)) * 2 + code_unit % 2) * 16;
  const u8* codes_from = w.codes + ((i64)(row0 + code_row) * k + first * (CHUNKS * 64)) / 2 + code_unit * 16;
  auto load_codes = [&](int unit, u32 slot) {
    if (unit < count) {
#pragma unroll
      for (int i = 0; i < 4; i++) cp_async_16(codes_to + slot * sizeof(Stage) + i * (16 * 128), codes_from + (i64)i * 8 * k, true);
    }
    codes_from += CHUNKS * 32;
    cp_async_commit();
  };
  auto load_x = [&](int unit, u32 slot) {
    copy_and_arrive(shared.stages[slot].x, x + (i64)(first + unit) * (CHUNKS * X_BYTES), CHUNKS * X_BYTES, shared.full[slot]);
  };

  // Up to the wait all are weights, which no kernel that may still run has written.
  let_next_begin();
  if (threadIdx.x == 0) {
    for (int i = 0; i < STAGES; i++) {
      barrier_init(shared.full[i], 1);
      barrier_init(shared.empty[i], THREADS / 32);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  // First what is small, and would have to wait behind the codes.
#if NESTED
  float of_map;
  asm volatile("ld.global.f32 %0, [%1];" : "=f"(of_map) : "l"(w.map + threadIdx.x % 256));
#endif
  read_scales();
#pragma unroll
  for (int i = 0; i < STAGES; i++) load_codes(i, i);
  {
    int byte = threadIdx.x / 2;
    u32 pair = pack_bf16(code_of(byte >> 4), code_of(byte & 15)); // the earlier value stands in a byte's high half
    uint4* entry = reinterpret_cast<uint4*>(shared.pairs[byte]) + threadIdx.x % 2 * 4;
#pragma unroll
    for (int i = 0; i < 4; i++) entry[(i + lane / 2) % 4] = make_uint4(pair, pair, pair, pair);
  }
  if (threadIdx.x == 0) {
    wait_for_inputs();
    for (int i = 0; i < STAGES && i < count; i++) load_x(i, i);
  }
#if NESTED
  shared.map[threadIdx.x % 256] = of_map;
#endif
  cp_async_wait<STAGES - 1>();
  __syncthreads();

  const u32 table = shared_address(&shared.pairs[0][lane]);
  auto pair_of = [&](u32 word, int i) {
    u32 pair;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(pair) : "r"(__byte_perm(word, 0, 0x4440 + i) * 128 + table));
    return pair;
  };
  u32 a[2][4][4];
  auto look_up = [&](u32 slot, int i) {
    const u8* from = shared.stages[slot].codes + (warp * 16 + 2 * g) * 128 + (i ^ (g & 3)) * 32 + t * 8;
#pragma unroll
    for (int h = 0; h < 2; h++) {
      uint2 two = *reinterpret_cast<const uint2*>(from + h * 128);
#pragma unroll
      for (int s = 0; s < 4; s++)
#pragma unroll
        for (int e = 0; e < 2; e++) a[i % 2][s][2 * e + h] = pair_of(s < 2 ? two.x : two.y, s % 2 * 2 + e);
    }
  };
  look_up(0, 0);
  float sum[32] = {}, part[32];
  u32 slot = 0, parity = 0;
#pragma unroll 1
  for (int unit = 0; unit < count; unit++) {
    float mine[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
#if NESTED
      mine[h] = __fadd_rn(__fmul_rn(shared.map[code_of_scale[h]], scale[h]), shift);
#else
      mine[h] = scale[h];
#endif
    }
    if (unit + 1 < count) read_scales();
    barrier_wait(shared.full[slot], parity);
    const u32 after = slot == STAGES - 1 ? 0 : slot + 1;
#pragma unroll
    for (int i = 0; i < CHUNKS; i++) {
      u64 b = descriptor(shared_address(shared.stages[slot].x[i]));
      asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
      multiply<0>(part, a[i % 2][0], b);
#pragma unroll
      for (int s = 1; s < 4; s++) multiply<1>(part, a[i % 2][s], b + 2 * s);
      asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
      if (i == 1 && threadIdx.x == 0 && unit > 0 && unit + STAGES - 1 < count) {
        const u32 before = slot == 0 ? STAGES - 1 : slot - 1;
        barrier_wait(shared.empty[before], slot == 0 ? parity ^ 1 : parity); // all have read the unit before this
        load_x(unit + STAGES - 1, before);
      }
      if (i + 1 < CHUNKS) {
        look_up(slot, i + 1);
      } else if (unit + 1 < count) {
        cp_async_wait<STAGES - 2>();
        asm volatile("bar.sync %0, 128;" ::"r"(1 + group) : "memory"); // the group's next codes are there, and nobody of it reads these
        load_codes(unit + STAGES, slot);
        look_up(after, 0);
      }
      float low = __shfl_sync(0xffffffffu, mine[0], 4 * g + i), high = __shfl_sync(0xffffffffu, mine[1], 4 * g + i);
      asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
#pragma unroll
      for (int j = 0; j < 32; j++) sum[j] += (j & 2 ? high : low) * part[j];
    }
    if (lane == 0) barrier_arrive(shared.empty[slot]);
    if (after == 0) parity ^= 1;
    slot = after;
  }
  cp_async_wait<0>();
  wait_for_inputs();

  if (slices == 1) {
#pragma unroll
    for (int j = 0; j < 32; j += 4)
#pragma unroll
      for (int e = 0; e < 2; e++) put(w, m, alpha, 2 * j + 2 * t + e, row, sum[j + e], sum[j + 2 + e]);
    return;
  }
  parts += (i64)tile * slices * QUADS;
#pragma unroll
  for (int j = 0; j < 8; j++)
    __stcg(parts + slice * QUADS + j * THREADS + threadIdx.x, make_float4(sum[4 * j], sum[4 * j + 1], sum[4 * j + 2], sum[4 * j + 3]));
  const int begin = QUADS * slice / slices + threadIdx.x, end = QUADS * (slice + 1) / slices;
  arrived += tile;
  __syncthreads();
  if (threadIdx.x == 0) {
    arrive(arrived);
    while (look(arrived) < slices) {
    }
  }
  __syncthreads();
  for (int q = begin; q < end; q += THREADS) {
    float4 all = make_float4(0, 0, 0, 0);
    for (int p = 0; p < slices; p += 8) {
      float4 v[8];
#pragma unroll
      for (int e = 0; e < 8; e++) v[e] = p + e < slices ? __ldcg(parts + (p + e) * QUADS + q) : make_float4(0, 0, 0, 0);
#pragma unroll
      for (int e = 0; e < 8; e++) all.x += v[e].x, all.y += v[e].y, all.z += v[e].z, all.w += v[e].w;
    }
    const int who = q % THREADS, to = q / THREADS * 8 + who % 4 * 2, column = row0 + who / 32 * 16 + who % 32 / 4 * 2;
    put(w, m, alpha, to, column, all.x, all.z);
    put(w, m, alpha, to + 1, column, all.y, all.w);
  }
  // Who is the last to have read sets the number back.
  __syncthreads();
  if (threadIdx.x == 0 && arrive(arrived) == 2 * slices - 1) *arrived = 0;
}

#endif
