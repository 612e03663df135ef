#include "run/sample.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/error.h"
#include "run/philox.h"

namespace cutaway {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

void check(bool holds, const char* name, const std::string& got, const char* expected, const char* hint) {
  if (!holds) throw Error("ArgumentError", std::string(name) + " is " + got + ", expected " + expected, hint);
}

void check(bool holds, const char* name, double got, const char* expected, const char* hint) {
  if (!holds) check(false, name, std::to_string(got), expected, hint);
}

void check(bool holds, const char* name, int64_t got, const char* expected, const char* hint) {
  if (!holds) check(false, name, std::to_string(got), expected, hint);
}

// By descending logit, ties by ascending id: a total order, so every partial sort below has one answer.
constexpr auto before = [](const auto& a, const auto& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
};

constexpr auto by_id = [](const auto& a, const auto& b) { return a.id < b.id; };

// The largest logit's id, ties to the lowest; -1 when all are -inf. One comparison an element: NaN and +inf are not <=
// either, so they are met inside the rare branch.
int64_t largest_of(const float* logits, int64_t n) {
  float best = -infinity;
  int64_t id = -1;
  for (int64_t i = 0; i < n; ++i) {
    if (logits[i] <= best) continue;
    if (!(logits[i] < infinity))
      throw Error("NonFiniteError", "logits[" + std::to_string(i) + "] is " + (logits[i] > 0 ? "+inf" : "NaN"),
                  "run with check=\"finite\" to find the stage where it began", {{"index", i}, {"stage", "logits"}});
    best = logits[i];
    id = i;
  }
  return id;
}

}  // namespace

Sampler::Sampler(SampleOptions options) : options_(std::move(options)) {
  const SampleOptions& o = options_;
  check(std::isfinite(o.temperature) && o.temperature >= 0, "temperature", o.temperature, "a finite number >= 0",
        "0 is greedy, 1 is the model's own distribution");
  check(o.top_k >= 0, "top_k", o.top_k, ">= 0", "0 turns it off");
  check(o.top_p >= 0 && o.top_p <= 1, "top_p", o.top_p, "0 <= top_p <= 1", "1 turns it off");
  check(o.min_p >= 0 && o.min_p <= 1, "min_p", o.min_p, "0 <= min_p <= 1", "0 turns it off");
  check(std::isfinite(o.repetition_penalty) && o.repetition_penalty > 0, "repetition_penalty", o.repetition_penalty,
        "a finite number > 0", "1 turns it off");
  check(std::isfinite(o.presence_penalty), "presence_penalty", o.presence_penalty, "a finite number", "0 turns it off");
  check(std::isfinite(o.frequency_penalty), "frequency_penalty", o.frequency_penalty, "a finite number",
        "0 turns it off");
  check(o.penalty_last_n >= -1, "penalty_last_n", o.penalty_last_n, ">= -1", "-1 is the whole history, 0 none of it");
  for (const auto& [id, bias] : o.logit_bias)
    check(bias < infinity, "logit_bias", bias, "a finite number or -inf",
          "-inf bans a token; to force one, ban the rest");
  std::sort(options_.logit_bias.begin(), options_.logit_bias.end());
  for (size_t i = 1; i < o.logit_bias.size(); ++i)
    check(o.logit_bias[i - 1].first != o.logit_bias[i].first, "logit_bias",
          "given twice for id " + std::to_string(o.logit_bias[i].first), "one bias for each id", "add them up");
}

// Bias and penalties. Without any it returns the row itself. Arithmetic in double, stored as float32. What is not
// finite in the row stays so: a NaN is the model's fault and reported as such, not as a penalty's.
const float* Sampler::adjust(const SampleRow& row) {
  const SampleOptions& o = options_;
  const bool penalties = o.repetition_penalty != 1 || o.presence_penalty != 0 || o.frequency_penalty != 0;
  if (o.logit_bias.empty() && !penalties) return row.logits;
  adjusted_.assign(row.logits, row.logits + row.valid_vocab);

  for (const auto& [id, bias] : o.logit_bias) {
    check(id >= 0 && id < row.valid_vocab, "logit_bias", "for id " + std::to_string(id), "0 <= id < vocabulary size",
          "take the ids from the model's tokenizer");
    float& logit = adjusted_[static_cast<size_t>(id)];
    const bool finite = std::isfinite(logit) && std::isfinite(bias);
    logit = static_cast<float>(logit + bias);
    check(!finite || std::isfinite(logit), "logit_bias", bias, "a sum within float32", "-inf bans a token");
  }

  seen_.clear();
  counts_.resize(static_cast<size_t>(row.V));
  const int64_t last = !penalties ? 0 : o.penalty_last_n < 0 ? row.history_length : o.penalty_last_n;
  for (int64_t t = std::max<int64_t>(0, row.history_length - last); t < row.history_length; ++t)
    if (counts_[static_cast<size_t>(row.history[t])]++ == 0) seen_.push_back(row.history[t]);
  bool inside = true;
  for (int32_t id : seen_) {
    const double count = std::exchange(counts_[static_cast<size_t>(id)], 0);
    if (id >= row.valid_vocab) continue;
    float& logit = adjusted_[static_cast<size_t>(id)];
    const bool finite = std::isfinite(logit);
    double x = logit > 0 ? logit / o.repetition_penalty : logit * o.repetition_penalty;
    x -= o.frequency_penalty * count + o.presence_penalty;
    logit = static_cast<float>(x);
    inside = inside && (!finite || std::isfinite(logit));
  }
  if (!inside)
    throw Error("ArgumentError", "the penalties take a logit out of float32's range, expected a finite result",
                "use penalties nearer to their neutral values");
  return adjusted_.data();
}

