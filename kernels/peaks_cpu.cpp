#include "peaks.h"
#include "simd.h"

namespace cutaway::CUTAWAY_TARGET {

namespace {

// Sums side by side hide what one addition waits for the last: as many as there are registers for. opaque() keeps a
// compiler from seeing that every product is the same.
#if defined(__AVX512F__)
enum : int { kSums = 12 };
CUTAWAY_INLINE i32x16 opaque(i32x16 a) {
  asm volatile("" : "+v"(a.v));
  return a;
}
#elif defined(__AVX2__)
enum : int { kSums = 5 };
CUTAWAY_INLINE i32x16 opaque(i32x16 a) {
  asm volatile("" : "+x"(a.lo), "+x"(a.hi));
  return a;
}
#else
enum : int { kSums = 2 };
CUTAWAY_INLINE i32x16 opaque(i32x16 a) {
  asm volatile("" : "+m"(a));
  return a;
}
#endif

// Sixteen lanes of four 8-bit products each: acc += codes . q. What one instruction does where there is VNNI; without
// it three for 32 products, whose pair sums do not overflow with codes of four bits.
#if defined(__AVX512VNNI__)
CUTAWAY_INLINE i32x16 dot(i32x16 acc, i32x16 codes, i32x16 q) { return {_mm512_dpbusd_epi32(acc.v, codes.v, q.v)}; }
#elif defined(__AVX512F__)
CUTAWAY_INLINE i32x16 dot(i32x16 acc, i32x16 codes, i32x16 q) {
  const __m512i pairs = _mm512_maddubs_epi16(codes.v, q.v);
  return {_mm512_add_epi32(acc.v, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))};
}
#elif defined(__AVXVNNI__)
CUTAWAY_INLINE i32x16 dot(i32x16 acc, i32x16 codes, i32x16 q) {
  return {_mm256_dpbusd_avx_epi32(acc.lo, codes.lo, q.lo), _mm256_dpbusd_avx_epi32(acc.hi, codes.hi, q.hi)};
}
#elif defined(__AVX2__)
CUTAWAY_INLINE __m256i dot(__m256i acc, __m256i codes, __m256i q) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(codes, q), _mm256_set1_epi16(1)));
}
CUTAWAY_INLINE i32x16 dot(i32x16 acc, i32x16 codes, i32x16 q) {
  return {dot(acc.lo, codes.lo, q.lo), dot(acc.hi, codes.hi, q.hi)};
}
#else
CUTAWAY_INLINE i32x16 dot(i32x16 acc, i32x16 codes, i32x16 q) {
  for (int l = 0; l < 16; ++l)
    for (int shift = 0; shift < 32; shift += 8)
      acc.v[l] += (codes.v[l] >> shift & 255) * static_cast<int8_t>(q.v[l] >> shift);
  return acc;
}
#endif

}  // namespace

float read_memory(const float* p, int64_t lines) {
  f32x16 acc[4] = {broadcast(0.0f), broadcast(0.0f), broadcast(0.0f), broadcast(0.0f)};
  for (int64_t i = 0; i + 4 <= lines; i += 4)
    for (int k = 0; k < 4; ++k) acc[k] = acc[k] + load(p + (i + k) * 16);
  return sum((acc[0] + acc[1]) + (acc[2] + acc[3]));
}

float multiply_int8(int64_t dots, const float* start) {
  const i32x16 codes = broadcast(int32_t{0x0f0e0d0c}), q = broadcast(int32_t{0x01ff02fe});
  i32x16 acc[kSums];
  for (int k = 0; k < kSums; ++k) acc[k] = round_to_i32(load(start + k * 16));
  for (int64_t i = 0; i < dots; i += kSums)
    for (auto& a : acc) a = dot(a, opaque(codes), q);
  for (int k = 1; k < kSums; ++k) acc[0] = acc[0] + acc[k];
  return sum(to_f32(acc[0]));
}

float multiply_float32(int64_t fmas, const float* start) {
  const f32x16 w = broadcast(0.5f), y = broadcast(1.0f);
  f32x16 acc[kSums];
  for (int k = 0; k < kSums; ++k) acc[k] = load(start + k * 16);
  for (int64_t i = 0; i < fmas; i += kSums)
    for (auto& a : acc) a = fma(a, w, y);
  for (int k = 1; k < kSums; ++k) acc[0] = acc[0] + acc[k];
  return sum(acc[0]);
}

}  // namespace cutaway::CUTAWAY_TARGET
