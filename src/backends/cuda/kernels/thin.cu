/* LoRA's products (arXiv:2106.09685) on bf16 tensor cores: one operand is large, the rank r <= 64 (a multiple of 8) is thin, so that
 * memory is the limit and the large operand is read once, straight into the instructions' registers. A product does not care in which
 * order k is summed: a lane takes neighbouring elements of memory for the k's (or n's) that the instruction gives it, and the other
 * factor follows the same order. The kernels that split their sum leave parts for thin-plain.cu's ww_thin_reduce. */
#include "mma.cuh"
#include "random.cuh"
#include "vector.cuh"

#ifndef RANK /* r rounded up to a multiple of 16 */
#define RANK 64
#endif
#ifndef TRANS_B /* whether the f32 factor is [n, k], not [k, n] */
#define TRANS_B 1
#endif
#ifndef DROP /* whether inner's x is masked */
#define DROP 0
#endif
#ifndef THIN_N /* of the transposed product: whether r is n, not m */
#define THIN_N 0
#endif
#ifndef OUT /* the type of outer's result */
#define OUT bf16
#endif

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

/* ---- parts[slice][m, r] = drop(x)[m, k] · op(w), k in slices. A block: 256 rows, by 8 warps of 32 rows for each half of a chunk of 64
 * k's. In a step of 32 k's lane 4g + t takes k 8t to 8t + 7 of its rows g + 8i. */

constexpr int CHUNK = 64;
constexpr int STAGES = 3;
constexpr int N_TILES = RANK / 8;
/* Strides by which a warp's reads of w meet all banks. */
constexpr int W_STRIDE = TRANS_B ? CHUNK + 4 : RANK + 1;
constexpr int W_STAGE = TRANS_B ? RANK * W_STRIDE : CHUNK * W_STRIDE;

/* w's chunk from k0 on, [n][k] or [k][n] as in memory, zeros from `end` and r on. */
__device__ __forceinline__ void load_factor(float* stage, const float* w, int k0, int end, int k, int r) {
  if (TRANS_B) {
    for (int i = threadIdx.x; i < RANK * (CHUNK / 4); i += 512) {
      int n = i / (CHUNK / 4), at = i % (CHUNK / 4) * 4;
      bool valid = n < r && k0 + at < end;
      cp_async_16(shared_address(stage + n * W_STRIDE + at), w + (valid ? (i64)n * k + k0 + at : 0), valid);
    }
  } else {
    for (int i = threadIdx.x; i < CHUNK * RANK; i += 512) {
      int at = i / RANK, n = i % RANK;
      bool valid = n < r && k0 + at < end;
      cp_async_4(shared_address(stage + at * W_STRIDE + n), w + (valid ? (i64)(k0 + at) * r + n : 0), valid);
    }
  }
}

/* Dynamic shared memory: the larger of STAGES * W_STAGE and 256 * RANK floats. `slice` is a multiple of CHUNK. */
extern "C" __global__ void __launch_bounds__(512, 1)
    ww_thin_inner(const bf16* x, const float* w, float* parts, int m, int k, int r, int slice, u32 threshold, u32 seed,
                  u32 stream, u32 step, i64 first) {
  extern __shared__ float4 dynamic[];
  float* shared = reinterpret_cast<float*>(dynamic);
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
  int half = warp / 8, begin = blockIdx.y * slice, end = min(k, begin + slice);
  int chunks = (end - begin + CHUNK - 1) / CHUNK;
  int row = blockIdx.x * 256 + warp % 8 * 32 + g, column = begin + half * 32 + 8 * t;

  auto load_rows = [&](uint4(&to)[4], int chunk) {
    int at = column + chunk * CHUNK;
#pragma unroll
    for (int i = 0; i < 4; i++) to[i] = stream_16(x + (i64)(row + 8 * i) * k + at, row + 8 * i < m && at < end);
  };
  float c[2][N_TILES][4] = {};
  auto multiply = [&](uint4(&a)[4], int chunk) {
    cp_async_wait<STAGES - 2>();
    __syncthreads();
    int ahead = chunk + STAGES - 1;
    if (ahead < chunks) load_factor(shared + ahead % STAGES * W_STAGE, w, begin + ahead * CHUNK, end, k, r);
    cp_async_commit();
    if (DROP) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        u64 element = first + (i64)(row + 8 * i) * k + column + chunk * CHUNK;
        uint4 w = four_words(element >> 3, {seed, stream, step});
        a[i].x &= kept_pair(w.x, threshold), a[i].y &= kept_pair(w.y, threshold);
        a[i].z &= kept_pair(w.z, threshold), a[i].w &= kept_pair(w.w, threshold);
      }
    }
    const float* stage = shared + chunk % STAGES * W_STAGE;
