#include "dispatch/registry.hpp"

#include <cstdlib>
#include <stdexcept>

#include "dispatch/cpu.hpp"

namespace pyrnn {

#if PYRNN_HAVE_AVX512
namespace avx512_f32 {
const KernelTable<float>& kernel_table();
}
namespace avx512_f64 {
const KernelTable<double>& kernel_table();
}
#endif
#if PYRNN_HAVE_AVX2
namespace avx2_f32 {
const KernelTable<float>& kernel_table();
}
namespace avx2_f64 {
const KernelTable<double>& kernel_table();
}
#endif
namespace portable_f32 {
const KernelTable<float>& kernel_table();
}
namespace portable_f64 {
const KernelTable<double>& kernel_table();
}

namespace {

// The functions are compiled for their instruction set, so only those of usable ones may be called.
struct Entry {
  const char* name;
  const KernelTable<float>& (*f32)();  // null: not in this build
  const KernelTable<double>& (*f64)();
};

// Best first.
constexpr Entry entries[] = {
#if PYRNN_HAVE_AVX512
    {"avx512", avx512_f32::kernel_table, avx512_f64::kernel_table},
#else
    {"avx512", nullptr, nullptr},
#endif
#if PYRNN_HAVE_AVX2
    {"avx2", avx2_f32::kernel_table, avx2_f64::kernel_table},
#else
    {"avx2", nullptr, nullptr},
#endif
    {"portable", portable_f32::kernel_table, portable_f64::kernel_table},
};

IsaStatus status_of(const Entry& entry) {
  if (entry.f32 == nullptr) return {entry.name, false, "not in this build"};
  const std::string missing = missing_feature(entry.name);
  if (!missing.empty()) return {entry.name, false, "this machine lacks " + missing};
  return {entry.name, true, entry.name == std::string("portable") ? "runs everywhere" : "this machine supports it"};
}

// Shared by PYRNN_ISA and table_by_name: "" where `name` can run, else the message without what it is about.
std::string objection_to(const std::string& name, const std::vector<IsaStatus>& statuses) {
  std::string usable;
  std::string why = "unknown";
  for (const IsaStatus& status : statuses) {
    if (status.usable && status.name == name) return "";
    if (status.usable) usable += (usable.empty() ? "" : ", ") + status.name;
    if (status.name == name) why = status.why;
  }
  return "expected one of " + usable + ", got '" + name + "' (" + why + ")";
}

template <class T>
const KernelTable<T>& table_of(const Entry& entry) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return entry.f32();
  } else {
    return entry.f64();
  }
}

}  // namespace

// Statics are never destroyed: a daemon thread may still compute while the process exits.

const std::vector<IsaStatus>& isa_statuses() {
  static const auto& statuses = *[] {
    auto* list = new std::vector<IsaStatus>;
    for (const Entry& entry : entries) list->push_back(status_of(entry));
    return list;
  }();
  return statuses;
}

IsaChoice choose_isa(const std::vector<IsaStatus>& statuses, const std::string& forced) {
  if (!forced.empty()) {
    const std::string objection = objection_to(forced, statuses);
    if (!objection.empty()) throw std::runtime_error("PYRNN_ISA: " + objection);
    return {forced, true, "PYRNN_ISA forces it"};
  }
  std::string why;
  for (const IsaStatus& status : statuses) {
    if (status.usable) return {status.name, false, why.empty() ? "the best there is" : "the best that can run: " + why};
    why += (why.empty() ? "" : "; ") + status.name + ": " + status.why;
  }
  throw std::runtime_error("no kernels can run here: " + why);
}

const IsaChoice& isa_choice() {
  static const auto& choice = *[] {
    const char* forced = std::getenv("PYRNN_ISA");
    return new IsaChoice(choose_isa(isa_statuses(), forced == nullptr ? "" : forced));
  }();
  return choice;
}

template <class T>
const std::vector<const KernelTable<T>*>& tables() {
  static const auto& usable = *[] {
    auto* list = new std::vector<const KernelTable<T>*>;
    for (const Entry& entry : entries) {
      if (status_of(entry).usable) list->push_back(&table_of<T>(entry));
    }
    return list;
  }();
  return usable;
}

template <class T>
const KernelTable<T>& table_by_name(const std::string& isa) {
  for (const KernelTable<T>* table : tables<T>()) {
    if (table->isa == isa) return *table;
  }
  throw std::invalid_argument("isa: " + objection_to(isa, isa_statuses()));
}

template <class T>
const KernelTable<T>& best_table() {
  static const auto& best = table_by_name<T>(isa_choice().name);
  return best;
}

template const std::vector<const KernelTable<float>*>& tables<float>();
template const std::vector<const KernelTable<double>*>& tables<double>();
template const KernelTable<float>& table_by_name<float>(const std::string&);
template const KernelTable<double>& table_by_name<double>(const std::string&);
template const KernelTable<float>& best_table<float>();
template const KernelTable<double>& best_table<double>();

}  // namespace pyrnn
