// clang-format off
// The vector operations that CPU kernels share: sixteen 32-bit lanes on every target, so every target adds in the same
// order and, because each operation here is one correctly rounded IEEE operation, every target gives the same bits.
//
// Compiled once per target; everything is static inline inside that target's namespace, so that no code built for a wide
// target can be picked by the linker for a narrow machine.
//
// CUTAWAY_TARGET is the target's namespace, set by CMake together with the compiler's flags.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC 12's own header, GCC bug 105593
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

namespace cutaway::CUTAWAY_TARGET {

#define CUTAWAY_INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__)

struct i32x16 { __m512i v; };
struct f32x16 { __m512 v; };

CUTAWAY_INLINE f32x16 broadcast(float x) { return {_mm512_set1_ps(x)}; }
CUTAWAY_INLINE i32x16 broadcast(int32_t x) { return {_mm512_set1_epi32(x)}; }
CUTAWAY_INLINE f32x16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
CUTAWAY_INLINE f32x16 load_first(const float* p, int n) { return {_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p)}; }
CUTAWAY_INLINE f32x16 load_first(const float* p, int n, float rest) {
  return {_mm512_mask_loadu_ps(_mm512_set1_ps(rest), static_cast<__mmask16>((1u << n) - 1), p)};
}
CUTAWAY_INLINE void store(float* p, f32x16 a) { _mm512_storeu_ps(p, a.v); }
CUTAWAY_INLINE void store_first(float* p, f32x16 a, int n) { _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), a.v); }
CUTAWAY_INLINE f32x16 load_f16(const uint16_t* p) { return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))}; }
CUTAWAY_INLINE f32x16 load_f16_first(const uint16_t* p, int n) {
  return {_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << n) - 1), p))};
}
CUTAWAY_INLINE f32x16 load_bf16(const uint16_t* p) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16))};
}
CUTAWAY_INLINE f32x16 operator+(f32x16 a, f32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
CUTAWAY_INLINE f32x16 operator-(f32x16 a, f32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
CUTAWAY_INLINE f32x16 operator*(f32x16 a, f32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
CUTAWAY_INLINE f32x16 operator/(f32x16 a, f32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
CUTAWAY_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }  // a b + c
CUTAWAY_INLINE f32x16 max(f32x16 a, f32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }  // b where either is NaN
CUTAWAY_INLINE f32x16 min(f32x16 a, f32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }
CUTAWAY_INLINE f32x16 abs(f32x16 a) { return {_mm512_andnot_ps(_mm512_set1_ps(-0.0f), a.v)}; }
CUTAWAY_INLINE i32x16 round_to_i32(f32x16 a) { return {_mm512_cvtps_epi32(a.v)}; }  // nearest, ties to even
CUTAWAY_INLINE f32x16 to_f32(i32x16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
CUTAWAY_INLINE f32x16 bits_as_f32(i32x16 a) { return {_mm512_castsi512_ps(a.v)}; }
CUTAWAY_INLINE i32x16 operator+(i32x16 a, i32x16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
CUTAWAY_INLINE i32x16 operator-(i32x16 a, i32x16 b) { return {_mm512_sub_epi32(a.v, b.v)}; }
CUTAWAY_INLINE i32x16 shift_left_23(i32x16 a) { return {_mm512_slli_epi32(a.v, 23)}; }
// a where x != x (NaN), else b
CUTAWAY_INLINE f32x16 where_nan(f32x16 x, f32x16 a, f32x16 b) { return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(x.v, x.v, _CMP_UNORD_Q), b.v, a.v)}; }
CUTAWAY_INLINE f32x16 where_less(f32x16 x, f32x16 y, f32x16 a, f32x16 b) { return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(x.v, y.v, _CMP_LT_OQ), b.v, a.v)}; }

#elif defined(__AVX2__)

struct i32x16 { __m256i lo, hi; };
struct f32x16 { __m256 lo, hi; };

CUTAWAY_INLINE f32x16 broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
CUTAWAY_INLINE i32x16 broadcast(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
CUTAWAY_INLINE f32x16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
CUTAWAY_INLINE void store(float* p, f32x16 a) { _mm256_storeu_ps(p, a.lo), _mm256_storeu_ps(p + 8, a.hi); }
CUTAWAY_INLINE f32x16 load_first(const float* p, int n) {
  alignas(32) float full[16] = {};
  std::memcpy(full, p, static_cast<size_t>(n) * sizeof(float));
  return load(full);
}
CUTAWAY_INLINE f32x16 load_first(const float* p, int n, float rest) {
  alignas(32) float full[16];
  store(full, broadcast(rest));
  std::memcpy(full, p, static_cast<size_t>(n) * sizeof(float));
  return load(full);
}
CUTAWAY_INLINE void store_first(float* p, f32x16 a, int n) {
  alignas(32) float full[16];
  store(full, a);
  std::memcpy(p, full, static_cast<size_t>(n) * sizeof(float));
}
CUTAWAY_INLINE f32x16 load_f16(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
CUTAWAY_INLINE f32x16 load_f16_first(const uint16_t* p, int n) {
  alignas(16) uint16_t full[16] = {};
  std::memcpy(full, p, static_cast<size_t>(n) * sizeof(uint16_t));
  return load_f16(full);
}
CUTAWAY_INLINE f32x16 load_bf16(const uint16_t* p) {
  auto half = [](const uint16_t* q) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(q))), 16));
  };
  return {half(p), half(p + 8)};
}
CUTAWAY_INLINE f32x16 operator+(f32x16 a, f32x16 b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
CUTAWAY_INLINE f32x16 operator-(f32x16 a, f32x16 b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
CUTAWAY_INLINE f32x16 operator*(f32x16 a, f32x16 b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
CUTAWAY_INLINE f32x16 operator/(f32x16 a, f32x16 b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
CUTAWAY_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 c) { return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)}; }
CUTAWAY_INLINE f32x16 max(f32x16 a, f32x16 b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
CUTAWAY_INLINE f32x16 min(f32x16 a, f32x16 b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
CUTAWAY_INLINE f32x16 abs(f32x16 a) {
  __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}
CUTAWAY_INLINE i32x16 round_to_i32(f32x16 a) { return {_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)}; }
CUTAWAY_INLINE f32x16 to_f32(i32x16 a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }
CUTAWAY_INLINE f32x16 bits_as_f32(i32x16 a) { return {_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)}; }
CUTAWAY_INLINE i32x16 operator+(i32x16 a, i32x16 b) { return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)}; }
CUTAWAY_INLINE i32x16 operator-(i32x16 a, i32x16 b) { return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)}; }
CUTAWAY_INLINE i32x16 shift_left_23(i32x16 a) { return {_mm256_slli_epi32(a.lo, 23), _mm256_slli_epi32(a.hi, 23)}; }
CUTAWAY_INLINE f32x16 where_nan(f32x16 x, f32x16 a, f32x16 b) {
  return {_mm256_blendv_ps(b.lo, a.lo, _mm256_cmp_ps(x.lo, x.lo, _CMP_UNORD_Q)),
          _mm256_blendv_ps(b.hi, a.hi, _mm256_cmp_ps(x.hi, x.hi, _CMP_UNORD_Q))};
}
CUTAWAY_INLINE f32x16 where_less(f32x16 x, f32x16 y, f32x16 a, f32x16 b) {
  return {_mm256_blendv_ps(b.lo, a.lo, _mm256_cmp_ps(x.lo, y.lo, _CMP_LT_OQ)),
          _mm256_blendv_ps(b.hi, a.hi, _mm256_cmp_ps(x.hi, y.hi, _CMP_LT_OQ))};
}

