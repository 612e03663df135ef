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
#else
#include "formats/f16_value.h"
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
CUTAWAY_INLINE void store_f16(uint16_t* p, f32x16 a) {  // nearest, ties to even; NaN keeps its upper bits
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
CUTAWAY_INLINE __m128i to_i8(i32x16 a) { return _mm512_cvtsepi32_epi8(a.v); }
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
CUTAWAY_INLINE f32x16 broadcast4(const float* p) { return {_mm512_broadcast_f32x4(_mm_loadu_ps(p))}; }  // lane l is p[l % 4]
CUTAWAY_INLINE uint32_t zero_lanes(f32x16 a) { return _mm512_cmp_ps_mask(a.v, _mm512_setzero_ps(), _CMP_EQ_OQ); }  // bit l: lane l is 0
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
CUTAWAY_INLINE void store_f16(uint16_t* p, f32x16 a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(a.lo, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(a.hi, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
CUTAWAY_INLINE __m128i to_i8(i32x16 a) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a.lo, a.hi), 0xd8);
  return _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
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
CUTAWAY_INLINE f32x16 broadcast4(const float* p) {
  const __m256 twice = _mm256_broadcast_ps(reinterpret_cast<const __m128*>(p));
  return {twice, twice};
}
CUTAWAY_INLINE uint32_t zero_lanes(f32x16 a) {
  auto half = [](__m256 x) { return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_EQ_OQ))); };
  return half(a.lo) | half(a.hi) << 8;
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
CUTAWAY_INLINE float bits_value(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
CUTAWAY_INLINE f32x16 load_f16(const uint16_t* p) { CUTAWAY_LANES(f32x16, f16_value(p[l])); }
CUTAWAY_INLINE void store_f16(uint16_t* p, f32x16 a) { for (int l = 0; l < 16; ++l) p[l] = f16_bits(a.v[l]); }
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
CUTAWAY_INLINE f32x16 broadcast4(const float* p) { CUTAWAY_LANES(f32x16, p[l % 4]); }
CUTAWAY_INLINE uint32_t zero_lanes(f32x16 a) {
  uint32_t bits = 0;
  for (int l = 0; l < 16; ++l) bits |= static_cast<uint32_t>(a.v[l] == 0.0f) << l;
  return bits;
}
CUTAWAY_INLINE i32x16 round_to_i32(f32x16 a) { CUTAWAY_LANES(i32x16, static_cast<int32_t>(std::nearbyint(a.v[l]))); }
CUTAWAY_INLINE f32x16 to_f32(i32x16 a) { CUTAWAY_LANES(f32x16, static_cast<float>(a.v[l])); }
CUTAWAY_INLINE f32x16 bits_as_f32(i32x16 a) { CUTAWAY_LANES(f32x16, bits_value(static_cast<uint32_t>(a.v[l]))); }
CUTAWAY_INLINE i32x16 operator+(i32x16 a, i32x16 b) { CUTAWAY_LANES(i32x16, a.v[l] + b.v[l]); }
CUTAWAY_INLINE i32x16 operator-(i32x16 a, i32x16 b) { CUTAWAY_LANES(i32x16, a.v[l] - b.v[l]); }
CUTAWAY_INLINE i32x16 shift_left_23(i32x16 a) { CUTAWAY_LANES(i32x16, static_cast<int32_t>(static_cast<uint32_t>(a.v[l]) << 23)); }
CUTAWAY_INLINE f32x16 where_nan(f32x16 x, f32x16 a, f32x16 b) { CUTAWAY_LANES(f32x16, x.v[l] != x.v[l] ? a.v[l] : b.v[l]); }
CUTAWAY_INLINE f32x16 where_less(f32x16 x, f32x16 y, f32x16 a, f32x16 b) { CUTAWAY_LANES(f32x16, x.v[l] < y.v[l] ? a.v[l] : b.v[l]); }

#endif

// sum adds the lanes pairwise: l and l + 8, then 4, 2, 1 apart, in one order on every target; sum_in_double those of
// a + b, and rounds to float at the end. largest: NaN lanes may or may not count. largest_magnitude: of the lanes of a
// and b; infinity counts above the finite ones and NaN above all.
// store_i8 stores integers of -128 to 127 and returns their sum.
#if defined(__AVX2__)
#if defined(__AVX512F__)
CUTAWAY_INLINE __m256 low_half(f32x16 a) { return _mm512_castps512_ps256(a.v); }
CUTAWAY_INLINE __m256 high_half(f32x16 a) { return _mm512_extractf32x8_ps(a.v, 1); }
#else
CUTAWAY_INLINE __m256 low_half(f32x16 a) { return a.lo; }
CUTAWAY_INLINE __m256 high_half(f32x16 a) { return a.hi; }
#endif
CUTAWAY_INLINE float sum(f32x16 a) {
  const __m256 eight = _mm256_add_ps(low_half(a), high_half(a));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
CUTAWAY_INLINE float sum_in_double(f32x16 a, f32x16 b) {
  const auto four = [](__m128 x, __m128 y) { return _mm256_add_pd(_mm256_cvtps_pd(x), _mm256_cvtps_pd(y)); };
  const auto half = [&](__m256 x, __m256 y, __m256 z, __m256 w) {
    const __m256d low = four(_mm256_castps256_ps128(x), _mm256_castps256_ps128(y)), high = four(_mm256_castps256_ps128(z), _mm256_castps256_ps128(w));
    return _mm256_add_pd(low, high);
  };
  const auto upper = [](__m256 x) { return _mm256_castps128_ps256(_mm256_extractf128_ps(x, 1)); };
  const __m256 a0 = low_half(a), b0 = low_half(b), a8 = high_half(a), b8 = high_half(b);
  const __m256d sums = _mm256_add_pd(half(a0, b0, a8, b8), half(upper(a0), upper(b0), upper(a8), upper(b8)));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(sums), _mm256_extractf128_pd(sums, 1));
  return static_cast<float>(_mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two))));
}
CUTAWAY_INLINE float largest(f32x16 a) {
  const __m256 eight = _mm256_max_ps(low_half(a), high_half(a));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
CUTAWAY_INLINE float largest_magnitude(f32x16 a, f32x16 b) {
  const auto bits = [](__m256 x) { return _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff)); };
  const __m256i eight = _mm256_max_epu32(_mm256_max_epu32(bits(low_half(a)), bits(high_half(a))),
                                         _mm256_max_epu32(bits(low_half(b)), bits(high_half(b))));
  __m128i four = _mm_max_epu32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_max_epu32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epu32(four, _mm_shuffle_epi32(four, 1))));
}
CUTAWAY_INLINE int32_t store_i8(int8_t* p, i32x16 a) {
  const __m128i bytes = to_i8(a);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
  const __m128i sums = _mm_sad_epu8(_mm_xor_si128(bytes, _mm_set1_epi8(-128)), _mm_setzero_si128());  // 128 too high
  return _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_unpackhi_epi64(sums, sums))) - 16 * 128;
}
#else
CUTAWAY_INLINE float sum(f32x16 a) {
  for (int width = 8; width; width /= 2)
    for (int l = 0; l < width; ++l) a.v[l] += a.v[l + width];
  return a.v[0];
}
CUTAWAY_INLINE float sum_in_double(f32x16 a, f32x16 b) {
  double lane[16];
  for (int l = 0; l < 16; ++l) lane[l] = static_cast<double>(a.v[l]) + static_cast<double>(b.v[l]);
  for (int width = 8; width; width /= 2)
    for (int l = 0; l < width; ++l) lane[l] += lane[l + width];
  return static_cast<float>(lane[0]);
}
CUTAWAY_INLINE float largest(f32x16 a) {
  float best = a.v[0];
  for (int l = 1; l < 16; ++l) best = a.v[l] > best ? a.v[l] : best;
  return best;
}
CUTAWAY_INLINE float largest_magnitude(f32x16 a, f32x16 b) {
  uint32_t best = 0;
  for (int l = 0; l < 32; ++l) {
    uint32_t bits;
    std::memcpy(&bits, l < 16 ? &a.v[l] : &b.v[l - 16], 4);
    best = (bits & 0x7fffffff) > best ? bits & 0x7fffffff : best;
  }
  return bits_value(best);
}
CUTAWAY_INLINE int32_t store_i8(int8_t* p, i32x16 a) {
  int32_t total = 0;
  for (int l = 0; l < 16; ++l) {
    p[l] = static_cast<int8_t>(a.v[l]);
    total += a.v[l];
  }
  return total;
}
#endif

