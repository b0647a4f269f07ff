/* Kernels that treat each element alone, the gated unit among them (arXiv:2002.05202): as fast as memory gives and takes. */
#include "vector.cuh"

#ifndef UNIT /* what a copy moves at once: uint4, u32, u16 or u8 */
#define UNIT uint4
#endif
#ifndef GELU /* the gated unit's activation: GELU by its tanh in the place of SiLU */
#define GELU 0
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

/* GELU by its tanh is x · sigmoid(p) with p = 2 · sqrt(2 / π) · (x + 0.044715 · x³). Beyond 10 the sigmoid is 1 or 0 to float32's last
 * bit: x is held there, so that e = e^-p stays finite. */
struct GeluGate {
  float x, e, s;
};
__device__ __forceinline__ GeluGate gelu_gate(float gate) {
  float x = gate < -10.f ? -10.f : gate > 10.f ? 10.f : gate;
  float e = __expf(x * (-1.5957691216f - 0.0713548163f * x * x));
  return {x, e, __fdividef(1.f, 1.f + e)};
}

extern "C" __global__ void ww_gated_unit(const T* gate, const T* up, T* y, i64 n, int vector) {
  begin_kernel();
  for_elements<LANES>(n, vector, [=](i64 i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> g = load<N>(gate + i), u = load<N>(up + i);
    for (int j = 0; j < N; j++) u.v[j] *= g.v[j] * (GELU ? gelu_gate(g.v[j]).s : sigmoid(g.v[j]));
    store(y + i, u);
  });
}

/* d silu(g) / dg = s · (1 + g · (1 - s)) with s = sigmoid(g); GELU's slope is s · (1 + x · p' · (1 - s)), where e · s is 1 - s and loses
 * nothing when s is near 1. */
extern "C" __global__ void ww_gated_unit_backward(const T* dy, const T* gate, const T* up, T* dGate, T* dUp, i64 n,
                                                  int vector) {
  begin_kernel();
  for_elements<LANES>(n, vector, [=](i64 i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> d = load<N>(dy + i), g = load<N>(gate + i), u = load<N>(up + i);
    for (int j = 0; j < N; j++) {
#if GELU
      GeluGate at = gelu_gate(g.v[j]);
      float by = d.v[j] * at.s;
      d.v[j] = by * u.v[j] * (1.f + at.x * (1.5957691216f + 0.2140644488f * at.x * at.x) * (at.e * at.s));
#else
      float s = sigmoid(g.v[j]), by = d.v[j] * s;
      d.v[j] = by * u.v[j] * (1.f + g.v[j] * (1.f - s));
#endif
      u.v[j] = by * g.v[j];
    }
    store(dGate + i, d);
    store(dUp + i, u);
  });
}