#else  // plain loops: the definition, on any machine

struct i32x16 { int32_t v[16]; };
struct f32x16 { float v[16]; };

#define CUTAWAY_LANES(type, expression) \
  type out;                             \
  for (int l = 0; l < 16; ++l) out.v[l] = expression; \
  return out

CUTAWAY_INLINE f32x16 broadcast(float x) { CUTAWAY_LANES(f32x16, x); }
CUTAWAY_INLINE i32x16 broadcast(int32_t x) { CUTAWAY_LANES(i32x16, x); }
CUTAWAY_INLINE f32x16 load(const float* p) { CUTAWAY_LANES(f32x16, p[l]); }
CUTAWAY_INLINE f32x16 load_first(const float* p, int n) { CUTAWAY_LANES(f32x16, l < n ? p[l] : 0.0f); }
CUTAWAY_INLINE f32x16 load_first(const float* p, int n, float rest) { CUTAWAY_LANES(f32x16, l < n ? p[l] : rest); }
CUTAWAY_INLINE void store(float* p, f32x16 a) { for (int l = 0; l < 16; ++l) p[l] = a.v[l]; }
CUTAWAY_INLINE void store_first(float* p, f32x16 a, int n) { for (int l = 0; l < n; ++l) p[l] = a.v[l]; }
CUTAWAY_INLINE float f16_value(uint16_t h) {
  // Shift the 15 bits into place and rescale: exact for normal and subnormal numbers; infinities and NaN apart.
  uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16, rest = static_cast<uint32_t>(h & 0x7fff) << 13, bits;
  float value;
  if (rest >= 0x0f800000u) {
    bits = sign | rest | 0x7f800000u;
    std::memcpy(&value, &bits, 4);
    return value;
  }
  std::memcpy(&value, &rest, 4);
  value *= 0x1p112f;
  std::memcpy(&bits, &value, 4);
  bits |= sign;
  std::memcpy(&value, &bits, 4);
  return value;
}
CUTAWAY_INLINE float bits_value(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
CUTAWAY_INLINE f32x16 load_f16(const uint16_t* p) { CUTAWAY_LANES(f32x16, f16_value(p[l])); }
CUTAWAY_INLINE f32x16 load_f16_first(const uint16_t* p, int n) { CUTAWAY_LANES(f32x16, l < n ? f16_value(p[l]) : 0.0f); }
CUTAWAY_INLINE f32x16 load_bf16(const uint16_t* p) { CUTAWAY_LANES(f32x16, bits_value(static_cast<uint32_t>(p[l]) << 16)); }
CUTAWAY_INLINE f32x16 operator+(f32x16 a, f32x16 b) { CUTAWAY_LANES(f32x16, a.v[l] + b.v[l]); }
CUTAWAY_INLINE f32x16 operator-(f32x16 a, f32x16 b) { CUTAWAY_LANES(f32x16, a.v[l] - b.v[l]); }
CUTAWAY_INLINE f32x16 operator*(f32x16 a, f32x16 b) { CUTAWAY_LANES(f32x16, a.v[l] * b.v[l]); }
CUTAWAY_INLINE f32x16 operator/(f32x16 a, f32x16 b) { CUTAWAY_LANES(f32x16, a.v[l] / b.v[l]); }
CUTAWAY_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 c) { CUTAWAY_LANES(f32x16, std::fma(a.v[l], b.v[l], c.v[l])); }
CUTAWAY_INLINE f32x16 max(f32x16 a, f32x16 b) { CUTAWAY_LANES(f32x16, a.v[l] > b.v[l] ? a.v[l] : b.v[l]); }
CUTAWAY_INLINE f32x16 min(f32x16 a, f32x16 b) { CUTAWAY_LANES(f32x16, a.v[l] < b.v[l] ? a.v[l] : b.v[l]); }
CUTAWAY_INLINE f32x16 abs(f32x16 a) { CUTAWAY_LANES(f32x16, std::fabs(a.v[l])); }
CUTAWAY_INLINE i32x16 round_to_i32(f32x16 a) { CUTAWAY_LANES(i32x16, static_cast<int32_t>(std::nearbyint(a.v[l]))); }
CUTAWAY_INLINE f32x16 to_f32(i32x16 a) { CUTAWAY_LANES(f32x16, static_cast<float>(a.v[l])); }
CUTAWAY_INLINE f32x16 bits_as_f32(i32x16 a) { CUTAWAY_LANES(f32x16, bits_value(static_cast<uint32_t>(a.v[l]))); }
CUTAWAY_INLINE i32x16 operator+(i32x16 a, i32x16 b) { CUTAWAY_LANES(i32x16, a.v[l] + b.v[l]); }
CUTAWAY_INLINE i32x16 operator-(i32x16 a, i32x16 b) { CUTAWAY_LANES(i32x16, a.v[l] - b.v[l]); }
CUTAWAY_INLINE i32x16 shift_left_23(i32x16 a) { CUTAWAY_LANES(i32x16, static_cast<int32_t>(static_cast<uint32_t>(a.v[l]) << 23)); }
CUTAWAY_INLINE f32x16 where_nan(f32x16 x, f32x16 a, f32x16 b) { CUTAWAY_LANES(f32x16, x.v[l] != x.v[l] ? a.v[l] : b.v[l]); }
CUTAWAY_INLINE f32x16 where_less(f32x16 x, f32x16 y, f32x16 a, f32x16 b) { CUTAWAY_LANES(f32x16, x.v[l] < y.v[l] ? a.v[l] : b.v[l]); }

