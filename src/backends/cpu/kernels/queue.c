/*
 * The queue: what the host asked for, run in that order by one thread of the process behind the host's back, so that a caller's thread
 * waits for nothing. A command is an entry (queue.h), its arguments, and a flag by which whoever asked for it may have it left out; or a
 * script, which is many commands that were written down once. A caller who waits for short work alone does it himself: to hand it to
 * another thread, and to be woken by that, costs a small model a third of its time.
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

/* Commands that run again and again: `used` bytes of them behind it. */
typedef struct {
  size_t used;
  /* What it took when it was run last; NEVER: it was not yet. */
  _Atomic int64_t nanoseconds;
} Script;

/* `count` doubles follow; `script` in place of `call`. */
typedef struct {
  void (*call)(const double *a);
  Script *script;
  Flag *cancelled;
  int64_t count;
} Command;

/* Commands one behind the other in `used` bytes behind it, the first `ran` of them, in `at` bytes, done. */
typedef struct Chunk {
  struct Chunk *next;
  size_t used, size, at;
  int64_t commands, ran;
  /* Of the command at `at`, where it is a script: bytes of that done, and when it began. */
  size_t step;
  int64_t began;
} Chunk;

/* Whoever wants a byte on `fd` when so many commands are done. */
typedef struct {
  int fd;
  int64_t ticket;
} Watcher;

enum { CHUNK = 64 << 10, MOST_SPARE = 8, SMALL_UPLOAD = 32 << 10, STACK = 8 << 20 };
/* Nanoseconds: a script that takes more than SHORT is left to the thread. */
static const int64_t SHORT = 12000000, NEVER = INT64_MAX;