// Lane 4 i + j is the sum of lanes 4 i to 4 i + 3 of part[j], added as (first + third) + (second + fourth).
#if defined(__AVX512F__)
CUTAWAY_INLINE f32x16 sums_of_4(const f32x16 (&part)[4]) {
  __m512 half[2];
  for (int i = 0; i < 2; ++i) {
    __m512 x = part[2 * i].v, y = part[2 * i + 1].v;
    half[i] = _mm512_add_ps(_mm512_shuffle_ps(x, y, 0x44), _mm512_shuffle_ps(x, y, 0xee));
  }
  return {_mm512_add_ps(_mm512_shuffle_ps(half[0], half[1], 0x88), _mm512_shuffle_ps(half[0], half[1], 0xdd))};
}
#elif defined(__AVX2__)
CUTAWAY_INLINE __m256 sums_of_4(__m256 a, __m256 b, __m256 c, __m256 d) {
  __m256 x = _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x44), _mm256_shuffle_ps(a, b, 0xee));
  __m256 y = _mm256_add_ps(_mm256_shuffle_ps(c, d, 0x44), _mm256_shuffle_ps(c, d, 0xee));
  return _mm256_add_ps(_mm256_shuffle_ps(x, y, 0x88), _mm256_shuffle_ps(x, y, 0xdd));
}
CUTAWAY_INLINE f32x16 sums_of_4(const f32x16 (&part)[4]) {
  return {sums_of_4(part[0].lo, part[1].lo, part[2].lo, part[3].lo), sums_of_4(part[0].hi, part[1].hi, part[2].hi, part[3].hi)};
}
#else
CUTAWAY_INLINE f32x16 sums_of_4(const f32x16 (&part)[4]) {
  f32x16 out;
  for (int l = 0; l < 16; ++l) {
    const float* p = part[l % 4].v + l / 4 * 4;
    out.v[l] = (p[0] + p[2]) + (p[1] + p[3]);
  }
  return out;
}
#endif

