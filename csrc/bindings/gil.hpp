// Giving up the interpreter lock for the length of a call.
#pragma once

#include <pybind11/pybind11.h>
#include <unistd.h>

namespace pyrnn::bindings {

class GilRelease {
 public:
  GilRelease() : state_(PyEval_SaveThread()) {}
  // A daemon thread that comes back while the interpreter shuts down never gets the lock. CPython 3.14 lets it hang;
  // older ones end it by pthread_exit, which unwinds the stack as an exception does: into destructors of Python objects
  // and, here, into std::terminate. So it is caught, and the thread hangs here until the process ends.
  ~GilRelease() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {
      while (true) pause();
    }
  }
  GilRelease(const GilRelease&) = delete;
  GilRelease& operator=(const GilRelease&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace pyrnn::bindings