#endif

// Adds the lanes pairwise: l and l + 8, then 4, 2, 1 apart. One order on every target.
CUTAWAY_INLINE float sum(f32x16 a) {
  float lane[16];
  store(lane, a);
  for (int width = 8; width; width /= 2)
    for (int l = 0; l < width; ++l) lane[l] += lane[l + width];
  return lane[0];
}

// The sums of sixteen vectors, one in each lane: lane r is sum(row[r]), added in the same order.
#if defined(__AVX512F__)
CUTAWAY_INLINE f32x16 sums(const f32x16 (&row)[16]) {
  __m512 half[8], quarter[4], eighth[2];
  // Rows i and i + 4, lanes 8 apart: the sums of row i are in the low half, those of row i + 4 in the high one.
  for (int i = 0; i < 8; ++i) {
    __m512 x = row[i / 4 * 8 + i % 4].v, y = row[i / 4 * 8 + i % 4 + 4].v;
    half[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x44), _mm512_shuffle_f32x4(x, y, 0xee));
  }
  // Lanes 4 apart: quarter[i] holds four sums each of the rows i, i + 4, i + 8, i + 12.
  for (int i = 0; i < 4; ++i) {
    __m512 x = half[i], y = half[i + 4];
    quarter[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x88), _mm512_shuffle_f32x4(x, y, 0xdd));
  }
  for (int i = 0; i < 2; ++i) {
    __m512 x = quarter[2 * i], y = quarter[2 * i + 1];
    eighth[i] = _mm512_add_ps(_mm512_shuffle_ps(x, y, 0x44), _mm512_shuffle_ps(x, y, 0xee));
  }
  return {_mm512_add_ps(_mm512_shuffle_ps(eighth[0], eighth[1], 0x88), _mm512_shuffle_ps(eighth[0], eighth[1], 0xdd))};
}
#elif defined(__AVX2__)
CUTAWAY_INLINE __m256 sums8(const f32x16* row) {  // of rows 0 to 7
  __m256 quarter[4], eighth[2];
  for (int i = 0; i < 4; ++i) {
    __m256 x = _mm256_add_ps(row[i].lo, row[i].hi), y = _mm256_add_ps(row[i + 4].lo, row[i + 4].hi);
    quarter[i] = _mm256_add_ps(_mm256_permute2f128_ps(x, y, 0x20), _mm256_permute2f128_ps(x, y, 0x31));
  }
  for (int i = 0; i < 2; ++i) {
    __m256 x = quarter[2 * i], y = quarter[2 * i + 1];
    eighth[i] = _mm256_add_ps(_mm256_shuffle_ps(x, y, 0x44), _mm256_shuffle_ps(x, y, 0xee));
  }
  return _mm256_add_ps(_mm256_shuffle_ps(eighth[0], eighth[1], 0x88), _mm256_shuffle_ps(eighth[0], eighth[1], 0xdd));
}
CUTAWAY_INLINE f32x16 sums(const f32x16 (&row)[16]) { return {sums8(row), sums8(row + 8)}; }
#else
CUTAWAY_INLINE f32x16 sums(const f32x16 (&row)[16]) { CUTAWAY_LANES(f32x16, sum(row[l])); }
#endif

