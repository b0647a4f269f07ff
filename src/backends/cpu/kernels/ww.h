/*
 * What all kernels share: vectors as wide as this machine's registers, written in the vector extensions of GCC and clang so that one
 * source serves AVX-512, AVX2, plain SSE2 and NEON; loads and stores of the three float formats; and the thread pool's one entry.
 * Arithmetic and comparisons are the plain operators; a comparison gives a `vi` of 0 and -1.
 */
#ifndef WW_H
#define WW_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "queue.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define WW_LANES 16
#elif defined(__AVX2__)
#define WW_LANES 8
#else
#define WW_LANES 4
#endif

typedef float vf __attribute__((vector_size(4 * WW_LANES)));
typedef int32_t vi __attribute__((vector_size(4 * WW_LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * WW_LANES)));
typedef uint16_t vh __attribute__((vector_size(2 * WW_LANES))); /* bits of bf16 or f16 */

/* The codes of the contract's DType, as the bindings pass them. */
enum { WW_F32 = 0, WW_BF16 = 1, WW_F16 = 2, WW_I32 = 3, WW_U8 = 4 };

/*
 * Runs fn(context, 0 .. n-1), each once, over the threads of the pool; returns when all are done. Each thread takes its own range of the
 * tasks from the front, and when that is done from the ends of others' (threads.c): make more tasks than threads, each worth more than
 * some microseconds, and let no result depend on which thread ran it. Called from within a task it runs them in place.
 */
void ww_parallel(void (*fn)(void *context, int64_t index), void *context, int64_t n);

/* Threads of the pool, the caller's included. */
int ww_threads(void);

/* Memory of ww_alloc, given back at once. */
void ww_free(void *memory, size_t bytes);

static inline vf vsplat(float x) { return x - (vf){0}; }
static inline vi visplat(int32_t x) { return x - (vi){0}; }

/* Loads and stores ask for no alignment. */
static inline vf vload(const float *p) {
  vf x;
  memcpy(&x, p, sizeof x);
  return x;
}
static inline void vstore(float *p, vf x) { memcpy(p, &x, sizeof x); }
static inline vi viload(const int32_t *p) {
  vi x;
  memcpy(&x, p, sizeof x);
  return x;
}

/* mask ? a : b, lane by lane; the mask comes from a comparison. */
static inline vf vselect(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }

/*
 * a * b + c, rounded once wherever the machine can. The compilers fuse plain operators as well, but not the same ones in every copy of
 * a loop; sums whose bits must not depend on the copy say it.
 */
static inline vf vfma(vf a, vf b, vf c) {
#if defined(__AVX512F__)
  return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__) && defined(__FMA__)
  return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

/* Before a loop of a constant length that must become straight code, its variables registers. */
#if defined(__clang__)
#define WW_UNROLL _Pragma("clang loop unroll(full)")
#else
#define WW_UNROLL _Pragma("GCC unroll 16")
#endif

/* --- bfloat16 and float16, as their bits ------------------------------------------------------------------------------------- */

static inline float ww_from_bf16(uint16_t bits) {
  uint32_t wide = (uint32_t)bits << 16;
  float x;
  memcpy(&x, &wide, 4);
  return x;
}

/* To the nearest, ties to even; a NaN stays one. */
static inline uint16_t ww_to_bf16(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline float ww_from_f16(uint16_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
  uint32_t wide;
  if (exponent == 0) {
    float small = (float)fraction * 0x1p-24f;
    return sign ? -small : small;
  }
  if (exponent == 31)
    wide = sign | 0x7f800000u | (fraction ? 0x400000u : 0) | fraction << 13;
  else
    wide = sign | (exponent + 112) << 23 | fraction << 13;
  float x;
  memcpy(&x, &wide, 4);
  return x;
}

static inline uint16_t ww_to_f16(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  uint32_t sign = bits >> 16 & 0x8000, size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) return (uint16_t)(sign | 0x7e00 | (size >> 13 & 0x3ff));
  if (size >= 0x477ff000u) return (uint16_t)(sign | 0x7c00); /* 65520 and more round to infinity */
  if (size < 0x38800000u) {
    /* Subnormal: adding 0.5 leaves the multiple of 2^-24, rounded to even, in the low bits. */
    float magnitude;
    memcpy(&magnitude, &size, 4);
    magnitude += 0.5f;
    memcpy(&size, &magnitude, 4);
    return (uint16_t)(sign | (size - 0x3f000000u));
  }
  return (uint16_t)(sign | ((size - 0x38000000u + 0xfff + (size >> 13 & 1)) >> 13));
}

static inline vf vload_bf16(const uint16_t *p) {
  vh x;
  memcpy(&x, p, sizeof x);
  return (vf)(__builtin_convertvector(x, vu) << 16);
}

static inline void vstore_bf16(uint16_t *p, vf x) {
  vu bits = (vu)x;
  vi nan = (vi)((bits & 0x7fffffffu) > 0x7f800000u);
  vu rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, kept = bits >> 16 | 0x40;
  vh y = __builtin_convertvector(((vu)nan & kept) | (~(vu)nan & rounded), vh);
  memcpy(p, &y, sizeof y);
}

static inline vf vload_f16(const uint16_t *p) {
#if defined(__AVX512F__)
  return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
#elif defined(__AVX2__) && defined(__F16C__)
  return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
#elif defined(__aarch64__)
  return (vf)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
#else
  vf x;
  for (int i = 0; i < WW_LANES; i++) x[i] = ww_from_f16(p[i]);
  return x;
#endif
}

static inline void vstore_f16(uint16_t *p, vf x) {
#if defined(__AVX512F__)
  _mm256_storeu_si256((void *)p, _mm512_cvtps_ph((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#elif defined(__AVX2__) && defined(__F16C__)
  _mm_storeu_si128((void *)p, _mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#elif defined(__aarch64__)
  vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32((float32x4_t)x)));
#else
  for (int i = 0; i < WW_LANES; i++) p[i] = ww_to_f16(x[i]);
#endif
}

#include "vmath.h"

#endif
