/* Numbers of a stream by element (contract.ts, RandomStream) and dropout's masks. */
#pragma once
#include "prelude.cuh"

struct Stream {
  u32 seed, stream, step;
};

/* Words of the four elements from 4 * block on. */
__device__ __forceinline__ uint4 four_words(u64 block, Stream s) { return philox(block, s.step, s.seed, s.stream); }

__device__ __forceinline__ u32 word_of(u64 element, Stream s) {
  uint4 w = four_words(element >> 2, s);
  u32 i = (u32)element & 3;
  return i == 0 ? w.x : i == 1 ? w.y : i == 2 ? w.z : w.w;
}

/* Words of elements first … first + N - 1. */
template <int N>
__device__ __forceinline__ void words_of(u64 first, Stream s, u32 (&w)[N]) {
  if (N % 4 == 0 && (first & 3) == 0) {
#pragma unroll
    for (int i = 0; i + 3 < N; i += 4) {
      uint4 four = four_words((first + i) >> 2, s);
      w[i] = four.x, w[i + 1] = four.y, w[i + 2] = four.z, w[i + 3] = four.w;
    }
  } else {
#pragma unroll 1
    for (int i = 0; i < N; i++) {
      u32 word = word_of(first + i, s);
#pragma unroll
      for (int j = 0; j < N; j++)
        if (j == i) w[j] = word;
    }
  }
}

/* Dropout: an element is kept, times `factor`, where its word is at least `threshold`. */
struct Mask {
  u32 threshold;
  Stream random;
  u64 first;
  float factor;
};
