/* A CUDA driver for tests on a machine without a GPU: device memory is host memory, a launch is a line in a log, and any call can be made
 * to fail. Settings come from the environment (WW_FAKE_COUNT, _CAPABILITY, _MEMORY, _FAIL "call:nth:code", _LOG a file) when the library
 * is initialized, or from ww_fake_set. Signatures follow cuda.h. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Block {
  void *at;
  uint64_t bytes;
  struct Block *next;
} Block;
typedef struct {
  char name[128];
} Function;
typedef struct {
  char *lines;
} Graph;

static int count = 1, capability = 90, calls_to_failure, failure_code;
static uint64_t memory = 1u << 30, used;
static char failing[64];
static Block *blocks;
static char *log_text, *captured;
/* Copies that are put off until somebody waits, as a busy device would. */
typedef struct Copy {
  uint64_t to, from, bytes;
  struct Copy *next;
} Copy;
static int delay;
static Copy *copies, **last_copy = &copies;

static void finish_copies(void) {
  while (copies) {
    Copy *now = copies;
    memcpy((void *)(uintptr_t)now->to, (void *)(uintptr_t)now->from, now->bytes);
    copies = now->next;
    free(now);
  }
  last_copy = &copies;
}

static void append(char **to, const char *line) {
  size_t before = *to ? strlen(*to) : 0;
  *to = realloc(*to, before + strlen(line) + 1);
  strcpy(*to + before, line);
}
static void note(const char *line) {
  append(captured ? &captured : &log_text, line);
  const char *file = getenv("WW_FAKE_LOG");
  if (file && !captured) {
    FILE *f = fopen(file, "a");
    fputs(line, f);
    fclose(f);
  }
}
void ww_fake_set(const char *name, const char *value) {
  if (!strcmp(name, "COUNT")) count = atoi(value);
  if (!strcmp(name, "CAPABILITY")) capability = atoi(value);
  if (!strcmp(name, "MEMORY")) memory = strtoull(value, 0, 10), blocks = 0, used = 0; /* an empty card */
  if (!strcmp(name, "FAIL") && sscanf(value, "%63[^:]:%d:%d", failing, &calls_to_failure, &failure_code) != 3) failing[0] = 0;
  if (!strcmp(name, "DELAY")) finish_copies(), delay = atoi(value);
  if (!strcmp(name, "LOG")) free(log_text), log_text = 0;
}
const char *ww_fake_log(void) { return log_text ? log_text : ""; }

