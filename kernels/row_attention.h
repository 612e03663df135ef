// Queries against the positions they see, shared by attention_scores, attention_mix and attention: one order,
// so fused attention gives the bits of its chain, and a token the same bits whether it comes alone or with others.
// Included by *_cpu.cpp files only, like simd.h.
#pragma once

#include <algorithm>
#include <span>
#include <type_traits>

#include "cached.h"
#include "simd.h"

namespace cutaway::CUTAWAY_TARGET {

// Queries that go through the inner loops together, and vectors of each: their sums fill the registers.
#if defined(__AVX512F__)
constexpr int kRows = 6, kVectors = 4;
#elif defined(__AVX2__)
constexpr int kRows = 3, kVectors = 2;
#else
constexpr int kRows = 1, kVectors = 1;
#endif

// Queries of one key head that go through the inner loops together; they see positions [first, last) or less.
struct Group {
  int begin, n;  // queries [begin, begin + n) of those in hand
  int64_t kv;    // the key head
  int64_t first, last;
};

// What a thread has in hand: one tile, or several where they are few tokens' only ones, so that the rows of a cache,
// which hold all key heads, are read once and in order.
struct Queries {
  int n = 0, groups = 0;
  Group group[Tiles::kQueries];
  int64_t row[Tiles::kQueries];       // of [T * H]
  int64_t position[Tiles::kQueries];  // which it sees, and none after it

  std::span<Group> all() { return {group, static_cast<size_t>(groups)}; }
  std::span<const Group> all() const { return {group, static_cast<size_t>(groups)}; }
};

// Takes tiles from `unit` on; returns the unit after them. `p` is the position of token 0.
CUTAWAY_INLINE int64_t take(const Tiles& tiles, int64_t unit, int64_t end, int64_t p, int64_t window, Queries& out) {
  out.n = out.groups = 0;
  do {
    const Tile tile = tiles.at(unit, end);
    const int n = static_cast<int>(tile.queries()), heads = static_cast<int>(tile.heads);
    if (out.n && out.n + n > tiles.queries) break;
    unit += tile.heads;
    for (int r = 0; r < n; ++r) {
      const int64_t t = tile.t + r / heads;
      out.row[out.n + r] = t * tiles.H + tile.h + r % heads;
      out.position[out.n + r] = p + t;
    }
    const int groups = (n + kRows - 1) / kRows;
    for (int i = 0; i < groups; ++i) {
      const int begin = out.n + n * i / groups, behind = out.n + n * (i + 1) / groups;
      out.group[out.groups++] = {begin, behind - begin, tile.h / tiles.shared, first_seen(out.position[begin], window),
                                 out.position[behind - 1] + 1};
    }
    out.n += n;
  } while (unit < end && tiles.count() == 1);
  return unit;
}

// Calls work(std::integral_constant<int, n>), 1 <= n <= kRows.
template <int Rows = 1, class Work>
CUTAWAY_INLINE void with_rows(int n, Work work) {
  if constexpr (Rows < kRows)
    if (n > Rows) return with_rows<Rows + 1>(n, work);
  work(std::integral_constant<int, Rows>{});
}

CUTAWAY_INLINE f32x16 load_element(const float* p) { return load(p); }
CUTAWAY_INLINE f32x16 load_element(const uint16_t* p) { return load_f16(p); }
CUTAWAY_INLINE f32x16 load_element_first(const float* p, int n) { return n == 16 ? load(p) : load_first(p, n); }
CUTAWAY_INLINE f32x16 load_element_first(const uint16_t* p, int n) {
  return n == 16 ? load_f16(p) : load_f16_first(p, n);
}

// Few queries of a key head wait for a cache that lies in memory rather than compute. Its lines are asked for a little
// before they are needed, in order, first of the keys and then of the values, and a few with each step of the inner
// loops: the machine does not follow the order in which tiles take rows, and the loops wait for many that are asked for
// at once.
class Ahead {
 public:
  // `rows` and `then`, which may be null, are two tensors' positions from 0 on.
  template <class Element>
  Ahead(const Queries& queries, const Element* rows, const Element* then, int64_t stride, int64_t E) {
    constexpr int64_t size = sizeof(Element);
    const Group &front = queries.group[0], &back = queries.group[queries.groups - 1];
    const int64_t heads = back.kv + 1 - front.kv, offset = front.first * stride + front.kv * E;
    if (queries.n > kFew * heads) return;
    at_ = reinterpret_cast<const char*>(rows + offset);
    if (then) then_ = reinterpret_cast<const char*>(then + offset);
    in_row_ = left_ = (heads * E * size + kLine - 1) / kLine;
    gap_ = stride * size - left_ * kLine;
    rows_ = rows_left_ = back.last - front.first;
    lines_ = rows_ * in_row_ * (then ? 2 : 1);
    allowed_ = std::min(lines_, kFirst);
    while (asked_ < allowed_) step();
  }

