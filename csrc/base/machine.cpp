#include "base/machine.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "base/error.h"

namespace cutaway {
namespace {

std::vector<std::string> cpu_targets() {
  std::vector<std::string> targets;
#if defined(__x86_64__)
  // The builtin also asks the operating system (XGETBV) whether it saves the wide registers.
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx512 && __builtin_cpu_supports("avx512vnni")) targets.push_back("avx512vnni");
  if (avx512) targets.push_back("avx512");
  if (avx2 && __builtin_cpu_supports("avxvnni")) targets.push_back("avx2vnni");
  if (avx2) targets.push_back("avx2");
#endif
  targets.push_back("scalar");
  return targets;
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  return "unknown CPU";
}

// Cores granted by cgroup v2's cpu.max ("quota period" or "max period"); 0 when there is no limit.
int cgroup_cores() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  return std::max(1, static_cast<int>(std::floor(std::atof(quota.c_str()) / period)));
}

// Cores among the CPUs of `set`: two hardware threads of one core share what products need. Where the system does not
// say which belong together, each CPU counts.
int physical_cores(const cpu_set_t& set) {
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &set)) continue;
    std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
    std::string siblings;
    cores.insert(file >> siblings ? siblings : "cpu " + std::to_string(cpu));
  }
  return static_cast<int>(cores.size());
}

int usable_cores() {
  cpu_set_t set;
  const int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? physical_cores(set) : 1, granted = cgroup_cores();
  return std::max(1, granted ? std::min(cores, granted) : cores);
}

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

}  // namespace

bool Machine::runs(const std::string& target) const {
  return std::find(targets.begin(), targets.end(), target) != targets.end();
}

const Machine& machine() {
  static const Machine it{cpu_targets(), cpu_name(), usable_cores()};
  return it;
}

std::string resolve_target(const std::string& wanted) {
  if (wanted.empty()) return default_target();
  if (machine().runs(wanted)) return wanted;
  throw Error("UnsupportedOperation",
              "target " + printable(wanted) + " cannot run here: this CPU (" + machine().cpu + ") runs " +
                  join(machine().targets),
              "choose one of these targets, or leave it out for the best");
}

const std::string& default_target() {
  static const std::string it = [] {
    const char* forced = std::getenv("CUTAWAY_TARGET");
    return forced && *forced ? resolve_target(forced) : machine().targets.front();
  }();
  return it;
}

}  // namespace cutaway
