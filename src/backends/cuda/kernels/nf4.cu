/* NF4 from numbers and back, the scales' own quantization, and conversions between the plain types. */
#include "nf4.cuh"

#ifndef FROM /* the type that is read */
#define FROM float
#endif
#ifndef TO /* the type that is written */
#define TO float
#endif

__constant__ float BORDERS[15] = {-0.8480964004993439f, -0.6106329262256622f,  -0.4599952697753906f, -0.33967943489551544f,
                                  -0.23460740596055984f, -0.13791173323988914f, -0.045525018125772476f, 0.03979014977812767f,
                                  0.1202552504837513f,  0.2035212516784668f,   0.2920137718319893f,  0.3893125355243683f,
                                  0.5016634166240692f,  0.6427869200706482f,   0.8614784181118011f};

/* The number of borders below x: a value on a border takes the lower code. */
__device__ __forceinline__ u32 nearest_code(float x) {
  u32 code = 0;
#pragma unroll
  for (int i = 0; i < 15; i++) code += x > BORDERS[i];
  return code;
}

/* A warp a block of 64 values, two neighbours a lane. */
extern "C" __global__ void ww_quantize_nf4(const FROM* x, i64 n, u8* packed, float* absmax) {
  wait_for_inputs();
  i64 block = ((i64)blockIdx.x * blockDim.x + threadIdx.x) / 32;
  i64 at = block * 64 + threadIdx.x % 32 * 2;
  if (block * 64 >= n) return;
  float a = at < n ? to_float(x[at]) : 0.f, b = at + 1 < n ? to_float(x[at + 1]) : 0.f;
  bool strange = !isfinite(a) || !isfinite(b);
  float largest = warp_max(fmaxf(fabsf(a), fabsf(b)));
  // What is not finite must show in the scale.
  if (__any_sync(0xffffffffu, strange)) largest = __int_as_float(0x7fc00000);
  // A block of zeros keeps zeros.
  float inverse = largest == 0.f ? 0.f : __frcp_rn(largest);
  if (threadIdx.x % 32 == 0) absmax[block] = largest;
  if (at >= n) return;
  u32 high = nearest_code(__fmul_rn(a, inverse)), low = at + 1 < n ? nearest_code(__fmul_rn(b, inverse)) : 0;
  packed[at / 2] = (u8)(high << 4 | low);
}

/* offset[0] = the mean, summed in double in an order that n alone fixes. One block of 1024 threads. */
extern "C" __global__ void ww_scales_mean(const float* absmax, i64 n, float* offset) {
  wait_for_inputs();
  __shared__ double sums[1024];
  double sum = 0;
  for (i64 i = threadIdx.x; i < n; i += 1024) sum += absmax[i];
  sums[threadIdx.x] = sum;
  for (int half = 512; half > 0; half >>= 1) {
    __syncthreads();
    if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
  }
  if (threadIdx.x == 0) offset[0] = (float)(sums[0] / (double)n);
}

/* A block of 256 threads a block of 256 scales. */
extern "C" __global__ void ww_quantize_scales(const float* absmax, i64 n, const float* map, u8* codes, float* scales,
                                              const float* offset) {
  wait_for_inputs();
  __shared__ float values[256];
  __shared__ float most[8];
  values[threadIdx.x] = map[threadIdx.x];
  i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
  float centred = i < n ? __fsub_rn(absmax[i], offset[0]) : 0.f;
  float largest = warp_max(fabsf(centred));
  if (threadIdx.x % 32 == 0) most[threadIdx.x / 32] = largest;
  __syncthreads();
  for (int w = 0; w < 8; w++) largest = fmaxf(largest, most[w]);
  if (threadIdx.x == 0) scales[blockIdx.x] = largest;
  if (i >= n) return;
  float x = __fmul_rn(centred, largest == 0.f ? 0.f : __frcp_rn(largest));
  int low = 0, high = 255;
  while (high - low > 1) {
    int middle = (low + high) >> 1;
    if (x > values[middle])
      low = middle;
    else
      high = middle;
  }
  float border = __fmul_rn(__fadd_rn(values[low], values[high]), 0.5f);
  // Of two equally near the even one.
  codes[i] = (u8)(x == border ? (low % 2 == 0 ? low : high) : x > border ? high : low);
}

/* A thread 16 values. */
extern "C" __global__ void ww_dequantize_nf4(const u8* packed, const void* absmax, const float* nested, const float* map,
                                             const float* offset, TO* y, i64 n, int vector) {
  wait_for_inputs();
  __shared__ float codes[16];
  if (threadIdx.x < 16) codes[threadIdx.x] = CODES[threadIdx.x];
  __syncthreads();
  i64 at = ((i64)blockIdx.x * blockDim.x + threadIdx.x) * 16;
  if (at >= n) return;
  float scale = scale_of({absmax, nested, map, offset}, at >> 6);
  if (vector && at + 16 <= n) {
    uint2 bytes = *reinterpret_cast<const uint2*>(packed + at / 2);
    Floats<16> out;
#pragma unroll
    for (int j = 0; j < 8; j++) {
      u32 byte = (j < 4 ? bytes.x >> 8 * j : bytes.y >> 8 * (j - 4)) & 255u;
      out.v[2 * j] = codes[byte >> 4] * scale;
      out.v[2 * j + 1] = codes[byte & 15] * scale;
    }
    store(y + at, out);
    return;
  }
  for (i64 i = at; i < at + 16 && i < n; i++) {
    u32 byte = packed[i / 2];
    y[i] = from_float<TO>(codes[i % 2 ? byte & 15 : byte >> 4] * scale);
  }
}

extern "C" __global__ void ww_convert(const FROM* x, TO* y, i64 n, int vector) {
  wait_for_inputs();
  for_elements<8>(n, vector, [=](i64 i, auto width) {
    constexpr int N = WIDTH_OF(width);
    store(y + i, load<N>(x + i));
  });
}