#pragma unroll
    for (int j = 0; j < N_TILES; j++) {
      Floats<8> f;
      if (TRANS_B) {
        f = load<8>(stage + (8 * j + g) * W_STRIDE + half * 32 + 8 * t);
      } else {
#pragma unroll
        for (int i = 0; i < 8; i++) f.v[i] = stage[(half * 32 + 8 * t + i) * W_STRIDE + 8 * j + g];
      }
      u32 b[4];
#pragma unroll
      for (int i = 0; i < 4; i++) b[i] = pack_bf16(f.v[2 * i], f.v[2 * i + 1]);
#pragma unroll
      for (int tile = 0; tile < 2; tile++) {
        const uint4 &low = a[2 * tile], &high = a[2 * tile + 1];
        mma_bf16(c[tile][j], {low.x, high.x, low.y, high.y}, b[0], b[1]);
        mma_bf16(c[tile][j], {low.z, high.z, low.w, high.w}, b[2], b[3]);
      }
    }
    load_rows(a, chunk + 2);
  };

  uint4 even[4], odd[4];
  load_rows(even, 0);
  load_rows(odd, 1);
#pragma unroll
  for (int i = 0; i < STAGES - 1; i++) {
    if (i < chunks) load_factor(shared + i * W_STAGE, w, begin + i * CHUNK, end, k, r);
    cp_async_commit();
  }
  for (int chunk = 0; chunk < chunks; chunk += 2) {
    multiply(even, chunk);
    if (chunk + 1 < chunks) multiply(odd, chunk + 1);
  }

  // The halves' sums meet in the first half's warps.
  cp_async_wait<0>();
  __syncthreads();
  float* mine = shared + threadIdx.x % 256;
  if (half == 1) {
#pragma unroll
    for (int tile = 0; tile < 2; tile++)
#pragma unroll
      for (int j = 0; j < N_TILES; j++)
#pragma unroll
        for (int i = 0; i < 4; i++) mine[((tile * N_TILES + j) * 4 + i) * 256] = c[tile][j][i];
  }
  __syncthreads();
  if (half == 1) return;
#pragma unroll
  for (int tile = 0; tile < 2; tile++)
#pragma unroll
    for (int j = 0; j < N_TILES; j++) {
      if (8 * j >= r) continue;
#pragma unroll
      for (int i = 0; i < 4; i++) c[tile][j][i] += mine[((tile * N_TILES + j) * 4 + i) * 256];
#pragma unroll
      for (int h = 0; h < 2; h++) {
        int at = row + 16 * tile + 8 * h;
        if (at < m)
          *reinterpret_cast<float2*>(parts + ((i64)blockIdx.y * m + at) * r + 8 * j + 2 * t) =
              make_float2(c[tile][j][2 * h], c[tile][j][2 * h + 1]);
      }
    }
}

/* ---- c[m, n] = [from] + [bias] + alpha · u[m, r] · op(w). A warp: 32 columns, whose factors it keeps in registers, of `slice`
 * rows (a multiple of 32). Lane 4g + t holds columns 8t to 8t + 7 of its rows, two of each of four n tiles. r may be 0. */

constexpr int K_STEPS = RANK / 16;

