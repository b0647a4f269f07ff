/*
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), a vector of counters at a time. The numbers
 * of an element depend on its place alone, never on threads or on what was drawn before.
 */
#ifndef WW_RANDOM_H
#define WW_RANDOM_H
#include "ww.h"

typedef struct {
  uint32_t seed, stream, step;
} WwRandom;

enum { WW_RANDOM_BLOCK = 64 };

typedef uint64_t ww_wide __attribute__((vector_size(4 * WW_LANES)));

/* The 64-bit products of the lanes' low halves. */
static inline ww_wide ww_multiply_low(ww_wide a, uint32_t b) {
#if defined(__AVX512F__)
  return (ww_wide)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(b));
#elif defined(__AVX2__)
  return (ww_wide)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(b));
#elif defined(__x86_64__)
  return (ww_wide)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x(b));
#else
  return (a & 0xffffffffu) * b;
#endif
}

/*
 * The numbers of elements block * 64 .. block * 64 + 63. A 32-bit word stands in the low half of a 64-bit lane; the high half holds
 * remains of products, which nothing reads.
 */
static inline void ww_random_block(const WwRandom *random, uint64_t block, uint32_t out[WW_RANDOM_BLOCK]) {
  enum { COUNTERS = WW_RANDOM_BLOCK / 4, WIDTH = WW_LANES / 2, VECTORS = COUNTERS / WIDTH };
  ww_wide c0[VECTORS], c1[VECTORS], c2[VECTORS], c3[VECTORS];
  static const uint64_t order[COUNTERS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  uint64_t key0 = random->seed, key1 = random->stream;
  for (int v = 0; v < VECTORS; v++) {
    memcpy(&c0[v], order + v * WIDTH, sizeof c0[v]);
    c0[v] += block * COUNTERS;
    c1[v] = c0[v] >> 32;
    c2[v] = (ww_wide){0} + random->step;
    c3[v] = (ww_wide){0};
  }
#pragma GCC unroll 10
  for (int round = 0; round < 10; round++) {
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
      ww_wide first = ww_multiply_low(c0[v], 0xD2511F53u), second = ww_multiply_low(c2[v], 0xCD9E8D57u);
      c0[v] = (second >> 32) ^ c1[v] ^ key0;
      c1[v] = second;
      c2[v] = (first >> 32) ^ c3[v] ^ key1;
      c3[v] = first;
    }
    key0 = (uint32_t)(key0 + 0x9E3779B9u);
    key1 = (uint32_t)(key1 + 0xBB67AE85u);
  }
  uint64_t even[COUNTERS], odd[COUNTERS], pairs[2 * COUNTERS];
  for (int v = 0; v < VECTORS; v++) {
    ww_wide low = (c0[v] & 0xffffffffu) | c1[v] << 32, high = (c2[v] & 0xffffffffu) | c3[v] << 32;
    memcpy(even + v * WIDTH, &low, sizeof low);
    memcpy(odd + v * WIDTH, &high, sizeof high);
  }
  for (int i = 0; i < COUNTERS; i++) pairs[2 * i] = even[i], pairs[2 * i + 1] = odd[i];
  memcpy(out, pairs, sizeof pairs);
}

#endif
