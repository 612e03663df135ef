// One strip of 16 weight rows times a tile of tokens: the inner loops of matmul and of the kernels fused from it.
// Included only by files that are compiled once per target.
#pragma once

#include "formats/packed.h"
#include "quantize_q8/quantize_q8.h"
#include "simd.h"

namespace cutaway::CUTAWAY_TARGET {

// --- 64 bytes: 16 rows x 4 columns of codes
// ---------------------------------------------------------------------------

#if defined(__AVX512F__)

struct u8x64 {
  __m512i v;
};

CUTAWAY_INLINE u8x64 load_codes(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }
CUTAWAY_INLINE u8x64 low_nibbles(u8x64 a) { return {_mm512_and_si512(a.v, _mm512_set1_epi8(15))}; }
CUTAWAY_INLINE u8x64 high_nibbles(u8x64 a) {
  return {_mm512_and_si512(_mm512_srli_epi16(a.v, 4), _mm512_set1_epi8(15))};
}
CUTAWAY_INLINE u8x64 broadcast_table(const uint8_t* table) {
  return {_mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)))};
}
CUTAWAY_INLINE u8x64 look_up(u8x64 table, u8x64 a) { return {_mm512_shuffle_epi8(table.v, a.v)}; }

// acc[row] += sum over 4 columns of code[row][column] * q[column], exactly
CUTAWAY_INLINE i32x16 dot4(i32x16 acc, u8x64 codes, const int8_t* q) {
  int32_t four;
  std::memcpy(&four, q, 4);
  __m512i a = _mm512_set1_epi32(four);
#if defined(__AVX512VNNI__)
  return {_mm512_dpbusd_epi32(acc.v, codes.v, a)};
#else
  // Products of 8-bit codes overflow 16-bit pair sums, so the nibbles are multiplied apart.
  __m512i ones = _mm512_set1_epi16(1);
  __m512i low = _mm512_madd_epi16(_mm512_maddubs_epi16(low_nibbles(codes).v, a), ones);
  __m512i high = _mm512_madd_epi16(_mm512_maddubs_epi16(high_nibbles(codes).v, a), ones);
  return {_mm512_add_epi32(acc.v, _mm512_add_epi32(low, _mm512_slli_epi32(high, 4)))};
#endif
}

#elif defined(__AVX2__)

struct u8x64 {
  __m256i lo, hi;
};

CUTAWAY_INLINE u8x64 load_codes(const uint8_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
}
CUTAWAY_INLINE __m256i low_nibbles(__m256i a) { return _mm256_and_si256(a, _mm256_set1_epi8(15)); }
CUTAWAY_INLINE __m256i high_nibbles(__m256i a) {
  return _mm256_and_si256(_mm256_srli_epi16(a, 4), _mm256_set1_epi8(15));
}
CUTAWAY_INLINE u8x64 low_nibbles(u8x64 a) { return {low_nibbles(a.lo), low_nibbles(a.hi)}; }
CUTAWAY_INLINE u8x64 high_nibbles(u8x64 a) { return {high_nibbles(a.lo), high_nibbles(a.hi)}; }
CUTAWAY_INLINE u8x64 broadcast_table(const uint8_t* table) {
  __m256i both = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return {both, both};
}
CUTAWAY_INLINE u8x64 look_up(u8x64 table, u8x64 a) {
  return {_mm256_shuffle_epi8(table.lo, a.lo), _mm256_shuffle_epi8(table.hi, a.hi)};
}
CUTAWAY_INLINE __m256i dot4_half(__m256i acc, __m256i codes, __m256i a) {
  __m256i ones = _mm256_set1_epi16(1);
  __m256i low = _mm256_madd_epi16(_mm256_maddubs_epi16(low_nibbles(codes), a), ones);
  __m256i high = _mm256_madd_epi16(_mm256_maddubs_epi16(high_nibbles(codes), a), ones);
  return _mm256_add_epi32(acc, _mm256_add_epi32(low, _mm256_slli_epi32(high, 4)));
}
CUTAWAY_INLINE i32x16 dot4(i32x16 acc, u8x64 codes, const int8_t* q) {
  int32_t four;
  std::memcpy(&four, q, 4);
  __m256i a = _mm256_set1_epi32(four);
  return {dot4_half(acc.lo, codes.lo, a), dot4_half(acc.hi, codes.hi, a)};
}

#else

struct u8x64 {
  uint8_t v[64];
};

