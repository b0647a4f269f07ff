/* Rotary embedding (arXiv:2104.09864) in Hugging Face's halves: pairs (i, i + half) of each head are turned, elements from 2 · half on
 * stay. Positions beyond the tables make NaN. */
#include "vector.cuh"

extern "C" __global__ void ww_rope(const T* x, T* y, const float* cosines, const float* sines, const int* positions,
                                   int table_rows, int rows, int heads, int head_dim, int half, int inverse, int shift,
                                   int vector) {
  begin_kernel();
  RowPlace at = row_place(shift);
  if (at.row >= rows) return;
  int position = positions[at.row];
  bool known = position >= 0 && position < table_rows;
  i64 table = (i64)(known ? position : 0) * half;
  float nan = __int_as_float(0x7fc00000);
  // A head's units: those of its first half, then those that stay.
  int head_units = x == y ? half : head_dim - half;
  for_row<LANES>(heads * head_units, vector, at.thread, at.threads, [&](int unit, auto width) {
    constexpr int N = WIDTH_OF(width);
    int head = unit / head_units, i = unit - head * head_units;
    i64 start = (at.row * heads + head) * head_dim + i;
    if (i >= half) {
      store(y + start + half, load<N>(x + start + half));
      return;
    }
    Floats<N> a = load<N>(x + start), b = load<N>(x + start + half);
    Floats<N> cosine = load<N>(cosines + table + i), sine = load<N>(sines + table + i);
    for (int j = 0; j < N; j++) {
      float c = known ? cosine.v[j] : nan, s = inverse ? -sine.v[j] : sine.v[j];
      float turned = a.v[j] * c - b.v[j] * s;
      b.v[j] = b.v[j] * c + a.v[j] * s;
      a.v[j] = turned;
    }
    store(y + start, a);
    store(y + start + half, b);
  });
}
