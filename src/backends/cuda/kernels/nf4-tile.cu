/* The matrix product of decoding for 17 to 64 rows of x with a weight in NF4 (nf4.cuh), on Hopper's tensor cores, its sum over k split:
 *   parts[slice][m, n] = x[m, k] · w[n, k]ᵀ    (k in slices; parts.cu's ww_sum_parts adds them up)
 * A block takes 256 rows of w and a slice of k, and brings those and x's part to shared memory, 256 k's at a time. A group of four warps
 * multiplies 64 rows of w, whose codes its lanes look up in registers, by x in shared memory (PTX ISA, wgmma.mma_async with A in
 * registers; B "K-major" in the layout of 128 bytes' swizzle), and scales the sums of each 64 k's, which are one block of NF4. With
 * g = lane / 4 and t = lane % 4 a lane has w's rows g and g + 8 of its warp's 16, of each 16 k's 2t, 2t + 1, 2t + 8 and 2t + 9. */
#include "mma.cuh"
#include "nf4.cuh"

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)

constexpr int X_ROWS = 64;
constexpr int W_ROWS = 256;
constexpr int CHUNKS = 4; /* of 64 k's: the blocks of NF4 */
constexpr int THREADS = 512;
constexpr int STAGES = 3;

struct Stage {
  u8 x[CHUNKS][X_ROWS * 128];
  u8 codes[W_ROWS * CHUNKS * 32];
};
struct Shared {
  Stage stages[STAGES];
  u32 pairs[256][32]; /* what a byte's two codes stand for, in bf16, once for each bank */
  float map[256];
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

/* Dynamic shared memory: Shared, and 1024 bytes to align it. n and k are multiples of 256. Grid (n / 256, slices). */
extern "C" __global__ void __launch_bounds__(THREADS, 1)
    ww_nf4_tile(const bf16* x, const u8* w, const void* absmax, const float* nested, const float* map, const float* offset, float* parts,
                int m, int n, int k) {
  extern __shared__ u8 dynamic[];
  Shared& shared = *reinterpret_cast<Shared*>(dynamic + (-shared_address(dynamic) & 1023));
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
  int all = k / (CHUNKS * 64), first = all * (int)blockIdx.y / (int)gridDim.y, count = all * ((int)blockIdx.y + 1) / (int)gridDim.y - first;
  int begin = first * (CHUNKS * 64), row0 = blockIdx.x * W_ROWS;

  auto load_codes = [&](int stage) {
    u32 to = shared_address(shared.stages[stage % STAGES].codes);
    const u8* from = w + ((i64)row0 * k + begin + stage * (CHUNKS * 64)) / 2;
#pragma unroll
    for (int i = threadIdx.x; i < W_ROWS * 8; i += THREADS) {
      int row = i / 8, unit = i % 8;
      cp_async_16(to + row * 128 + (unit ^ (row & 7)) * 16, from + (i64)row * (k / 2) + unit * 16, stage < count);
    }
  };
  auto load_x = [&](int stage) {
    u32 to = shared_address(shared.stages[stage % STAGES].x);
    const bf16* from = x + begin + stage * (CHUNKS * 64);
#pragma unroll
    for (int i = threadIdx.x; i < X_ROWS * CHUNKS * 8; i += THREADS) {
      int row = i / (CHUNKS * 8), chunk = i / 8 % CHUNKS, unit = i % 8;
      cp_async_16(to + chunk * (X_ROWS * 128) + row * 128 + (unit ^ (row & 7)) * 16, from + (i64)row * k + chunk * 64 + unit * 8,
                  row < m && stage < count);
    }
  };
  // Of rows g and g + 8 in chunk t of a stage.
  float scale[2];
#if NESTED
  u8 codes_of_scales[2];
#endif
  auto read_scales = [&](int stage) {
    if (stage >= count) return;
#pragma unroll
    for (int h = 0; h < 2; h++) {
      i64 place = (i64)(row0 + warp * 16 + g + 8 * h) * (k / 64) + begin / 64 + stage * CHUNKS + t;
#if NESTED
      codes_of_scales[h] = ((const u8*)absmax)[place];
      scale[h] = nested[place >> 8];
#else
      scale[h] = ((const float*)absmax)[place];
#endif
    }
  };

  // Up to the wait all are weights, which no kernel that may still run has written.
  let_next_begin();
#pragma unroll
  for (int i = 0; i < STAGES - 1; i++) load_codes(i);
  read_scales(0);
  {
    int byte = threadIdx.x / 2;
    u32 pair = pack_bf16(code_of(byte >> 4), code_of(byte & 15)); // the earlier value stands in a byte's high half
    uint4* entry = reinterpret_cast<uint4*>(shared.pairs[byte]) + threadIdx.x % 2 * 4;
#pragma unroll
    for (int i = 0; i < 4; i++) entry[(i + lane / 2) % 4] = make_uint4(pair, pair, pair, pair);
#if NESTED
    if (threadIdx.x < 256) shared.map[threadIdx.x] = map[threadIdx.x];
#endif
  }
#if NESTED
  float shift = offset[0];
#endif
  wait_for_inputs();
#pragma unroll
  for (int i = 0; i < STAGES - 1; i++) {
    load_x(i);
    cp_async_commit();
  }

  u32 table = shared_address(&shared.pairs[0][lane]);
  auto pair_of = [&](u32 word) {
    u32 pair;
    asm("ld.shared.u32 %0, [%1];" : "=r"(pair) : "r"(__byte_perm(word, 0, 0x4440 + t) * 128 + table));
    return pair;
  };
  float sum[32] = {}, part[32] = {};
#pragma unroll 1
  for (int stage = 0; stage < count; stage++) {
    cp_async_wait<STAGES - 2>();
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads(); // this stage is there for all, and nobody reads the one before it any more
    load_codes(stage + STAGES - 1);
    load_x(stage + STAGES - 1);
    cp_async_commit();
    float mine[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
#if NESTED
      mine[h] = __fadd_rn(__fmul_rn(shared.map[codes_of_scales[h]], scale[h]), shift);
#else
      mine[h] = scale[h];
#endif
    }
    read_scales(stage + 1);
    const Stage& here = shared.stages[stage % STAGES];
#pragma unroll
    for (int i = 0; i < CHUNKS; i++) {
      u32 a[4][4];
#pragma unroll
      for (int h = 0; h < 2; h++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
          const u8* at = here.codes + (warp * 16 + g + 8 * h) * 128 + ((2 * i + e) ^ g) * 16;
          uint4 four = *reinterpret_cast<const uint4*>(at);
          // Words 2s + e' of the chunk's eight hold k's 16s + 8e' up.
          a[2 * e][h] = pair_of(four.x), a[2 * e][2 + h] = pair_of(four.y);
          a[2 * e + 1][h] = pair_of(four.z), a[2 * e + 1][2 + h] = pair_of(four.w);
        }
      float low = __shfl_sync(0xffffffffu, mine[0], 4 * g + i), high = __shfl_sync(0xffffffffu, mine[1], 4 * g + i);
      u32 at = shared_address(here.x[i]);
      asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
      multiply<0>(part, a[0], descriptor(at));
#pragma unroll
      for (int s = 1; s < 4; s++) multiply<1>(part, a[s], descriptor(at + 32 * s));
      asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
      asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
#pragma unroll
      for (int j = 0; j < 32; j++) sum[j] += (j & 2 ? high : low) * part[j];
    }
  }

  cp_async_wait<0>();
#pragma unroll
  for (int j = 0; j < 32; j++) {
    int row = j / 4 * 8 + 2 * t + j % 2, column = row0 + warp * 16 + g + (j & 2) * 4;
    if (row < m) parts[((i64)blockIdx.y * m + row) * n + column] = sum[j];
  }
}

#endif