/* k of slot (half, 0) of step s in lane t: two steps share 16 bytes of a row of u, a last odd one takes 8. */
__device__ __forceinline__ int k_of(int s, int t, int half) {
  return s / 2 * 2 + 1 < K_STEPS ? s / 2 * 32 + 8 * t + s % 2 * 4 + half * 2 : s * 16 + 4 * t + half * 2;
}

extern "C" __global__ void __launch_bounds__(256, 2)
    ww_thin_outer(const bf16* u, const float* w, const OUT* from, const float* bias, OUT* c, int m, int n, int r, float alpha,
                  int slice) {
  int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  int columns = blockIdx.x * 256 + threadIdx.x / 32 * 32, column = columns + 8 * t;
  if (columns >= n) return;
  bool inside = column < n;

  u32 b[K_STEPS][4][2];
#pragma unroll
  for (int s = 0; s < K_STEPS; s++)
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        int at = columns + g / 2 * 8 + 2 * j + g % 2, k = k_of(s, t, half);
        float low = 0, high = 0;
        if (k < r && at < n) {
          low = TRANS_B ? w[(i64)at * r + k] : w[(i64)k * n + at];
          high = TRANS_B ? w[(i64)at * r + k + 1] : w[(i64)(k + 1) * n + at];
        }
        b[s][j][half] = pack_bf16(low, high);
      }
  Floats<8> shift = {};
  if (bias && inside) shift = load<8>(bias + column);

  int begin = blockIdx.y * slice, end = min(m, begin + slice);
  for (int rows = begin + g; rows - g < end; rows += 32) {
    Floats<8> before[4] = {};
#pragma unroll
    for (int i = 0; i < 4; i++)
      if (from && inside && rows + 8 * i < end) before[i] = load<8>(from + (i64)(rows + 8 * i) * n + column);
#pragma unroll
    for (int tile = 0; tile < 2; tile++) {
      u32 a[K_STEPS][4];
#pragma unroll
      for (int h = 0; h < 2; h++) {
        int row = rows + 16 * tile + 8 * h;
        const bf16* at = u + (i64)row * r;
#pragma unroll
        for (int s = 0; s < K_STEPS; s++) {
          int k = k_of(s, t, 0);
          bool valid = row < end && k < r;
          if (s % 2 == 0 && s + 1 < K_STEPS) {
            uint4 v = make_uint4(0, 0, 0, 0);
            if (valid) v = *reinterpret_cast<const uint4*>(at + k);
            a[s][h] = v.x, a[s][2 + h] = v.y, a[s + 1][h] = v.z, a[s + 1][2 + h] = v.w;
          } else if (s % 2 == 0) {
            uint2 v = make_uint2(0, 0);
            if (valid) v = *reinterpret_cast<const uint2*>(at + k);
            a[s][h] = v.x, a[s][2 + h] = v.y;
          }
        }
      }
      float sum[4][4] = {};
#pragma unroll
      for (int s = 0; s < K_STEPS; s++)
#pragma unroll
        for (int j = 0; j < 4; j++) mma_bf16(sum[j], a[s], b[s][j][0], b[s][j][1]);
#pragma unroll
      for (int h = 0; h < 2; h++) {
        int row = rows + 16 * tile + 8 * h;
        if (!inside || row >= end) continue;
        Floats<8> v = before[2 * tile + h];
#pragma unroll
        for (int i = 0; i < 8; i++) v.v[i] += alpha * sum[i / 2][2 * h + i % 2] + shift.v[i];
        store(c + (i64)row * n + column, v);
      }
    }
  }
}

/* ---- parts[slice] = u[rows, r]ᵀ · x[rows, width], or its transpose, rows in slices (multiples of 64). A warp: 32 columns of x;
 * lane 4g + t takes columns 4g to 4g + 3, one of each of four n tiles, of rows 2t, 2t + 1, 2t + 8 and 2t + 9 of 16. */

constexpr int M_TILES = RANK / 16;
constexpr int U_ROWS = 64;
constexpr int U_STRIDE = RANK + 8;

