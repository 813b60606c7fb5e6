#include "dispatch/report.hpp"

namespace pyrnn {

Report& last_report() noexcept {
  thread_local Report report;
  return report;
}

}  // namespace pyrnn
