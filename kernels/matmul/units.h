// Units: how the work of a product, and of what is done to its rows at once, is shared out.
#pragma once

#include <algorithm>

#include "formats/packed.h"

namespace cutaway {

constexpr int64_t kPiece = 48;       // tokens of a piece at least
constexpr int64_t kLongPiece = 128;  // of each, where there are more than four
constexpr int64_t kSlice = 24;       // tokens of a slice, in whole tiles

// How a product [T, N] is cut into units: some strips times a slice of the tokens. First come pieces of the tokens,
// each with all strips: with as many pieces as threads, a thread reads what it has itself written in the stage before,
// while another's lines come slowly; but each piece reads the weight again, so long prompts have longer ones. Slices of
// a piece make units enough for many threads, and share what is unpacked.
struct Units {
  int64_t T, groups;  // of strips
  int64_t pieces, slices;

  Units(int64_t T_, int64_t N, int64_t abreast)
      : T(T_),
        groups((strips(N) + abreast - 1) / abreast),
        pieces(std::max<int64_t>({1, std::min<int64_t>(T / kPiece, 4), T / kLongPiece})),
        slices(((T + pieces - 1) / pieces + kSlice - 1) / kSlice) {}
  int64_t count() const { return pieces * groups * slices; }

  struct Unit {
    int64_t piece, group, slice;
  };
  Unit at(int64_t i) const { return {i / slices / groups, i / slices % groups, i % slices}; }
  void next(Unit& u) const {
    if (++u.slice < slices) return;
    u.slice = 0;
    if (++u.group < groups) return;
    u.group = 0;
    ++u.piece;
  }
  int64_t first_token(const Unit& u) const { return T * u.piece / pieces + u.slice * kSlice; }
  int64_t last_token(const Unit& u) const { return std::min(T * (u.piece + 1) / pieces, first_token(u) + kSlice); }
};

}  // namespace cutaway
