/*
 * The thread pool. A job's tasks are divided into as many ranges as there are threads, and a thread takes its own from the front: what it
 * wrote in one kernel, it reads in the next, from its own cache. One that is done takes from the others' ends. A range is one 64-bit word,
 * [generation, first, end], and a task is taken by a compare-and-swap on it, so that a thread that comes late, or never wakes, is not
 * waited for: the caller works too and waits only for tasks that somebody took. Idle threads watch the generation for some tens of
 * microseconds, for kernels come in quick succession, and then sleep.
 *
 * The pool is the process's, whatever the number of threads that call it (a program's worker_threads, say): one caller's job has the pool,
 * and who finds it taken computes in place, so that nobody waits for another's work. Threads never end by themselves: they sleep here when
 * the process ends, so this library is linked to stay in it (compile.ts, nodelete), whoever closes it.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "ww.h"

enum { MAX_THREADS = 256, SPIN_NANOSECONDS = 50000 };
/* A range's word: 28 bits of the generation, 18 of the first task, 18 of the end. */
enum { TASK_BITS = 18, MOST_TASKS = (1 << TASK_BITS) - 1, GENERATIONS = 1 << 28 };
/* Of what is left in a range a thread takes this part at a time, one task at least: small tasks cost less than taking one does. */
enum { PART = 8 };

typedef struct {
  _Alignas(64) _Atomic uint64_t word;
} Range;

static struct {
  /* Of the job that was published last; written last. */
  _Alignas(64) _Atomic uint32_t generation;
  /* Written only between two jobs. */
  _Atomic(void (*)(void *, int64_t)) fn;
  _Atomic(void *) context;
  _Atomic int64_t first;
  _Alignas(64) _Atomic uint32_t done;
  _Alignas(64) _Atomic uint32_t sleepers;
  _Atomic int stopping;
  pthread_mutex_t sleep;
  pthread_cond_t wake;
  /* Held by the caller whose job runs. */
  pthread_mutex_t busy;
  /* Callers who wait for `busy` to change the number of threads: jobs in quick succession would not let them have it. */
  _Atomic int changing;
  pthread_t workers[MAX_THREADS];
  /* Written under `busy`, between two jobs. */
  _Atomic int threads;
  /* The generation when the workers were made. */
  uint32_t born;
  Range ranges[MAX_THREADS];
} pool = {.sleep = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .busy = PTHREAD_MUTEX_INITIALIZER, .threads = 1};

static inline void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline uint64_t range_word(uint32_t generation, uint64_t first, uint64_t end) {
  return (uint64_t)generation << 2 * TASK_BITS | first << TASK_BITS | end;
}

/*
 * Does some tasks of `range` if the job of `generation` has any left there. What is read of the job before a successful exchange belongs to
 * that job, for a job with an untaken task is not over and the next one not yet written.
 */
static int take(Range *range, uint32_t generation, int own) {
  for (;;) {
    uint64_t word = atomic_load(&range->word), first = word >> TASK_BITS & MOST_TASKS, end = word & MOST_TASKS;
    if (word >> 2 * TASK_BITS != generation || first == end) return 0;
    void (*fn)(void *, int64_t) = atomic_load_explicit(&pool.fn, memory_order_relaxed);
    void *context = atomic_load_explicit(&pool.context, memory_order_relaxed);
    int64_t before = atomic_load_explicit(&pool.first, memory_order_relaxed);
    uint64_t some = (end - first + PART - 1) / PART, from = own ? first : end - some;
    uint64_t less = own ? range_word(generation, first + some, end) : range_word(generation, first, from);
    if (!atomic_compare_exchange_weak(&range->word, &word, less)) continue;
    for (uint64_t i = 0; i < some; i++) fn(context, before + (int64_t)(from + i));
    atomic_fetch_add(&pool.done, (uint32_t)some);
    return 1;
  }
}

/* Takes tasks until none is left: those of the thread's own range, then the others'. */
static void work(uint32_t generation, int thread) {
  int threads = ww_threads();
  for (int i = 0; i < threads; i++)
    while (take(&pool.ranges[(thread + i) % threads], generation, i == 0)) continue;
}

