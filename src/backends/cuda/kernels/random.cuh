/* Numbers of a stream by element (contract.ts, RandomStream) and dropout's masks. */
#pragma once
#include "prelude.cuh"

struct Stream {
  u32 seed, stream, step;
};

/* Words of the four elements from 4 * block on. */
__device__ __forceinline__ uint4 four_words(u64 block, Stream s) { return philox(block, s.step, s.seed, s.stream); }

__device__ __forceinline__ u32 word_of(const uint4& w, int i) { return i == 0 ? w.x : i == 1 ? w.y : i == 2 ? w.z : w.w; }

/* Dropout: an element is kept where its number, half a word (the low one is the even element's), is at least the threshold. A bit for
 * each of the N elements from `first` on. */
template <int N>
__device__ __forceinline__ u32 kept(u64 first, Stream s, u32 threshold) {
  u32 bits = 0;
  if (N % 4 == 0 && (first & (N % 8 == 0 ? 7 : 3)) == 0) {
#pragma unroll
    for (int i = 0; i < N; i += 8) {
      uint4 w = four_words((first + i) >> 3, s);
      int skip = N % 8 == 0 ? 0 : (int)(first & 7) / 2;
#pragma unroll
      for (int j = 0; j < (N < 8 ? N : 8); j++) {
        u32 number = word_of(w, skip + j / 2) >> (j % 2 * 16) & 0xffffu;
        bits |= (number >= threshold ? 1u : 0u) << (i + j);
      }
    }
  } else {
#pragma unroll 1
    for (int i = 0; i < N; i++) {
      u64 element = first + i;
      u32 number = word_of(four_words(element >> 3, s), (int)(element & 7) / 2) >> ((element & 1) * 16) & 0xffffu;
      bits |= (number >= threshold ? 1u : 0u) << i;
    }
  }
  return bits;
}

/* All bits of those of two neighbouring bf16 that are kept; `word` holds their numbers. */
__device__ __forceinline__ u32 kept_pair(u32 word, u32 threshold) {
  u32 limit = threshold << 16;
  return (word << 16 >= limit ? 0xffffu : 0u) | (word >= limit ? 0xffff0000u : 0u);
}
