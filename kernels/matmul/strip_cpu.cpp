#include "matmul/strip.h"

#include <algorithm>
#include <bit>

#include "format_table.h"  // generated: CUTAWAY_FORMATS(X) and every format's header
#include "matmul/codes.h"

namespace cutaway::CUTAWAY_TARGET {

using Product = void(const Strip* strips, const void* const* x, Lanes* const* out);

struct Products {
  Product *one, *several[3];  // for one token; for up to 2, 4 and 6, of two strips where kTwoStrips
};

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

// Sums of S strips with TOKENS tokens. They are named by constants only, so that each has a register of its own.
template <int S, int TOKENS, class Vector>
struct Sums {
  Vector of[S][TOKENS];
};

template <int S, int TOKENS, class Todo>
CUTAWAY_INLINE void each_pair(const Todo& todo) {
  each<TOKENS>([&]<int t>() { each<S>([&]<int s>() { todo.template operator()<s, t>(); }); });
}

// dot[s][t] += the quads of group g of strip s, quad<s, c>(), times token t's activations, which begin at q(t).
#if defined(CUTAWAY_PAIR_SUMS)
// So many sums of pairs are added up as fit into 16 bits: 2 (2^bits - 1) 127 each.
template <Kind kind, int g, int S, int TOKENS, class Quad, class Activations>
CUTAWAY_INLINE void add_products(const Quad& quad, const Activations& q, Sums<S, TOKENS, i32x16>& dot) {
  constexpr int quads = kind.group / 4;
  constexpr int fit = kind.bits >= 8 ? 1 : 32767 / (2 * ((1 << kind.bits) - 1) * 127);
  constexpr int most = fit >= quads ? quads : fit >= 4 ? 4 : fit >= 2 ? 2 : 1;
  each<quads / most>([&]<int run>() {
    Sums<S, TOKENS, i16x32> sums;
    each<most>([&]<int i>() {
      constexpr int c = g * quads + run * most + i;
      each<S>([&]<int s>() {
        const u8x64 codes = quad.template operator()<s, c>();
        each<TOKENS>([&]<int t>() {
          const i16x32 both = signs<kind> ? signed_pairs(codes, q(t) + 4 * c) : pairs(codes, q(t) + 4 * c);
          sums.of[s][t] = i ? sums.of[s][t] + both : both;
        });
      });
    });
    each_pair<S, TOKENS>([&]<int s, int t>() { dot.of[s][t] = dot.of[s][t] + widen(sums.of[s][t]); });
  });
}
#else
template <Kind kind, int g, int S, int TOKENS, class Quad, class Activations>
CUTAWAY_INLINE void add_products(const Quad& quad, const Activations& q, Sums<S, TOKENS, i32x16>& dot) {
  each<kind.group / 4>([&]<int i>() {
    constexpr int c = g * (kind.group / 4) + i;
    u8x64 codes[S];
    each<S>([&]<int s>() { codes[s] = quad.template operator()<s, c>(); });
    each_pair<S, TOKENS>([&]<int s, int t>() { dot.of[s][t] = dot4(dot.of[s][t], codes[s], q(t) + 4 * c); });
  });
}
#endif

// acc[s][t] += one block of 32 columns: quad<s, c>() gives strip s's codes, scale<s>(g) and minimum<s>(g) its groups'
// factors, and x[t] + at points to token t's block.
template <Kind kind, int S, int TOKENS, class Quad, class Scale, class Minimum>
CUTAWAY_INLINE void add_block(const Quad& quad, const Scale& scale, const Minimum& minimum,
                              const std::byte* const (&x)[TOKENS], int64_t at, Sums<S, TOKENS, f32x16>& acc) {
  const auto block = [&](int t) -> const BlockQ8& { return *reinterpret_cast<const BlockQ8*>(x[t] + at); };
  each<32 / kind.group>([&]<int g>() {
    Sums<S, TOKENS, i32x16> dot;
    each<TOKENS>([&]<int t>() {
      i32x16 start = start_at<kind>(block(t).start[g]);
      if (kind.group == 32 && kind.offset && !signs<kind>) start = start + start_at<kind>(block(t).start[1]);
      each<S>([&]<int s>() { dot.of[s][t] = start; });
    });
    add_products<kind, g>(
        quad, [&](int t) { return block(t).q; }, dot);
    f32x16 d[S], m[S];
    each<S>([&]<int s>() {
      d[s] = scale.template operator()<s>(g);
      if (kind.minimums) m[s] = minimum.template operator()<s>(g);
    });
    each<TOKENS>([&]<int t>() {
      const BlockQ8& b = block(t);
      // The sum of a group's q is start / -128, exactly.
      const float total = kind.group == 32 ? b.total : b.d * (static_cast<float>(b.start[g]) * -0x1p-7f);
      each<S>([&]<int s>() {
        acc.of[s][t] = fma(to_f32(dot.of[s][t]), d[s] * broadcast(b.d), acc.of[s][t]);
        if (kind.minimums) acc.of[s][t] = fma(m[s], broadcast(total), acc.of[s][t]);
      });
    });
  });
}

template <int TOKENS>
CUTAWAY_INLINE void point(const void* const* x, const std::byte* (&rows)[TOKENS]) {
  for (int t = 0; t < TOKENS; ++t) rows[t] = static_cast<const std::byte*>(x[t]);
}

constexpr int kFloatLines = 4;  // float weights have more of them for 32 columns

// Fetches the lines ahead of each strip, `lines` of them at once; one token alone takes the strips as fast as they
// come.
template <int S, int TOKENS, int lines>
struct Ahead {
  const std::byte* at[S];

