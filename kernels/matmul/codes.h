// 64 bytes of codes, 16 rows x 4 columns, and the exact integer products with activations rounded to q8 blocks.
// Included only by files that are compiled once per target.
#pragma once

#include <utility>

#include "formats/packed.h"
#include "quantize_q8/quantize_q8.h"
#include "simd.h"

namespace cutaway::CUTAWAY_TARGET {

// Calls todo.operator()<i>() for i from 0 to count - 1, which the compiler knows.
// clang-format off
template <int count, class Todo>
CUTAWAY_INLINE void each(const Todo& todo) {
  [&]<int... i>(std::integer_sequence<int, i...>) { (todo.template operator()<i>(), ...); }(std::make_integer_sequence<int, count>{});
}
// clang-format on

// Byte operations; a shift moves 16-bit lanes, so a mask must follow it.
#if defined(__AVX512F__)

struct u8x64 {
  __m512i v;
};

CUTAWAY_INLINE u8x64 load_codes(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }
CUTAWAY_INLINE void store_codes(uint8_t* p, u8x64 a) { _mm512_storeu_si512(p, a.v); }
CUTAWAY_INLINE u8x64 broadcast_code(uint8_t x) { return {_mm512_set1_epi8(static_cast<char>(x))}; }
CUTAWAY_INLINE u8x64 operator&(u8x64 a, u8x64 b) { return {_mm512_and_si512(a.v, b.v)}; }
CUTAWAY_INLINE u8x64 operator|(u8x64 a, u8x64 b) { return {_mm512_or_si512(a.v, b.v)}; }
CUTAWAY_INLINE u8x64 operator+(u8x64 a, u8x64 b) { return {_mm512_add_epi8(a.v, b.v)}; }
template <int bits>
CUTAWAY_INLINE u8x64 shift_right(u8x64 a) {
  if constexpr (bits < 0) return {_mm512_slli_epi16(a.v, -bits)};
  else if constexpr (bits > 0) return {_mm512_srli_epi16(a.v, bits)};
  else return a;
}
CUTAWAY_INLINE u8x64 broadcast_table(const int8_t* table) {
  return {_mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)))};
}
CUTAWAY_INLINE u8x64 look_up(u8x64 table, u8x64 a) { return {_mm512_shuffle_epi8(table.v, a.v)}; }
// Codes of one column, as integers.
template <int column>
CUTAWAY_INLINE i32x16 column_of(u8x64 a) {
  return {_mm512_and_si512(_mm512_srli_epi32(a.v, 8 * column), _mm512_set1_epi32(255))};
}

#elif defined(__AVX2__)

struct u8x64 {
  __m256i lo, hi;
};

CUTAWAY_INLINE __m256i load_half(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
CUTAWAY_INLINE u8x64 load_codes(const uint8_t* p) { return {load_half(p), load_half(p + 32)}; }
CUTAWAY_INLINE void store_codes(uint8_t* p, u8x64 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.lo);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32), a.hi);
}
CUTAWAY_INLINE u8x64 broadcast_code(uint8_t x) {
  const __m256i both = _mm256_set1_epi8(static_cast<char>(x));
  return {both, both};
}
CUTAWAY_INLINE u8x64 operator&(u8x64 a, u8x64 b) {
  return {_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)};
}
CUTAWAY_INLINE u8x64 operator|(u8x64 a, u8x64 b) { return {_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)}; }
CUTAWAY_INLINE u8x64 operator+(u8x64 a, u8x64 b) { return {_mm256_add_epi8(a.lo, b.lo), _mm256_add_epi8(a.hi, b.hi)}; }
template <int bits>
CUTAWAY_INLINE u8x64 shift_right(u8x64 a) {
  if constexpr (bits < 0) return {_mm256_slli_epi16(a.lo, -bits), _mm256_slli_epi16(a.hi, -bits)};
  else if constexpr (bits > 0) return {_mm256_srli_epi16(a.lo, bits), _mm256_srli_epi16(a.hi, bits)};
  else return a;
}
CUTAWAY_INLINE u8x64 broadcast_table(const int8_t* table) {
  const __m256i both = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return {both, both};
}
CUTAWAY_INLINE u8x64 look_up(u8x64 table, u8x64 a) {
  return {_mm256_shuffle_epi8(table.lo, a.lo), _mm256_shuffle_epi8(table.hi, a.hi)};
}
template <int column>
CUTAWAY_INLINE i32x16 column_of(u8x64 a) {
  const __m256i mask = _mm256_set1_epi32(255);
  return {_mm256_and_si256(_mm256_srli_epi32(a.lo, 8 * column), mask),
          _mm256_and_si256(_mm256_srli_epi32(a.hi, 8 * column), mask)};
}

