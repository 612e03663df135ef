// What this machine runs: which CPU targets, how many cores this process may use. Read once, then constant.
#pragma once

#include <string>
#include <vector>

namespace cutaway {

struct Machine {
  std::vector<std::string> targets;  // CPU targets it runs, best first: avx512vnni avx512 avx2vnni avx2 scalar
  std::string cpu;                   // the model's name
  int cores;  // usable by this process (affinity mask, cgroup quota), hardware threads not counted

  bool runs(const std::string& target) const;
};

const Machine& machine();

// The best target, or the one that CUTAWAY_TARGET names; raises UnsupportedOperation where that one cannot run.
const std::string& default_target();

// `wanted` empty: default_target(). Raises UnsupportedOperation naming what this CPU has.
std::string resolve_target(const std::string& wanted);

}  // namespace cutaway