  // The tensor in hand is needed from this row on, counted from the first one that is seen.
  void reached(int64_t row) { allowed_ = std::min(lines_, (done_ + row) * in_row_ + kLead); }
  void turn_to_values() { done_ = rows_; }

  [[gnu::always_inline]] void step() {
    for (int i = 0; i < kLinesPerStep && asked_ < allowed_; ++i, ++asked_) {
      __builtin_prefetch(at_, 0, 2);
      at_ += kLine;
      if (--left_) continue;
      left_ = in_row_;
      at_ += gap_;
      if (--rows_left_ == 0) at_ = then_;
    }
  }

 private:
  static constexpr int64_t kFew = 16, kLine = 64;       // queries, bytes
  static constexpr int64_t kFirst = 384, kLead = 1024;  // lines: at once in the beginning, and ahead at most
  static constexpr int kLinesPerStep = 2;               // as many as a step of the loops reads of float16

  const char *at_ = nullptr, *then_ = nullptr;
  int64_t in_row_ = 0, left_ = 0, gap_ = 0, rows_ = 0, rows_left_ = 0, lines_ = 0;  // in_row_, left_: lines
  int64_t asked_ = 0, allowed_ = 0, done_ = 0;                                      // lines, lines, rows
};

// --- scores ---

constexpr int64_t kKeys = 16;  // scored together

CUTAWAY_INLINE int64_t whole_quads(int64_t E) { return (E + 3) / 4 * 4; }

// Lays out sixteen keys so that a vector holds four elements of four keys: element e of key 4 i + j goes to
// out[e / 4][j][i][e % 4]. Where E ends within four, zeros follow. Of n < 16 keys the last one fills the others'
// places. interleave_tail: only the elements from `begin` on, a multiple of 4.
template <class Element>
static void interleave_tail(int64_t begin, const Element* keys, int64_t stride, int64_t n, int64_t E, Element* out) {
  for (int64_t key = 0; key < kKeys; ++key)
    for (int64_t e = begin; e < E; e += 4) {
      Element quad[4] = {};
      const Element* from = keys + std::min(key, n - 1) * stride + e;
      for (int64_t i = 0; i < std::min<int64_t>(4, E - e); ++i) quad[i] = from[i];
      std::memcpy(out + e * 16 + key % 4 * 16 + key / 4 * 4, quad, sizeof(quad));
    }
}

CUTAWAY_INLINE void interleave(const float* keys, int64_t stride, int64_t n, int64_t E, float* out, Ahead& ahead) {
  const int64_t whole = E / 16 * 16;
  for (int64_t j = 0; j < 4; ++j)
    for (int64_t e = 0; e < whole; e += 16) {
      ahead.step();
      f32x16 row[4];
      for (int64_t i = 0; i < 4; ++i) row[i] = load(keys + std::min(4 * i + j, n - 1) * stride + e);
      transpose_quads(row);
      for (int64_t i = 0; i < 4; ++i) store(out + e * 16 + i * 64 + j * 16, row[i]);
    }
  if (whole < E) interleave_tail(whole, keys, stride, n, E, out);
}

#if defined(__AVX2__)
CUTAWAY_INLINE void interleave(const uint16_t* keys, int64_t stride, int64_t n, int64_t E, uint16_t* out,
                               Ahead& ahead) {
  const int64_t whole = E / 16 * 16;
  for (int64_t j = 0; j < 4; ++j) {
    auto row = [&](int64_t i) { return keys + std::min(4 * i + j, n - 1) * stride; };
    const uint16_t *r0 = row(0), *r1 = row(1), *r2 = row(2), *r3 = row(3);
    for (int64_t e = 0; e < whole; e += 16) {
      ahead.step();
      auto load = [e](const uint16_t* r) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(r + e)); };
      const __m256i a = load(r0), b = load(r1), c = load(r2), d = load(r3);  // four quads each
      const __m256i even01 = _mm256_unpacklo_epi64(a, b), odd01 = _mm256_unpackhi_epi64(a, b);
      const __m256i even23 = _mm256_unpacklo_epi64(c, d), odd23 = _mm256_unpackhi_epi64(c, d);
      auto store = [&](int64_t quad, __m256i v) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + e * 16 + quad * 64 + j * 16), v);
      };
      store(0, _mm256_permute2x128_si256(even01, even23, 0x20));
      store(1, _mm256_permute2x128_si256(odd01, odd23, 0x20));
      store(2, _mm256_permute2x128_si256(even01, even23, 0x31));
      store(3, _mm256_permute2x128_si256(odd01, odd23, 0x31));
    }
  }
  if (whole < E) interleave_tail(whole, keys, stride, n, E, out);
}
#else
CUTAWAY_INLINE void interleave(const uint16_t* keys, int64_t stride, int64_t n, int64_t E, uint16_t* out, Ahead&) {
  interleave_tail(0, keys, stride, n, E, out);
}
#endif

