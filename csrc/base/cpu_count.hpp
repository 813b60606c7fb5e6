// How many CPUs this process may use, and how many threads a call uses by default.
#pragma once

#include <string>

namespace pyrnn {

constexpr int max_threads = 1024;

struct CpuCount {
  int usable;       // min(affinity, the quota rounded up), at least 1
  int affinity;     // CPUs that the calling thread may run on
  double quota;     // CPUs' worth of time that the cgroups allow; 0 where there is no limit
  std::string why;  // one sentence
};

CpuCount count_cpus();
int usable_cpus();

// CPUs' worth of time that the cgroups (v1 and v2) of this process allow, or 0; files are read below `root`,
// which is "" but in tests.
double cgroup_cpu_quota(const std::string& root);

// What set_num_threads() said, else PYRNN_NUM_THREADS, else usable_cpus().
// std::runtime_error where PYRNN_NUM_THREADS is not a number from 1 to max_threads.
int get_num_threads();
// std::invalid_argument outside 1 .. max_threads.
void set_num_threads(int threads);
// "set_num_threads", "PYRNN_NUM_THREADS" or "usable CPUs".
const char* num_threads_source();

}  // namespace pyrnn
