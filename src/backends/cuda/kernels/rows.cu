/* Rows picked by index: the embedding and its gradient, gathering and scattering. An index outside its table makes a row of NaN, or, of
 * rows to write, none. */
#include "vector.cuh"

#ifndef TABLE /* the embedding's type */
#define TABLE float
#endif
#ifndef UNIT /* what gathering and scattering move at once: uint4, u32, u16 or u8 */
#define UNIT uint4
#endif

extern "C" __global__ void ww_embedding(const TABLE* table, const int* ids, T* y, int rows, int vocab, int dim, int shift,
                                        int vector) {
  begin_kernel();
  RowPlace at = row_place(shift);
  if (at.row >= rows) return;
  int id = ids[at.row];
  bool known = id >= 0 && id < vocab;
  const TABLE* from = table + (i64)(known ? id : 0) * dim;
  for_row<8>(dim, vector, at.thread, at.threads, [=](int i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> v = load<N>(from + i);
    if (!known)
      for (int j = 0; j < N; j++) v.v[j] = __int_as_float(0x7fc00000);
    store(y + at.row * dim + i, v);
  });
}

/* The block of the first row with an id adds up all rows with that id, in their order, for 1024 columns of the table. 256 threads. */
extern "C" __global__ void ww_embedding_backward(const int* ids, const T* dy, float* dTable, int rows, int vocab, int dim) {
  begin_kernel();
  constexpr int COLUMNS = 4;
  __shared__ u32 found[8];
  int row = blockIdx.x, id = ids[row];
  if (id < 0 || id >= vocab) return;
  int earlier = 0;
  for (int i = threadIdx.x; i < row && !earlier; i += 256) earlier = ids[i] == id;
  if (__syncthreads_or(earlier)) return;

  int column = blockIdx.y * (256 * COLUMNS) + threadIdx.x;
  float sum[COLUMNS];
  auto for_columns = [&](auto f) {
#pragma unroll
    for (int j = 0; j < COLUMNS; j++)
      if (column + 256 * j < dim) f(sum[j], column + 256 * j);
  };
  auto add = [&](i64 r) { for_columns([&](float& s, int c) { s += to_float(dy[r * dim + c]); }); };
  for_columns([&](float& s, int c) { s = dTable[(i64)id * dim + c]; });
  add(row);
  for (int first = row + 1; first < rows; first += 256) {
    bool same = first + (int)threadIdx.x < rows && ids[first + threadIdx.x] == id;
    if (!__syncthreads_or(same)) continue;
    u32 bits = __ballot_sync(0xffffffffu, same);
    if (threadIdx.x % 32 == 0) found[threadIdx.x / 32] = bits;
    __syncthreads();
    for (int w = 0; w < 8; w++)
      for (u32 left = found[w]; left; left &= left - 1) add(first + 32 * w + __ffs((int)left) - 1);
    __syncthreads();
  }
  for_columns([&](float& s, int c) { dTable[(i64)id * dim + c] = s; });
}

__device__ __forceinline__ UNIT all_ones() {
  UNIT unit;
  for (int i = 0; i < (int)sizeof(UNIT); i++) reinterpret_cast<u8*>(&unit)[i] = 0xff;
  return unit;
}

/* Rows of `units` units; x has `count` rows. */
extern "C" __global__ void ww_gather_rows(const UNIT* x, const int* index, UNIT* y, int rows, int count, int units, int shift) {
  begin_kernel();
  RowPlace at = row_place(shift);
  if (at.row >= rows) return;
  int from = index[at.row];
  bool known = from >= 0 && from < count;
  for (int i = at.thread; i < units; i += at.threads)
    y[at.row * units + i] = known ? x[(i64)from * units + i] : all_ones();
}

/* y has `count` rows. */
extern "C" __global__ void ww_scatter_rows(const UNIT* x, const int* index, UNIT* y, int rows, int count, int units, int shift) {
  begin_kernel();
  RowPlace at = row_place(shift);
  if (at.row >= rows) return;
  int to = index[at.row];
  if (to < 0 || to >= count) return;
  for (int i = at.thread; i < units; i += at.threads) y[(i64)to * units + i] = x[at.row * units + i];
}
