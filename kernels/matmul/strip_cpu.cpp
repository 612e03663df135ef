#include "matmul/strip.h"

#include <bit>

#include "format_table.h"  // generated: CUTAWAY_FORMATS(X) and every format's header
#include "matmul/codes.h"

namespace cutaway::CUTAWAY_TARGET {
namespace {

// What the loop over blocks needs to know at compile time.
struct Kind {
  int group, bits, offset;
  bool minimums;
};

template <Packing P>
constexpr Kind packed_kind{P.group, bits_of<P>, offset_of<P>, P.minimums};

// Where sums of pairs do not depend on the codes' bits, all formats' codes with an offset are unpacked to 8 bits, 128
// too high, so that fewer kinds are compiled.
template <Packing P>
constexpr Kind unpacked_kind = kPairSums ? packed_kind<P> : Kind{P.group, 8, offset_of<P> ? 128 : 0, P.minimums};

// Whether the codes' signs are given to the activations, so that the sums need no correction.
template <Kind kind>
constexpr bool signs = kPairSums ? kind.bits == 8 : false;

// -offset times a sum, from -128 times the sum.
template <Kind kind>
CUTAWAY_INLINE i32x16 start_at(int32_t start) {
  if (kind.offset == 0 || signs<kind>) return broadcast(int32_t{0});
  return broadcast(int32_t{start >> (7 - std::countr_zero(static_cast<unsigned>(kind.offset | 128)))});
}

// dot[t] += the quads of group g times token t's activations, which begin at q(t).
#if defined(CUTAWAY_PAIR_SUMS)
// So many sums of pairs are added up as fit into 16 bits: 2 (2^bits - 1) 127 each.
template <Kind kind, int g, int TOKENS, class Quad, class Activations>
CUTAWAY_INLINE void add_products(const Quad& quad, const Activations& q, i32x16 (&dot)[TOKENS]) {
  constexpr int quads = kind.group / 4;
  constexpr int fit = kind.bits >= 8 ? 1 : 32767 / (2 * ((1 << kind.bits) - 1) * 127);
  constexpr int most = fit >= quads ? quads : fit >= 4 ? 4 : fit >= 2 ? 2 : 1;
  each<quads / most>([&]<int run>() {
    i16x32 sums[TOKENS];
    each<most>([&]<int i>() {
      constexpr int c = g * quads + run * most + i;
      const u8x64 codes = quad.template operator()<c>();
#pragma GCC unroll 16
      for (int t = 0; t < TOKENS; ++t) {
        const i16x32 both = signs<kind> ? signed_pairs(codes, q(t) + 4 * c) : pairs(codes, q(t) + 4 * c);
        sums[t] = i ? sums[t] + both : both;
      }
    });
#pragma GCC unroll 16
    for (int t = 0; t < TOKENS; ++t) dot[t] = dot[t] + widen(sums[t]);
  });
}
#else
template <Kind kind, int g, int TOKENS, class Quad, class Activations>
CUTAWAY_INLINE void add_products(const Quad& quad, const Activations& q, i32x16 (&dot)[TOKENS]) {
  each<kind.group / 4>([&]<int i>() {
    constexpr int c = g * (kind.group / 4) + i;
    const u8x64 codes = quad.template operator()<c>();
#pragma GCC unroll 16
    for (int t = 0; t < TOKENS; ++t) dot[t] = dot4(dot[t], codes, q(t) + 4 * c);
  });
}
#endif

// acc[t] += one block of 32 columns: `quad` gives its codes by their number, `scale(g)` and `minimum(g)` its groups'
// factors, and x[t] + at points to token t's block.
template <Kind kind, int TOKENS, class Quad, class Scale, class Minimum>
CUTAWAY_INLINE void add_block(const Quad& quad, const Scale& scale, const Minimum& minimum,
                              const std::byte* const (&x)[TOKENS], int64_t at, f32x16 (&acc)[TOKENS]) {
  const auto block = [&](int t) -> const BlockQ8& { return *reinterpret_cast<const BlockQ8*>(x[t] + at); };
  each<32 / kind.group>([&]<int g>() {
    i32x16 dot[TOKENS];
#pragma GCC unroll 16
    for (int t = 0; t < TOKENS; ++t) dot[t] = start_at<kind>(block(t).start[g]);
    add_products<kind, g>(
        quad, [&](int t) { return block(t).q; }, dot);
    const f32x16 d = scale(g);
#pragma GCC unroll 16
    for (int t = 0; t < TOKENS; ++t) {
      const BlockQ8& b = block(t);
      if (kind.group == 32 && kind.offset && !signs<kind>) dot[t] = dot[t] + start_at<kind>(b.start[1]);
      acc[t] = fma(to_f32(dot[t]), d * broadcast(b.d), acc[t]);
      if (!kind.minimums) continue;
      // The sum of a group's q is start / -128, exactly.
      const float total = kind.group == 32 ? b.total : b.d * (static_cast<float>(b.start[g]) * -0x1p-7f);
      acc[t] = fma(minimum(g), broadcast(total), acc[t]);
    }
  });
}

template <int TOKENS>
CUTAWAY_INLINE void point(const void* const* x, const std::byte* (&rows)[TOKENS]) {
  for (int t = 0; t < TOKENS; ++t) rows[t] = static_cast<const std::byte*>(x[t]);
}

template <int TOKENS>
CUTAWAY_INLINE void put(const f32x16 (&acc)[TOKENS], float (*out)[kStripRows]) {
  for (int t = 0; t < TOKENS; ++t) store(out[t], acc[t]);
}

// --- codes times q8 blocks

// An unpacked strip times TOKENS tokens.
template <Kind kind, int TOKENS>
void multiply_unpacked(const std::byte* panel, int64_t K, const void* const* x, float (*out)[kStripRows]) {
  constexpr int groups = 32 / kind.group;
  const std::byte* rows[TOKENS];
  point<TOKENS>(x, rows);
  f32x16 acc[TOKENS];
  for (int t = 0; t < TOKENS; ++t) acc[t] = broadcast(0.0f);
  const auto* block = reinterpret_cast<const uint8_t*>(panel);
  for (int64_t at = 0; at < K / 32 * static_cast<int64_t>(sizeof(BlockQ8)); at += sizeof(BlockQ8)) {
    const auto* factors = reinterpret_cast<const float*>(block + 512);
    add_block<kind, TOKENS>([&]<int c>() { return load_codes(block + c * 64); },
                            [&](int g) { return load(factors + g * 16); },
                            [&](int g) { return load(factors + (groups + g) * 16); }, rows, at, acc);
    block += 512 + 64 * groups * (kind.minimums ? 2 : 1);
  }
  put<TOKENS>(acc, out);
}

// A packed strip times TOKENS tokens.
template <Packing P, int TOKENS>
void multiply_packed(const std::byte* strip, const int8_t* table, int64_t K, const void* const* x,
                     float (*out)[kStripRows]) {
  constexpr Cell cell = cell_of(P);
  const std::byte* rows[TOKENS];
  point<TOKENS>(x, rows);
  f32x16 acc[TOKENS];
  for (int t = 0; t < TOKENS; ++t) acc[t] = broadcast(0.0f);
  const u8x64 values = table_of(P.table ? table : nullptr);
  const auto* at = reinterpret_cast<const uint8_t*>(strip);
  int64_t q8 = 0;
  for (int64_t column = 0; column < K; column += cell.columns, at += cell.bytes) {
    const auto factors = load_factors<P>(at);
    for (int b = 0; b < cell.columns / 32; ++b, q8 += sizeof(BlockQ8)) {
      const uint8_t* codes = at + cell.codes + static_cast<size_t>(b) * cell.block;
      const int first = b * (32 / P.group);
      add_block<packed_kind<P>, TOKENS>([&]<int c>() { return quad_of<P, c>(codes, values); },
                                        [&](int g) { return scale_of<P>(factors, at, first + g); },
                                        [&](int g) { return minimum_of<P>(factors, at, first + g); }, rows, q8, acc);
    }
  }
  put<TOKENS>(acc, out);
}

template <Packing P>
void unpack_codes(const uint8_t* strip, int64_t K, std::byte* out) {
  constexpr Cell cell = cell_of(P);
  constexpr int groups = 32 / P.group;
  constexpr auto raise = static_cast<uint8_t>(unpacked_kind<P>.offset - offset_of<P>);
  auto* panel = reinterpret_cast<uint8_t*>(out);
  for (int64_t column = 0; column < K; column += cell.columns, strip += cell.bytes) {
    const auto factors = load_factors<P>(strip);
    for (int b = 0; b < cell.columns / 32; ++b) {
      const uint8_t* codes = strip + cell.codes + static_cast<size_t>(b) * cell.block;
      each<8>([&]<int c>() { store_codes(panel + c * 64, stored_quad<P, c>(codes) + broadcast_code(raise)); });
      auto* scales = reinterpret_cast<float*>(panel + 512);
      for (int g = 0; g < groups; ++g) {
        store(scales + g * 16, scale_of<P>(factors, strip, b * groups + g));
        if (P.minimums) store(scales + (groups + g) * 16, minimum_of<P>(factors, strip, b * groups + g));
      }
      panel += 512 + 64 * groups * (P.minimums ? 2 : 1);
    }
  }
}

// --- floats times floats

// A strip of codes to floats [K][16 rows], bit for bit the stored values.
template <Packing P>
void unpack_floats(const uint8_t* strip, const int8_t* table, int64_t K, float* out) {
  constexpr Cell cell = cell_of(P);
  const u8x64 values = table_of(P.table ? table : nullptr);
  const i32x16 offset = broadcast(int32_t{offset_of<P>});
  for (int64_t column = 0; column < K; column += cell.columns, strip += cell.bytes) {
    const auto factors = load_factors<P>(strip);
    for (int b = 0; b < cell.columns / 32; ++b, out += 512) {
      const uint8_t* codes = strip + cell.codes + static_cast<size_t>(b) * cell.block;
      each<8>([&]<int c>() {
        const int g = b * (32 / P.group) + c / (P.group / 4);
        const u8x64 quad = quad_of<P, c>(codes, values);
        const f32x16 scale = scale_of<P>(factors, strip, g);
        const i32x16 columns[4] = {column_of<0>(quad), column_of<1>(quad), column_of<2>(quad), column_of<3>(quad)};
        for (int i = 0; i < 4; ++i) {
          f32x16 value = scale * to_f32(columns[i] - offset);
          if (P.minimums) value = value + minimum_of<P>(factors, strip, g);
          store(out + (4 * c + i) * 16, value);
        }
      });
    }
  }
}

template <Payload payload>
CUTAWAY_INLINE f32x16 load_column(const std::byte* strip, int64_t k) {
  if constexpr (payload == Payload::f16) return load_f16(reinterpret_cast<const uint16_t*>(strip) + k * 16);
  else if constexpr (payload == Payload::bf16) return load_bf16(reinterpret_cast<const uint16_t*>(strip) + k * 16);
  else return load(reinterpret_cast<const float*>(strip) + k * 16);
}

template <Payload payload, int TOKENS>
void multiply_floats(const std::byte* strip, int64_t K, const void* const* x, float (*out)[kStripRows]) {
  const std::byte* rows[TOKENS];
  point<TOKENS>(x, rows);
  f32x16 acc[TOKENS];
  for (int t = 0; t < TOKENS; ++t) acc[t] = broadcast(0.0f);
  for (int64_t from = 0; from < K; from += 32) {
    const int64_t to = from + 32 < K ? from + 32 : K;
    f32x16 part[TOKENS];
    for (int t = 0; t < TOKENS; ++t) part[t] = broadcast(0.0f);
    for (int64_t k = from; k < to; ++k) {
      const f32x16 w = load_column<payload>(strip, k);
#pragma GCC unroll 16
      for (int t = 0; t < TOKENS; ++t) part[t] = fma(w, broadcast(reinterpret_cast<const float*>(rows[t])[k]), part[t]);
    }
    for (int t = 0; t < TOKENS; ++t) acc[t] = acc[t] + part[t];
  }
  put<TOKENS>(acc, out);
}

// --- which of them

// Calls todo.operator()<packing>() for the packing of f.
template <class Todo>
CUTAWAY_INLINE void with_packing(const Format& f, const Todo& todo) {
#define X(name)                           \
  if constexpr (packing_##name.bits != 0) \
    if (same(f.packing, packing_##name)) return todo.template operator()<packing_##name>();
  CUTAWAY_FORMATS(X)
#undef X
}

// Tokens whose sums stay in registers together; the results do not depend on it.
constexpr int kTogether = kRegisters == 32 ? kTile : 4;

// Calls todo.operator()<TOKENS>() for the tile that holds n tokens, at most kTogether of them.
template <class Todo>
CUTAWAY_INLINE void with_tile(int n, const Todo& todo) {
  if (n == 1) return todo.template operator()<1>();
  if (n == 2) return todo.template operator()<2>();
  if (kTogether == 4 || n <= 4) return todo.template operator()<4>();
  if constexpr (kTogether > 4) {
    if (n <= 6) return todo.template operator()<6>();
    if (n <= 8) return todo.template operator()<8>();
    todo.template operator()<kTogether>();
  }
}

template <int n>
CUTAWAY_INLINE void multiply_tile(const Strip& strip, const void* const* x, float (*out)[kStripRows]) {
  const Format& f = *strip.format;
  if (strip.rounded)
    return with_packing(f, [&]<Packing P>() {
      if constexpr (has_planes(P))
        if (strip.unpacked) return multiply_unpacked<unpacked_kind<P>, n>(strip.unpacked, strip.K, x, out);
      multiply_packed<P, n>(strip.data, f.table, strip.K, x, out);
    });
  if (strip.unpacked) return multiply_floats<Payload::f32, n>(strip.unpacked, strip.K, x, out);
  if (f.payload == Payload::f16) return multiply_floats<Payload::f16, n>(strip.data, strip.K, x, out);
  if (f.payload == Payload::bf16) return multiply_floats<Payload::bf16, n>(strip.data, strip.K, x, out);
  multiply_floats<Payload::f32, n>(strip.data, strip.K, x, out);
}

}  // namespace

Strip open_strip(const Format& f, const std::byte* packed, int64_t s, int64_t K, int64_t T, bool rounded,
                 std::byte* scratch) {
  Strip strip{&f, packed + static_cast<size_t>(s) * strip_bytes(f, K), nullptr, K, rounded};
  if (!unpacked_bytes(f, K, T, rounded)) return strip;
  const auto* data = reinterpret_cast<const uint8_t*>(strip.data);
  with_packing(f, [&]<Packing P>() {
    if constexpr (has_planes(P))
      if (rounded) return unpack_codes<P>(data, K, scratch);
    unpack_floats<P>(data, f.table, K, reinterpret_cast<float*>(scratch));
  });
  strip.unpacked = scratch;
  return strip;
}

void multiply(const Strip& strip, const void* const* given, int tokens, float (*out)[kStripRows]) {
  const void* x[kTile];  // a tile with room for more repeats the last one
  for (int t = 0; t < kTile; ++t) x[t] = given[t < tokens ? t : tokens - 1];
  for (int t = 0; t < tokens; t += kTogether)
    with_tile(tokens - t < kTogether ? tokens - t : kTogether,
              [&]<int n>() { multiply_tile<n>(strip, x + t, out + t); });
}

}  // namespace cutaway::CUTAWAY_TARGET
