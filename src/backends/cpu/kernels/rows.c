#include "gemm.h"
void ww_gemm_rows(const Gemm *g, int bf16) { ww_gemm_tiles(g, bf16); }
