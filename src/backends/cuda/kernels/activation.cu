/* GELU (arXiv:1606.08415) by the error function and by its approximation with tanh, and their slopes. */
#include "vector.cuh"

#ifndef TANH
#define TANH 0
#endif

/* The activation is x · share. */
struct Gelu {
  float share, slope;
};

#if TANH
/* (1 + tanh(u)) / 2 is the logistic function of v = 2 u, here |v| = |x| · (c + d · x²); with e = e^-|v| it is 1 / (1 + e) or, for x < 0,
 * e / (1 + e), and its slope e / (1 + e)², without differences of near numbers. */
__device__ __forceinline__ Gelu gelu(float x) {
  const float c = 1.5957691f, d = 0.071354816f;
  float square = x * x, e = __expf(-fabsf(x) * (c + d * square)), near = __fdividef(1.f, 1.f + e), far = e * near;
  float share = x < 0.f ? far : near;
  return {share, share + x * near * far * (c + 3.f * d * square)};
}
#else
/* The share is the normal distribution's function. Its tail beyond a >= 0 is e^(-a²/2) · R(t) with t = 1 / (1 + 0.35 a), R a polynomial
 * without constant term that interpolates it at Chebyshev's points of 0 <= a <= 14.5. */
__device__ __forceinline__ Gelu gelu(float x) {
  float t = __fdividef(1.f, 1.f + fabsf(x) * 0.35f), bell = __expf(x * x * -0.5f);
  float r = fmaf(t, -0.0297322758f, 0.146783993f);
  r = fmaf(r, t, -0.26141053f);
  r = fmaf(r, t, 0.165510163f);
  r = fmaf(r, t, -0.0273219105f);
  r = fmaf(r, t, 0.107212499f);
  r = fmaf(r, t, 0.119425096f);
  r = fmaf(r, t, 0.139914334f);
  r = fmaf(r, t, 0.139618635f);
  float tail = r * t * bell, share = x < 0.f ? tail : 1.f - tail;
  return {share, share + x * bell * 0.39894228f};
}
#endif

extern "C" __global__ void ww_activate(const T* x, T* y, i64 n, int vector) {
  begin_kernel();
  for_elements<LANES>(n, vector, [=](i64 i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> v = load<N>(x + i);
    for (int j = 0; j < N; j++) v.v[j] *= gelu(v.v[j]).share;
    store(y + i, v);
  });
}

extern "C" __global__ void ww_activate_backward(const T* dy, const T* x, T* dx, i64 n, int vector) {
  begin_kernel();
  for_elements<LANES>(n, vector, [=](i64 i, auto width) {
    constexpr int N = WIDTH_OF(width);
    Floats<N> d = load<N>(dy + i), v = load<N>(x + i);
    for (int j = 0; j < N; j++) d.v[j] *= gelu(v.v[j]).slope;
    store(dx + i, d);
  });
}