// Quads: row[i] becomes the i-th four lanes of each of the four rows.
#if defined(__AVX512F__)
CUTAWAY_INLINE void transpose_quads(f32x16 (&row)[4]) {
  const __m512 a = row[0].v, b = row[1].v, c = row[2].v, d = row[3].v;
  const __m512 ab = _mm512_shuffle_f32x4(a, b, 0x44), cd = _mm512_shuffle_f32x4(c, d, 0x44);
  const __m512 AB = _mm512_shuffle_f32x4(a, b, 0xee), CD = _mm512_shuffle_f32x4(c, d, 0xee);
  row[0] = {_mm512_shuffle_f32x4(ab, cd, 0x88)}, row[1] = {_mm512_shuffle_f32x4(ab, cd, 0xdd)};
  row[2] = {_mm512_shuffle_f32x4(AB, CD, 0x88)}, row[3] = {_mm512_shuffle_f32x4(AB, CD, 0xdd)};
}
#elif defined(__AVX2__)
CUTAWAY_INLINE void transpose_quads(f32x16 (&row)[4]) {
  const f32x16 a = row[0], b = row[1], c = row[2], d = row[3];
  row[0] = {_mm256_permute2f128_ps(a.lo, b.lo, 0x20), _mm256_permute2f128_ps(c.lo, d.lo, 0x20)};
  row[1] = {_mm256_permute2f128_ps(a.lo, b.lo, 0x31), _mm256_permute2f128_ps(c.lo, d.lo, 0x31)};
  row[2] = {_mm256_permute2f128_ps(a.hi, b.hi, 0x20), _mm256_permute2f128_ps(c.hi, d.hi, 0x20)};
  row[3] = {_mm256_permute2f128_ps(a.hi, b.hi, 0x31), _mm256_permute2f128_ps(c.hi, d.hi, 0x31)};
}
#else
CUTAWAY_INLINE void transpose_quads(f32x16 (&row)[4]) {
  const f32x16 old[4] = {row[0], row[1], row[2], row[3]};
  for (int i = 0; i < 4; ++i)
    for (int l = 0; l < 16; ++l) row[i].v[l] = old[l / 4].v[i * 4 + l % 4];
}
#endif

CUTAWAY_INLINE float first_lane(f32x16 a) {
  float lane[16];
  store(lane, a);
  return lane[0];
}

// x 2^n for x of about 1 and n in [-152, 129], rounded once where the result is subnormal.
#if defined(__AVX512F__)
CUTAWAY_INLINE f32x16 times_2_to(f32x16 x, i32x16 n) { return {_mm512_scalef_ps(x.v, to_f32(n).v)}; }
#else
CUTAWAY_INLINE f32x16 times_2_to(f32x16 x, i32x16 n) {
  // 2^n = 2^(n/2 rounded) * 2^(the rest): each factor is a normal float, and the first product is exact.
  i32x16 half = round_to_i32(to_f32(n) * broadcast(0.5f));
  f32x16 y = x * bits_as_f32(shift_left_23(half + broadcast(int32_t{127})));
  return y * bits_as_f32(shift_left_23(n - half + broadcast(int32_t{127})));
}
#endif

// e^x. Range reduction x = n ln 2 + r, |r| <= ln 2 / 2, then a polynomial of degree 6 for e^r (Cephes' expf). 0 below -104, infinity above 88.73; NaN stays NaN.
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
  f32x16 y = times_2_to(p, n);
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
