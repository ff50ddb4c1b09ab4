// What the functions that Python calls have in common.
#pragma once

#include "support/memory.h"

#if defined(_WIN32)
#define BAYESLMM_EXPORT extern "C" __declspec(dllexport)
#else
#define BAYESLMM_EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace lmm {

// What a call returns; `bayeslmm.native.Status` has the same.
enum Status : int {
  OK = 0,
  NOT_DEFINED = 1,  // not the parameters of covariance matrices, a singular matrix, NaN
  NO_MEMORY = 2,
};

inline Status defined(bool ok) { return ok ? OK : NOT_DEFINED; }

template <class Work>
Status with_memory(Work work) {
  Memory memory;
  if (setjmp(memory.exhausted) != 0) return NO_MEMORY;
  return work(memory);
}

}  // namespace lmm
