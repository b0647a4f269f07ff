/*
 * The general matrix product, blocked as in Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008): blocks
 * of k; for each, the second factor is packed once into panels as wide as a tile (dequantized on the way), and the row blocks of the
 * first, packed by the thread that needs them, run along these panels. The thin second product is a continuation of k, the scales
 * alpha are multiplied into the first factor as it is packed, and bias and addend join in the first block of k.
 */
#include "gemm.h"
#include "shuffle.h"
#include "tile.h"

/* k in a block: a panel of b stays in the first-level cache. Even, for pairs of bfloat16. n in a block: b's panels fit the third. */
enum { DEPTH = 256, COLUMNS = 4096, PANELS_PER_BLOCK = 8 };
enum { SMALL = 1 << 17 }; /* multiplications that are not worth waking a thread */

static _Thread_local Room roomA, roomB, roomStage;

typedef struct {
  const Gemm *g;
  int bf16;
  int64_t k0, depth;     /* this block of k, of the k + extraK in all */
  int64_t words;         /* 32-bit words a panel holds for each of its rows: depth, or half of it for pairs */
  int64_t n0, columns;   /* this block of n */
  int64_t rowBlocks, columnGroups, packings; /* into how many tasks the rows, the columns and b's panels are divided */
  float *b;
} Block;

static inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

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

/* The same of op(b), for the columns of the panels first .. last - 1 of the block; `to` is the block's packed b, `at` a depth in it. */
static void pack_b(const Block *t, const Matrix *b, int64_t first, int64_t last, int64_t k, int64_t count, int64_t at) {
  const Gemm *g = t->g;
  int64_t start = first * WIDTH, end = min(last * WIDTH, t->columns);
  float *stage = room_for(&roomStage, WW_LANES * DEPTH + COLUMNS);
  for (int64_t j = start; g->transB && j < end; j += WW_LANES) {
    int64_t width = t->columns - j / WIDTH * WIDTH <= WW_LANES ? WW_LANES : WIDTH;
    const float *rows[WW_LANES];
    int64_t real = min(WW_LANES, t->columns - j);
    for (int64_t i = 0; i < real; i++) rows[i] = matrix_row(b, t->n0 + j + i, k, count, stage + i * DEPTH);
    for (int64_t i = real; i < WW_LANES; i++) rows[i] = rows[0];
    float *panel = t->b + j / WIDTH * WIDTH * t->depth;
    pack_across(panel + at * width + j % WIDTH, width, rows, count, 1);
  }
  for (int64_t i = 0; !g->transB && i < count; i++) {
    const float *row = matrix_row(b, k + i, t->n0 + start, end - start, stage) - start;
    for (int64_t j = start; j < end; j += WW_LANES) {
      int64_t width = t->columns - j / WIDTH * WIDTH <= WW_LANES ? WW_LANES : WIDTH;
      float *to = t->b + j / WIDTH * WIDTH * t->depth + (at + i) * width + j % WIDTH;
      if (j + WW_LANES <= end)
        vstore(to, vload(row + j));
      else
        memcpy(to, row + j, sizeof(float) * (size_t)(end - j));
    }
  }
}

static void pack_b_task(void *context, int64_t index) {
  const Block *t = context;
  const Gemm *g = t->g;
  int64_t panels = divide_up(t->columns, WIDTH);
  int64_t first = index * panels / t->packings, last = (index + 1) * panels / t->packings;
  int64_t end = t->k0 + t->depth, main = min(g->k, end) - t->k0;
  if (main > 0) pack_b(t, &g->b, first, last, t->k0, main, 0);
  if (end > g->k) {
    int64_t from = t->k0 > g->k ? t->k0 - g->k : 0, rows = g->transB ? g->n : g->extraK, cols = g->transB ? g->extraK : g->n;
    Matrix extra = {.data = g->extraB, .type = WW_F32, .rows = rows, .cols = cols};
    pack_b(t, &extra, first, last, from, end - g->k - from, main > 0 ? main : 0);
  }
  for (int64_t j = first; t->bf16 && j < last; j++) {
    float *panel = t->b + j * WIDTH * t->depth;
    pair_up(panel, panel, t->columns - j * WIDTH <= WW_LANES ? WW_LANES : WIDTH, t->depth);
  }
}

static void pack_a_panel(const Block *t, float *to, int64_t height, int64_t row) {
  const Gemm *g = t->g;
  float *panel = t->bf16 ? room_for(&roomStage, HEIGHT * DEPTH + WW_LANES) : to;
  int64_t end = t->k0 + t->depth, main = min(g->k, end) - t->k0;
  if (main > 0) pack_a(panel, height, g->a, g->m, g->k, g->transA, row, t->k0, main, g->alpha);
  if (end > g->k) {
    int64_t from = t->k0 > g->k ? t->k0 - g->k : 0;
    float *rest = panel + (main > 0 ? main * height : 0);
    pack_a(rest, height, g->extraA, g->m, g->extraK, g->transA, row, from, end - g->k - from, g->extraAlpha);
  }
  if (t->bf16) pair_up(to, panel, height, t->depth);
}

