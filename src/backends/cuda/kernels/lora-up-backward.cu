/* The backward of LoRA's outer product y = u · bᵀ (arXiv:2106.09685) on bf16 tensor cores, dy being read once for both gradients:
 *   du_parts[strip][rows, r] = dy[rows, n] · b[n, r]    (n in strips of 256)
 *   db_parts[slice][n, r] = dy[rows, n]ᵀ · u[rows, r]   (rows in slices, multiples of 64)
 * which parts.cu's ww_add_parts adds up. A block brings dy to shared memory, 64 rows at a time, while it works on those before:
 * for db a warp has 32 of the columns, for du 16 of the rows and half of the columns. */
#include "mma.cuh"
#include "vector.cuh"

#ifndef RANK /* r rounded up to a multiple of 16, at most 64 */
#define RANK 64
#endif
#ifndef RAGGED /* whether r is no multiple of 8: rows of r elements are then read and written one by one */
#define RAGGED 0
#endif

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

constexpr int TILES = RANK / 16;
constexpr int ROWS = 64;
constexpr int COLUMNS = 256;
constexpr int STAGES = RANK <= 32 ? 2 : 3; /* two blocks to a multiprocessor, or one */
/* Strides by which ldmatrix, and the exchange of sums, meet all banks. */
constexpr int WIDE = COLUMNS + 8;
constexpr int THIN = RANK + 8;

struct Stage {
  bf16 dy[ROWS * WIDE];
  bf16 u[ROWS * THIN];
};
struct Shared {
  Stage stages[STAGES];
  bf16 factor[COLUMNS * THIN];
  float exchange[ROWS * THIN];
};

