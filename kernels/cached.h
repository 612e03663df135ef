// What the attention ops share: keys and values of all positions so far as they lie in a cache, and who sees whom.
#pragma once

#include <algorithm>

#include "op.h"

namespace cutaway {

struct Cached {
  const void* data;  // [S, G, E]
  bool half;         // float16; else float32
  int64_t S, G, E;
};

// The keys or values of a call; raises ArgumentError naming them unless they are f32 or f16.
Cached cached(const Call& call, const Tensor& tensor, const char* name);

// Raises ShapeError unless q is [T, H, E] and keys are [S, G, E], S >= T, H a multiple of G.
void check_queries(const Call& call, const Shape& q, const Shape& keys);

// The attributes scale (finite) and window (a whole number; 0 or absent: none); raises ArgumentError.
float attention_scale(const Call& call);
int64_t attention_window(const Call& call);

// The positions that a query at position p sees: [first, p]. A window counts the query's own position.
inline int64_t first_seen(int64_t p, int64_t window) { return window && p >= window ? p - window + 1 : 0; }

// float16, to the nearest, ties to even, as f16_bits of formats/f16_value.h: for rows on their way into a cache.
CUTAWAY_DECLARE(void to_f16(const float* from, uint16_t* to, int64_t count))
using ToF16 = void(const float* from, uint16_t* to, int64_t count);
ToF16* to_f16_at(const std::string& target);

// Queries of neighbouring tokens, of one head or of several that share a key head: query r is of token t + r / heads
// and head h + r % heads.
struct Tile {
  int64_t t, tokens, h, heads;
  int64_t queries() const { return tokens * heads; }
};

// The queries of a call in tiles. A unit is one head of a tile. The heads of a tile follow each other, then come its
// key head's other tiles, early and late ones in turn: late tokens see more, and threads take equal runs of units.
struct Tiles {
  static constexpr int64_t kQueries = 48;          // that a thread has in hand at most
  static constexpr int64_t kScores = 1024 * 1024;  // of these at most, unless one token has more

  int64_t T, H, shared;  // tokens; heads, and those that share a key head
  int64_t tokens;        // of a tile; the last one may have fewer
  int64_t queries;       // in hand at most

  // Always inlined: kernels for AVX call these too, and may share no function with the rest.
  [[gnu::always_inline]] Tiles(int64_t T_, int64_t H_, int64_t G, int64_t scores_of_query)
      : T(T_), H(H_), shared(H_ / G) {
    const int64_t most = std::min(kQueries, kScores / (scores_of_query + 1));
    tokens = std::max<int64_t>(1, std::min(most / shared, T));
    queries = std::min(T * H, std::max(most, tokens * std::min(shared, kQueries)));
  }
  int64_t count() const { return (T + tokens - 1) / tokens; }  // for each key head
  int64_t units() const { return count() * H; }
  // Whole tiles; of few tokens a thread had best read the rows of a cache once, for all its heads.
  int64_t grain() const { return count() == 1 ? H : shared; }

  // Scratch of the scores: the queries and sixteen keys, E rounded up to whole fours.
  size_t score_bytes(int64_t E) const {
    return static_cast<size_t>((queries + 16) * ((E + 3) / 4 * 4)) * sizeof(float);
  }

  // The tile that begins with a unit, with as many heads as it may have; they are the units it takes.
  [[gnu::always_inline]] Tile at(int64_t unit, int64_t end) const {
    const int64_t n = count(), i = unit / shared % n, head = unit % shared, turn = i % 2 ? n - 1 - i / 2 : i / 2;
    return {.t = turn * tokens,
            .tokens = std::min(tokens, T - turn * tokens),
            .h = unit / (n * shared) * shared + head,
            .heads = std::min({shared - head, end - unit, kQueries})};
  }
};

}  // namespace cutaway
