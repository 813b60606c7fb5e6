// What the processor and the operating system support.
#pragma once

#include <string>

namespace pyrnn {

// The first feature that the kernels of this instruction set need (their flags in CMakeLists.txt) and this machine
// lacks; "" where it can run them. The operating system must save the registers too (XCR0), which counts as support.
std::string missing_feature(const std::string& isa);

}  // namespace pyrnn