// scores[r][s] = scale * q[r] . key s for `n` keys from s on. Elements e, e + 4, e + 8 .. add up in sum e % 4 of a key.
template <int Rows, class Element>
static void score_keys(const float* const* q, const Element* keys, int64_t E, float scale, float* const* scores,
                       int64_t s, int64_t n) {
  f32x16 sum[Rows][4];
  for (int v = 0; v < 4; v += kVectors) {
    f32x16 part[Rows][kVectors];
    for (int r = 0; r < Rows; ++r)
      for (int j = 0; j < kVectors; ++j) part[r][j] = broadcast(0.0f);
    for (int64_t e = 0; e < E; e += 4) {
      f32x16 k[kVectors];
      for (int j = 0; j < kVectors; ++j) k[j] = load_element(keys + e * 16 + (v + j) * 16);
      for (int r = 0; r < Rows; ++r) {
        const f32x16 four = broadcast4(q[r] + e);
        for (int j = 0; j < kVectors; ++j) part[r][j] = fma(four, k[j], part[r][j]);
      }
    }
    for (int r = 0; r < Rows; ++r)
      for (int j = 0; j < kVectors; ++j) sum[r][v + j] = part[r][j];
  }
  for (int r = 0; r < Rows; ++r) {
    const f32x16 out = sums_of_4(sum[r]) * broadcast(scale);
    if (n == kKeys) store(scores[r] + s, out);
    else store_first(scores[r] + s, out, static_cast<int>(n));
  }
}

// scores[r][s] of each query r, for the positions s from group.first / 16 * 16 to group.last. `q` holds the rows of the
// call, `keys` the cache from position 0 on, `stride` elements from one position to the next.
template <class Element>
CUTAWAY_INLINE void score(const Queries& queries, const float* q, int64_t E, const Element* keys, int64_t stride,
                          float scale, float* const* scores, float* scratch, Ahead& ahead) {
  const int64_t quads = whole_quads(E);
  auto* block = reinterpret_cast<Element*>(scratch + queries.n * quads);
  const float* own[Tiles::kQueries];
  for (int r = 0; r < queries.n; ++r) {
    own[r] = q + queries.row[r] * E;
    if (E == quads) continue;
    float* copy = scratch + r * quads;
    std::fill(std::copy(own[r], own[r] + E, copy), copy + quads, 0.0f);
    own[r] = copy;
  }
  const int64_t first = queries.group[0].first, last = queries.group[queries.groups - 1].last;
  for (int64_t s = first / kKeys * kKeys; s < last; s += kKeys) {
    ahead.reached(s + kKeys - first);
    int64_t laid_out = -1;
    for (const Group& g : queries.all()) {
      if (g.first >= s + kKeys || s >= g.last) continue;
      if (g.kv != laid_out)
        interleave(keys + s * stride + g.kv * E, stride, std::min(kKeys, last - s), E, block, ahead);
      laid_out = g.kv;
      with_rows(g.n, [&](auto rows) {
        score_keys<rows>(own + g.begin, block, quads, scale, scores + g.begin, s, std::min(kKeys, g.last - s));
      });
    }
  }
}

// --- mix ---

constexpr int64_t kPositions = 64;  // added up apart, so that the error does not grow with their number

// z[r][e] += sum over s in [first, last) of pattern[r][s] * values[s][e] for `Vectors` vectors of e; one alone may be
// as narrow as `width`. Skip: without the positions whose pattern is 0.
template <int Rows, int Vectors, bool Skip, class Element>
static void mix_positions(const float* const* pattern, const Element* values, int64_t stride, int64_t first,
                          int64_t last, int width, float* const* z, int64_t e, Ahead& ahead) {
  f32x16 part[Rows][Vectors];
  for (int r = 0; r < Rows; ++r)
    for (int j = 0; j < Vectors; ++j) part[r][j] = broadcast(0.0f);
  for (int64_t s = first; s < last; ++s) {
    ahead.step();
    if (Skip && pattern[0][s] == 0.0f) continue;
    const Element* from = values + s * stride + e;
    f32x16 v[Vectors];
    if constexpr (Vectors == 1) v[0] = width == 16 ? load_element(from) : load_element_first(from, width);
    else
      for (int j = 0; j < Vectors; ++j) v[j] = load_element(from + 16 * j);
    for (int r = 0; r < Rows; ++r) {
      const f32x16 p = broadcast(pattern[r][s]);
      for (int j = 0; j < Vectors; ++j) part[r][j] = fma(p, v[j], part[r][j]);
    }
  }
  for (int r = 0; r < Rows; ++r)
    for (int j = 0; j < Vectors; ++j) {
      float* to = z[r] + e + 16 * j;
      if (Vectors > 1 || width == 16) store(to, load(to) + part[r][j]);
      else store_first(to, load_first(to, width) + part[r][j], width);
    }
}