/* Dynamic shared memory: Shared. n is a multiple of 8. */
extern "C" __global__ void __launch_bounds__(256, RANK <= 32 ? 2 : 1)
    ww_lora_up_backward(const bf16* dy, const bf16* u, const float* b, float* du_parts, float* db_parts, int rows, int n, int r,
                        int slice) {
  let_next_begin();
  extern __shared__ float4 dynamic[];
  Shared& shared = *reinterpret_cast<Shared*>(dynamic);
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
  int columns = blockIdx.x * COLUMNS, begin = blockIdx.y * slice, end = min(rows, begin + slice);
  int chunks = (end - begin + ROWS - 1) / ROWS;

  auto load_stage = [&](int chunk) {
    Stage& stage = shared.stages[chunk % STAGES];
    int from = begin + chunk * ROWS;
#pragma unroll
    for (int i = threadIdx.x; i < ROWS * (COLUMNS / 8); i += 256) {
      int row = i / (COLUMNS / 8), at = i % (COLUMNS / 8) * 8;
      bool valid = from + row < end && columns + at < n;
      cp_async_16(shared_address(&stage.dy[row * WIDE + at]), dy + (valid ? (i64)(from + row) * n + columns + at : 0), valid);
    }
    if (RAGGED) {
      for (int i = threadIdx.x; i < ROWS * RANK; i += 256) {
        int row = i / RANK, at = i % RANK;
        stage.u[row * THIN + at] = from + row < end && at < r ? u[(i64)(from + row) * r + at] : bf16{};
      }
    } else {
      for (int i = threadIdx.x; i < ROWS * (RANK / 8); i += 256) {
        int row = i / (RANK / 8), at = i % (RANK / 8) * 8;
        bool valid = from + row < end && at < r;
        cp_async_16(shared_address(&stage.u[row * THIN + at]), u + (valid ? (i64)(from + row) * r + at : 0), valid);
      }
    }
  };
  for (int i = threadIdx.x; i < COLUMNS * RANK; i += 256) {
    int at = i / RANK, k = i % RANK;
    float v = columns + at < n && k < r ? b[(i64)(columns + at) * r + k] : 0;
    shared.factor[at * THIN + k] = from_float<bf16>(v);
  }
  wait_for_inputs(); // b is a weight
#pragma unroll
  for (int i = 0; i < STAGES - 1; i++) {
    if (i < chunks) load_stage(i);
    cp_async_commit();
  }

  float db[TILES][4][4] = {};
  LaneElement across = a_trans_at(lane), along = a_at(lane), right = b_trans_at(lane);
  int row16 = warp % 4 * 16, half = warp / 4 * (COLUMNS / 2);
  for (int chunk = 0; chunk < chunks; chunk++) {
    cp_async_wait<STAGES - 2>();
    __syncthreads();
    if (chunk + STAGES - 1 < chunks) load_stage(chunk + STAGES - 1);
    cp_async_commit();
    const Stage& stage = shared.stages[chunk % STAGES];
    u32 wide = shared_address(stage.dy), thin = shared_address(stage.u), factor = shared_address(shared.factor);
#pragma unroll
    for (int s = 0; s < ROWS / 16; s++) {
      u32 f[2][4];
#pragma unroll
      for (int h = 0; h < 2; h++)
        ldmatrix_x4_trans(f[h], wide + ((16 * s + right.row) * WIDE + 32 * warp + 16 * h + right.column) * 2);
#pragma unroll
      for (int tile = 0; tile < TILES; tile++) {
        u32 a[4];
        ldmatrix_x4_trans(a, thin + ((16 * s + across.row) * THIN + 16 * tile + across.column) * 2);
#pragma unroll
        for (int j = 0; j < 4; j++) mma_bf16(db[tile][j], a, f[j / 2][j % 2 * 2], f[j / 2][j % 2 * 2 + 1]);
      }
    }
    float du[2 * TILES][4] = {};
#pragma unroll
    for (int s = 0; s < COLUMNS / 32; s++) {
      u32 a[4];
      ldmatrix_x4(a, wide + ((row16 + along.row) * WIDE + half + 16 * s + along.column) * 2);
#pragma unroll
      for (int tile = 0; tile < TILES; tile++) {
        u32 f[4];
        ldmatrix_x4_trans(f, factor + ((half + 16 * s + right.row) * THIN + 16 * tile + right.column) * 2);
        mma_bf16(du[2 * tile], a, f[0], f[1]);
        mma_bf16(du[2 * tile + 1], a, f[2], f[3]);
      }
    }
    // The halves' sums meet in the first half's warps.
    float* exchange = shared.exchange + (row16 + g) * THIN + 2 * t;
    if (half) {
#pragma unroll
      for (int j = 0; j < 2 * TILES; j++)
#pragma unroll
        for (int h = 0; h < 2; h++)
          *reinterpret_cast<float2*>(exchange + 8 * h * THIN + 8 * j) = make_float2(du[j][2 * h], du[j][2 * h + 1]);
    }
    __syncthreads();
    if (half) continue;
#pragma unroll
    for (int j = 0; j < 2 * TILES; j++)
#pragma unroll
      for (int h = 0; h < 2; h++) {
        int row = begin + chunk * ROWS + row16 + g + 8 * h, k = 8 * j + 2 * t;
        if (row >= end || k >= r) continue;
        float2 other = *reinterpret_cast<const float2*>(exchange + 8 * h * THIN + 8 * j);
        float* to = du_parts + ((i64)blockIdx.x * rows + row) * r + k;
        if (!RAGGED) {
          *reinterpret_cast<float2*>(to) = make_float2(du[j][2 * h] + other.x, du[j][2 * h + 1] + other.y);
        } else {
          to[0] = du[j][2 * h] + other.x;
          if (k + 1 < r) to[1] = du[j][2 * h + 1] + other.y;
        }
      }
  }

  float* part = db_parts + (i64)blockIdx.y * n * r;
#pragma unroll
  for (int tile = 0; tile < TILES; tile++)
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int at = columns + 32 * warp + 8 * j + 2 * t + i % 2, k = 16 * tile + g + i / 2 * 8;
        if (at < n && k < r) part[(i64)at * r + k] = db[tile][j][i];
      }
}

#endif
