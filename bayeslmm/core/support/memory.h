// The memory of one call: taken piece by piece, given back together when the call ends. No two
// calls share any, so that threads need not wait for each other.
#pragma once

#include <setjmp.h>
#include <stdlib.h>

#include "support/views.h"

namespace lmm {

class Memory {
  static constexpr Int ON_STACK = 2048;  // enough for small models, whose calls take microseconds
  static constexpr Int LARGEST = INT64_MAX / 64;

  struct Chunk {
    Chunk *before;
    Int size, used;
    double data[1];
  };

  double own_[ON_STACK];
  Int own_used_ = 0;
  Chunk *last_ = nullptr;

  double *take_chunk(Int n) {
    if (last_ == nullptr || last_->size - last_->used < n) {
      Int size = larger(n, last_ == nullptr ? 4 * ON_STACK : 2 * last_->size);
      auto *chunk =
          n < 0 || n > LARGEST
              ? nullptr
              : static_cast<Chunk *>(malloc(sizeof(Chunk) + size_t(size) * sizeof(double)));
      if (chunk == nullptr) longjmp(exhausted, 1);
      chunk->before = last_, chunk->size = size, chunk->used = 0;
      last_ = chunk;
    }
    double *piece = last_->data + last_->used;
    last_->used += n;
    return piece;
  }

 public:
  // Where the call goes on when the machine has no more memory (`with_memory`): nothing that
  // computes has to ask. All that lives in between is views, which need no destructor.
  jmp_buf exhausted;

  Memory() {}
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;
  ~Memory() {
    while (last_ != nullptr) {
      Chunk *before = last_->before;
      free(last_);
      last_ = before;
    }
  }

  // Uninitialised, as malloc leaves it.
  double *doubles(Int n) {
    if (n < 0 || n > ON_STACK - own_used_) return take_chunk(n);
    double *piece = own_ + own_used_;
    own_used_ += n;
    return piece;
  }
  Int *integers(Int n) {
    static_assert(sizeof(Int) == sizeof(double), "one kind of piece serves both");
    return reinterpret_cast<Int *>(doubles(n));
  }
  Vector vector(Int n) { return {doubles(n), n}; }
  Matrix matrix(Int rows, Int columns) { return {doubles(rows * columns), rows, columns}; }
  Vector zeros(Int n) {
    Vector piece = vector(n);
    fill(piece.data, n, 0.0);
    return piece;
  }
  Matrix zeros(Int rows, Int columns) {
    Matrix piece = matrix(rows, columns);
    fill(piece.data, piece.size(), 0.0);
    return piece;
  }

  // A place to come back to, for what a loop takes in each of its rounds.
  struct Mark {
    Int own_used;
    Chunk *last;
    Int used;
  };
  Mark mark() const { return {own_used_, last_, last_ == nullptr ? 0 : last_->used}; }
  void back_to(const Mark &mark) {
    own_used_ = mark.own_used;
    while (last_ != mark.last) {
      Chunk *before = last_->before;
      free(last_);
      last_ = before;
    }
    if (last_ != nullptr) last_->used = mark.used;
  }
};

}  // namespace lmm