static struct {
  pthread_mutex_t lock;
  pthread_cond_t work, progress;
  /* Guarded by the lock, all but what is atomic. */
  Chunk *first, *last, *spare;
  /* running: by the thread or by who waits; awake: the thread has something to do, or was told so. */
  int spares, started, running, awake;
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

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int is_late(int64_t until) { return until != NEVER && now() >= until; }

static int is_cancelled(const Command *c) { return c->cancelled && atomic_load_explicit(c->cancelled, memory_order_relaxed); }

static size_t size_of(const Command *c) { return sizeof(Command) + (size_t)c->count * sizeof(double); }

/* @returns 0 when it had to stop on the way */
static int run_script(Chunk *chunk, const Command *command, int64_t until) {
  Script *script = command->script;
  if (chunk->step == 0) chunk->began = now();
  while (chunk->step < script->used && !is_cancelled(command)) {
    if (is_late(until)) return 0;
    const Command *c = (const Command *)((char *)(script + 1) + chunk->step);
    c->call((const double *)(c + 1));
    chunk->step += size_of(c);
  }
  if (chunk->step == script->used) atomic_store_explicit(&script->nanoseconds, now() - chunk->began, memory_order_relaxed);
  chunk->step = 0;
  return 1;
}

/* @returns 0 when it had to stop on the way */
static int run_chunk(Chunk *chunk, int64_t until) {
  for (; chunk->ran < chunk->commands; chunk->ran++) {
    const Command *command = (const Command *)((char *)(chunk + 1) + chunk->at);
    if (command->script) {
      if (!run_script(chunk, command, until)) return 0;
    } else {
      if (is_late(until)) return 0;
      if (!is_cancelled(command)) command->call((const double *)(command + 1));
    }
    chunk->at += size_of(command);
    if (atomic_fetch_add(&queue.done, 1) + 1 < atomic_load(&queue.wanted)) continue;
    pthread_mutex_lock(&queue.lock);
    notify();
    pthread_mutex_unlock(&queue.lock);
  }
  return 1;
}

/*
 * Runs what stands in the queue; nobody else does. A waiter stops then, or where somebody left long work behind. The lock is held before and
 * afterwards, and not in between.
 */
static void run(int64_t until) {
  queue.running = 1;
  for (int whole = 1; whole && queue.first && (until == NEVER || !queue.awake);) {
    Chunk *chunk = queue.first;
    queue.first = chunk->next;
    if (!queue.first) queue.last = NULL;
    pthread_mutex_unlock(&queue.lock);
    whole = run_chunk(chunk, until);
    pthread_mutex_lock(&queue.lock);
    if (!whole) {
      chunk->next = queue.first;
      queue.first = chunk;
      if (!queue.last) queue.last = chunk;
    } else if (chunk->size == CHUNK && queue.spares < MOST_SPARE) {
      chunk->next = queue.spare;
      queue.spare = chunk;
      queue.spares++;
    } else
      free(chunk);
  }
  queue.running = 0;
}

static void wake(void) {
  queue.awake = 1;
  pthread_cond_signal(&queue.work);
}

static void *execute(void *unused) {
  (void)unused;
  pthread_mutex_lock(&queue.lock);
  for (;;) {
    while (!queue.awake || queue.running) pthread_cond_wait(&queue.work, &queue.lock);
    run(NEVER);
    queue.awake = 0;
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
  chunk->used = chunk->at = chunk->step = 0;
  chunk->commands = chunk->ran = 0;
  if (queue.last)
    queue.last->next = chunk;
  else
    queue.first = chunk;
  queue.last = chunk;
  return chunk;
}

/* The place of a command's arguments; the lock is held from here to `publish`, unless there is no memory: NULL. */
static double *reserve(Command command) {
  pthread_mutex_lock(&queue.lock);
  Chunk *chunk = NULL;
  if (queue.started || (queue.started = start())) chunk = room_for_command(size_of(&command));
  if (!chunk) {
    pthread_mutex_unlock(&queue.lock);
    return NULL;
  }
  Command *place = (Command *)((char *)(chunk + 1) + chunk->used);
  *place = command;
  chunk->used += size_of(&command);
  chunk->commands++;
  return (double *)(place + 1);
}

/* `isShort`: left to whoever waits for it. @returns the number of commands that are done when this one is */
static int64_t publish(int isShort) {
  int64_t ticket = ++queue.asked;
  if (!isShort && !queue.awake) wake();
  pthread_mutex_unlock(&queue.lock);
  return ticket;
}

/* @returns the command's ticket; 0: no memory for it; -1: the entry reads more arguments */
int64_t ww_enqueue(const WwEntry *entry, const double *arguments, int64_t count, Flag *cancelled) {
  if (count < entry->arguments) return -1;
  double *to = reserve((Command){.call = entry->call, .cancelled = cancelled, .count = count});
  if (!to) return 0;
  memcpy(to, arguments, (size_t)count * sizeof(double));
  return publish(0);
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
  /* The thread was told of nothing: what stands there is short. */
  if (!queue.awake && !queue.running) run(now() + SHORT);
  if (queue.first || queue.awake) wake();
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
  if (queue.first && !queue.awake) wake();
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
    double *a = reserve((Command){.call = copy_here, .count = 2 + (int64_t)((bytes + 7) / 8)});
    if (!a) return 0;
    a[0] = (double)(uintptr_t)to;
    a[1] = (double)bytes;
    memcpy(a + 2, from, bytes);
    return publish(1);
  }
  void *block = malloc(bytes);
  if (!block) return 0;
  memcpy(block, from, bytes);
  double *a = reserve((Command){.call = copy_from, .count = 3});
  if (!a) {
    free(block);
    return 0;
  }
  a[0] = (double)(uintptr_t)to;
  a[1] = (double)(uintptr_t)block;
  a[2] = (double)bytes;
  return publish(0);
}

static void fetch(const double *a) { memcpy(P(0), P(1), (size_t)a[2]); }

/* Copies from where the kernels write to memory between them and the host, which waits for it next. @returns as ww_enqueue */
int64_t ww_fetch(void *to, const void *from, size_t bytes) {
  double *a = reserve((Command){.call = fetch, .count = 3});
  if (!a) return 0;
  a[0] = (double)(uintptr_t)to;
  a[1] = (double)(uintptr_t)from;
  a[2] = (double)bytes;
  return publish(bytes <= SMALL_UPLOAD);
}

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

/* --- scripts --------------------------------------------------------------------------------------------------------------------- */

/* `words`: for each command its entry, the number of its arguments, these. @returns 0: no memory; -1: an entry reads more arguments */
int64_t ww_script(const double *words, int64_t count) {
  size_t used = 0;
  for (int64_t i = 0; i < count; i += 2 + (int64_t)words[i + 1]) {
    if (words[i + 1] < ((const WwEntry *)(uintptr_t)words[i])->arguments) return -1;
    used += sizeof(Command) + (size_t)words[i + 1] * sizeof(double);
  }
  Script *script = malloc(sizeof(Script) + used);
  if (!script) return 0;
  script->used = used;
  atomic_init(&script->nanoseconds, NEVER);
  char *at = (char *)(script + 1);
  for (int64_t i = 0; i < count; i += 2 + (int64_t)words[i + 1]) {
    Command *c = (Command *)at;
    *c = (Command){.call = ((const WwEntry *)(uintptr_t)words[i])->call, .count = (int64_t)words[i + 1]};
    memcpy(c + 1, words + i + 2, (size_t)c->count * sizeof(double));
    at += size_of(c);
  }
  return (int64_t)(uintptr_t)script;
}

/* Runs a script's commands once more. @returns as ww_enqueue */
int64_t ww_replay(Script *script, Flag *cancelled) {
  if (!reserve((Command){.script = script, .cancelled = cancelled})) return 0;
  return publish(atomic_load_explicit(&script->nanoseconds, memory_order_relaxed) < SHORT);
}

/* --- flags by which commands are left out ---------------------------------------------------------------------------------------- */

void *ww_flag(void) { return calloc(1, sizeof(Flag)); }
void ww_cancel(Flag *flag) { atomic_store(flag, 1); }

/* A flag's memory, a script's or a block's, when nothing that was asked reads it any more. */
static void ww_drop(void *memory) { free(memory); }
WW_QUEUED(ww_drop, P(0))
