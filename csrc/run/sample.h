// Sampling: one row of logits and the ids so far -> the next id.
//
// The order, which is llama.cpp's:
//   logit bias -> penalties -> temperature 0: the largest logit, ties to the lowest id
//              -> top_k -> top_p -> min_p -> temperature -> draw
// Temperature comes last so that the filters cut the distribution the model gave: what top_p lets through does not grow
// when the temperature does. (Hugging Face puts temperature first; with one of the two at its neutral value both orders
// are the same.)
//
// Order of sums: every sum of probabilities runs by ascending id, but for top_p's running mass, which runs by
// descending logit with ties by ascending id. So the chosen id is a function of the row, the history, the options and
// the place.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace cutaway {

// What each value means, and what is refused, is the table in the docstring of cutaway._core.Sampler.
struct SampleOptions {
  double temperature = 1;         // 0: greedy
  int64_t top_k = 0;              // keep the k largest; 0: off
  double top_p = 1;               // keep the fewest of largest probability whose mass is at least top_p; 1: off
  double min_p = 0;               // keep those with at least min_p of the largest probability; 0: off
  double repetition_penalty = 1;  // logit / r where positive, logit * r elsewhere: Keskar et al. 2019,
                                  // arXiv:1909.05858, sec. 4.1, with the sign minded as Hugging Face does
  double presence_penalty = 0;    // logit - presence for each id in the history
  double frequency_penalty = 0;   // logit - frequency * (times in the history)
  int64_t penalty_last_n = -1;    // ids at the end of the history that penalties see; -1: all, 0: none
  uint64_t seed = 0;
  std::vector<std::pair<int64_t, double>> logit_bias;  // id, added to its logit; -inf bans it
};

struct SampleRow {
  const float* logits;     // [V]
  int64_t V;               // rows of the head
  int64_t valid_vocab;     // tokens the tokenizer has, <= V: padded rows behind them are neither read nor sampled
  const int32_t* history;  // [history_length], prompt and generated ids
  int64_t history_length;
  uint64_t sequence, position;  // where the draw is made: which sequence, and how many tokens stand before this one
  std::optional<int64_t> logprobs = {};  // n: the chosen token's and those of the n largest
};

// Log-probabilities are of the raw logits: what the model said, before bias, penalties, filters and temperature.
struct TokenLogprob {
  int32_t id;
  double logprob;
};

struct Sampled {
  int32_t id = 0;
  double logprob = 0;                  // of id; meaningful when asked for
  std::vector<TokenLogprob> top = {};  // descending, ties by id; shorter where fewer have a finite logit
};

class Sampler {
 public:
  explicit Sampler(SampleOptions options);  // raises ArgumentError

  // Raises NonFiniteError for NaN, +inf or only -inf in the row; ArgumentError where bias and penalties leave no token
  // or leave float32; InvalidTokenId for a history that is not of this vocabulary.
  Sampled sample(const SampleRow& row);

  const SampleOptions& options() const { return options_; }

 private:
  struct Candidate {
    float logit;
    int32_t id;
    double weight;  // exp(logit - largest), when computed
  };
  const float* adjust(const SampleRow& row);
  void keep_top_k(const float* logits, int64_t n, int64_t k);
  void keep_top_p(float largest);
  int32_t draw(const float* logits, int64_t n, float largest, const SampleRow& row);
  void log_probabilities(const SampleRow& row, Sampled* out);

  SampleOptions options_;
  std::vector<float> adjusted_;         // scratch, kept between calls so that a token costs no allocation
  std::vector<int32_t> counts_, seen_;  // counts_ is zero between calls
  std::vector<Candidate> kept_;
};

}  // namespace cutaway
