/*
 * Reading NF4 (QLoRA, arXiv:2305.14314) as bitsandbytes stores it: two codes a byte, the earlier value in the high nibble; blocks of
 * 64 values of the flattened matrix with one scale each, itself possibly quantized to eight bits (see Nf4Matrix in contract.ts).
 * A value is always code * scale, rounded once, whichever kernel reads it.
 */
#ifndef WW_NF4_H
#define WW_NF4_H

#include "ww.h"

enum { NF4_BLOCK = 64 };

/* The 16 quantiles of a normal distribution, as published with QLoRA. */
static const float NF4_CODES[16] = {-1.f,
                                    -0.69619280099868774f,
                                    -0.52507305145263672f,
                                    -0.39491748809814453f,
                                    -0.28444138169288635f,
                                    -0.18477343022823334f,
                                    -0.091050036251544952f,
                                    0.f,
                                    0.079580299556255341f,
                                    0.16093020141124725f,
                                    0.24611230194568634f,
                                    0.33791524171829224f,
                                    0.44070982933044434f,
                                    0.56261700391769409f,
                                    0.72295683622360229f,
                                    1.f};

typedef struct {
  const uint8_t *packed;
  /* f32, or u8 where `map` is given */
  const void *absmax;
  const float *nestedAbsmax, *map;
  float offset;
} Nf4;

/* Keeps the compiler from fusing the product with a sum: bitsandbytes rounds twice. */
static inline float nf4_rounded(float x) {
#if defined(__x86_64__)
  __asm__("" : "+x"(x));
#elif defined(__aarch64__)
  __asm__("" : "+w"(x));
#endif
  return x;
}

static inline float nf4_scale(const Nf4 *w, int64_t block) {
  if (!w->map) return ((const float *)w->absmax)[block];
  return nf4_rounded(w->map[((const uint8_t *)w->absmax)[block]] * w->nestedAbsmax[block >> 8]) + w->offset;
}

static inline float nf4_code(const Nf4 *w, int64_t index) {
  uint8_t byte = w->packed[index >> 1];
  return NF4_CODES[index & 1 ? byte & 15 : byte >> 4];
}

/* The codes times one scale, in registers where the machine looks them up there. */
#if WW_LANES == 16
typedef vf Nf4Table;
static inline Nf4Table nf4_table(float scale) { return vload(NF4_CODES) * scale; }
#elif WW_LANES == 8
typedef struct {
  vf low, high;
} Nf4Table;
static inline Nf4Table nf4_table(float scale) { return (Nf4Table){vload(NF4_CODES) * scale, vload(NF4_CODES + 8) * scale}; }
static inline vf nf4_pick(Nf4Table t, __m256i index) {
  __m256 low = _mm256_permutevar8x32_ps((__m256)t.low, index), high = _mm256_permutevar8x32_ps((__m256)t.high, index);
  return (vf)_mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
}
#else
typedef float Nf4Table;
static inline Nf4Table nf4_table(float scale) { return scale; }
#endif

/* WW_LANES bytes: the earlier value of each in `even`, the later in `odd`. */
static inline void nf4_decode(const uint8_t *bytes, Nf4Table t, vf *even, vf *odd) {
#if WW_LANES == 16
  __m512i index = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)bytes));
  *even = (vf)_mm512_permutexvar_ps(_mm512_srli_epi32(index, 4), (__m512)t);
  *odd = (vf)_mm512_permutexvar_ps(index, (__m512)t); /* looks at four bits alone */
#elif WW_LANES == 8
  __m256i index = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)bytes));
  *even = nf4_pick(t, _mm256_srli_epi32(index, 4));
  *odd = nf4_pick(t, index);
#else
  for (int i = 0; i < WW_LANES; i++) {
    (*even)[i] = NF4_CODES[bytes[i] >> 4] * t;
    (*odd)[i] = NF4_CODES[bytes[i] & 15] * t;
  }
#endif
}

/* Values start .. start + count - 1 of the flattened matrix. */
void ww_nf4_range(const Nf4 *w, int64_t start, int64_t count, float *to);

#endif
