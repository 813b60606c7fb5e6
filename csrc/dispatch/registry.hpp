// The kernel tables this machine can run, best first. PYRNN_ISA=<name> forces one.
#pragma once

#include <string>
#include <vector>

#include "kernel_table.hpp"

namespace pyrnn {

// What products multiply: elements of the dtype, or bf16 (T is float). It chooses a list of tables of its own.
enum class Precision { of_dtype, bf16 };

// T is float or double. The first call reads PYRNN_ISA; std::runtime_error where it names a table that cannot run.
template <class T>
const KernelTable<T>& best_table(Precision precision = Precision::of_dtype);

// Every table that can run, best first, whatever PYRNN_ISA says.
template <class T>
const std::vector<const KernelTable<T>*>& tables(Precision precision = Precision::of_dtype);

// std::invalid_argument where the table is unknown or cannot run; the message lists what there is.
template <class T>
const KernelTable<T>& table_by_name(const std::string& isa, Precision precision = Precision::of_dtype);

struct IsaStatus {
  std::string name;
  bool usable;
  std::string why;
};

// Every instruction set the project knows, best first. For bf16 there is one more, avx512bf16, which comes with avx512
// where the machine has it; the others compute the same bits without the instruction.
const std::vector<IsaStatus>& isa_statuses(Precision precision = Precision::of_dtype);

struct IsaChoice {
  std::string name;
  bool forced;  // by PYRNN_ISA
  std::string why;
};

// What this process runs; errors as best_table().
const IsaChoice& isa_choice();

// The rule behind it: `forced` if it is not empty, else the first that can run. std::runtime_error as best_table().
IsaChoice choose_isa(const std::vector<IsaStatus>& statuses, const std::string& forced);

}  // namespace pyrnn
