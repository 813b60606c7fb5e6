#include "base/cpu_count.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace pyrnn {
namespace {

// A cgroup directory of this process: its quota and that of every directory up to the mount hold.
struct Cgroup {
  bool v2;
  std::string mount;
  std::string below;  // "" or "/..." under the mount
};

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, at);) parts.push_back(part);
  return parts;
}

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Path of this process's cgroup in the hierarchy that limits CPUs, from /proc/self/cgroup ("number:controllers:path").
std::string cgroup_path(const std::string& root, bool v2) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (v2 ? controllers.empty() : contains(split(controllers, ','), "cpu")) return line.substr(second + 1);
  }
  return "";
}

// From /proc/self/mountinfo: "id parent major:minor root mount_point options [fields] - type source super_options".
std::vector<Cgroup> find_cgroups(const std::string& root) {
  std::vector<Cgroup> cgroups;
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> fields = split(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 6 || fields.end() - dash < 4) continue;
    const bool v2 = dash[1] == "cgroup2";
    if (!v2 && !(dash[1] == "cgroup" && contains(split(dash[3], ','), "cpu"))) continue;
    // A container may see only the part of the hierarchy that starts at its own cgroup.
    std::string below = cgroup_path(root, v2);
    const std::string& mounted = fields[3];
    if (mounted != "/" && below.compare(0, mounted.size(), mounted) == 0) below.erase(0, mounted.size());
    if (below.size() < 2 || below[0] != '/' || below.find("..") != std::string::npos) below.clear();
    cgroups.push_back({v2, root + fields[4], below});
  }
  return cgroups;
}

// CPUs' worth of time that one directory allows, or 0.
double directory_quota(const std::string& directory, bool v2) {
  double quota_us = 0;
  double period_us = 0;
  if (v2) {
    std::ifstream file(directory + "/cpu.max");  // "max 100000" or "150000 100000"
    if (!(file >> quota_us >> period_us)) return 0;
  } else {
    std::ifstream quota(directory + "/cpu.cfs_quota_us");  // -1: no limit
    std::ifstream period(directory + "/cpu.cfs_period_us");
    if (!(quota >> quota_us) || !(period >> period_us)) return 0;
  }
  return quota_us > 0 && period_us > 0 ? quota_us / period_us : 0;
}

int affinity_cpus() {
#if defined(__linux__)
  for (int cpus = 1024; cpus <= 1024 * 1024; cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    if (set == nullptr) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(cpus);
    const bool known = sched_getaffinity(0, bytes, set) == 0;
    const bool too_small = !known && errno == EINVAL;
    const int count = known ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
    if (!too_small) break;
  }
#endif
  return std::max(1, static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
}

// Read once: quotas hardly ever change under a process, and files are slow.
double this_process_quota() {
  static const double quota = cgroup_cpu_quota("");
  return quota;
}

// 0 where the variable is not set.
int threads_from_environment() {
  static const int threads = [] {
    const char* text = std::getenv("PYRNN_NUM_THREADS");
    if (text == nullptr || *text == '\0') return 0;
    const std::string value = text;
    const bool digits = value.size() <= 4 && value.find_first_not_of("0123456789") == std::string::npos;
    const int number = digits ? std::stoi(value) : 0;
    if (number < 1 || number > max_threads) {
      throw std::runtime_error("PYRNN_NUM_THREADS: expected a whole number from 1 to " + std::to_string(max_threads) +
                               ", got '" + value + "'");
    }
    return number;
  }();
  return threads;
}

std::atomic<int> chosen_threads{0};  // by set_num_threads; 0: nobody called it

int rounded_up(double quota) {
  return quota >= max_threads ? max_threads : std::max(1, static_cast<int>(std::ceil(quota)));
}

}  // namespace

double cgroup_cpu_quota(const std::string& root) {
  double smallest = 0;
  for (const Cgroup& cgroup : find_cgroups(root)) {
    std::string below = cgroup.below;
    while (true) {
      const double quota = directory_quota(cgroup.mount + below, cgroup.v2);
      if (quota > 0 && (smallest == 0 || quota < smallest)) smallest = quota;
      if (below.empty()) break;
      below.erase(below.find_last_of('/'));
    }
  }
  return smallest;
}

CpuCount count_cpus() {
  CpuCount count;
  count.affinity = affinity_cpus();
  count.quota = this_process_quota();
  count.usable = std::min(count.affinity, max_threads);
  count.why = "affinity allows " + std::to_string(count.affinity) + ", ";
  if (count.quota > 0) {
    count.usable = std::min(count.usable, rounded_up(count.quota));
    char quota[32];
    std::snprintf(quota, sizeof quota, "%.2f", count.quota);
    count.why += std::string("the cgroup quota is worth ") + quota;
  } else {
    count.why += "no cgroup quota";
  }
  return count;
}

int usable_cpus() {
  const int affinity = std::min(affinity_cpus(), max_threads);
  const double quota = this_process_quota();
  return quota > 0 ? std::min(affinity, rounded_up(quota)) : affinity;
}

int get_num_threads() {
  const int chosen = chosen_threads.load(std::memory_order_relaxed);
  if (chosen > 0) return chosen;
  const int environment = threads_from_environment();
  return environment > 0 ? environment : usable_cpus();
}

void set_num_threads(int threads) {
  if (threads < 1 || threads > max_threads) {
    throw std::invalid_argument("threads: expected a whole number from 1 to " + std::to_string(max_threads) + ", got " +
                                std::to_string(threads));
  }
  chosen_threads.store(threads, std::memory_order_relaxed);
}

const char* num_threads_source() {
  if (chosen_threads.load(std::memory_order_relaxed) > 0) return "set_num_threads";
  return threads_from_environment() > 0 ? "PYRNN_NUM_THREADS" : "usable CPUs";
}

}  // namespace pyrnn