extern "C" __global__ void __launch_bounds__(256, 2)
    ww_thin_gradient(const bf16* u, const bf16* x, float* parts, int rows, int width, int r, int slice) {
  __shared__ alignas(16) bf16 shared[2][U_ROWS * U_STRIDE];
  int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  int columns = blockIdx.x * 256 + threadIdx.x / 32 * 32, column = columns + 4 * g;
  int begin = blockIdx.y * slice, end = min(rows, begin + slice);
  int chunks = (end - begin + U_ROWS - 1) / U_ROWS;

  auto load_thin = [&](int chunk) {
    for (int i = threadIdx.x; i < U_ROWS * (RANK / 8); i += 256) {
      int row = i / (RANK / 8), at = i % (RANK / 8) * 8, from = begin + chunk * U_ROWS + row;
      bool valid = from < end && at < r;
      cp_async_16(shared_address(&shared[chunk % 2][row * U_STRIDE + at]), u + (valid ? (i64)from * r + at : 0), valid);
    }
    cp_async_commit();
  };
  auto row_of = [&](int chunk, int s, int i) { return begin + chunk * U_ROWS + s * 16 + 2 * t + i % 2 + i / 2 * 8; };
  uint2 large[4][4];
  auto load_large = [&](int chunk, int s) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int row = row_of(chunk, s, i);
      large[s][i] = stream_8(x + (i64)row * width + column, row < end && column < width);
    }
  };

  float c[M_TILES][4][4] = {};
  LaneElement place = a_trans_at(lane);
  load_thin(0);
#pragma unroll
  for (int s = 0; s < 4; s++) load_large(0, s);
  for (int chunk = 0; chunk < chunks; chunk++) {
    cp_async_wait<0>();
    __syncthreads();
    if (chunk + 1 < chunks) load_thin(chunk + 1);
    u32 stage = shared_address(shared[chunk % 2]) + (place.row * U_STRIDE + place.column) * 2;
#pragma unroll
    for (int s = 0; s < 4; s++) {
      // Pairs of rows, column by column.
      u32 b[4][2];
#pragma unroll
      for (int h = 0; h < 2; h++) {
        uint2 low = large[s][2 * h], high = large[s][2 * h + 1];
        b[0][h] = __byte_perm(low.x, high.x, 0x5410);
        b[1][h] = __byte_perm(low.x, high.x, 0x7632);
        b[2][h] = __byte_perm(low.y, high.y, 0x5410);
        b[3][h] = __byte_perm(low.y, high.y, 0x7632);
      }
      load_large(chunk + 1, s);
#pragma unroll
      for (int tile = 0; tile < M_TILES; tile++) {
        u32 a[4];
        ldmatrix_x4_trans(a, stage + (s * 16 * U_STRIDE + tile * 16) * 2);
#pragma unroll
        for (int j = 0; j < 4; j++) mma_bf16(c[tile][j], a, b[j][0], b[j][1]);
      }
    }
  }

  // This lane's sums are those of columns 8t + 4e + j, e the low bit of a sum's place.
  float* part = parts + (i64)blockIdx.y * r * width;
#pragma unroll
  for (int tile = 0; tile < M_TILES; tile++)
#pragma unroll
    for (int h = 0; h < 2; h++)
#pragma unroll
      for (int e = 0; e < 2; e++) {
        int i = tile * 16 + 8 * h + g, at = columns + 8 * t + 4 * e;
        if (i >= r || at >= width) continue;
        int place_of = 2 * h + e;
        if (THIN_N) {
#pragma unroll
          for (int j = 0; j < 4; j++) part[(i64)(at + j) * r + i] = c[tile][j][place_of];
        } else {
          *reinterpret_cast<float4*>(part + (i64)i * width + at) =
              make_float4(c[tile][0][place_of], c[tile][1][place_of], c[tile][2][place_of], c[tile][3][place_of]);
        }
      }
}

#endif
