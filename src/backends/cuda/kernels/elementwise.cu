/* Kernels that treat each element alone, the gated unit among them (arXiv:2002.05202): as fast as memory gives and takes. */
#include "vector.cuh"

#ifndef UNIT /* what a copy moves at once: uint4, u32, u16 or u8 */
#define UNIT uint4
#endif

extern "C" __global__ void ww_add(const T* a, const T* b, T* y, i64 n, int vector) {
  begin_kernel();
  for_elements<LANES>(n, vector, [=](i64 i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> sum = load<N>(a + i), other = load<N>(b + i);
    for (int j = 0; j < N; j++) sum.v[j] += other.v[j];
    store(y + i, sum);
  });
}

extern "C" __global__ void ww_scale(const T* x, T* y, i64 n, float alpha, int vector) {
  begin_kernel();
  for_elements<LANES>(n, vector, [=](i64 i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> v = load<N>(x + i);
    for (int j = 0; j < N; j++) v.v[j] *= alpha;
    store(y + i, v);
  });
}

extern "C" __global__ void ww_fill(T* y, i64 n, float value, int vector) {
  wait_for_inputs();
  for_elements<LANES>(n, vector, [=](i64 i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> v;
    for (int j = 0; j < N; j++) v.v[j] = value;
    store(y + i, v);
  });
}

/* `bytes` bytes, in units that the addresses allow; the thread behind the last whole unit takes the rest. */
extern "C" __global__ void ww_copy(const u8* x, u8* y, i64 bytes) {
  wait_for_inputs();
  i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x, units = bytes / (i64)sizeof(UNIT);
  if (i < units) reinterpret_cast<UNIT*>(y)[i] = reinterpret_cast<const UNIT*>(x)[i];
  if (i == units)
    for (i64 j = units * (i64)sizeof(UNIT); j < bytes; j++) y[j] = x[j];
}

/* Good to a few of float32's last bits, and 0 where e^-x overflows. */
__device__ __forceinline__ float sigmoid(float x) { return __fdividef(1.f, 1.f + __expf(-x)); }

extern "C" __global__ void ww_swiglu(const T* gate, const T* up, T* y, i64 n, int vector) {
  begin_kernel();
  for_elements<LANES>(n, vector, [=](i64 i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> g = load<N>(gate + i), u = load<N>(up + i);
    for (int j = 0; j < N; j++) u.v[j] *= g.v[j] * sigmoid(g.v[j]);
    store(y + i, u);
  });
}

/* d silu(g) / dg = s · (1 + g · (1 - s)) with s = sigmoid(g). */
extern "C" __global__ void ww_swiglu_backward(const T* dy, const T* gate, const T* up, T* dGate, T* dUp, i64 n,
                                              int vector) {
  begin_kernel();
  for_elements<LANES>(n, vector, [=](i64 i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> d = load<N>(dy + i), g = load<N>(gate + i), u = load<N>(up + i);
    for (int j = 0; j < N; j++) {
      float s = sigmoid(g.v[j]), by = d.v[j] * s;
      d.v[j] = by * u.v[j] * (1.f + g.v[j] * (1.f - s));
      u.v[j] = by * g.v[j];
    }
    store(dGate + i, d);
    store(dUp + i, u);
  });
}
