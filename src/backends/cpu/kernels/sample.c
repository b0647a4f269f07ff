/*
 * The draw of a token from logits (contract.ts, sample) without a sort. Keys are the logits' bits in an order that follows their value; to
 * know what stands at a place of the order, by count or by mass, its key is found from the upper bits down, two at a time. All sums are
 * of integers.
 */
#include "scratch.h"
#include "ww.h"

typedef struct {
  const float *logits;
  const uint32_t *draws;
  int32_t *out;
  int64_t vocab, topK;
  double temperature, topP;
} Sample;

/* A row as it is searched. */
typedef struct {
  uint32_t *keys, *masses;
  int64_t n;
} Row;

/* The key at a place, and how far the place is behind the first of its equals. */
typedef struct {
  uint32_t key;
  uint64_t rest;
} Place;

static uint32_t key_of(float x) {
  uint32_t bits;
  x = x != x ? -INFINITY : x + 0.f; /* of the zeros one is left */
  memcpy(&bits, &x, sizeof bits);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

/* `masses` null: by count. The place is below the sum of all. */
static Place find(const Row *row, const uint32_t *masses, uint64_t place) {
  uint32_t prefix = 0;
  for (int shift = 30; shift >= 0; shift -= 2) {
    uint64_t sums[4] = {0};
    for (int64_t i = 0; i < row->n; i++) {
      uint32_t above = row->keys[i] >> shift;
      /* Twice by two: shifting 32 bits by 32 is undefined. */
      if (above >> 2 == prefix) sums[above & 3] += masses ? masses[i] : 1;
    }
    uint32_t digit = 3;
    while (digit > 0 && place >= sums[digit]) place -= sums[digit--];
    prefix = prefix << 2 | digit;
  }
  return (Place){prefix, place};
}

/* Of the keys above a place's and of its equals up to it. */
static uint64_t mass_to(const Row *row, Place at, uint64_t equals) {
  uint64_t sum = 0;
  for (int64_t i = 0; i < row->n; i++) {
    if (row->keys[i] > at.key) sum += row->masses[i];
    if (row->keys[i] == at.key && equals > 0) sum += row->masses[i], equals--;
  }
  return sum;
}

static uint32_t mass_of(const Row *row, uint32_t key) {
  int64_t i = 0;
  while (row->keys[i] != key) i++;
  return row->masses[i];
}

static void sample_row(void *context, int64_t r) {
  const Sample *t = context;
  const float *x = t->logits + r * t->vocab;
  uint32_t *memory = ww_scratch(2 * t->vocab);
  Row row = {memory, memory + t->vocab, t->vocab};
  float largest = -INFINITY;
  for (int64_t i = 0; i < t->vocab; i++) largest = x[i] > largest ? x[i] : largest;
  uint32_t top = key_of(largest);
  uint64_t total = 0;
  for (int64_t i = 0; i < t->vocab; i++) {
    row.keys[i] = key_of(x[i]);
    double share = row.keys[i] == top ? 1 : x[i] != x[i] ? 0 : exp(((double)x[i] - largest) / t->temperature);
    row.masses[i] = (uint32_t)(share * 2147483648.0);
    total += row.masses[i];
  }
  if (t->topK > 0 && t->topK < t->vocab) {
    Place last = find(&row, 0, (uint64_t)t->topK - 1);
    total = mass_to(&row, last, last.rest + 1);
  }
  uint64_t kept = total;
  double wanted = ceil(t->topP * (double)total) - 1;
  if (wanted < (double)total - 1) {
    Place last = find(&row, row.masses, wanted > 0 ? (uint64_t)wanted : 0);
    kept = mass_to(&row, last, last.rest / mass_of(&row, last.key) + 1);
  }
  Place chosen = find(&row, row.masses, (uint64_t)(t->draws[r] * 0x1p-32 * (double)kept));
  uint64_t before = chosen.rest / mass_of(&row, chosen.key);
  int64_t id = 0;
  while (row.keys[id] != chosen.key || before-- > 0) id++;
  t->out[r] = (int32_t)id;
}

void ww_sample(const float *logits, const uint32_t *draws, int32_t *out, int64_t rows, int64_t vocab, double temperature, int64_t topK,
               double topP) {
  Sample t = {logits, draws, out, vocab, topK, temperature, topP};
  ww_tasks(sample_row, &t, rows, rows * vocab * 64);
}
WW_QUEUED(ww_sample, P(0), P(1), P(2), N(3), N(4), N(5), N(6), N(7))