CUTAWAY_INLINE u8x64 load_codes(const uint8_t* p) {
  u8x64 out;
  std::memcpy(out.v, p, 64);
  return out;
}
CUTAWAY_INLINE u8x64 low_nibbles(u8x64 a) {
  for (auto& x : a.v) x &= 15;
  return a;
}
CUTAWAY_INLINE u8x64 high_nibbles(u8x64 a) {
  for (auto& x : a.v) x = static_cast<uint8_t>(x >> 4);
  return a;
}
CUTAWAY_INLINE u8x64 broadcast_table(const uint8_t* table) {
  u8x64 out;
  for (int i = 0; i < 64; ++i) out.v[i] = table[i % 16];
  return out;
}
CUTAWAY_INLINE u8x64 look_up(u8x64 table, u8x64 a) {
  for (auto& x : a.v) x = table.v[x];
  return a;
}
CUTAWAY_INLINE i32x16 dot4(i32x16 acc, u8x64 codes, const int8_t* q) {
  for (int row = 0; row < 16; ++row)
    for (int i = 0; i < 4; ++i) acc.v[row] += codes.v[row * 4 + i] * q[i];
  return acc;
}

#endif

CUTAWAY_INLINE f32x16 load_scales(const uint8_t* p, bool wide) {
  return wide ? load(reinterpret_cast<const float*>(p)) : load_f16(reinterpret_cast<const uint16_t*>(p));
}

// --- q8 activations
// ---------------------------------------------------------------------------------------------------

enum class Codes4 { no, yes, looked_up };

// The eight quads of a block as unsigned bytes.
template <Codes4 kind>
CUTAWAY_INLINE void load_block(const uint8_t* payload, u8x64 table, u8x64 (&quads)[8]) {
  if constexpr (kind == Codes4::no) {
    for (int c = 0; c < 8; ++c) quads[c] = load_codes(payload + c * 64);
  } else {
    for (int c = 0; c < 4; ++c) {
      u8x64 line = load_codes(payload + c * 64);
      quads[2 * c] = low_nibbles(line);
      quads[2 * c + 1] = high_nibbles(line);
      if constexpr (kind == Codes4::looked_up) {
        quads[2 * c] = look_up(table, quads[2 * c]);
        quads[2 * c + 1] = look_up(table, quads[2 * c + 1]);
      }
    }
  }
}

// acc[t] += strip . x[t], for TOKENS rows of x that lie `blocks` apart.
template <Codes4 kind, int TOKENS>
CUTAWAY_INLINE void strip_q8(const Format& f, const uint8_t* strip, const BlockQ8* x, int64_t blocks,
                             f32x16 (&acc)[TOKENS]) {
  const PackedBlock at = packed_block(f);
  // Looked-up values are signed; as codes they are stored 128 higher, like every format's are by its offset.
  uint8_t shifted[16];
  for (int i = 0; i < 16; ++i) shifted[i] = static_cast<uint8_t>((f.table ? f.table[i] : 0) + 128);
  const u8x64 table = broadcast_table(shifted);
  const int offset = kind == Codes4::looked_up ? 128 : f.offset;
  const int groups = 32 / f.group;
  const size_t line = f.wide_scale ? 64 : 32;
  for (int64_t b = 0; b < blocks; ++b, strip += at.bytes) {
    u8x64 quads[8];
    load_block<kind>(strip, table, quads);
    for (int g = 0; g < groups; ++g) {
      const f32x16 scale = load_scales(strip + at.scales + static_cast<size_t>(g) * line, f.wide_scale);
      const f32x16 minimum =
          f.minimums ? load_scales(strip + at.minimums + static_cast<size_t>(g) * line, f.wide_scale) : broadcast(0.0f);
      for (int t = 0; t < TOKENS; ++t) {
        const BlockQ8& block = x[t * blocks + b];
        const int32_t total = groups == 1 ? block.sum[0] + block.sum[1] : block.sum[g];
        i32x16 even = broadcast(int32_t{-offset * total}), odd = broadcast(int32_t{0});
        if (groups == 1) {
          for (int c = 0; c < 8; c += 2) {
            even = dot4(even, quads[c], block.q + 4 * c);
            odd = dot4(odd, quads[c + 1], block.q + 4 * c + 4);
          }
        } else {
          for (int c = 4 * g; c < 4 * g + 4; c += 2) {
            even = dot4(even, quads[c], block.q + 4 * c);
            odd = dot4(odd, quads[c + 1], block.q + 4 * c + 4);
          }
        }
        acc[t] = fma(to_f32(even + odd), scale * broadcast(block.d), acc[t]);
        if (f.minimums) acc[t] = fma(minimum, broadcast(block.d * static_cast<float>(total)), acc[t]);
      }
    }
  }
}

