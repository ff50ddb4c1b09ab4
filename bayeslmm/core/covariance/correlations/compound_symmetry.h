// One correlation of all pairs of rows; the more rows, the less negative it may be.
#pragma once

#include "covariance/correlations/structure.h"

namespace lmm {

struct CompoundSymmetry : Structure {
  double value(ConstVector params, Pair) const { return params[0]; }
  void pull(ConstVector, Pair, double dvalue, double *dparams) const { dparams[0] += dvalue; }
  Interval interval(Int rows) const { return {-1.0 / double(larger(rows - 1, 1)), 1.0}; }
  Coordinate coordinate(Int rows, double x) const {
    return fisher(x, interval(rows).lower, interval(rows).upper);
  }
};

}  // namespace lmm
