/*
 * Products with Intel's tile registers (AMX): op(b) are bfloat16 weights [n, k] read where they stand, 16 rows of 32 values a tile, so
 * that decoding is bound by memory alone. They are the first factor, x transposed the second: c^T [n, m] = b [n, k] * x^T [k, m]. Each
 * result is one chain over k in steps of 32, whatever rows stand beside it. Intel 64 and IA-32 Architectures Software Developer's
 * Manual, volume 1, chapter 18, "Programming with Intel Advanced Matrix Extensions".
 */
#include "gemm.h"

#if defined(__AMX_BF16__) && defined(__AVX512BF16__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

/* A tile: 16 rows of 64 bytes. x is packed to tiles of 16 of its rows and 32 of k, pairs of k side by side as the product wants them. */
enum { SIDE = 16, STEP = 32, WORDS = SIDE * SIDE, GROUP = 2 * SIDE, SMALL = 1 << 15 };

typedef struct {
  const Gemm *g;
  int64_t blocks, steps, thick; /* of x: 16 rows of a band each; of k: 32 values each; the largest k of a band's product */
  uint32_t *x;                  /* [blocks][steps][WORDS] */
  float *extra;                 /* [blocks][thick][SIDE] */
} Amx;

static _Thread_local Room roomX;

/* The kernel gives a process the registers when it asks: ARCH_REQ_XCOMP_PERM for XFEATURE_XTILEDATA. */
int ww_has_amx(void) {
  static _Atomic int has = -1;
  if (has < 0) has = syscall(SYS_arch_prctl, 0x1023, 18) == 0;
  return has;
}

static void pack_x(void *context, int64_t block) {
  const Amx *t = context;
  const Gemm *g = t->g;
  Piece piece = piece_at(g, SIDE, block);
  const Band *band = piece.band;
  for (int64_t step = 0; step < t->steps; step++) {
    uint32_t *to = t->x + (block * t->steps + step) * WORDS;
    for (int64_t i = 0; i < SIDE; i++) {
      uint32_t pairs[SIDE] = {0};
      if (i < piece.rows) {
        const float *x = g->a + (piece.row + i) * g->k + step * STEP;
        __m512bh both = _mm512_cvtne2ps_pbh((__m512)(vload(x + WW_LANES) * g->alpha), (__m512)(vload(x) * g->alpha));
        memcpy(pairs, &both, sizeof pairs);
      }
      for (int64_t p = 0; p < SIDE; p++) to[p * SIDE + i] = pairs[p];
    }
  }
  const float *a = band->a + (piece.row - band->first) * band->k;
  for (int64_t r = 0; r < band->k; r++)
    for (int64_t i = 0; i < SIDE; i++)
      t->extra[(block * t->thick + r) * SIDE + i] = i < piece.rows ? a[i * band->k + r] * band->alpha : 0;
}

/* A finished tile [SIDE of n][SIDE of m], with all that is added, to c. */
static void finish(const Amx *t, float *tile, int64_t block, int64_t column) {
  const Gemm *g = t->g;
  Piece piece = piece_at(g, SIDE, block);
  const float *extra = t->extra + block * t->thick * SIDE;
  for (int64_t j = 0; j < SIDE; j++) {
    vf sum = vload(tile + j * SIDE);
    const float *b = piece.band->b + (column + j) * piece.band->k;
    for (int64_t r = 0; r < piece.band->k; r++) sum = vfma(vsplat(b[r]), vload(extra + r * SIDE), sum);
    if (g->bias) sum += g->bias[column + j];
    vstore(tile + j * SIDE, sum);
  }
  for (int64_t i = 0; i < piece.rows; i++) {
    int64_t at = (piece.row + i) * g->n + column;
    for (int64_t j = 0; j < SIDE; j++) g->c[at + j] = tile[j * SIDE + i] + (g->add ? g->add[at + j] : 0);
  }
}

/* 32 rows of weights (16 at the end of an odd number of sixteens, taken twice) along all of x. */
static void multiply(void *context, int64_t group) {
  static const struct {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
  } shape = {.palette = 1, .bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
  const Amx *t = context;
  const Gemm *g = t->g;
  int64_t column = group * GROUP, second = column + SIDE < g->n ? column + SIDE : column;
  const uint16_t *first_w = (const uint16_t *)g->b.data + column * g->k, *second_w = (const uint16_t *)g->b.data + second * g->k;
  int64_t stride = 2 * g->k;
  _Alignas(64) float tiles[4][WORDS];
  _tile_loadconfig(&shape);
  for (int64_t block = 0; block < t->blocks; block += 2) {
    int two = block + 1 < t->blocks;
    const uint32_t *x = t->x + block * t->steps * WORDS, *next = x + t->steps * WORDS;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t step = 0; step < t->steps; step++) {
      _tile_loadd(4, first_w + step * STEP, stride);
      _tile_loadd(5, second_w + step * STEP, stride);
      _tile_loadd(6, x + step * WORDS, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 5, 6);
      if (!two) continue;
      _tile_loadd(7, next + step * WORDS, 64);
      _tile_dpbf16ps(2, 4, 7);
      _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, tiles[0], 64);
    _tile_stored(1, tiles[1], 64);
    _tile_stored(2, tiles[2], 64);
    _tile_stored(3, tiles[3], 64);
    for (int i = 0; i <= two; i++) {
      finish(t, tiles[2 * i], block + i, column);
      if (second != column) finish(t, tiles[2 * i + 1], block + i, second);
    }
  }
  _tile_release();
}

int ww_amx_takes(const Gemm *g) {
  return g->b.type == WW_BF16 && !g->transA && g->b.cols == g->k && g->transB && g->n % SIDE == 0 && g->k % STEP == 0 && ww_has_amx();
}

void ww_gemm_amx(const Gemm *g) {
  Amx t = {.g = g, .blocks = count_pieces(g, SIDE), .steps = g->k / STEP, .thick = thickest(g)};
  int64_t words = t.blocks * t.steps * WORDS;
  void *room = room_for(&roomX, words + t.blocks * t.thick * SIDE);
  t.x = room;
  t.extra = (float *)room + words;
  int64_t groups = (g->n + GROUP - 1) / GROUP, parallel = g->m * g->n * g->k > SMALL && ww_threads() > 1;
  if (parallel) {
    ww_parallel(pack_x, &t, t.blocks);
    ww_parallel(multiply, &t, groups);
    return;
  }
  for (int64_t block = 0; block < t.blocks; block++) pack_x(&t, block);
  for (int64_t group = 0; group < groups; group++) multiply(&t, group);
}

#else

int ww_has_amx(void) { return 0; }
int ww_amx_takes(const Gemm *g) { return (void)g, 0; }
void ww_gemm_amx(const Gemm *g) { (void)g; }

#endif