// --- float activations
// ------------------------------------------------------------------------------------------------

// A strip of codes to floats [K][16], bit for bit the stored values.
CUTAWAY_INLINE void unpack_strip(const Format& f, const uint8_t* strip, int64_t K, float* out) {
  const PackedBlock at = packed_block(f);
  const size_t line = f.wide_scale ? 64 : 32;
  for (int64_t b = 0; b < K / 32; ++b, strip += at.bytes, out += 512) {
    for (int g = 0; g < 32 / f.group; ++g) {
      const f32x16 scale = load_scales(strip + at.scales + static_cast<size_t>(g) * line, f.wide_scale);
      const f32x16 minimum =
          f.minimums ? load_scales(strip + at.minimums + static_cast<size_t>(g) * line, f.wide_scale) : broadcast(0.0f);
      for (int column = g * f.group; column < (g + 1) * f.group; ++column) {
        const int quad = column / 4, in_quad = column % 4;
        float integers[16];
        for (int row = 0; row < 16; ++row) {
          int code = f.payload == Payload::u8 ? strip[quad * 64 + row * 4 + in_quad]
                                              : strip[quad / 2 * 64 + row * 4 + in_quad] >> (quad % 2 * 4) & 15;
          integers[row] = static_cast<float>(f.table ? f.table[code] : code - f.offset);
        }
        f32x16 value = scale * load(integers);
        store(out + column * 16, f.minimums ? value + minimum : value);
      }
    }
  }
}

template <Payload payload>
CUTAWAY_INLINE f32x16 load_column(const uint8_t* strip, int64_t k) {
  if constexpr (payload == Payload::f16) return load_f16(reinterpret_cast<const uint16_t*>(strip) + k * 16);
  else if constexpr (payload == Payload::bf16) return load_bf16(reinterpret_cast<const uint16_t*>(strip) + k * 16);
  else return load(reinterpret_cast<const float*>(strip) + k * 16);
}

template <Payload payload, int TOKENS>
CUTAWAY_INLINE void strip_f32(const uint8_t* strip, const float* x, int64_t K, f32x16 (&acc)[TOKENS]) {
  for (int64_t from = 0; from < K; from += 32) {
    const int64_t to = from + 32 < K ? from + 32 : K;
    f32x16 part[TOKENS];
    for (int t = 0; t < TOKENS; ++t) part[t] = broadcast(0.0f);
    for (int64_t k = from; k < to; ++k) {
      const f32x16 w = load_column<payload>(strip, k);
      for (int t = 0; t < TOKENS; ++t) part[t] = fma(w, broadcast(x[t * K + k]), part[t]);
    }
    for (int t = 0; t < TOKENS; ++t) acc[t] = acc[t] + part[t];
  }
}

// --- one strip times TOKENS tokens, whatever the formats
// ----------------------------------------------------------------

struct Strip {
  Format format;
  const uint8_t* data;
  const float* unpacked;  // [K][16], when x is float and the format has codes
};

template <int TOKENS>
CUTAWAY_INLINE void multiply_strip(const Strip& s, const float* x, const BlockQ8* blocks, int64_t K,
                                   f32x16 (&acc)[TOKENS]) {
  for (int t = 0; t < TOKENS; ++t) acc[t] = broadcast(0.0f);
  if (blocks) {
    if (s.format.table) strip_q8<Codes4::looked_up>(s.format, s.data, blocks, K / 32, acc);
    else if (s.format.payload == Payload::u4) strip_q8<Codes4::yes>(s.format, s.data, blocks, K / 32, acc);
    else strip_q8<Codes4::no>(s.format, s.data, blocks, K / 32, acc);
  } else if (s.unpacked) {
    strip_f32<Payload::f32>(reinterpret_cast<const uint8_t*>(s.unpacked), x, K, acc);
  } else if (s.format.payload == Payload::f16) {
    strip_f32<Payload::f16>(s.data, x, K, acc);
  } else if (s.format.payload == Payload::bf16) {
    strip_f32<Payload::bf16>(s.data, x, K, acc);
  } else {
    strip_f32<Payload::f32>(s.data, x, K, acc);
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
