/*
 * Quantization to NF4 and back, and conversions between the float formats. See nf4.h for the format.
 */
#include "nf4.h"
#include "shuffle.h"

enum { CHUNK = 4096 }; /* values a task works on: a multiple of NF4_BLOCK */

/*
 * Where code i ends and code i + 1 begins: the midpoints as bitsandbytes' quantizer writes them; a value equal to one takes the
 * lower code.
 */
static const float NF4_BORDERS[15] = {
    -0.8480964004993439f,   -0.6106329262256622f,   -0.4599952697753906f,   -0.33967943489551544f, -0.23460740596055984f,
    -0.13791173323988914f,  -0.045525018125772476f, 0.03979014977812767f,   0.1202552504837513f,   0.2035212516784668f,
    0.2920137718319893f,    0.3893125355243683f,    0.5016634166240692f,    0.6427869200706482f,   0.8614784181118011f,
};

void ww_nf4_range(const Nf4 *w, int64_t start, int64_t count, float *to) {
  while (count > 0) {
    int64_t inBlock = start % NF4_BLOCK, n = NF4_BLOCK - inBlock < count ? NF4_BLOCK - inBlock : count;
    float scale = nf4_scale(w, start / NF4_BLOCK);
    int64_t done = 0;
    if (start % 2 == 0) {
      Nf4Table table = nf4_table(scale);
      for (; done + 2 * WW_LANES <= n; done += 2 * WW_LANES) {
        vf even, odd;
        nf4_decode(w->packed + (start + done) / 2, table, &even, &odd);
        vstore_interleaved(to + done, even, odd);
      }
    }
    for (; done < n; done++) to[done] = nf4_code(w, start + done) * scale;
    start += n;
    count -= n;
    to += n;
  }
}

/* --- conversions --------------------------------------------------------------------------------------------------------------- */

static inline float load_one(const void *x, int type, int64_t i) {
  if (type == WW_F32) return ((const float *)x)[i];
  return type == WW_BF16 ? ww_from_bf16(((const uint16_t *)x)[i]) : ww_from_f16(((const uint16_t *)x)[i]);
}

static inline vf load_lanes(const void *x, int type, int64_t i) {
  if (type == WW_F32) return vload((const float *)x + i);
  return type == WW_BF16 ? vload_bf16((const uint16_t *)x + i) : vload_f16((const uint16_t *)x + i);
}

static inline void store_one(void *y, int type, int64_t i, float x) {
  if (type == WW_F32)
    ((float *)y)[i] = x;
  else
    ((uint16_t *)y)[i] = type == WW_BF16 ? ww_to_bf16(x) : ww_to_f16(x);
}

static inline void store_lanes(void *y, int type, int64_t i, vf x) {
  if (type == WW_F32)
    vstore((float *)y + i, x);
  else if (type == WW_BF16)
    vstore_bf16((uint16_t *)y + i, x);
  else
    vstore_f16((uint16_t *)y + i, x);
}

void ww_to_floats(const void *x, int type, int64_t start, int64_t count, float *to) {
  int64_t i = 0;
  for (; i + WW_LANES <= count; i += WW_LANES) vstore(to + i, load_lanes(x, type, start + i));
  for (; i < count; i++) to[i] = load_one(x, type, start + i);
}

typedef struct {
  const void *x;
  void *y;
  float *absmax;
  const Nf4 *w;
  int xType, yType;
  int64_t n;
} Task;

static void run_chunks(void (*fn)(void *, int64_t), Task *t) {
  int64_t chunks = (t->n + CHUNK - 1) / CHUNK;
  if (chunks > 8)
    ww_parallel(fn, t, chunks);
  else
    for (int64_t i = 0; i < chunks; i++) fn(t, i);
}

static inline int64_t chunk_end(const Task *t, int64_t chunk) {
  return (chunk + 1) * CHUNK < t->n ? (chunk + 1) * CHUNK : t->n;
}

