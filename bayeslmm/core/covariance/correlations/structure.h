// What a correlation structure is: a small type with a file of its own, of which `registry.h` lists
// all. Everything else (matrices, their adjoints, nuggets, whitening, coordinates) is written once
// for any of them.
#pragma once

#include "covariance/correlations/scalars.h"
#include "support/memory.h"

namespace lmm {

// What the correlation of two rows may depend on: their positions among the occasions, and their
// distance (of known correlations, the correlation itself).
struct Pair {
  Int i, j;
  double distance;

  Int lag() const { return i > j ? i - j : j - i; }
};

struct Interval {
  double lower, upper;
};

// Up to two numbers that tell a structure from others of its kind, such as a number of factors.
struct Sizes {
  Int first, second;
};

// What holds unless a structure says otherwise. It has these members:
//   double value(ConstVector params, Pair) const
//   void pull(ConstVector params, Pair, double dvalue, double *dparams) const
// the second of which adds the adjoint of the first.
struct Structure {
  // Is made from `Sizes`.
  static constexpr bool SIZED = false;
  // Depends on positions; rows at one position then correlate by 1.
  static constexpr bool OF_POSITIONS = false;
  // Depends on distances; may have a nugget.
  static constexpr bool OF_DISTANCE = false;
  // Correlations are given in the place of distances.
  static constexpr bool GIVEN = false;
  // Parameters are bound to each other: has
  //   bool inside(ConstVector params, Memory &) const
  // in place of `Interval interval(Int rows) const`, the open interval of each parameter.
  static constexpr bool BOUND_JOINTLY = false;
  // Coordinates make parameters together: has
  //   void to_natural(ConstVector x, double *params, Memory &) const
  //   double pull_coordinates(ConstVector x, const double *dparams, double *dx, Memory &) const
  // in place of `Coordinate coordinate(Int rows, double x) const`, that of each parameter.
  static constexpr bool COORDINATES_JOINTLY = false;
  // Rows in order depend on the row before alone (without a nugget, along one line): has
  //   void step(ConstVector params, double from, double gap, double &a, double &c) const
  //   void pull_step(ConstVector params, double from, double gap, double a, double da,
  //                  double *dparams) const
  // the correlation a with the row before, c = √(1 - a²), and the adjoint of a.
  static constexpr bool MARKOV = false;
};

}  // namespace lmm
