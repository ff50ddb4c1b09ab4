// The parts of a packed vector, one after another.
#pragma once

#include "support/views.h"

namespace lmm {

// The header has where each part begins, and where the last one ends.
template <class T>
class Parts {
  const Int *start_;
  const T *packed_;

 public:
  Parts(const Int *header, const T *packed) : start_(header), packed_(packed) {}
  const Int *header() const { return start_; }
  Int offset() const { return *start_; }
  const T *next_data() { return packed_ + *start_++; }
  Span<const T> next() {
    const Int size = start_[1] - start_[0];
    return {next_data(), size};
  }
};

}  // namespace lmm
