// What the last call of this thread really ran; the bindings write it, tests and curious people read it.
#pragma once

namespace pyrnn {

// Strings are literals or belong to a kernel table; null and 0 mean "does not apply".
struct Report {
  const char* call = nullptr;  // "forward", "backward", "forward_both", "stream_step", ...
  const char* isa = nullptr;
  const char* dtype = nullptr;      // "float32", "float64"
  const char* precision = nullptr;  // of the products: the dtype, or "bf16"
  const char* cell = nullptr;
  int workers = 0;  // direction_parts * batch_parts * unit_parts
  int direction_parts = 0;
  int batch_parts = 0;
  int unit_parts = 0;
  int tile_rows = 0;  // as forced; 0: the table's choice
  long chunks = 0;    // how often the call came back to look for signals, plus one
  long segments = 0;  // of the steps, that the tape keeps one at a time; 1: a full tape, 0: no tape
  long segment_steps = 0;
  bool busy = false;  // another call had the team, so this one ran alone
  bool gil_released = false;
  bool hoisted = false;         // the input product ran over all steps first
  bool copied_inputs = false;   // some argument's memory layout needed a copy
  bool packed_weights = false;  // weights came packed (ops.Weights, ops.pack), not packed by this call
};

Report& last_report() noexcept;  // of the calling thread

}  // namespace pyrnn
