/*
 * Elementary functions on vectors. Included by ww.h.
 */
#ifndef WW_VMATH_H
#define WW_VMATH_H

/*
 * e^x to about 1.5 units in the last place; subnormal results are right, overflow gives infinity, NaN stays NaN. Cody and Waite:
 * x = n ln 2 + r with |r| <= ln 2 / 2, e^r by its Taylor polynomial, then a scaling by 2^n in two steps so that neither overflows.
 */
static inline vf vexp(vf x) {
  const vf lowest = vsplat(-104.f), highest = vsplat(89.f), magic = vsplat(0x1.8p23f);
#if defined(__AVX512F__)
  x = (vf)_mm512_min_ps((__m512)highest, _mm512_max_ps((__m512)lowest, (__m512)x)); /* of a NaN and a number the second comes out */
#else
  x = vselect(x < lowest, lowest, x);
  x = vselect(x > highest, highest, x);
#endif
  vf shifted = x * 0x1.715476p0f + magic; /* the nearest integer stands in the low bits */
  vf n = shifted - magic;
  vf r = x - n * 0x1.62e4p-1f;
  r = r - n * 0x1.7f7d1cp-20f;
  vf p = r * (1.f / 5040) + 1.f / 720;
  p = p * r + 1.f / 120;
  p = p * r + 1.f / 24;
  p = p * r + 1.f / 6;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.f;
#if defined(__AVX512F__)
  return (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
  vi power = (vi)((vu)shifted - 0x4b400000u), half = power >> 1;
  vf scale1 = (vf)((vu)(half + 127) << 23), scale2 = (vf)((vu)(power - half + 127) << 23);
  return p * scale1 * scale2;
#endif
}

#endif