static int fails(const char *call) { return !strcmp(call, failing) && --calls_to_failure == 0; }
#define CALL(name) \
  if (fails(#name)) return failure_code

int cuInit(uint32_t flags) {
  (void)flags;
  static const char *names[] = {"COUNT", "CAPABILITY", "MEMORY", "FAIL"};
  for (int i = 0; i < 4; i++) {
    char variable[32] = "WW_FAKE_";
    const char *value = getenv(strcat(variable, names[i]));
    if (value) ww_fake_set(names[i], value);
  }
  CALL(cuInit);
  return count == 0 ? 100 : 0;
}
int cuGetErrorName(int code, const char **text) {
  *text = code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : code == 100 ? "CUDA_ERROR_NO_DEVICE" : code == 719 ? "CUDA_ERROR_LAUNCH_FAILED" : "CUDA_ERROR_UNKNOWN";
  return 0;
}
int cuGetErrorString(int code, const char **text) {
  *text = code == 2 ? "out of memory" : code == 719 ? "unspecified launch failure" : "unknown error";
  return 0;
}
int cuDriverGetVersion(int *version) { return *version = 13000, 0; }
int cuDeviceGetCount(int *n) { return *n = count, 0; }
int cuDeviceGet(int *device, int ordinal) { return *device = ordinal, 0; }
int cuDeviceGetName(char *name, int length, int device) { return (void)device, snprintf(name, (size_t)length, "Fake GPU"), 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  (void)device;
  *value = attribute == 75 ? capability / 10 : attribute == 76 ? capability % 10 : attribute == 16 ? 132 : capability >= 90 ? 232448 : 65536;
  return 0;
}
int cuDeviceTotalMem_v2(uint64_t *bytes, int device) { return (void)device, *bytes = memory, 0; }
int cuDevicePrimaryCtxRetain(uint64_t *context, int device) { return (void)device, *context = 1, 0; }
int cuCtxSetCurrent(uint64_t context) { return (void)context, 0; }
int cuMemAlloc_v2(uint64_t *address, uint64_t bytes) {
  CALL(cuMemAlloc_v2);
  if (used + bytes > memory) return 2;
  Block *block = malloc(sizeof *block);
  *block = (Block){aligned_alloc(256, (bytes + 255) / 256 * 256), bytes, blocks};
  blocks = block, used += bytes;
  return *address = (uint64_t)(uintptr_t)block->at, 0;
}
int cuMemFree_v2(uint64_t address) {
  for (Block **at = &blocks; *at; at = &(*at)->next)
    if ((uint64_t)(uintptr_t)(*at)->at == address) {
      Block *gone = *at;
      *at = gone->next, used -= gone->bytes;
      free(gone->at), free(gone);
      return 0;
    }
  return 1;
}
int cuMemGetInfo_v2(uint64_t *left, uint64_t *total) { return *left = memory - used, *total = memory, 0; }
int cuMemHostAlloc(uint64_t *address, uint64_t bytes, uint32_t flags) {
  (void)flags;
  CALL(cuMemHostAlloc);
  return *address = (uint64_t)(uintptr_t)aligned_alloc(4096, (bytes + 4095) / 4096 * 4096), 0;
}
int cuMemFreeHost(uint64_t address) { return free((void *)(uintptr_t)address), 0; }
int cuMemcpyHtoDAsync_v2(uint64_t to, uint64_t from, uint64_t bytes, uint64_t stream) {
  (void)stream;
  CALL(cuMemcpyHtoDAsync_v2);
  if (delay) {
    *last_copy = malloc(sizeof **last_copy);
    **last_copy = (Copy){to, from, bytes, 0};
    last_copy = &(*last_copy)->next;
    return 0;
  }
  return memcpy((void *)(uintptr_t)to, (void *)(uintptr_t)from, bytes), 0;
}
int cuMemcpyDtoHAsync_v2(uint64_t to, uint64_t from, uint64_t bytes, uint64_t stream) {
  (void)stream;
  CALL(cuMemcpyDtoHAsync_v2);
  return memcpy((void *)(uintptr_t)to, (void *)(uintptr_t)from, bytes), 0;
}
int cuStreamCreate(uint64_t *stream, uint32_t flags) { return (void)flags, *stream = 7, 0; }
int cuStreamSynchronize(uint64_t stream) {
  (void)stream;
  CALL(cuStreamSynchronize);
  finish_copies();
  return 0;
}
int cuEventCreate(uint64_t *event, uint32_t flags) { return (void)flags, *event = 9, 0; }
int cuEventRecord(uint64_t event, uint64_t stream) { return (void)event, (void)stream, 0; }
int cuEventSynchronize(uint64_t event) { return (void)event, finish_copies(), 0; }
int cuEventQuery(uint64_t event) {
  (void)event;
  CALL(cuEventQuery);
  return 0;
}
int cuEventElapsedTime(float *milliseconds, uint64_t start, uint64_t end) { return (void)start, (void)end, *milliseconds = 0.5f, 0; }
int cuEventDestroy_v2(uint64_t event) { return (void)event, 0; }
int cuModuleLoadData(uint64_t *module, const void *image) {
  CALL(cuModuleLoadData);
  return *module = strncmp(image, "code", 4) ? 0 : 5, *module ? 0 : 200;
}
int cuModuleGetFunction(uint64_t *function, uint64_t module, const char *name) {
  (void)module;
  Function *made = malloc(sizeof *made);
  snprintf(made->name, sizeof made->name, "%s", name);
  return *function = (uint64_t)(uintptr_t)made, 0;
}
int cuFuncSetAttribute(uint64_t function, int attribute, int value) { return (void)function, (void)attribute, (void)value, 0; }

/* "launch NAME grid x,y,z block b shared s arguments HEX": the bytes that the kernel would find. */
static int launched(uint64_t function, const uint32_t *sizes, uint32_t shared, uint64_t extra, const char *how) {
  void **list = (void **)(uintptr_t)extra;
  uint64_t bytes = *(uint64_t *)list[3];
  char *line = malloc(400 + 2 * bytes), *at = line;
  at += sprintf(at, "%s %s grid %u,%u,%u block %u shared %u arguments ", how, ((Function *)(uintptr_t)function)->name, sizes[0], sizes[1],
                sizes[2], sizes[3], shared);
  for (uint64_t i = 0; i < bytes; i++) at += sprintf(at, "%02x", ((unsigned char *)list[1])[i]);
  strcpy(at, "\n");
  note(line);
  free(line);
  return 0;
}
int cuLaunchKernel(uint64_t function, uint32_t x, uint32_t y, uint32_t z, uint32_t bx, uint32_t by, uint32_t bz, uint32_t shared,
                   uint64_t stream, uint64_t parameters, uint64_t extra) {
  (void)by, (void)bz, (void)stream, (void)parameters;
  CALL(cuLaunchKernel);
  return launched(function, (uint32_t[]){x, y, z, bx}, shared, extra, "launch");
}
typedef struct {
  uint32_t grid[3], block[3], shared;
  uint64_t stream;
  const uint32_t *attributes;
  uint32_t attribute_count;
} LaunchConfig;
int cuLaunchKernelEx(const LaunchConfig *config, uint64_t function, uint64_t parameters, uint64_t extra) {
  (void)parameters;
  CALL(cuLaunchKernelEx);
  if (config->stream != 7 || config->attribute_count != 1 || config->attributes[0] != 6 || config->attributes[2] != 1) return 1;
  if (config->block[1] != 1 || config->block[2] != 1) return 1;
  return launched(function, (uint32_t[]){config->grid[0], config->grid[1], config->grid[2], config->block[0]}, config->shared, extra,
                  "early");
}
int cuStreamBeginCapture_v2(uint64_t stream, int mode) { return (void)stream, (void)mode, captured = strdup(""), 0; }
int cuStreamEndCapture(uint64_t stream, uint64_t *graph) {
  (void)stream;
  Graph *made = malloc(sizeof *made);
  made->lines = captured, captured = 0;
  return *graph = (uint64_t)(uintptr_t)made, 0;
}
int cuGraphInstantiateWithFlags(uint64_t *exec, uint64_t graph, uint64_t flags) { return (void)flags, *exec = graph, 0; }
int cuGraphLaunch(uint64_t exec, uint64_t stream) {
  (void)stream;
  note("graph\n");
  note(((Graph *)(uintptr_t)exec)->lines);
  return 0;
}
int cuGraphExecDestroy(uint64_t exec) { return (void)exec, 0; }
int cuGraphDestroy(uint64_t graph) { return (void)graph, 0; }

/* What a C compiler makes of a kernel's parameters, for the test of argument layouts. */
typedef struct {
  uint64_t p;
  int32_t i;
  float f;
  uint32_t u;
  int64_t l;
  int32_t i2;
  double d;
  uint64_t p2;
  float f2;
} Mixed;
int ww_fake_reads(const Mixed *m, uint64_t p, int32_t i, float f, uint32_t u, int64_t l, int32_t i2, double d, uint64_t p2, float f2) {
  return m->p == p && m->i == i && m->f == f && m->u == u && m->l == l && m->i2 == i2 && m->d == d && m->p2 == p2 && m->f2 == f2;
}