// Fills kept_ with the k largest of finite logit, by id. One pass: `cut` is the k-th largest so far, and a later equal
// one loses to it by id. Candidates gather until there are a few times k, so that nth_element runs seldom.
void Sampler::keep_top_k(const float* logits, int64_t n, int64_t k) {
  k = std::min(k, n);
  kept_.clear();
  if (k == 0) return;
  float cut = -infinity;
  const auto shrink = [&] {
    std::nth_element(kept_.begin(), kept_.begin() + (k - 1), kept_.end(), before);
    kept_.resize(static_cast<size_t>(k));
    cut = kept_.back().logit;
  };
  const size_t room = static_cast<size_t>(4 * k + 64);
  for (int64_t i = 0; i < n; ++i) {
    if (logits[i] <= cut) continue;
    kept_.push_back({logits[i], static_cast<int32_t>(i), 0});
    if (kept_.size() == room) shrink();
  }
  if (static_cast<int64_t>(kept_.size()) > k) shrink();
  if (cut > -infinity) std::sort(kept_.begin(), kept_.end(), by_id);
}

// Keeps the shortest head of kept_, by descending logit, whose mass is at least top_p of all; at least one. Sorts no
// more of the head than it needs.
void Sampler::keep_top_p(float largest) {
  double total = 0;
  for (Candidate& c : kept_) total += c.weight = std::exp(static_cast<double>(c.logit) - largest);
  const double wanted = options_.top_p * total;
  // Together the n below (1 - top_p) total / n cannot reach the mass that may be cut, so the head lies before them;
  // half of that leaves room for rounding.
  const double least = 0.5 * (1 - options_.top_p) * total / static_cast<double>(kept_.size());
  if (1 - options_.top_p > 1e-6) std::erase_if(kept_, [&](const Candidate& c) { return c.weight < least; });
  double mass = 0;
  size_t sorted = 0, keep = 0;
  while (keep < kept_.size()) {
    if (keep == sorted) {
      const auto from = kept_.begin() + static_cast<std::ptrdiff_t>(sorted);
      sorted = std::min(kept_.size(), std::max<size_t>(64, 4 * sorted));
      const auto to = kept_.begin() + static_cast<std::ptrdiff_t>(sorted);
      if (to != kept_.end()) std::nth_element(from, to, kept_.end(), before);
      std::sort(from, to, before);
    }
    mass += kept_[keep++].weight;
    if (mass >= wanted) break;
  }
  kept_.resize(keep);
  std::sort(kept_.begin(), kept_.end(), by_id);
}

int32_t Sampler::draw(const float* logits, int64_t n, float largest, const SampleRow& row) {
  const SampleOptions& o = options_;
  keep_top_k(logits, n, o.top_k > 0 ? o.top_k : n);
  if (o.top_p < 1) keep_top_p(largest);
  // p >= min_p * largest p, said in logits: no normalisation, so nothing before it changes its meaning.
  if (o.min_p > 0) {
    const double least = largest + std::log(o.min_p);
    std::erase_if(kept_, [&](const Candidate& c) { return c.logit < least; });
  }
  double total = 0;
  for (Candidate& c : kept_) total += c.weight = std::exp((static_cast<double>(c.logit) - largest) / o.temperature);
  const double target = uniform_at(o.seed, row.sequence, row.position) * total;
  double mass = 0;
  for (const Candidate& c : kept_) {
    mass += c.weight;
    if (mass > target) return c.id;
  }
  throw Error("InternalError", "broken invariant: a draw below the total mass ends inside it");
}

void Sampler::log_probabilities(const SampleRow& row, Sampled* out) {
  const double largest = row.logits[largest_of(row.logits, row.valid_vocab)];
  double total = 0;
  for (int64_t i = 0; i < row.valid_vocab; ++i) total += std::exp(row.logits[i] - largest);
  // The largest is taken off first: a token of probability near 1 keeps the digits of its small logarithm.
  const auto logprob = [&, log_total = std::log(total)](float logit) { return (logit - largest) - log_total; };
  out->logprob = logprob(row.logits[out->id]);
  keep_top_k(row.logits, row.valid_vocab, *row.logprobs);
  std::sort(kept_.begin(), kept_.end(), before);
  for (const Candidate& c : kept_) out->top.push_back({c.id, logprob(c.logit)});
}

Sampled Sampler::sample(const SampleRow& row) {
  check(row.valid_vocab > 0 && row.valid_vocab <= row.V, "valid_vocab", row.valid_vocab,
        "0 < valid_vocab <= length of the row", "give the tokenizer's number of tokens");
  if (row.logprobs) check(*row.logprobs >= 0, "logprobs", *row.logprobs, ">= 0", "None is none");
  for (int64_t t = 0; t < row.history_length; ++t)
    if (row.history[t] < 0 || row.history[t] >= row.V)
      throw Error("InvalidTokenId",
                  "history[" + std::to_string(t) + "] is " + std::to_string(row.history[t]) + ", expected 0 <= id < " +
                      std::to_string(row.V),
                  "", {{"index", t}, {"value", int64_t{row.history[t]}}});

  const float* logits = adjust(row);
  const int64_t best = largest_of(logits, row.valid_vocab);
  if (best < 0) {
    if (largest_of(row.logits, row.valid_vocab) < 0)
      throw Error("NonFiniteError", "every logit is -inf: no token left to sample",
                  "run with check=\"finite\" to find the stage where it began", {{"stage", "logits"}});
    throw Error("ArgumentError", "logit_bias bans every token the model allows: no token left to sample",
                "leave at least one token without a bias of -inf");
  }
  Sampled out{.id = static_cast<int32_t>(best)};
  if (options_.temperature > 0) out.id = draw(logits, row.valid_vocab, logits[best], row);
  if (row.logprobs) log_probabilities(row, &out);
  return out;
}

}  // namespace cutaway
