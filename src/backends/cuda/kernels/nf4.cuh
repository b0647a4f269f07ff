/* NF4 as bitsandbytes stores it (QLoRA, arXiv:2305.14314): the 16 values, and a block's scale, plain or doubly quantized. */
#pragma once
#include "vector.cuh"

#ifndef NESTED /* whether scales are u8 codes of a map, by blocks of 256 */
#define NESTED 0
#endif

#define NF4_CODES \
  {-1.f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, \
   -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.f, \
   0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f, \
   0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.f}
__constant__ float CODES[16] = NF4_CODES;

/* By selection, spelt out lest it become a table again: constant memory is slow to come, and slow where lanes want different places. */
__device__ __forceinline__ float code_of(int i) {
  constexpr float codes[16] = NF4_CODES;
  float value = codes[0];
#pragma unroll
  for (int j = 1; j < 16; j++)
    asm("{.reg .pred p; setp.eq.s32 p, %1, %2; selp.f32 %0, %3, %0, p;}" : "+f"(value) : "r"(i), "r"(j), "f"(codes[j]));
  return value;
}

struct Scales {
  const void* absmax;
  const float *nested, *map, *offset;
};

/* The scale of a block of 64 values; products and sums are rounded one by one, as the reference does it. */
__device__ __forceinline__ float scale_of(const Scales& s, i64 block) {
#if NESTED
  float code = s.map[((const u8*)s.absmax)[block]];
  return __fadd_rn(__fmul_rn(code, s.nested[block >> 8]), s.offset[0]);
#else
  return ((const float*)s.absmax)[block];
#endif
}
