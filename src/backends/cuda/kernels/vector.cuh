/* Memory accesses of 16 bytes, and the same code for one element where addresses or sizes do not allow them. */
#pragma once
#include "prelude.cuh"

#ifndef ACTIVATION /* a macro named T would reach NVRTC's own headers */
#define ACTIVATION float
#endif
using T = ACTIVATION;

/* Elements of the activation type in 16 bytes. */
constexpr int LANES = 16 / sizeof(T);

template <int N>
struct Floats {
  float v[N];
};

/* N = 1, or a multiple of 16 bytes (8 bytes for four elements of two bytes), aligned. */
template <int N, typename E>
__device__ __forceinline__ Floats<N> load(const E* p) {
  Floats<N> f;
  if constexpr (N == 1) {
    f.v[0] = to_float(*p);
  } else if constexpr (sizeof(E) == 4) {
#pragma unroll
    for (int i = 0; i < N; i += 4) {
      float4 x = *reinterpret_cast<const float4*>(p + i);
      f.v[i] = x.x, f.v[i + 1] = x.y, f.v[i + 2] = x.z, f.v[i + 3] = x.w;
    }
  } else {
    u32 words[N / 2];
    if constexpr (N == 4) {
      uint2 x = *reinterpret_cast<const uint2*>(p);
      words[0] = x.x, words[1] = x.y;
    } else {
#pragma unroll
      for (int i = 0; i < N; i += 8) {
        uint4 x = *reinterpret_cast<const uint4*>(p + i);
        words[i / 2] = x.x, words[i / 2 + 1] = x.y, words[i / 2 + 2] = x.z, words[i / 2 + 3] = x.w;
      }
    }
#pragma unroll
    for (int i = 0; i < N; i += 2) {
      f.v[i] = to_float(E{(u16)words[i / 2]});
      f.v[i + 1] = to_float(E{(u16)(words[i / 2] >> 16)});
    }
  }
  return f;
}

template <typename E>
__device__ __forceinline__ u32 pack(float low, float high) {
  return (u32)from_float<E>(low).bits | ((u32)from_float<E>(high).bits << 16);
}
template <>
__device__ __forceinline__ u32 pack<bf16>(float low, float high) {
  return pack_bf16(low, high);
}

template <int N, typename E>
__device__ __forceinline__ void store(E* p, const Floats<N>& f) {
  if constexpr (N == 1) {
    *p = from_float<E>(f.v[0]);
  } else if constexpr (sizeof(E) == 4) {
#pragma unroll
    for (int i = 0; i < N; i += 4)
      *reinterpret_cast<float4*>(p + i) = make_float4(f.v[i], f.v[i + 1], f.v[i + 2], f.v[i + 3]);
  } else if constexpr (N == 4) {
    *reinterpret_cast<uint2*>(p) = make_uint2(pack<E>(f.v[0], f.v[1]), pack<E>(f.v[2], f.v[3]));
  } else {
#pragma unroll
    for (int i = 0; i < N; i += 8)
      *reinterpret_cast<uint4*>(p + i) = make_uint4(pack<E>(f.v[i], f.v[i + 1]), pack<E>(f.v[i + 2], f.v[i + 3]),
                                                    pack<E>(f.v[i + 4], f.v[i + 5]), pack<E>(f.v[i + 6], f.v[i + 7]));
  }
}

/* 16 or 8 bytes that are read once; zeros, reading nothing, where not `valid`. */
__device__ __forceinline__ uint4 stream_16(const void* p, bool valid) {
  uint4 v = make_uint4(0, 0, 0, 0);
  if (valid)
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p));
  return v;
}
__device__ __forceinline__ uint2 stream_8(const void* p, bool valid) {
  uint2 v = make_uint2(0, 0);
  if (valid) asm volatile("ld.global.nc.L1::no_allocate.v2.u32 {%0,%1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(p));
  return v;
}

template <int N>
struct Width {
  static constexpr int value = N;
};
#define WIDTH_OF(width) decltype(width)::value

/* f(i, Width<N>) for the N elements from i on that are this thread's; one by one where not `vector`, and behind the last whole N.
 * Wants n / N + 1 threads, or n. */
template <int N, typename F>
__device__ __forceinline__ void for_elements(i64 n, int vector, F f) {
  i64 thread = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  if (!vector) {
    if (thread < n) f(thread, Width<1>{});
    return;
  }
  i64 groups = n / N;
  if (thread < groups) f(thread * N, Width<N>{});
  if (thread == groups)
    for (i64 i = groups * N; i < n; i++) f(i, Width<1>{});
}

/* f(i, Width<N>) for this thread's share of a row of `dim` elements, `threads` of them working on it; `vector`: dim divides by N. */
template <int N, typename F>
__device__ __forceinline__ void for_row(int dim, int vector, int thread, int threads, F f) {
  if (vector)
    for (int i = thread * N; i < dim; i += threads * N) f(i, Width<N>{});
  else
    for (int i = thread; i < dim; i += threads) f(i, Width<1>{});
}

/* Short rows share a block: 2^shift threads a row. */
struct RowPlace {
  i64 row;
  int thread, threads;
};
__device__ __forceinline__ RowPlace row_place(int shift) {
  return {(i64)blockIdx.x * (blockDim.x >> shift) + (threadIdx.x >> shift), (int)(threadIdx.x & ((1u << shift) - 1)),
          1 << shift};
}

/* Sum over a block of a multiple of 32 threads, in a fixed order, in every thread. `shared`: 32 floats that the call before may have
 * used. */
__device__ __forceinline__ float block_sum(float x, float* shared) {
  x = warp_sum(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < (int)blockDim.x / 32; i++) sum += shared[i];
  return sum;
}