#else

struct u8x64 {
  uint8_t v[64];
};

#define CUTAWAY_BYTES(expression)                                           \
  u8x64 out;                                                                \
  for (int i = 0; i < 64; ++i) out.v[i] = static_cast<uint8_t>(expression); \
  return out

CUTAWAY_INLINE u8x64 load_codes(const uint8_t* p) { CUTAWAY_BYTES(p[i]); }
CUTAWAY_INLINE void store_codes(uint8_t* p, u8x64 a) { std::memcpy(p, a.v, 64); }
CUTAWAY_INLINE u8x64 broadcast_code(uint8_t x) { CUTAWAY_BYTES(x); }
CUTAWAY_INLINE u8x64 operator&(u8x64 a, u8x64 b) { CUTAWAY_BYTES(a.v[i] & b.v[i]); }
CUTAWAY_INLINE u8x64 operator|(u8x64 a, u8x64 b) { CUTAWAY_BYTES(a.v[i] | b.v[i]); }
CUTAWAY_INLINE u8x64 operator+(u8x64 a, u8x64 b) { CUTAWAY_BYTES(a.v[i] + b.v[i]); }
template <int bits>
CUTAWAY_INLINE u8x64 shift_right(u8x64 a) {
  if constexpr (bits < 0) {
    CUTAWAY_BYTES(a.v[i] << -bits);
  } else {
    CUTAWAY_BYTES(a.v[i] >> bits);
  }
}
CUTAWAY_INLINE u8x64 broadcast_table(const int8_t* table) { CUTAWAY_BYTES(table[i % 16]); }
CUTAWAY_INLINE u8x64 look_up(u8x64 table, u8x64 a) { CUTAWAY_BYTES(table.v[a.v[i] & 15]); }
template <int column>
CUTAWAY_INLINE i32x16 column_of(u8x64 a) {
  CUTAWAY_LANES(i32x16, a.v[4 * l + column]);
}

#endif

#if defined(__AVX512F__)
constexpr int kRegisters = 32;  // of vectors
#else
constexpr int kRegisters = 16;
#endif

CUTAWAY_INLINE int32_t four_of(const int8_t* q) {
  int32_t four;
  std::memcpy(&four, q, 4);
  return four;
}

// --- integer products of quads with four activations each, exactly

#if defined(__AVX512VNNI__)

constexpr bool kPairSums = false;
// acc[row] += sum over 4 columns of code[row][column] * q[column]
CUTAWAY_INLINE i32x16 dot4(i32x16 acc, u8x64 codes, const int8_t* q) {
  return {_mm512_dpbusd_epi32(acc.v, codes.v, _mm512_set1_epi32(four_of(q)))};
}

#elif defined(__AVXVNNI__)

constexpr bool kPairSums = false;
CUTAWAY_INLINE i32x16 dot4(i32x16 acc, u8x64 codes, const int8_t* q) {
  const __m256i x = _mm256_set1_epi32(four_of(q));
  return {_mm256_dpbusd_avx_epi32(acc.lo, codes.lo, x), _mm256_dpbusd_avx_epi32(acc.hi, codes.hi, x)};
}

#elif defined(__AVX2__)