  explicit Ahead(const Strip* strips) {
    for (int s = 0; s < S; ++s) at[s] = strips[s].ahead;
  }
  void fetch() {
    if constexpr (TOKENS == 1) return;
    each<S>([&]<int s>() {
      for (int i = 0; i < lines; ++i, at[s] += 64) __builtin_prefetch(at[s], 0, 2);
    });
  }
};

template <int S, int TOKENS>
CUTAWAY_INLINE void clear(Sums<S, TOKENS, f32x16>& acc) {
  each_pair<S, TOKENS>([&]<int s, int t>() { acc.of[s][t] = broadcast(0.0f); });
}

template <int S, int TOKENS>
CUTAWAY_INLINE void put(const Sums<S, TOKENS, f32x16>& acc, Lanes* const* out) {
  each_pair<S, TOKENS>([&]<int s, int t>() { store(out[s][t], acc.of[s][t]); });
}

// --- codes times q8 blocks

// Unpacked strips times TOKENS tokens.
template <Kind kind, int S, int TOKENS>
[[gnu::flatten]] void multiply_unpacked(const Strip* strips, const void* const* x, Lanes* const* out) {
  constexpr int groups = 32 / kind.group, lines = groups * (kind.minimums ? 2 : 1);
  const std::byte* rows[TOKENS];
  point<TOKENS>(x, rows);
  const uint8_t* panel[S];
  for (int s = 0; s < S; ++s) panel[s] = reinterpret_cast<const uint8_t*>(strips[s].data);
  Sums<S, TOKENS, f32x16> acc;
  clear(acc);
  const int64_t end = strips->K / 32 * int64_t{sizeof(BlockQ8)};
  Ahead<S, TOKENS, 1> ahead(strips);
  int64_t block = 0;
  for (int64_t q8 = 0; q8 < end; q8 += sizeof(BlockQ8), block += 512 + 64 * lines) {
    ahead.fetch();
    const auto line = [&](int s, int i) { return panel[s] + block + i * 64; };
    const auto factors = [&](int s, int i) { return load(reinterpret_cast<const float*>(line(s, 8 + i))); };
    add_block<kind, S, TOKENS>([&]<int s, int c>() { return load_codes(line(s, c)); },
                               [&]<int s>(int g) { return factors(s, g); },
                               [&]<int s>(int g) { return factors(s, groups + g); }, rows, q8, acc);
  }
  put(acc, out);
}

// Packed strips times TOKENS tokens.
template <Packing P, int S, int TOKENS>
[[gnu::flatten]] void multiply_packed(const Strip* strips, const void* const* x, Lanes* const* out) {
  constexpr Cell cell = cell_of(P);
  const std::byte* rows[TOKENS];
  point<TOKENS>(x, rows);
  Sums<S, TOKENS, f32x16> acc;
  clear(acc);
  const u8x64 values = table_of(P.table ? strips->format->table : nullptr);
  const uint8_t* strip[S];
  for (int s = 0; s < S; ++s) strip[s] = reinterpret_cast<const uint8_t*>(strips[s].data);
  const int64_t cells = strips->K / cell.columns;
  Ahead<S, TOKENS, 1> ahead(strips);
  int64_t at = 0, q8 = 0;
  for (int64_t i = 0; i < cells; ++i, at += static_cast<int64_t>(cell.bytes)) {
    Factors factors[S];
    each<S>([&]<int s>() { factors[s] = load_factors<P>(strip[s] + at); });
    for (int b = 0; b < cell.columns / 32; ++b, q8 += sizeof(BlockQ8)) {
      ahead.fetch();
      const int64_t codes = at + static_cast<int64_t>(cell.codes) + b * static_cast<int64_t>(cell.block);
      const int first = b * (32 / P.group);
      add_block<packed_kind<P>, S, TOKENS>(
          [&]<int s, int c>() { return quad_of<P, c>(strip[s] + codes, values); },
          [&]<int s>(int g) { return scale_of<P>(factors[s], strip[s] + at, first + g); },
          [&]<int s>(int g) { return minimum_of<P>(factors[s], strip[s] + at, first + g); }, rows, q8, acc);
    }
  }
  put(acc, out);
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

// 32 columns of floats that go without bit 14 (packed.h) as they would lie with it.
CUTAWAY_INLINE void widen(const std::byte* cell, std::byte* out) {
  using Line = uint16_t __attribute__((vector_size(64)));
  Line last{};
  for (int i = 0; i < 15; ++i) {
    Line line;
    std::memcpy(&line, cell + 64 * i, 64);
    last = last >> 1 | (line & 0x4000);
    line &= 0xbfff;
    std::memcpy(out + 64 * i, &line, 64);
  }
  last = (last & 0x3fff) | (last & 0x4000) << 1;
  std::memcpy(out + 64 * 15, &last, 64);
}

struct alignas(64) WideCell {
  std::byte bytes[1024];
};

// Where columns [from, from + 32) of a strip lie as [32][16 rows]: in the strip, or in `wide`.
template <Payload payload, int bits>
CUTAWAY_INLINE const std::byte* columns_from(const std::byte* strip, int64_t from, WideCell& wide) {
  if constexpr (bits == 15) {
    widen(strip + from / kBlockColumns * int64_t{kShortCell}, wide.bytes);
    return wide.bytes;
  } else {
    return strip + from * kStripRows * (payload == Payload::f32 ? 4 : 2);
  }
}

template <Payload payload>
CUTAWAY_INLINE f32x16 load_column(const std::byte* strip, int64_t k) {
  if constexpr (payload == Payload::f16) return load_f16(reinterpret_cast<const uint16_t*>(strip) + k * 16);
  else if constexpr (payload == Payload::bf16) return load_bf16(reinterpret_cast<const uint16_t*>(strip) + k * 16);
  else return load(reinterpret_cast<const float*>(strip) + k * 16);
}

template <Payload payload, int bits>
void unpack_columns(const std::byte* strip, int64_t K, float* out) {
  WideCell wide;
  for (int64_t from = 0; from < K; from += 32) {
    const std::byte* columns = columns_from<payload, bits>(strip, from, wide);
    for (int64_t k = 0; k < std::min<int64_t>(32, K - from); ++k)
      store(out + (from + k) * 16, load_column<payload>(columns, k));
  }
}

template <Payload payload, int bits, int S, int TOKENS>
[[gnu::flatten]] void multiply_floats(const Strip* strips, const void* const* x, Lanes* const* out) {
  const std::byte* rows[TOKENS];
  point<TOKENS>(x, rows);
  Sums<S, TOKENS, f32x16> acc;
  clear(acc);
  Ahead<S, TOKENS, kFloatLines> ahead(strips);
  // Sums of `blocks` times 32 columns are under way at once.
  const auto add = [&]<int blocks>(int64_t from, int64_t count) {
    WideCell wide[blocks][S];
    const std::byte* columns[blocks][S];
    Sums<S, TOKENS, f32x16> part[blocks];
    each<blocks>([&]<int b>() {
      ahead.fetch();
      each<S>([&]<int s>() { columns[b][s] = columns_from<payload, bits>(strips[s].data, from + 32 * b, wide[b][s]); });
      clear(part[b]);
    });
    for (int64_t k = 0; k < count; ++k)
      each<blocks>([&]<int b>() {
        f32x16 column[S];
        each<S>([&]<int s>() { column[s] = load_column<payload>(columns[b][s], k); });
        each_pair<S, TOKENS>([&]<int s, int t>() {
          const float x = reinterpret_cast<const float*>(rows[t])[from + 32 * b + k];
          part[b].of[s][t] = fma(column[s], broadcast(x), part[b].of[s][t]);
        });
      });
    each<blocks>([&]<int b>() {
      each_pair<S, TOKENS>([&]<int s, int t>() { acc.of[s][t] = acc.of[s][t] + part[b].of[s][t]; });
    });
  };
  constexpr int kBlocks = S * TOKENS == 1 ? 2 : 1;
  const int64_t K = strips->K;
  int64_t from = 0;
  for (; from + 32 * kBlocks <= K; from += 32 * kBlocks) add.template operator()<kBlocks>(from, 32);
  for (; from < K; from += 32) add.template operator()<1>(from, std::min<int64_t>(32, K - from));
  put(acc, out);
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

// As many strips and tokens go together as have their sums in registers: two strips share what is loaded of a token,
// one with more tokens is held up by its loads. The results do not depend on it.
constexpr bool kTwoStrips = kRegisters == 32;
constexpr int kTokensTogether = kTwoStrips ? 6 : 4;

template <class Pick>
constexpr Products all_products(const Pick& pick) {
  constexpr int S = kTwoStrips ? 2 : 1;
  return {pick.template operator()<1, 1>(),
          {pick.template operator()<S, 2>(), pick.template operator()<S, 4>(),
           pick.template operator()<S, kTokensTogether>()}};
}

template <Packing P>
constexpr Products packed_products = all_products([]<int S, int n>() { return &multiply_packed<P, S, n>; });
template <Kind kind>
constexpr Products unpacked_products = all_products([]<int S, int n>() { return &multiply_unpacked<kind, S, n>; });
template <Payload payload, int bits>
constexpr Products float_products = all_products([]<int S, int n>() { return &multiply_floats<payload, bits, S, n>; });

// Calls todo.operator()<payload, bits>() for the floats of f.
template <class Todo>
CUTAWAY_INLINE auto with_floats(const Format& f, const Todo& todo) {
  const bool shorter = f.packing.bits == 15;
  if (f.payload == Payload::f16)
    return shorter ? todo.template operator()<Payload::f16, 15>() : todo.template operator()<Payload::f16, 0>();
  if (f.payload == Payload::bf16)
    return shorter ? todo.template operator()<Payload::bf16, 15>() : todo.template operator()<Payload::bf16, 0>();
  return todo.template operator()<Payload::f32, 0>();
}

// The products with strips as they are read.
const Products* find_products(const Format& f, bool rounded, bool unpacked) {
  if (!rounded && unpacked) return &float_products<Payload::f32, 0>;
  if (!rounded) return with_floats(f, []<Payload payload, int bits>() { return &float_products<payload, bits>; });
  const Products* found = nullptr;
  with_packing(f, [&]<Packing P>() {
    if constexpr (has_planes(P))
      if (unpacked) return static_cast<void>(found = &unpacked_products<unpacked_kind<P>>);
    found = &packed_products<P>;
  });
  return found;
}

void unpack(const Format& f, const std::byte* strip, int64_t K, bool rounded, std::byte* out) {
  auto* floats = reinterpret_cast<float*>(out);
  if (!has_codes(f))
    return with_floats(f, [&]<Payload payload, int bits>() { unpack_columns<payload, bits>(strip, K, floats); });
  const auto* cells = reinterpret_cast<const uint8_t*>(strip);
  with_packing(f, [&]<Packing P>() {
    if constexpr (has_planes(P))
      if (rounded) return unpack_codes<P>(cells, K, out);
    unpack_floats<P>(cells, f.table, K, floats);
  });
}

}  // namespace

void open_strips(const Format& f, const std::byte* packed, int64_t first, int64_t count, int64_t K, int64_t T,
                 bool rounded, std::byte* scratch, Strip* out) {
  const size_t bytes = strip_bytes(f, K), unpacked = unpacked_bytes(f, K, T, rounded);
  const Products* products = find_products(f, rounded, unpacked);
  for (int64_t i = 0; i < count; ++i, scratch += unpacked) {
    const std::byte* strip = packed + static_cast<size_t>(first + i) * bytes;
    out[i] = {&f, strip, K, products, strip + static_cast<size_t>(count) * bytes, rounded ? 64 : 64 * kFloatLines};
    if (!unpacked) continue;
    unpack(f, strip, K, rounded, scratch);
    out[i].data = scratch;
  }
}

void multiply(Strip* strips, int count, const void* const* given, int tokens, Lanes (*out)[kTile]) {
  const void* x[kTile];  // a product for more tokens repeats the last one
  for (int t = 0; t < kTile; ++t) x[t] = given[t < tokens ? t : tokens - 1];
  const bool alike = kTwoStrips && count == 2 && tokens > 1 && strips[0].products == strips[1].products;
  for (int s = 0; s < count; s += alike ? 2 : 1) {
    const int second = alike ? 1 : s;  // one without its like goes twice
    Strip pair[2] = {strips[s], strips[second]};
    const Products& products = *pair->products;
    for (int t = 0; t < tokens; t += kTokensTogether) {
      const int n = tokens - t;
      Lanes* const to[2] = {out[s] + t, out[second] + t};
      Product* product = tokens == 1 ? products.one : products.several[n > 4 ? 2 : (n - 1) / 2];
      product(pair, x + t, to);
      for (Strip& strip : pair) strip.ahead += strip.K / 32 * strip.ahead_step;
    }
    strips[s].ahead = pair[0].ahead;
    strips[second].ahead = pair[1].ahead;
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
