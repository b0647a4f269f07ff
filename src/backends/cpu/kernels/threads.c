/*
 * The thread pool. A job is published by one 64-bit word, [generation, tasks left]; a thread takes a task by lowering the word with a
 * compare-and-swap, so that a thread that comes late, or never wakes, is not waited for: the caller works too and waits only for
 * tasks that somebody took. Idle threads watch the word for some tens of microseconds, for kernels come in quick succession, and then
 * sleep.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "ww.h"

enum { MAX_THREADS = 256, SPIN_NANOSECONDS = 50000 };

static struct {
  /* generation << 32 | tasks left. Fields below it are written only between two jobs. */
  _Alignas(64) _Atomic uint64_t word;
  _Atomic(void (*)(void *, int64_t)) fn;
  _Atomic(void *) context;
  _Atomic uint32_t count;
  _Alignas(64) _Atomic uint32_t done;
  _Alignas(64) _Atomic uint32_t sleepers;
  _Atomic int stopping;
  pthread_mutex_t sleep;
  pthread_cond_t wake;
  /* Held by the caller whose job runs. */
  pthread_mutex_t busy;
  pthread_t workers[MAX_THREADS];
  int threads;
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

/*
 * Takes tasks of the job of `generation` until none is left. What it reads of the job before a successful exchange belongs to that
 * job, for a job with an untaken task is not over and the next one not yet written. That a task is left must be seen in the word
 * itself: `count` beside it may already be the next job's.
 */
static void work(uint32_t generation) {
  for (;;) {
    uint64_t word = atomic_load(&pool.word);
    void (*fn)(void *, int64_t) = atomic_load_explicit(&pool.fn, memory_order_relaxed);
    void *context = atomic_load_explicit(&pool.context, memory_order_relaxed);
    uint32_t count = atomic_load_explicit(&pool.count, memory_order_relaxed), left = (uint32_t)word;
    if (word >> 32 != generation || left == 0) return;
    if (!atomic_compare_exchange_weak(&pool.word, &word, word - 1)) continue;
    fn(context, count - left);
    atomic_fetch_add(&pool.done, 1);
  }
}

static uint32_t generation_now(void) { return (uint32_t)(atomic_load(&pool.word) >> 32); }

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

static void *worker(void *first) {
  uint32_t generation = (uint32_t)(uintptr_t)first;
  for (;;) {
    wait_for_job(generation);
    if (atomic_load(&pool.stopping)) return NULL;
    generation = generation_now();
    work(generation);
  }
}

/* Publishes a job; the caller holds `busy` and every task of the job before is done. */
static void publish(void (*fn)(void *, int64_t), void *context, uint32_t count) {
  atomic_store_explicit(&pool.fn, fn, memory_order_relaxed);
  atomic_store_explicit(&pool.context, context, memory_order_relaxed);
  atomic_store_explicit(&pool.count, count, memory_order_relaxed);
  atomic_store_explicit(&pool.done, 0, memory_order_relaxed);
  atomic_store(&pool.word, (uint64_t)(generation_now() + 1) << 32 | count);
  if (atomic_load(&pool.sleepers) > 0) {
    pthread_mutex_lock(&pool.sleep);
    pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.sleep);
  }
}

void ww_parallel(void (*fn)(void *context, int64_t index), void *context, int64_t n) {
  if (n <= 1 || n >= INT32_MAX || pool.threads == 1 || pthread_mutex_trylock(&pool.busy) != 0) {
    for (int64_t i = 0; i < n; i++) fn(context, i);
    return;
  }
  publish(fn, context, (uint32_t)n);
  work(generation_now());
  for (int spins = 0; atomic_load(&pool.done) != (uint32_t)n; spins++) {
    relax();
    if (spins > 2000) sched_yield(); /* the thread that holds the last task may want this core */
  }
  pthread_mutex_unlock(&pool.busy);
}

int ww_threads(void) { return pool.threads; }

/* Makes the pool `threads` large (the caller's thread is one of them); returns how many it has. */
int ww_set_threads(int threads) {
  if (threads < 1) threads = 1;
  if (threads > MAX_THREADS) threads = MAX_THREADS;
  pthread_mutex_lock(&pool.busy);
  if (threads != pool.threads) {
    atomic_store(&pool.stopping, 1);
    publish(NULL, NULL, 0);
    for (int i = 0; i < pool.threads - 1; i++) pthread_join(pool.workers[i], NULL);
    atomic_store(&pool.stopping, 0);
    for (pool.threads = 1; pool.threads < threads; pool.threads++)
      if (pthread_create(&pool.workers[pool.threads - 1], NULL, worker, (void *)(uintptr_t)generation_now()) != 0) break;
  }
  threads = pool.threads;
  pthread_mutex_unlock(&pool.busy);
  return threads;
}
