/*
 * Memory for the backend's buffers and for the kernels' own use, and what this library was compiled for.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "room.h"
#include "ww.h"

/* Large blocks lie on huge pages, which spare the matrix products most of their address misses, and go back to the system at once. */
enum { HUGE_PAGE = 2 << 20 };

#if defined(__SANITIZE_ADDRESS__) || !defined(MADV_HUGEPAGE)
static int on_huge_pages(size_t bytes) { return (void)bytes, 0; } /* the sanitizer watches over malloc's blocks alone */
static void *map_huge(size_t bytes) { return (void)bytes, NULL; }
#else
static int on_huge_pages(size_t bytes) { return bytes >= HUGE_PAGE; }

/* A mapping that begins at a huge page's border: one page too much is asked for, and what lies before and behind is given back. */
static void *map_huge(size_t bytes) {
  char *memory = mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  size_t before = (HUGE_PAGE - (uintptr_t)memory % HUGE_PAGE) % HUGE_PAGE;
  if (before) munmap(memory, before);
  munmap(memory + before + bytes, HUGE_PAGE - before);
  madvise(memory + before, bytes, MADV_HUGEPAGE);
  return memory + before;
}
#endif

/* NULL where there is none. `bytes` is a multiple of the page size from HUGE_PAGE on. */
void *ww_alloc(size_t bytes) {
  if (on_huge_pages(bytes)) return map_huge(bytes);
  void *memory = NULL;
  return posix_memalign(&memory, 64, bytes) == 0 ? memory : NULL;
}

void ww_free(void *memory, size_t bytes) {
  if (on_huge_pages(bytes))
    munmap(memory, bytes);
  else
    free(memory);
}

/* A thread's rooms, and what frees them at its end: threads come and go with the pool's size and with those that call. */
static _Thread_local Room *rooms;
static pthread_key_t ending;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void free_rooms(void *first) {
  for (Room *room = first; room; room = room->next) {
    free(room->memory);
    room->memory = NULL;
    room->floats = 0;
  }
}

static void make_key(void) {
  if (pthread_key_create(&ending, free_rooms) != 0) abort();
}

void ww_grow(Room *room, int64_t floats) {
  if (!room->memory) {
    pthread_once(&once, make_key);
    room->next = rooms;
    rooms = room;
    pthread_setspecific(ending, rooms);
  }
  free(room->memory);
  room->floats = (floats + 4095) / 4096 * 4096;
  room->memory = aligned_alloc(64, sizeof(float) * (size_t)room->floats);
  if (!room->memory) abort();
}

const char *ww_instruction_set(void) {
#if defined(__AMX_BF16__)
  return "AVX-512 and AMX with bfloat16";
#elif defined(__AVX512BF16__)
  return "AVX-512 with bfloat16";
#elif defined(__AVX512F__)
  return "AVX-512";
#elif defined(__AVX2__)
  return "AVX2";
#elif defined(__aarch64__)
  return "NEON";
#elif defined(__x86_64__)
  return "SSE2";
#else
  return "vectors of four";
#endif
}
