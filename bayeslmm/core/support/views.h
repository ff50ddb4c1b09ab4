// Views of vectors and matrices that someone else owns. Matrices stand row by row.
#pragma once

#include <math.h>
#include <stdint.h>

namespace lmm {

using Int = int64_t;

template <class T>
struct Span {
  T *data;
  Int size;

  T &operator[](Int i) const { return data[i]; }
  Span part(Int first, Int count) const { return {data + first, count}; }
  operator Span<const T>() const { return {data, size}; }
};

template <class T>
struct Grid {
  T *data;
  Int rows, columns;

  T &operator()(Int i, Int j) const { return data[i * columns + j]; }
  T *row(Int i) const { return data + i * columns; }
  Int size() const { return rows * columns; }
  operator Grid<const T>() const { return {data, rows, columns}; }
};

using Vector = Span<double>;
using ConstVector = Span<const double>;
using Integers = Span<const Int>;
using Matrix = Grid<double>;
using ConstMatrix = Grid<const double>;

inline Int larger(Int a, Int b) { return a > b ? a : b; }
inline Int lesser(Int a, Int b) { return a < b ? a : b; }
inline double square(double x) { return x * x; }

inline void fill(double *data, Int size, double value) {
  for (Int i = 0; i < size; ++i) data[i] = value;
}
inline void copy(const double *from, Int size, double *to) {
  for (Int i = 0; i < size; ++i) to[i] = from[i];
}

// The place of element (i, j), j < i, in the strict lower triangle, row by row.
inline Int below_diagonal(Int i, Int j) { return i * (i - 1) / 2 + j; }

}  // namespace lmm
