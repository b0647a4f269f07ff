/* Wrappers of the tensor-core instructions of sm_80 up: mma.sync m16n8k16 on bf16 with f32 sums, ldmatrix, cp.async (PTX ISA, "Matrix
 * Fragments for mma.m16n8k16"). With g = lane / 4 and t = lane % 4 a lane holds, two values a register, the lower index in the low half:
 *   A [16 m][16 k]: a0 = (m g, k 2t..2t+1), a1 = (m g+8, same k), a2 = (m g, k 2t+8..2t+9), a3 = (m g+8, k 2t+8..2t+9)
 *   B [16 k][8 n]:  b0 = (k 2t..2t+1, n g), b1 = (k 2t+8..2t+9, n g)
 *   C [16 m][8 n]:  c0, c1 = (m g, n 2t..2t+1), c2, c3 = (m g+8, n 2t..2t+1)
 * so that the sums of two neighbouring n tiles, rounded in pairs, are an A fragment of the next product (n becoming k).
 * ldmatrix.x4 reads four 8x8 matrices; lane i gives the address of row i % 8 (16 bytes) of matrix i / 8; register j then holds, of
 * matrix j, (row g, columns 2t..2t+1), or with .trans (rows 2t..2t+1, column g). The four `*_at` functions say which element's address
 * a lane gives, for a factor stored with its k or its m / n along the row. */
#pragma once
#include "prelude.cuh"

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

__device__ __forceinline__ u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

__device__ __forceinline__ void ldmatrix_x4(u32 (&r)[4], u32 at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(at)
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_trans(u32 (&r)[4], u32 at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(at)
               : "memory");
}

/* Element (row, column) of a 16 x 16 part whose address this lane gives. */
struct LaneElement {
  int row, column;
};
/* A stored [m][k], ldmatrix_x4: registers a0..a3. */
__device__ __forceinline__ LaneElement a_at(int lane) { return {lane & 15, (lane >> 4) << 3}; }
/* B stored [n][k], 16 n, ldmatrix_x4: b0, b1 of n 0..7, then of n 8..15. */
__device__ __forceinline__ LaneElement b_at(int lane) { return {(lane & 7) + ((lane >> 4) << 3), lane & 8}; }
/* B stored [k][n], 16 n, ldmatrix_x4_trans: b0, b1 of n 0..7, then of n 8..15. */
__device__ __forceinline__ LaneElement b_trans_at(int lane) { return {lane & 15, (lane >> 4) << 3}; }
/* A stored [k][m], ldmatrix_x4_trans: registers a0..a3. */
__device__ __forceinline__ LaneElement a_trans_at(int lane) { return {(lane & 7) + ((lane >> 4) << 3), lane & 8}; }

/* c += a · b */
__device__ __forceinline__ void mma_bf16(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* Copies 16 bytes (4 bytes) of device memory to shared memory in the background; writes zeros, reading nothing, where not `valid`. */
__device__ __forceinline__ void cp_async_16(u32 to, const void* from, bool valid) {
  int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}
__device__ __forceinline__ void cp_async_4(u32 to, const void* from, bool valid) {
  int bytes = valid ? 4 : 0;
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/* Waits until at most `Pending` of this thread's youngest groups are under way. */
template <int Pending>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

/* 2 to the power x. */
__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

#endif