/* --- products ------------------------------------------------------------------------------------------------------------------ */

/* A row block times a group of columns. */
static void multiply_task(void *context, int64_t index) {
  const Block *t = context;
  const Gemm *g = t->g;
  int64_t rowBlock = index / t->columnGroups, group = index % t->columnGroups;
  int64_t rowPanels = divide_up(g->m, HEIGHT), columnPanels = divide_up(t->columns, WIDTH);
  int64_t firstRow = rowBlock * rowPanels / t->rowBlocks * HEIGHT;
  int64_t lastRow = min((rowBlock + 1) * rowPanels / t->rowBlocks * HEIGHT, g->m);
  int64_t firstPanel = group * columnPanels / t->columnGroups, lastPanel = (group + 1) * columnPanels / t->columnGroups;

  static const int64_t heights[HEIGHTS] = {HEIGHT, HEIGHT_1, HEIGHT_2};
  int64_t size = divide_up(lastRow - firstRow, HEIGHT) * HEIGHT * t->words;
  float *a = room_for(&roomA, size + WW_LANES);
  int lastHeight = 0; /* which height the last panel has: the least that holds its rows */
  int64_t left = (lastRow - firstRow) % HEIGHT;
  while (left && lastHeight + 1 < HEIGHTS && heights[lastHeight + 1] >= left) lastHeight++;
  for (int64_t row = firstRow; row < lastRow; row += HEIGHT) {
    int which = lastRow - row < HEIGHT ? lastHeight : 0;
    pack_a_panel(t, a + (row - firstRow) * t->words, heights[which], row);
  }

  for (int64_t j = firstPanel; j < lastPanel; j++) {
    int64_t column = t->n0 + j * WIDTH, cols = min(WIDTH, t->columns - j * WIDTH);
    const float *b = t->b + j * WIDTH * t->depth;
    for (int64_t row = firstRow; row < lastRow; row += HEIGHT) {
      float *c = g->c + row * g->n + column;
      Target target = {.c = c, .add = c, .bias = NULL, .stride = g->n, .rows = min(HEIGHT, lastRow - row), .cols = cols};
      if (t->k0 == 0) {
        target.add = g->add ? g->add + row * g->n + column : NULL;
        target.bias = g->bias ? g->bias + column : NULL;
      }
      int which = lastRow - row < HEIGHT ? lastHeight : 0, wide = cols > WW_LANES;
#if defined(__AVX512BF16__)
      if (t->bf16) {
        TILES_BF16[which][wide](a + (row - firstRow) * t->words, b, t->words, target);
        continue;
      }
#endif
      TILES_F32[which][wide](a + (row - firstRow) * t->words, b, t->words, target);
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
  int64_t total = g->k + g->extraK, threads = ww_threads();
  int parallel = threads > 1 && g->m * g->n * total > SMALL;
  int64_t rowPanels = divide_up(g->m, HEIGHT);
  Block t = {.g = g, .bf16 = bf16};
  /* Rows are shared out evenly; where there are too few of them, the columns are as well. */
  t.rowBlocks = divide_up(rowPanels, PANELS_PER_BLOCK);
  if (parallel) t.rowBlocks = min(rowPanels, divide_up(t.rowBlocks, threads) * threads);
  t.b = room_for(&roomB, min(COLUMNS, divide_up(g->n, WIDTH) * WIDTH) * min(DEPTH, total ? total : 1));

  for (t.n0 = 0; t.n0 < g->n; t.n0 += COLUMNS) {
    t.columns = min(COLUMNS, g->n - t.n0);
    int64_t columnPanels = divide_up(t.columns, WIDTH);
    t.columnGroups = parallel ? min(columnPanels, divide_up(2 * threads, t.rowBlocks)) : 1;
    t.packings = min(columnPanels, parallel ? 4 * threads : 1);
    t.k0 = 0;
    do { /* once even where k is 0: bias and addend remain */
      t.depth = min(DEPTH, total - t.k0);
      t.words = bf16 ? divide_up(t.depth, 2) : t.depth;
      run(pack_b_task, &t, t.packings, parallel);
      run(multiply_task, &t, t.rowBlocks * t.columnGroups, parallel);
      t.k0 += DEPTH;
    } while (t.k0 < total);
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

void ww_gemm(int64_t m, int64_t n, int64_t k, const float *a, int transA, const void *b, int bType, const void *absmax,
             const float *nestedAbsmax, const float *map, const float *offset, int transB, float *c, float alpha, const float *extraA,
             const float *extraB, int64_t extraK, float extraAlpha, const float *bias, const float *add, int rows, int bf16) {
  Gemm g = {.m = m, .n = n, .k = k, .extraK = extraK, .a = a, .extraA = extraA, .extraB = extraB, .bias = bias, .add = add, .c = c,
            .transA = transA, .transB = transB, .alpha = alpha, .extraAlpha = extraAlpha};
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
