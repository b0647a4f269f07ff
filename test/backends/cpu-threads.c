/*
 * Many short jobs of changing size, and large ones, on more threads than cores: every task runs once, and every job ends. Then the same
 * from several threads at once, which come and go while others change the pool's size. The argument: how many rounds.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ww.h"

int ww_set_threads(int threads);

enum { CELLS = 64, THREADS = 14, MANY = 600000, CALLERS = 5, LIVES = 8 };

static void count(void *cells, int64_t index) { atomic_fetch_add((_Atomic int *)cells + index, 1); }

/* Jobs of 1 to CELLS tasks; `cells` are two sets, so that a task that comes late is seen in the job after. */
static void short_jobs(_Atomic int (*cells)[CELLS], long rounds) {
  for (long round = 0; round < rounds; round++) {
    _Atomic int *now = cells[round % 2];
    long tasks = 1 + round * 7 % CELLS;
    for (int i = 0; i < CELLS; i++) now[i] = 0;
    ww_parallel(count, now, tasks);
    for (int i = 0; i < CELLS; i++)
      if (now[i] != (i < tasks)) {
        printf("job %ld: task %d ran %d times\n", round, i, now[i]);
        exit(1);
      }
  }
}

/* What a task adds up here is no atomic: the job's end must be seen after all that its tasks wrote, by whoever asked for it. */
static void fill(void *context, int64_t index) { ((int64_t *)context)[index] = index; }

static void *caller(void *rounds) {
  _Atomic int cells[2][CELLS];
  int64_t filled[1000];
  for (long round = 0; round < *(long *)rounds / 8; round++) {
    short_jobs(cells, 8);
    int64_t sum = 0;
    ww_parallel(fill, filled, 1000);
    for (int i = 0; i < 1000; i++) sum += filled[i], filled[i] = 0;
    if (sum != 499500) puts("a task's result is missing"), exit(1);
  }
  return NULL;
}

static void *lives(void *rounds) {
  for (int i = 0; i < LIVES; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, caller, rounds) != 0 || pthread_join(thread, NULL) != 0) puts("no thread"), exit(1);
  }
  return NULL;
}

static _Atomic int stop;

static void *resize(void *most) {
  const struct timespec pause = {.tv_nsec = 200000}; /* some jobs have the pool in between */
  for (int threads = 1; !stop; threads = threads * 5 % *(int *)most + 1) {
    if (ww_set_threads(threads) != threads) puts("the threads do not start"), exit(1);
    nanosleep(&pause, NULL);
  }
  return NULL;
}

int main(int argc, char **argv) {
  long rounds = argc > 1 ? atol(argv[1]) : 500000;
  static _Atomic int cells[2][CELLS], many[MANY];
  if (ww_set_threads(THREADS) != THREADS) return puts("the threads do not start"), 1;
  short_jobs(cells, rounds);
  ww_parallel(count, many, MANY);
  for (int i = 0; i < MANY; i++)
    if (many[i] != 1) return printf("task %d of many ran %d times\n", i, many[i]), 1;

  pthread_t callers[CALLERS], resizers[2];
  int most[2] = {7, 12};
  long each = rounds / (CALLERS * LIVES);
  for (int i = 0; i < CALLERS; i++) pthread_create(&callers[i], NULL, lives, &each);
  for (int i = 0; i < 2; i++) pthread_create(&resizers[i], NULL, resize, &most[i]);
  for (int i = 0; i < CALLERS; i++) pthread_join(callers[i], NULL);
  stop = 1;
  for (int i = 0; i < 2; i++) pthread_join(resizers[i], NULL);
  return ww_set_threads(1) != 1;
}
