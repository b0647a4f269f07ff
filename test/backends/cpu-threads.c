/* Many short jobs of changing size, and large ones, on more threads than cores: every task runs once, and every job ends. */
#include <stdatomic.h>
#include <stdio.h>

#include "ww.h"

int ww_set_threads(int threads);

enum { CELLS = 64, THREADS = 14, MANY = 600000 };

static void count(void *cells, int64_t index) { atomic_fetch_add((_Atomic int *)cells + index, 1); }

int main(void) {
  static _Atomic int jobs[2][CELLS];
  if (ww_set_threads(THREADS) != THREADS) return puts("the threads do not start"), 1;
  for (int64_t round = 0; round < 500000; round++) {
    _Atomic int *cells = jobs[round % 2];
    int64_t tasks = 2 + round * 7 % (CELLS - 2);
    for (int i = 0; i < CELLS; i++) cells[i] = 0;
    ww_parallel(count, cells, tasks);
    for (int i = 0; i < CELLS; i++)
      if (cells[i] != (i < tasks)) return printf("job %lld: task %d ran %d times\n", (long long)round, i, cells[i]), 1;
  }
  static _Atomic int many[MANY];
  ww_parallel(count, many, MANY);
  for (int i = 0; i < MANY; i++)
    if (many[i] != 1) return printf("task %d of many ran %d times\n", i, many[i]), 1;
  return ww_set_threads(1) != 1;
}
