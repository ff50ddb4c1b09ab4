// Known correlations, which stand in the place of the distances; there are no parameters.
#pragma once

#include "covariance/correlations/structure.h"

namespace lmm {

struct KnownCorrelation : Structure {
  static constexpr bool GIVEN = true;

  double value(ConstVector, Pair pair) const { return pair.distance; }
  void pull(ConstVector, Pair, double, double *) const {}
  Interval interval(Int) const { return {-1.0, 1.0}; }
  Coordinate coordinate(Int, double x) const { return fisher(x, -1.0, 1.0); }
};

}  // namespace lmm
