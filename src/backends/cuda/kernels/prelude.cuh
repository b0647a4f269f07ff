/* What all kernels share: number types without CUDA's headers (NVRTC finds none on a machine with a driver alone), reductions of a
 * fixed order, and Philox4x32-10 (Salmon et al., SC 2011). Sources are compiled for an activation type T, float or bf16. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

struct bf16 {
  u16 bits;
};
struct f16 {
  u16 bits;
};

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __uint_as_float((u32)x.bits << 16); }
__device__ __forceinline__ float to_float(f16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}

/* Round to nearest even; a NaN stays one. */
template <typename To>
__device__ __forceinline__ To from_float(float x);
template <>
__device__ __forceinline__ float from_float<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ bf16 from_float<bf16>(float x) {
#if __CUDA_ARCH__ >= 800
  u16 y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y) : "f"(x));
  return {y};
#else
  u32 bits = __float_as_uint(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {(u16)0x7fff};
  return {(u16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
#endif
}
template <>
__device__ __forceinline__ f16 from_float<f16>(float x) {
  u16 y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x));
  return {y};
}

/* Two bf16 in a word, `low` at the lower address. */
__device__ __forceinline__ u32 pack_bf16(float low, float high) {
#if __CUDA_ARCH__ >= 800
  u32 y;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
  return y;
#else
  return (u32)from_float<bf16>(low).bits | ((u32)from_float<bf16>(high).bits << 16);
#endif
}
__device__ __forceinline__ float low_bf16(u32 pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float high_bf16(u32 pair) { return __uint_as_float(pair & 0xffff0000u); }

/* The first statement of every kernel that reads what the one before it wrote: on cards of compute capability 9.0 up a kernel is launched
 * while the one before it still runs (programmatic dependent launch), and waits here until that one's memory is there. What makes weights
 * does not let the next begin: so a kernel may read weights before its wait, as long as another kernel stands between it and the one that
 * made them, as it does in every program of ours (what a kernel wrote is promised to the one behind it only after that one's wait). */
__device__ __forceinline__ void wait_for_inputs() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
__device__ __forceinline__ void let_next_begin() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
__device__ __forceinline__ void begin_kernel() {
  let_next_begin();
  wait_for_inputs();
}

/* The same sum in every lane, in a fixed order. */
__device__ __forceinline__ float warp_sum(float x) {
  for (int offset = 16; offset > 0; offset >>= 1) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}
__device__ __forceinline__ float warp_max(float x) {
  for (int offset = 16; offset > 0; offset >>= 1) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
  return x;
}

/* The words of counter [low, high, step, 0] under key [seed, stream]: the numbers of elements 4 * counter to 4 * counter + 3. */
__device__ __forceinline__ uint4 philox(u64 counter, u32 step, u32 seed, u32 stream) {
  u32 c0 = (u32)counter, c1 = (u32)(counter >> 32), c2 = step, c3 = 0, k0 = seed, k1 = stream;
#pragma unroll
  for (int round = 0; round < 10; round++) {
    u32 low0 = 0xD2511F53u * c0, high0 = __umulhi(0xD2511F53u, c0);
    u32 low1 = 0xCD9E8D57u * c2, high1 = __umulhi(0xCD9E8D57u, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return make_uint4(c0, c1, c2, c3);
}
