/*
 * The queue: what the host asked for, run in that order by one thread of the process behind the host's back, so that a caller's thread
 * waits for nothing. A command is an entry (queue.h), its arguments, and a flag by which whoever asked for it may have it left out.
 * All backends of a process share queue and thread, as they share the pool of threads that the kernels run on. Commands hold no
 * memory of the host language's, and the thread is never joined: a program may end, or a worker of it, whatever is under way.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "ww.h"

typedef _Atomic int Flag;

/* `count` doubles follow. */
typedef struct {
  void (*call)(const double *a);
  Flag *cancelled;
  int64_t count;
} Command;

/* Commands one behind the other in `used` bytes behind it. */
typedef struct Chunk {
  struct Chunk *next;
  size_t used, size;
  int64_t commands;
} Chunk;

/* Whoever wants a byte on `fd` when so many commands are done. */
typedef struct {
  int fd;
  int64_t ticket;
} Watcher;

enum { CHUNK = 64 << 10, MOST_SPARE = 8, SMALL_UPLOAD = 32 << 10, STACK = 8 << 20, SPIN_NANOSECONDS = 20000 };

static struct {
  pthread_mutex_t lock;
  pthread_cond_t work, progress;
  /* Guarded by the lock, all but what is atomic. */
  Chunk *first, *last, *spare;
  int spares, started, idle;
  int64_t asked;
  Watcher *watchers;
  int64_t watching, watchersRoom;
  _Atomic int64_t done;
  /* The least number of commands done that somebody waits for. */
  _Atomic int64_t wanted;
  /* Bytes that will be given back to the system by commands. */
  _Atomic int64_t unfreed;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER, .progress = PTHREAD_COND_INITIALIZER, .wanted = INT64_MAX};

/* Wakes those whose commands are done; what the others want stays. Called under the lock. */
static void notify(void) {
  int64_t done = atomic_load(&queue.done), least = INT64_MAX, kept = 0;
  for (int64_t i = 0; i < queue.watching; i++) {
    Watcher w = queue.watchers[i];
    if (w.ticket <= done) {
      /* A pipe without room has a byte that is not read yet, which tells the same; one without a reader wants none. */
      while (write(w.fd, "", 1) < 0 && errno == EINTR) continue;
      continue;
    }
    if (w.ticket < least) least = w.ticket;
    queue.watchers[kept++] = w;
  }
  queue.watching = kept;
  /* Who waits in ww_wait asks again. */
  atomic_store(&queue.wanted, least);
  pthread_cond_broadcast(&queue.progress);
}

static void run_chunk(Chunk *chunk) {
  char *at = (char *)(chunk + 1);
  for (int64_t i = 0; i < chunk->commands; i++) {
    const Command *command = (const Command *)at;
    if (!command->cancelled || !atomic_load_explicit(command->cancelled, memory_order_relaxed)) command->call((const double *)(command + 1));
    at += sizeof(Command) + (size_t)command->count * sizeof(double);
    if (atomic_fetch_add(&queue.done, 1) + 1 < atomic_load(&queue.wanted)) continue;
    pthread_mutex_lock(&queue.lock);
    notify();
    pthread_mutex_unlock(&queue.lock);
  }
}

static void *execute(void *unused) {
  (void)unused;
  pthread_mutex_lock(&queue.lock);
  for (;;) {
    while (!queue.first) {
      queue.idle = 1;
      pthread_cond_wait(&queue.work, &queue.lock);
      queue.idle = 0;
    }
    Chunk *chunk = queue.first;
    queue.first = chunk->next;
    if (!queue.first) queue.last = NULL;
    pthread_mutex_unlock(&queue.lock);
    run_chunk(chunk);
    pthread_mutex_lock(&queue.lock);
    if (chunk->size == CHUNK && queue.spares < MOST_SPARE) {
      chunk->next = queue.spare;
      queue.spare = chunk;
      queue.spares++;
    } else
      free(chunk);
  }
  return NULL;
}

/* Signals are the host's. */
static int start(void) {
  sigset_t all, before;
  pthread_attr_t attributes;
  pthread_t thread;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, STACK);
  int failed = pthread_create(&thread, &attributes, execute, NULL);
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return !failed;
}

/* A chunk at the end of the queue with room for so many bytes. */
static Chunk *room_for_command(size_t bytes) {
  Chunk *chunk = queue.last;
  if (chunk && chunk->size - chunk->used >= bytes) return chunk;
  if (bytes <= CHUNK && queue.spare) {
    chunk = queue.spare;
    queue.spare = chunk->next;
    queue.spares--;
  } else {
    size_t size = bytes > CHUNK ? bytes : CHUNK;
    chunk = malloc(sizeof(Chunk) + size);
    if (!chunk) return NULL;
    chunk->size = size;
  }
  chunk->next = NULL;
  chunk->used = 0;
  chunk->commands = 0;
  if (queue.last)
    queue.last->next = chunk;
  else
    queue.first = chunk;
  queue.last = chunk;
  return chunk;
}

/* The place of a command's arguments; the lock is held from here to `publish`, unless there is no memory: NULL. */
static double *reserve(void (*call)(const double *), int64_t count, Flag *cancelled) {
  pthread_mutex_lock(&queue.lock);
  size_t bytes = sizeof(Command) + (size_t)count * sizeof(double);
  Chunk *chunk = NULL;
  if (queue.started || (queue.started = start())) chunk = room_for_command(bytes);
  if (!chunk) {
    pthread_mutex_unlock(&queue.lock);
    return NULL;
  }
  Command *command = (Command *)((char *)(chunk + 1) + chunk->used);
  *command = (Command){call, cancelled, count};
  chunk->used += bytes;
  chunk->commands++;
  return (double *)(command + 1);
}

