/*
 * The general matrix product, blocked as in Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008): blocks
 * of k; for each, the second factor is packed once into panels as wide as a tile (dequantized on the way), and the row blocks of the
 * first, packed by the thread that needs them, run along these panels. A band's thin product is a continuation of the last block of k, the
 * scales alpha are multiplied into the first factor as it is packed, and bias and addend join in the first block of k.
 */
#include "gemm.h"
#include "shuffle.h"
#include "tile.h"

/* k in a block: a panel of b stays in the first-level cache. Even, for pairs of bfloat16. n in a block: b's panels fit the third. */
enum { DEPTH = 256, COLUMNS = 4096, PANELS_PER_BLOCK = 8 };
enum { SMALL = 1 << 17 }; /* multiplications that are not worth waking a thread */

static _Thread_local Room roomA, roomB, roomStage, roomBands;

typedef struct {
  const Gemm *g;
  int bf16;
  int64_t k0, depth;     /* this block of k */
  int last;              /* whether it is the last, which goes on with the bands' products */
  int64_t n0, columns;   /* this block of n */
  int64_t rowBlocks, columnGroups, packings; /* into how many tasks the rows, the columns and b's panels are divided */
  int64_t stride;        /* floats that a row panel takes */
  float *b, *extra;      /* packed: of the block; behind each other, of all bands */
} Block;

static inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* 32-bit words that a panel holds for each of its rows: its depth, or half of it for pairs. */
static inline int64_t words_of(const Block *t, int64_t depth) { return t->bf16 ? divide_up(depth, 2) : depth; }

/* Where a band's packed columns begin. */
static float *extra_of(const Block *t, const Band *band) {
  float *to = t->extra;
  for (const Band *b = t->g->bands; b < band; b++) to += b->k * divide_up(t->columns, WIDTH) * WIDTH;
  return to;
}

/* --- packing ------------------------------------------------------------------------------------------------------------------- */

/* to[k * stride + r] = scale * rows[r][k] for WW_LANES rows; where stride is less, each k overwrites what the one before has too much. */
static void pack_across(float *to, int64_t stride, const float *const *rows, int64_t depth, float scale) {
  int64_t k = 0;
  for (; k + 4 <= depth; k += 4) {
    vf columns[4];
    vtranspose4(rows, k, columns);
    for (int i = 0; i < 4; i++) vstore(to + (k + i) * stride, columns[i] * scale);
  }
  for (; k < depth; k++)
    for (int r = 0; r < WW_LANES; r++) to[k * stride + r] = rows[r][k] * scale;
}

/*
 * Floats [2p][i] and [2p + 1][i] of a panel to the pair [p][i]; an odd last one gets a zero. `to` may be `from` where the width is a
 * multiple of WW_LANES.
 */
static void pair_up(float *to, const float *from, int64_t width, int64_t depth) {
#if defined(__AVX512BF16__)
  for (int64_t k = 0; k < depth; k += 2)
    for (int64_t i = 0; i < width; i += WW_LANES) {
      vf first = vload(from + k * width + i), second = k + 1 < depth ? vload(from + (k + 1) * width + i) : vsplat(0);
      __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)first));
      __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)second));
      vstore(to + k / 2 * width + i, (vf)_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
#else
  (void)to, (void)from, (void)width, (void)depth;
#endif
}

/* `count` values of k, from k on, of one of the two products, into a panel of `height` rows of op(a) from `row` on. */
static void pack_a(float *to, int64_t height, const float *a, int64_t m, int64_t aK, int transA, int64_t row, int64_t k, int64_t count,
                   float scale) {
  for (int64_t r = 0; r < height; r += WW_LANES) {
    int64_t first = row + r;
    if (!transA) {
      const float *rows[WW_LANES];
      for (int i = 0; i < WW_LANES; i++) rows[i] = a + min(first + i, m - 1) * aK + k;
      pack_across(to + r, height, rows, count, scale);
    } else if (first + WW_LANES <= m) {
      for (int64_t i = 0; i < count; i++) vstore(to + i * height + r, vload(a + (k + i) * m + first) * scale);
    } else {
      for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < min(min(height - r, WW_LANES), m - first); j++) to[i * height + r + j] = a[(k + i) * m + first + j] * scale;
    }
  }
}