// All E elements; wide groups of vectors first.
template <int Rows, bool Skip, class Element>
CUTAWAY_INLINE void mix_block(const float* const* pattern, const Element* values, int64_t stride, int64_t E,
                              int64_t first, int64_t last, float* const* z, Ahead& ahead) {
  constexpr int vectors = Skip ? 1 : kVectors;
  int64_t e = 0;
  for (; e + 16 * vectors <= E; e += 16 * vectors)
    mix_positions<Rows, vectors, Skip>(pattern, values, stride, first, last, 16, z, e, ahead);
  for (; e < E; e += 16)
    mix_positions<Rows, 1, Skip>(pattern, values, stride, first, last, static_cast<int>(std::min<int64_t>(16, E - e)),
                                 z, e, ahead);
}

struct Zeros {
  bool some, all;
};

CUTAWAY_INLINE Zeros zeros_in(const float* const* pattern, int rows, int64_t first, int64_t last) {
  Zeros out{false, true};
  for (int r = 0; r < rows; ++r)
    for (int64_t s = first; s < last; s += 16) {
      const int n = static_cast<int>(std::min<int64_t>(16, last - s));
      const uint32_t zeros = zero_lanes(n == 16 ? load(pattern[r] + s) : load_first(pattern[r] + s, n, 1.0f));
      out.some = out.some || zeros;
      out.all = out.all && zeros == (1u << n) - 1;
    }
  return out;
}

template <class Element>
static bool all_finite(const Element* values, int64_t stride, int64_t E, int64_t first, int64_t last) {
  f32x16 difference = broadcast(0.0f);
  for (int64_t s = first; s < last; ++s)
    for (int64_t e = 0; e < E; e += 16) {
      const f32x16 v = load_element_first(values + s * stride + e, static_cast<int>(std::min<int64_t>(16, E - e)));
      difference = difference + (v - v);  // infinity - infinity is NaN
    }
  return zero_lanes(difference) == 0xffff;
}

// z[r] = sum over s in [group.first, group.last) of pattern[r][s] * values[s] for each query r. A position whose
// pattern is exactly 0 takes no part, whatever its value holds: only where that is not finite it has to be left out,
// since 0 times anything else adds nothing.
template <class Element>
CUTAWAY_INLINE void mix(const Queries& queries, const float* const* pattern, const Element* values, int64_t stride,
                        int64_t E, float* z, Ahead& ahead) {
  float* to[Tiles::kQueries];
  for (int r = 0; r < queries.n; ++r) {
    to[r] = z + queries.row[r] * E;
    std::fill(to[r], to[r] + E, 0.0f);
  }
  const int64_t begin = queries.group[0].first, end = queries.group[queries.groups - 1].last;
  for (int64_t s = begin / kPositions * kPositions; s < end; s += kPositions) {
    ahead.reached(s + kPositions - begin);
    int64_t known = -1;  // the key head for which the next line holds
    bool finite = false;
    for (const Group& g : queries.all()) {
      const int64_t first = std::max(s, g.first), last = std::min(s + kPositions, g.last);
      if (first >= last) continue;
      const Element* own = values + g.kv * E;
      const Zeros zeros = zeros_in(pattern + g.begin, g.n, first, last);
      if (zeros.all) continue;
      if (zeros.some && g.kv != known) {
        finite = all_finite(own, stride, E, std::max(s, begin), std::min(s + kPositions, end));
        known = g.kv;
      }
      if (zeros.some && !finite) {
        for (int r = g.begin; r < g.begin + g.n; ++r)
          mix_block<1, true>(pattern + r, own, stride, E, first, last, to + r, ahead);
      } else {
        with_rows(g.n, [&](auto rows) {
          mix_block<rows, false>(pattern + g.begin, own, stride, E, first, last, to + g.begin, ahead);
        });
      }
    }
  }
}

}  // namespace cutaway::CUTAWAY_TARGET