CUTAWAY_INLINE float first_lane(f32x16 a) {
  float lane[16];
  store(lane, a);
  return lane[0];
}

CUTAWAY_INLINE float largest(f32x16 a) {  // NaN lanes do not count
  float lane[16];
  store(lane, a);
  float best = lane[0];
  for (int l = 1; l < 16; ++l) best = lane[l] > best ? lane[l] : best;
  return best;
}

// e^x. Range reduction x = n ln 2 + r, |r| <= ln 2 / 2, then a polynomial of degree 6 for e^r (Cephes' expf), scaled in
// two steps so that subnormal results are rounded once. 0 below -104, infinity above 88.73; NaN stays NaN.
// Worst error 1.42 units, 0.75 steps where the result is subnormal: measured on every float32 with 1e-9 < |x| < 120 and a
// 64th of the others, the same bits on scalar, avx2 and avx512.
CUTAWAY_INLINE f32x16 exp(f32x16 x) {
  f32x16 bounded = min(max(x, broadcast(-105.0f)), broadcast(89.0f));
  i32x16 n = round_to_i32(bounded * broadcast(1.44269504088896341f));
  f32x16 fn = to_f32(n);
  f32x16 r = fma(fn, broadcast(-0.693359375f), bounded);
  r = fma(fn, broadcast(2.12194440e-4f), r);
  f32x16 p = broadcast(1.9875691500e-4f);
  p = fma(p, r, broadcast(1.3981999507e-3f));
  p = fma(p, r, broadcast(8.3334519073e-3f));
  p = fma(p, r, broadcast(4.1665795894e-2f));
  p = fma(p, r, broadcast(1.6666665459e-1f));
  p = fma(p, r, broadcast(5.0000001201e-1f));
  p = fma(p, r * r, r) + broadcast(1.0f);
  // 2^n = 2^(n/2 rounded) * 2^(the rest): each factor is a normal float for every n in [-152, 129].
  i32x16 half = round_to_i32(fn * broadcast(0.5f));
  f32x16 y = p * bits_as_f32(shift_left_23(half + broadcast(int32_t{127})));
  y = y * bits_as_f32(shift_left_23(n - half + broadcast(int32_t{127})));
  return where_nan(x, x, y);
}

// tanh x: below 0.625 an odd polynomial (Cephes' tanhf), above it 1 - 2 / (e^2x + 1). NaN stays NaN.
CUTAWAY_INLINE f32x16 tanh(f32x16 x) {
  const f32x16 square = x * x, one = broadcast(1.0f);
  f32x16 p = broadcast(-5.70498872745e-3f);
  p = fma(p, square, broadcast(2.06390887954e-2f));
  p = fma(p, square, broadcast(-5.37397155531e-2f));
  p = fma(p, square, broadcast(1.33314422036e-1f));
  p = fma(p, square, broadcast(-3.33332819422e-1f));
  const f32x16 small = fma(p * square, x, x), large = one - broadcast(2.0f) / (exp(x + x) + one);
  return where_less(abs(x), broadcast(0.625f), small, large);
}

}  // namespace cutaway::CUTAWAY_TARGET