/* The same of op(b), for the columns of the panels first .. last - 1 of the block; `to`: its first panel. */
static void pack_b(const Block *t, const Matrix *b, float *to, int64_t first, int64_t last, int64_t k, int64_t count) {
  const Gemm *g = t->g;
  int64_t start = first * WIDTH, end = min(last * WIDTH, t->columns);
  float *stage = room_for(&roomStage, WW_LANES * DEPTH + COLUMNS);
  for (int64_t j = start; g->transB && j < end; j += WW_LANES) {
    int64_t width = t->columns - j / WIDTH * WIDTH <= WW_LANES ? WW_LANES : WIDTH;
    const float *rows[WW_LANES];
    int64_t real = min(WW_LANES, t->columns - j);
    for (int64_t i = 0; i < real; i++) rows[i] = matrix_row(b, t->n0 + j + i, k, count, stage + i * DEPTH);
    for (int64_t i = real; i < WW_LANES; i++) rows[i] = rows[0];
    pack_across(to + j / WIDTH * WIDTH * count + j % WIDTH, width, rows, count, 1);
  }
  for (int64_t i = 0; !g->transB && i < count; i++) {
    const float *row = matrix_row(b, k + i, t->n0 + start, end - start, stage) - start;
    for (int64_t j = start; j < end; j += WW_LANES) {
      int64_t width = t->columns - j / WIDTH * WIDTH <= WW_LANES ? WW_LANES : WIDTH;
      float *at = to + j / WIDTH * WIDTH * count + i * width + j % WIDTH;
      if (j + WW_LANES <= end)
        vstore(at, vload(row + j));
      else
        memcpy(at, row + j, sizeof(float) * (size_t)(end - j));
    }
  }
  for (int64_t j = first; t->bf16 && j < last; j++) {
    float *panel = to + j * WIDTH * count;
    pair_up(panel, panel, t->columns - j * WIDTH <= WW_LANES ? WW_LANES : WIDTH, count);
  }
}

static void pack_b_task(void *context, int64_t index) {
  const Block *t = context;
  const Gemm *g = t->g;
  int64_t panels = divide_up(t->columns, WIDTH);
  int64_t first = index * panels / t->packings, last = (index + 1) * panels / t->packings;
  pack_b(t, &g->b, t->b, first, last, t->k0, t->depth);
  for (const Band *band = g->bands; t->last && band < g->bands + g->bandCount; band++) {
    if (band->k == 0) continue;
    Matrix extra = {.data = band->b, .type = WW_F32, .rows = g->transB ? g->n : band->k, .cols = g->transB ? band->k : g->n};
    pack_b(t, &extra, extra_of(t, band), first, last, 0, band->k);
  }
}

/* A piece's rows of both products, one behind the other. */
static void pack_a_panel(const Block *t, float *to, int64_t height, const Piece *piece) {
  const Gemm *g = t->g;
  const Band *band = piece->band;
  float *rest = to + words_of(t, t->depth) * height;
  float *stage = t->bf16 ? room_for(&roomStage, HEIGHT * (DEPTH + thickest(g)) + WW_LANES) : NULL;
  pack_a(stage ? stage : to, height, g->a, g->m, g->k, g->transA, piece->row, t->k0, t->depth, g->alpha);
  if (stage) pair_up(to, stage, height, t->depth);
  if (!t->last || band->k == 0) return;
  pack_a(stage ? stage : rest, height, band->a, band->rows, band->k, g->transA, piece->row - band->first, 0, band->k, band->alpha);
  if (stage) pair_up(rest, stage, height, band->k);
}

/* --- products ------------------------------------------------------------------------------------------------------------------ */

/* A row block times a group of columns. */
static void multiply_task(void *context, int64_t index) {
  const Block *t = context;
  const Gemm *g = t->g;
  int64_t rowBlock = index / t->columnGroups, group = index % t->columnGroups;
  int64_t rowPanels = count_pieces(g, HEIGHT), columnPanels = divide_up(t->columns, WIDTH);
  int64_t firstRow = rowBlock * rowPanels / t->rowBlocks, count = (rowBlock + 1) * rowPanels / t->rowBlocks - firstRow;
  int64_t firstPanel = group * columnPanels / t->columnGroups, lastPanel = (group + 1) * columnPanels / t->columnGroups;

  static const int64_t heights[HEIGHTS] = {HEIGHT, HEIGHT_1, HEIGHT_2};
  struct {
    Piece piece;
    int height; /* the least that holds its rows */
    const float *a, *more;
    int64_t moreWords;
  } panels[PANELS_PER_BLOCK];
  float *a = room_for(&roomA, count * t->stride + WW_LANES);
  for (int64_t i = 0; i < count; i++, a += t->stride) {
    Piece piece = piece_at(g, HEIGHT, firstRow + i);
    int height = 0, more = t->last && piece.band->k > 0;
    while (height + 1 < HEIGHTS && heights[height + 1] >= piece.rows) height++;
    pack_a_panel(t, a, heights[height], &piece);
    panels[i].piece = piece, panels[i].height = height, panels[i].a = a;
    panels[i].more = more ? extra_of(t, piece.band) : NULL, panels[i].moreWords = more ? words_of(t, piece.band->k) : 0;
  }

  int64_t words = words_of(t, t->depth);
  for (int64_t j = firstPanel; j < lastPanel; j++) {
    int64_t column = t->n0 + j * WIDTH, cols = min(WIDTH, t->columns - j * WIDTH);
    const float *b = t->b + j * WIDTH * t->depth;
    for (int64_t i = 0; i < count; i++) {
      Piece piece = panels[i].piece;
      float *c = g->c + piece.row * g->n + column;
      Target target = {.c = c, .add = c, .bias = NULL, .stride = g->n, .rows = piece.rows, .cols = cols};
      if (t->k0 == 0) {
        target.add = g->add ? g->add + piece.row * g->n + column : NULL;
        target.bias = g->bias ? g->bias + column : NULL;
      }
      int which = panels[i].height, wide = cols > WW_LANES;
      const float *more = panels[i].more ? panels[i].more + j * WIDTH * piece.band->k : NULL;
#if defined(__AVX512BF16__)
      if (t->bf16) {
        TILES_BF16[which][wide](panels[i].a, b, words, more, panels[i].moreWords, target);
        continue;
      }
#endif
      TILES_F32[which][wide](panels[i].a, b, words, more, panels[i].moreWords, target);
    }
  }
}

