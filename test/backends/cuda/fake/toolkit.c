/* NVRTC and cuBLASLt for tests on a machine without CUDA: a source "compiles" to the word code, is written to the folder WW_FAKE_SOURCES
 * where that is set, and fails where it defines WW_BROKEN; products do nothing. Signatures follow nvrtc.h and cublasLt.h. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *source, name[128];
static int compiled;
static const char LOG[] = "fake.cu(1): error: this is broken";

int nvrtcVersion(int *major, int *minor) { return *major = 13, *minor = 0, 0; }
int nvrtcGetNumSupportedArchs(int *count) { return *count = 4, 0; }
int nvrtcGetSupportedArchs(int *archs) { return memcpy(archs, (int[]){75, 80, 86, 90}, 4 * sizeof(int)), 0; }
int nvrtcCreateProgram(uint64_t *program, const char *text, const char *called, int count, const char **headers, const char **names) {
  (void)count, (void)headers, (void)names;
  free(source);
  source = strdup(text);
  snprintf(name, sizeof name, "%s", called);
  return *program = 3, 0;
}
int nvrtcCompileProgram(uint64_t program, int count, const char **options) {
  (void)program;
  const char *folder = getenv("WW_FAKE_SOURCES");
  if (folder) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%04d-%s", folder, compiled, name);
    FILE *f = fopen(path, "w");
    fprintf(f, "//");
    for (int i = 0; i < count; i++) fprintf(f, " %s", options[i]);
    fprintf(f, "\n%s", source);
    fclose(f);
  }
  compiled++;
  return strstr(source, "#define WW_BROKEN") ? 6 : 0;
}
int ww_fake_compiled(void) { return compiled; }
int nvrtcGetProgramLogSize(uint64_t program, uint64_t *size) { return (void)program, *size = sizeof LOG, 0; }
int nvrtcGetProgramLog(uint64_t program, char *log) { return (void)program, memcpy(log, LOG, sizeof LOG), 0; }
int nvrtcGetCUBINSize(uint64_t program, uint64_t *size) { return (void)program, *size = 5, 0; }
int nvrtcGetCUBIN(uint64_t program, char *code) { return (void)program, memcpy(code, "code", 5), 0; }
int nvrtcGetPTXSize(uint64_t program, uint64_t *size) { return (void)program, *size = 5, 0; }
int nvrtcGetPTX(uint64_t program, char *code) { return (void)program, memcpy(code, "code", 5), 0; }
int nvrtcDestroyProgram(uint64_t *program) { return (void)program, 0; }

int cublasLtCreate(uint64_t *made) { return *made = 1, 0; }
int cublasLtMatmulDescCreate(uint64_t *made, int compute, int scale) { return (void)compute, (void)scale, *made = 1, 0; }
int cublasLtMatrixLayoutCreate(uint64_t *made, int type, uint64_t rows, uint64_t cols, int64_t ld) {
  return (void)type, (void)rows, (void)cols, (void)ld, *made = 1, 0;
}
int cublasLtMatmulPreferenceCreate(uint64_t *made) { return *made = 1, 0; }
int cublasLtMatmulDescSetAttribute(uint64_t on, int what, uint64_t value, size_t bytes) {
  return (void)on, (void)what, (void)value, (void)bytes, 0;
}
int cublasLtMatmulPreferenceSetAttribute(uint64_t on, int what, uint64_t value, size_t bytes) {
  return (void)on, (void)what, (void)value, (void)bytes, 0;
}
int cublasLtMatmulAlgoGetHeuristic(uint64_t handle, uint64_t descriptor, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                                   uint64_t preference, int wanted, uint64_t results, int *count) {
  (void)handle, (void)descriptor, (void)a, (void)b, (void)c, (void)d, (void)preference, (void)wanted, (void)results;
  return *count = 1, 0;
}
int cublasLtMatmulAlgoCheck(void) { return 0; }
int cublasLtMatmul(void) { return 0; }