// Without such an instruction, sums of two columns in 16 bits; how many of them may be added up is for the caller to
// know. Codes of 8 bits are 128 too high: they give their sign to the activations, or two columns would not fit.
#define CUTAWAY_PAIR_SUMS
constexpr bool kPairSums = true;
#if defined(__AVX512F__)
struct i16x32 {
  __m512i v;
};
CUTAWAY_INLINE i16x32 pairs(u8x64 codes, const int8_t* q) {
  return {_mm512_maddubs_epi16(codes.v, _mm512_set1_epi32(four_of(q)))};
}
CUTAWAY_INLINE i16x32 signed_pairs(u8x64 codes, const int8_t* q) {
  const __m512i w = _mm512_xor_si512(codes.v, _mm512_set1_epi8(-128)), x = _mm512_set1_epi32(four_of(q));
  const __m512i same = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(w), _mm512_setzero_si512(), x);
  return {_mm512_maddubs_epi16(_mm512_abs_epi8(w), same)};
}
CUTAWAY_INLINE i16x32 operator+(i16x32 a, i16x32 b) {
  a.v = _mm512_add_epi16(a.v, b.v);
  asm("" : "+v"(a.v));  // one after the other: GCC makes a tree of long sums, for which registers are too few
  return a;
}
CUTAWAY_INLINE i32x16 widen(i16x32 a) { return {_mm512_madd_epi16(a.v, _mm512_set1_epi16(1))}; }
#else
struct i16x32 {
  __m256i lo, hi;
};
CUTAWAY_INLINE i16x32 pairs(u8x64 codes, const int8_t* q) {
  const __m256i x = _mm256_set1_epi32(four_of(q));
  return {_mm256_maddubs_epi16(codes.lo, x), _mm256_maddubs_epi16(codes.hi, x)};
}
CUTAWAY_INLINE i16x32 signed_pairs(u8x64 codes, const int8_t* q) {
  const __m256i x = _mm256_set1_epi32(four_of(q)), half = _mm256_set1_epi8(-128);
  const __m256i lo = _mm256_xor_si256(codes.lo, half), hi = _mm256_xor_si256(codes.hi, half);
  return {_mm256_maddubs_epi16(_mm256_abs_epi8(lo), _mm256_sign_epi8(x, lo)),
          _mm256_maddubs_epi16(_mm256_abs_epi8(hi), _mm256_sign_epi8(x, hi))};
}
CUTAWAY_INLINE i16x32 operator+(i16x32 a, i16x32 b) {
  a = {_mm256_add_epi16(a.lo, b.lo), _mm256_add_epi16(a.hi, b.hi)};
  asm("" : "+x"(a.lo), "+x"(a.hi));  // one after the other, as above
  return a;
}
CUTAWAY_INLINE i32x16 widen(i16x32 a) {
  const __m256i ones = _mm256_set1_epi16(1);
  return {_mm256_madd_epi16(a.lo, ones), _mm256_madd_epi16(a.hi, ones)};
}
#endif

#else

constexpr bool kPairSums = false;
CUTAWAY_INLINE i32x16 dot4(i32x16 acc, u8x64 codes, const int8_t* q) {
  for (int row = 0; row < 16; ++row)
    for (int i = 0; i < 4; ++i) acc.v[row] += codes.v[row * 4 + i] * q[i];
  return acc;
}

#endif

// --- what a cell holds (packed.h)

// Quad c of 32 columns, as stored.
template <Packing P, int c>
CUTAWAY_INLINE u8x64 stored_quad(const uint8_t* block) {
  if constexpr (P.bits == 8) return load_codes(block + c * 64);
  constexpr int low = P.bits < 4 ? 2 : 4;  // bits in the first lines
  u8x64 quad;
  if constexpr (low == 4) quad = shift_right<c % 2 * 4>(load_codes(block + c / 2 * 64)) & broadcast_code(15);
  else quad = shift_right<c % 4 * 2>(load_codes(block + c / 4 * 64)) & broadcast_code(3);
  const uint8_t* higher = block + low * 64;
  if constexpr (P.bits == low + 1) quad = quad | (shift_right<c - low>(load_codes(higher)) & broadcast_code(1 << low));
  else if constexpr (P.bits == low + 2)
    quad = quad | (shift_right<c % 4 * 2 - low>(load_codes(higher + c / 4 * 64)) & broadcast_code(3 << low));
  return quad;
}

// Signed integers of a quad are its codes less this, and the codes have so many bits.
template <Packing P>
constexpr int offset_of = P.table ? 1 << (P.table - 1) : P.offset;
template <Packing P>
constexpr int bits_of = P.table ? P.table : P.bits;

// Quad c as unsigned bytes, offset_of<P> above what they stand for.
template <Packing P, int c>
CUTAWAY_INLINE u8x64 quad_of(const uint8_t* block, u8x64 table) {
  const u8x64 quad = stored_quad<P, c>(block);
  if constexpr (P.table) return look_up(table, quad) + broadcast_code(offset_of<P>);
  else return quad;
}

CUTAWAY_INLINE u8x64 table_of(const int8_t* table) { return table ? broadcast_table(table) : broadcast_code(0); }

