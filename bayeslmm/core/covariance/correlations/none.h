// Independent rows.
#pragma once

#include "covariance/correlations/structure.h"

namespace lmm {

struct NoCorrelation : Structure {
  double value(ConstVector, Pair) const { return 0.0; }
  void pull(ConstVector, Pair, double, double *) const {}
  Interval interval(Int) const { return {-1.0, 1.0}; }
  Coordinate coordinate(Int, double x) const { return fisher(x, -1.0, 1.0); }
};

}  // namespace lmm
