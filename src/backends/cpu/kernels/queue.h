/*
 * What a kernel leaves for the queue (queue.c): an entry that takes its arguments as doubles, which hold addresses and counts up to
 * 2^53. The compiler converts each to the parameter's own type, so that the kernel's prototype is the one place where that stands.
 */
#ifndef WW_QUEUE_H
#define WW_QUEUE_H
#include <stdint.h>

typedef struct {
  void (*call)(const double *a);
  /* Arguments that it reads at least. */
  int64_t arguments;
} WwEntry;

#define WW_PICK(_1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, _13, _14, _15, _16, _17, _18, _19, _20, _21, _22, _23, _24, n, ...) n
#define WW_COUNT(...) WW_PICK(__VA_ARGS__, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)

/* Argument i as an address. */
#define P(i) ((void *)(uintptr_t)a[i])
/* Argument i as a number. */
#define N(i) (a[i])

/* Behind a kernel's definition: where each of its parameters comes from, in order. */
#define WW_QUEUED(kernel, ...)                                                \
  static void kernel##_queued(const double *a) { kernel(__VA_ARGS__); }       \
  extern const WwEntry kernel##_entry;                                        \
  const WwEntry kernel##_entry = {kernel##_queued, WW_COUNT(__VA_ARGS__)};

#endif