static void run(void (*task)(void *, int64_t), Block *t, int64_t n, int parallel) {
  if (parallel)
    ww_parallel(task, t, n);
  else
    for (int64_t i = 0; i < n; i++) task(t, i);
}

void ww_gemm_tiles(const Gemm *g, int bf16) {
  int64_t threads = ww_threads(), extra = 0;
  int parallel = threads > 1 && multiplications(g) > SMALL;
  int64_t rowPanels = count_pieces(g, HEIGHT), depth = min(DEPTH, g->k);
  Block t = {.g = g, .bf16 = bf16};
  /* Rows are shared out evenly; where there are too few of them, the columns are as well. */
  t.rowBlocks = divide_up(rowPanels, PANELS_PER_BLOCK);
  if (parallel) t.rowBlocks = min(rowPanels, divide_up(t.rowBlocks, threads) * threads);
  t.stride = HEIGHT * (words_of(&t, depth) + words_of(&t, thickest(g)));
  int64_t width = min(COLUMNS, divide_up(g->n, WIDTH) * WIDTH);
  for (int64_t i = 0; i < g->bandCount; i++) extra += g->bands[i].k;
  t.b = room_for(&roomB, width * (depth + extra));
  t.extra = t.b + width * depth;

  for (t.n0 = 0; t.n0 < g->n; t.n0 += COLUMNS) {
    t.columns = min(COLUMNS, g->n - t.n0);
    int64_t columnPanels = divide_up(t.columns, WIDTH);
    t.columnGroups = parallel ? min(columnPanels, divide_up(2 * threads, t.rowBlocks)) : 1;
    t.packings = min(columnPanels, parallel ? 4 * threads : 1);
    t.k0 = 0;
    do { /* once even where k is 0: bias and addend remain */
      t.depth = min(DEPTH, g->k - t.k0);
      t.last = t.k0 + DEPTH >= g->k;
      run(pack_b_task, &t, t.packings, parallel);
      run(multiply_task, &t, t.rowBlocks * t.columnGroups, parallel);
      t.k0 += DEPTH;
    } while (t.k0 < g->k);
  }
}

/*
 * Whether vector products of bfloat16 pairs are faster than those of float32: AMD's Zen 4 makes two a cycle, 1.7 times the rate of
 * float32, while Intel's makes one, and the conversions come on top (LOG.md).
 */
static int pairs_pay(void) {
#if defined(__AVX512BF16__)
  return __builtin_cpu_is("amd") != 0;
#else
  return 0;
#endif
}

/* Whether some products in bfloat16 are faster here. */
int ww_has_bf16(void) { return pairs_pay() || ww_has_amx(); }

/* `bands`: six numbers each, a Band's with its addresses. */
void ww_gemm(int64_t m, int64_t n, int64_t k, const float *a, int transA, const void *b, int bType, const void *absmax,
             const float *nestedAbsmax, const float *map, const float *offset, int transB, float *c, float alpha, const double *bands,
             int64_t bandCount, const float *bias, const float *add, int rows, int bf16) {
  Band *list = room_for(&roomBands, bandCount * (int64_t)(sizeof(Band) / sizeof(float)));
  for (int64_t i = 0; i < bandCount; i++, bands += 6)
    list[i] = (Band){.first = (int64_t)bands[0], .rows = (int64_t)bands[1], .k = (int64_t)bands[2], .alpha = (float)bands[5],
                     .a = (const float *)(uintptr_t)bands[3], .b = (const float *)(uintptr_t)bands[4]};
  Gemm g = {.m = m, .n = n, .k = k, .a = a, .bias = bias, .add = add, .c = c, .transA = transA, .transB = transB, .alpha = alpha,
            .bands = list, .bandCount = bandCount};
  g.b = (Matrix){.data = b, .type = bType, .rows = transB ? n : k, .cols = transB ? k : n};
  g.b.nf4 = (Nf4){.packed = b, .absmax = absmax, .nestedAbsmax = nestedAbsmax, .map = map, .offset = offset ? *offset : 0};
  if (m == 0 || n == 0) return;
  if (bf16 && ww_amx_takes(&g)) {
    ww_gemm_amx(&g);
    return;
  }
  bf16 = bf16 && pairs_pay();
  if (rows && transB && !transA)
    ww_gemm_rows(&g, bf16);
  else
    ww_gemm_tiles(&g, bf16);
}
/* The bands come behind the other arguments. */
WW_QUEUED(ww_gemm, N(0), N(1), N(2), P(3), N(4), P(5), N(6), P(7), P(8), P(9), P(10), N(11), P(12), N(13), a + 19, N(14), P(15), P(16),
          N(17), N(18))