#if defined(__AVX512F__)
CUTAWAY_INLINE i32x16 load_u8(const uint8_t* p) {
  return {_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
CUTAWAY_INLINE i32x16 load_i8(const uint8_t* p) {
  return {_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
CUTAWAY_INLINE i32x16 low_nibbles(i32x16 a) { return {_mm512_and_si512(a.v, _mm512_set1_epi32(15))}; }
CUTAWAY_INLINE i32x16 shift_right_bits(i32x16 a, int bits) {
  return {_mm512_srli_epi32(a.v, static_cast<unsigned>(bits))};
}
#elif defined(__AVX2__)
CUTAWAY_INLINE __m256i load_8(const uint8_t* p, bool is_signed) {
  const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return is_signed ? _mm256_cvtepi8_epi32(eight) : _mm256_cvtepu8_epi32(eight);
}
CUTAWAY_INLINE i32x16 load_u8(const uint8_t* p) { return {load_8(p, false), load_8(p + 8, false)}; }
CUTAWAY_INLINE i32x16 load_i8(const uint8_t* p) { return {load_8(p, true), load_8(p + 8, true)}; }
CUTAWAY_INLINE i32x16 low_nibbles(i32x16 a) {
  return {_mm256_and_si256(a.lo, _mm256_set1_epi32(15)), _mm256_and_si256(a.hi, _mm256_set1_epi32(15))};
}
CUTAWAY_INLINE i32x16 shift_right_bits(i32x16 a, int bits) {
  return {_mm256_srli_epi32(a.lo, bits), _mm256_srli_epi32(a.hi, bits)};
}
#else
CUTAWAY_INLINE i32x16 load_u8(const uint8_t* p) { CUTAWAY_LANES(i32x16, p[l]); }
CUTAWAY_INLINE i32x16 load_i8(const uint8_t* p) { CUTAWAY_LANES(i32x16, static_cast<int8_t>(p[l])); }
CUTAWAY_INLINE i32x16 low_nibbles(i32x16 a) { CUTAWAY_LANES(i32x16, a.v[l] & 15); }
CUTAWAY_INLINE i32x16 shift_right_bits(i32x16 a, int bits) { CUTAWAY_LANES(i32x16, a.v[l] >> bits); }
#endif

// 2^(e - 128) as a product of two powers that are normal numbers, so that the subnormal ones come out right.
CUTAWAY_INLINE f32x16 load_e8m0(const uint8_t* p) {
  const i32x16 e = load_u8(p), half = shift_right_bits(e, 1), bias = broadcast(int32_t{63});
  return bits_as_f32(shift_left_23(half + bias)) * bits_as_f32(shift_left_23(e - half + bias));
}

// The factors of a cell, and with them the scales and minimums of its groups: exactly those of codes_to_floats.
struct Factors {
  f32x16 d, m;  // m is negated where minimums are subtracted
};

template <Packing P>
CUTAWAY_INLINE Factors load_factors(const uint8_t* cell) {
  constexpr Cell at = cell_of(P);
  Factors out{broadcast(0.0f), broadcast(0.0f)};
  if constexpr (P.scales == Scales::e8m0) out.d = load_e8m0(cell);
  else out.d = load_f16(reinterpret_cast<const uint16_t*>(cell));
  if constexpr (P.minimums) out.m = load_f16(reinterpret_cast<const uint16_t*>(cell + at.m));
  if constexpr (P.minimums && P.scales != Scales::f16) out.m = broadcast(-0.0f) - out.m;
  return out;
}

template <Packing P>
CUTAWAY_INLINE f32x16 scale_of(const Factors& factors, const uint8_t* cell, int g) {
  constexpr Cell at = cell_of(P);
  if constexpr (P.scales == Scales::bytes) return factors.d * to_f32(load_i8(cell + at.scales + g * 16));
  else if constexpr (P.scales == Scales::nibbles)
    return factors.d * to_f32(low_nibbles(load_u8(cell + at.scales + g * 16)));
  else return factors.d;
}

template <Packing P>
CUTAWAY_INLINE f32x16 minimum_of(const Factors& factors, const uint8_t* cell, int g) {
  constexpr Cell at = cell_of(P);
  if constexpr (P.scales == Scales::bytes) return factors.m * to_f32(load_u8(cell + at.minimums + g * 16));
  else if constexpr (P.scales == Scales::nibbles)
    return factors.m * to_f32(shift_right_bits(load_u8(cell + at.scales + g * 16), 4));
  else return factors.m;
}

}  // namespace cutaway::CUTAWAY_TARGET