static uint32_t generation_now(void) { return atomic_load(&pool.generation); }

static void wait_for_job(uint32_t last) {
  int64_t until = now() + SPIN_NANOSECONDS;
  do {
    for (int i = 0; i < 64; i++) {
      if (generation_now() != last) return;
      relax();
    }
  } while (now() < until);
  pthread_mutex_lock(&pool.sleep);
  atomic_fetch_add(&pool.sleepers, 1);
  while (generation_now() == last) pthread_cond_wait(&pool.wake, &pool.sleep);
  atomic_fetch_sub(&pool.sleepers, 1);
  pthread_mutex_unlock(&pool.sleep);
}

static void *worker(void *number) {
  int thread = (int)(uintptr_t)number;
  /* Made while no job runs, and none of an earlier generation is left. */
  uint32_t generation = pool.born;
  for (;;) {
    wait_for_job(generation);
    if (atomic_load(&pool.stopping)) return NULL;
    generation = generation_now();
    work(generation, thread);
  }
}

/* Publishes a job of at most MOST_TASKS tasks; the caller holds `busy` and every task of the job before is done. */
static uint32_t publish(void (*fn)(void *, int64_t), void *context, int64_t first, int64_t count) {
  uint32_t generation = (generation_now() + 1) % GENERATIONS;
  atomic_store_explicit(&pool.fn, fn, memory_order_relaxed);
  atomic_store_explicit(&pool.context, context, memory_order_relaxed);
  atomic_store_explicit(&pool.first, first, memory_order_relaxed);
  atomic_store_explicit(&pool.done, 0, memory_order_relaxed);
  int64_t threads = ww_threads();
  for (int64_t i = 0; i < threads; i++)
    atomic_store(&pool.ranges[i].word, range_word(generation, (uint64_t)(i * count / threads), (uint64_t)((i + 1) * count / threads)));
  atomic_store(&pool.generation, generation);
  if (atomic_load(&pool.sleepers) > 0) {
    pthread_mutex_lock(&pool.sleep);
    pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.sleep);
  }
  return generation;
}

void ww_parallel(void (*fn)(void *context, int64_t index), void *context, int64_t n) {
  if (n <= 1 || ww_threads() == 1 || atomic_load(&pool.changing) || pthread_mutex_trylock(&pool.busy) != 0) {
    for (int64_t i = 0; i < n; i++) fn(context, i);
    return;
  }
  for (int64_t first = 0; first < n; first += MOST_TASKS) {
    int64_t count = n - first < MOST_TASKS ? n - first : MOST_TASKS;
    work(publish(fn, context, first, count), 0);
    for (int spins = 0; atomic_load(&pool.done) != (uint32_t)count; spins++) {
      relax();
      if (spins > 2000) sched_yield(); /* the thread that holds the last task may want this core */
    }
  }
  pthread_mutex_unlock(&pool.busy);
}

int ww_threads(void) { return atomic_load_explicit(&pool.threads, memory_order_relaxed); }

/*
 * Makes the pool `threads` large (the caller's thread is one of them); returns how many it has. The last caller's number holds for all;
 * a job that runs is done with the threads that it has.
 */
int ww_set_threads(int threads) {
  if (threads < 1) threads = 1;
  if (threads > MAX_THREADS) threads = MAX_THREADS;
  atomic_fetch_add(&pool.changing, 1);
  pthread_mutex_lock(&pool.busy);
  atomic_fetch_sub(&pool.changing, 1);
  int made = ww_threads();
  if (threads != made) {
    atomic_store(&pool.stopping, 1);
    publish(NULL, NULL, 0, 0);
    for (int i = 0; i < made - 1; i++) pthread_join(pool.workers[i], NULL);
    atomic_store(&pool.stopping, 0);
    pool.born = generation_now();
    for (made = 1; made < threads; made++)
      if (pthread_create(&pool.workers[made - 1], NULL, worker, (void *)(uintptr_t)made) != 0) break;
    atomic_store(&pool.threads, made);
  }
  pthread_mutex_unlock(&pool.busy);
  return made;
}
