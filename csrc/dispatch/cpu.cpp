#include "dispatch/cpu.hpp"

namespace pyrnn {

#if defined(__x86_64__)

// __builtin_cpu_supports reads CPUID and, for vector registers, XGETBV; it takes only literals.
std::string missing_feature(const std::string& isa) {
  __builtin_cpu_init();
  const bool avx512 = isa == "avx512" || isa == "avx512bf16";
  if (avx512 || isa == "avx2") {
    if (!__builtin_cpu_supports("avx2")) return "avx2";
    if (!__builtin_cpu_supports("fma")) return "fma";
  }
  if (avx512) {
    if (!__builtin_cpu_supports("avx512f")) return "avx512f";
    if (!__builtin_cpu_supports("avx512bw")) return "avx512bw";
    if (!__builtin_cpu_supports("avx512dq")) return "avx512dq";
    if (!__builtin_cpu_supports("avx512vl")) return "avx512vl";
  }
  if (isa == "avx512bf16" && !__builtin_cpu_supports("avx512bf16")) return "avx512bf16";
  return "";
}

#else

std::string missing_feature(const std::string& isa) { return isa == "portable" ? "" : "an x86-64 processor"; }

#endif

}  // namespace pyrnn
