// What functions of distance share: a correlation of 1 at distance 0, and its slope in the
// parameter.
#pragma once

#include "covariance/correlations/structure.h"

namespace lmm {

// A correlation and its derivative in the parameter.
struct AtDistance {
  double value, slope;
};

// `Own` has `AtDistance at(double param, double distance) const` for distances that are not 0.
template <class Own>
struct OfDistance : Structure {
  static constexpr bool OF_DISTANCE = true;

  AtDistance at_any(ConstVector params, Pair pair) const {
    if (pair.distance == 0.0) return {1.0, 0.0};
    return static_cast<const Own *>(this)->at(params[0], pair.distance);
  }
  double value(ConstVector params, Pair pair) const { return at_any(params, pair).value; }
  void pull(ConstVector params, Pair pair, double dvalue, double *dparams) const {
    dparams[0] += dvalue * at_any(params, pair).slope;
  }
};

// A function f(s) of s = distance/range times a constant: its derivative is -s f'(s)/range.
template <class Own>
struct OfRange : OfDistance<Own> {
  Interval interval(Int) const { return {0.0, HUGE_VAL}; }
  Coordinate coordinate(Int, double x) const { return exponential(x); }
};

}  // namespace lmm
