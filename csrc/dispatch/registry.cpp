#include "dispatch/registry.hpp"

#include <cstdlib>
#include <stdexcept>

#include "dispatch/cpu.hpp"

namespace pyrnn {

#if PYRNN_HAVE_AVX512BF16
namespace avx512bf16_bf16 {
const KernelTable<float>& kernel_table();
}
#endif
#if PYRNN_HAVE_AVX512
namespace avx512_bf16 {
const KernelTable<float>& kernel_table();
}
namespace avx512_f32 {
const KernelTable<float>& kernel_table();
}
namespace avx512_f64 {
const KernelTable<double>& kernel_table();
}
#endif
#if PYRNN_HAVE_AVX2
namespace avx2_bf16 {
const KernelTable<float>& kernel_table();
}
namespace avx2_f32 {
const KernelTable<float>& kernel_table();
}
namespace avx2_f64 {
const KernelTable<double>& kernel_table();
}
#endif
namespace portable_bf16 {
const KernelTable<float>& kernel_table();
}
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
  const KernelTable<float>& (*bf16)();  // with the instructions of `name` alone
};

// Best first.
constexpr Entry entries[] = {
#if PYRNN_HAVE_AVX512
    {"avx512", avx512_f32::kernel_table, avx512_f64::kernel_table, avx512_bf16::kernel_table},
#else
    {"avx512", nullptr, nullptr, nullptr},
#endif
#if PYRNN_HAVE_AVX2
    {"avx2", avx2_f32::kernel_table, avx2_f64::kernel_table, avx2_bf16::kernel_table},
#else
    {"avx2", nullptr, nullptr, nullptr},
#endif
    {"portable", portable_f32::kernel_table, portable_f64::kernel_table, portable_bf16::kernel_table},
};

// Instructions for bf16 alone; they are chosen with the instruction set that they extend.
struct Extension {
  const char* name;
  const char* extends;
  const KernelTable<float>& (*bf16)();
};

#if PYRNN_HAVE_AVX512BF16
constexpr Extension bf16_extension = {"avx512bf16", "avx512", avx512bf16_bf16::kernel_table};
#else
constexpr Extension bf16_extension = {"avx512bf16", "avx512", nullptr};
#endif

IsaStatus status_of(const Entry& entry) {
  if (entry.f32 == nullptr) return {entry.name, false, "not in this build"};
  const std::string missing = missing_feature(entry.name);
  if (!missing.empty()) return {entry.name, false, "this machine lacks " + missing};
  return {entry.name, true, entry.name == std::string("portable") ? "runs everywhere" : "this machine supports it"};
}

IsaStatus status_of(const Extension& extension) {
  if (extension.bf16 == nullptr) return {extension.name, false, "not in this build"};
  const std::string missing = missing_feature(extension.name);
  if (!missing.empty()) return {extension.name, false, "this machine lacks " + missing};
  return {extension.name, true, "this machine supports it"};
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
using Tables = std::vector<const KernelTable<T>*>;

template <class T>
Tables<T> usable_tables() {
  Tables<T> list;
  for (const Entry& entry : entries) {
    if (!status_of(entry).usable) continue;
    if constexpr (sizeof(T) == sizeof(float)) {
      list.push_back(&entry.f32());
    } else {
      list.push_back(&entry.f64());
    }
  }
  return list;
}

Tables<float> usable_bf16_tables() {
  Tables<float> list;
  if (status_of(bf16_extension).usable) list.push_back(&bf16_extension.bf16());
  for (const Entry& entry : entries)
    if (status_of(entry).usable) list.push_back(&entry.bf16());
  return list;
}

}  // namespace

// Statics are never destroyed: a daemon thread may still compute while the process exits.

const std::vector<IsaStatus>& isa_statuses(Precision precision) {
  static const auto& statuses = *[] {
    auto* list = new std::vector<IsaStatus>;
    for (const Entry& entry : entries) list->push_back(status_of(entry));
    return list;
  }();
  static const auto& for_bf16 = *[] {
    auto* list = new std::vector<IsaStatus>(statuses);
    list->insert(list->begin(), status_of(bf16_extension));
    return list;
  }();
  return precision == Precision::bf16 ? for_bf16 : statuses;
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
const Tables<T>& tables(Precision precision) {
  static const auto& own = *new Tables<T>(usable_tables<T>());
  if constexpr (sizeof(T) == sizeof(float)) {
    if (precision == Precision::bf16) {
      static const auto& bf16 = *new Tables<T>(usable_bf16_tables());
      return bf16;
    }
  } else {
    if (precision == Precision::bf16) throw std::invalid_argument("precision: there are no bf16 tables for float64");
  }
  return own;
}

template <class T>
const KernelTable<T>& table_by_name(const std::string& isa, Precision precision) {
  for (const KernelTable<T>* table : tables<T>(precision)) {
    if (table->isa == isa) return *table;
  }
  throw std::invalid_argument("isa: " + objection_to(isa, isa_statuses(precision)));
}

template <class T>
const KernelTable<T>& best_table(Precision precision) {
  static const auto& own = table_by_name<T>(isa_choice().name, Precision::of_dtype);
  if (precision == Precision::of_dtype) return own;
  static const std::string& extended = *new std::string(
      isa_choice().name == bf16_extension.extends && status_of(bf16_extension).usable ? bf16_extension.name
                                                                                      : isa_choice().name);
  return table_by_name<T>(extended, precision);
}

template const Tables<float>& tables<float>(Precision);
template const Tables<double>& tables<double>(Precision);
template const KernelTable<float>& table_by_name<float>(const std::string&, Precision);
template const KernelTable<double>& table_by_name<double>(const std::string&, Precision);
template const KernelTable<float>& best_table<float>(Precision);
template const KernelTable<double>& best_table<double>(Precision);

}  // namespace pyrnn