/* @returns the number of commands that are done when this one is */
static int64_t publish(void) {
  int64_t ticket = ++queue.asked;
  if (queue.idle) pthread_cond_signal(&queue.work);
  pthread_mutex_unlock(&queue.lock);
  return ticket;
}

/* @returns the command's ticket; 0: no memory for it; -1: the entry reads more arguments */
int64_t ww_enqueue(const WwEntry *entry, const double *arguments, int64_t count, Flag *cancelled) {
  if (count < entry->arguments) return -1;
  double *to = reserve(entry->call, count, cancelled);
  if (!to) return 0;
  memcpy(to, arguments, (size_t)count * sizeof(double));
  return publish();
}

/* 1 when the ticket's command is done, 0 when it is not after so many microseconds (negative: without end). */
int ww_wait(int64_t ticket, int64_t microseconds) {
  if (atomic_load(&queue.done) >= ticket) return 1;
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += microseconds % 1000000 * 1000;
  until.tv_sec += microseconds / 1000000 + until.tv_nsec / 1000000000;
  until.tv_nsec %= 1000000000;
  pthread_mutex_lock(&queue.lock);
  for (int late = 0;;) {
    if (ticket < atomic_load(&queue.wanted)) atomic_store(&queue.wanted, ticket);
    if (atomic_load(&queue.done) >= ticket || late) break;
    if (microseconds < 0)
      pthread_cond_wait(&queue.progress, &queue.lock);
    else
      late = pthread_cond_timedwait(&queue.progress, &queue.lock, &until) == ETIMEDOUT;
  }
  pthread_mutex_unlock(&queue.lock);
  return atomic_load(&queue.done) >= ticket;
}

/* A byte will stand in the pipe when the ticket's command is done. @returns 0 where there is no memory to remember it */
int ww_watch(int fd, int64_t ticket) {
  pthread_mutex_lock(&queue.lock);
  if (queue.watching == queue.watchersRoom) {
    int64_t room = 2 * queue.watchersRoom + 4;
    Watcher *more = realloc(queue.watchers, (size_t)room * sizeof(Watcher));
    if (!more) {
      pthread_mutex_unlock(&queue.lock);
      return 0;
    }
    queue.watchers = more;
    queue.watchersRoom = room;
  }
  queue.watchers[queue.watching++] = (Watcher){fd, ticket};
  if (ticket < atomic_load(&queue.wanted)) atomic_store(&queue.wanted, ticket);
  if (atomic_load(&queue.done) >= ticket) notify();
  pthread_mutex_unlock(&queue.lock);
  return 1;
}

int64_t ww_done(void) { return atomic_load(&queue.done); }

/* A pipe for ww_watch: ends[0] is the host's, ends[1] stays here, so that nobody's file can come to stand under its number. */
int ww_pipe(int32_t *ends) {
  int both[2];
  if (pipe(both) != 0) return 0;
  for (int i = 0; i < 2; i++) {
    fcntl(both[i], F_SETFD, FD_CLOEXEC);
    fcntl(both[i], F_SETFL, O_NONBLOCK);
    ends[i] = both[i];
  }
  return 1;
}

/* --- memory, in order with the kernels ------------------------------------------------------------------------------------------ */

static void copy_here(const double *a) { memcpy(P(0), a + 2, (size_t)a[1]); }

static void copy_from(const double *a) {
  memcpy(P(0), P(1), (size_t)a[2]);
  free(P(1));
}

/* Copies `from` when all before is done; `from` is read before this returns. @returns as ww_enqueue */
int64_t ww_upload(void *to, const void *from, size_t bytes) {
  if (bytes <= SMALL_UPLOAD) {
    double *a = reserve(copy_here, 2 + (int64_t)((bytes + 7) / 8), NULL);
    if (!a) return 0;
    a[0] = (double)(uintptr_t)to;
    a[1] = (double)bytes;
    memcpy(a + 2, from, bytes);
    return publish();
  }
  void *block = malloc(bytes);
  if (!block) return 0;
  memcpy(block, from, bytes);
  double *a = reserve(copy_from, 3, NULL);
  if (!a) {
    free(block);
    return 0;
  }
  a[0] = (double)(uintptr_t)to;
  a[1] = (double)(uintptr_t)block;
  a[2] = (double)bytes;
  return publish();
}

static void ww_fetch(void *to, const void *from, double bytes) { memcpy(to, from, (size_t)bytes); }
WW_QUEUED(ww_fetch, P(0), P(1), N(2))

/* Memory between a download and the host. */
void *ww_block(size_t bytes) { return malloc(bytes); }
void ww_unblock(void *block) { free(block); }
void ww_take(void *to, const char *block, size_t first, size_t bytes) { memcpy(to, block + first, bytes); }

static void ww_give_back(void *memory, double bytes) {
  ww_free(memory, (size_t)bytes);
  atomic_fetch_sub(&queue.unfreed, (int64_t)bytes);
}
WW_QUEUED(ww_give_back, P(0), N(1))

int64_t ww_unfreed(void) { return atomic_load(&queue.unfreed); }
void ww_will_free(int64_t bytes) { atomic_fetch_add(&queue.unfreed, bytes); }

/* --- flags by which commands are left out ---------------------------------------------------------------------------------------- */

void *ww_flag(void) { return calloc(1, sizeof(Flag)); }
void ww_cancel(Flag *flag) { atomic_store(flag, 1); }

static void ww_drop_flag(void *flag) { free(flag); }
WW_QUEUED(ww_drop_flag, P(0))