static void convert_chunk(void *context, int64_t chunk) {
  const Task *t = context;
  int64_t i = chunk * CHUNK, end = chunk_end(t, chunk);
  for (; i + WW_LANES <= end; i += WW_LANES) store_lanes(t->y, t->yType, i, load_lanes(t->x, t->xType, i));
  for (; i < end; i++) store_one(t->y, t->yType, i, load_one(t->x, t->xType, i));
}

void ww_convert(const void *x, int xType, void *y, int yType, int64_t n) {
  Task t = {.x = x, .xType = xType, .y = y, .yType = yType, .n = n};
  run_chunks(convert_chunk, &t);
}
WW_QUEUED(ww_convert, P(0), N(1), P(2), N(3), N(4))

static void dequantize_chunk(void *context, int64_t chunk) {
  const Task *t = context;
  int64_t start = chunk * CHUNK, end = chunk_end(t, chunk);
  if (t->yType == WW_F32) {
    ww_nf4_range(t->w, start, end - start, (float *)t->y + start);
    return;
  }
  for (float part[NF4_BLOCK]; start < end; start += NF4_BLOCK) {
    int64_t n = end - start < NF4_BLOCK ? end - start : NF4_BLOCK;
    ww_nf4_range(t->w, start, n, part);
    for (int64_t i = 0; i < n; i++) store_one(t->y, t->yType, start + i, part[i]);
  }
}

void ww_dequantize_nf4(const uint8_t *packed, const void *absmax, const float *nestedAbsmax, const float *map, const float *offset, void *y,
                       int yType, int64_t n) {
  Nf4 w = {.packed = packed, .absmax = absmax, .nestedAbsmax = nestedAbsmax, .map = map, .offset = offset ? *offset : 0};
  Task t = {.w = &w, .y = y, .yType = yType, .n = n};
  run_chunks(dequantize_chunk, &t);
}
WW_QUEUED(ww_dequantize_nf4, P(0), P(1), P(2), P(3), P(4), P(5), N(6), N(7))

static void quantize_block(const float *x, int64_t n, uint8_t *packed, float *absmax) {
  float largest = 0;
  for (int64_t i = 0; i < n; i++) {
    float size = fabsf(x[i]);
    largest = size > largest || size != size ? size : largest; /* a NaN stays: it must not vanish in the codes */
  }
  *absmax = largest;
  vf inverse = vsplat(largest > 0 ? 1 / largest : 0); /* a block of zeros keeps zeros */
  int32_t codes[NF4_BLOCK];
  for (int i = 0; i < NF4_BLOCK; i += WW_LANES) {
    vf value = vload(x + i) * inverse;
    vi code = visplat(0);
    for (int border = 0; border < 15; border++) code -= value > vsplat(NF4_BORDERS[border]);
    memcpy(codes + i, &code, sizeof code);
  }
  for (int64_t i = 0; i < n / 2; i++) packed[i] = (uint8_t)(codes[2 * i] << 4 | codes[2 * i + 1]);
  if (n % 2) packed[n / 2] = (uint8_t)(codes[n - 1] << 4);
}

static void quantize_chunk(void *context, int64_t chunk) {
  const Task *t = context;
  int64_t end = chunk_end(t, chunk);
  for (int64_t i = chunk * CHUNK; i < end; i += NF4_BLOCK) {
    int64_t n = end - i < NF4_BLOCK ? end - i : NF4_BLOCK;
    float values[NF4_BLOCK] = {0};
    ww_to_floats(t->x, t->xType, i, n, values);
    quantize_block(values, n, (uint8_t *)t->y + i / 2, t->absmax + i / NF4_BLOCK);
  }
}

void ww_quantize_nf4(const void *x, int xType, int64_t n, uint8_t *packed, float *absmax) {
  Task t = {.x = x, .xType = xType, .n = n, .y = packed, .absmax = absmax};
  run_chunks(quantize_chunk, &t);
}
WW_QUEUED(ww_quantize_nf4, P(0), N(1), N(2), P(3), P(4))
