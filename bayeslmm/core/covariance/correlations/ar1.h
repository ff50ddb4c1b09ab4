// First-order autoregression: rho to the power of the lag.
#pragma once

#include "covariance/correlations/structure.h"

namespace lmm {

struct Autoregressive : Structure {
  static constexpr bool OF_POSITIONS = true, MARKOV = true;

  double value(ConstVector params, Pair pair) const { return pow(params[0], double(pair.lag())); }
  void pull(ConstVector params, Pair pair, double dvalue, double *dparams) const {
    const double lag = double(pair.lag());
    dparams[0] += dvalue * lag * pow(params[0], lag - 1.0);
  }
  Interval interval(Int) const { return {-1.0, 1.0}; }
  Coordinate coordinate(Int, double x) const { return fisher(x, -1.0, 1.0); }

  void step(ConstVector params, double, double gap, double &a, double &c) const {
    a = 1.0;
    for (Int k = 0; k < Int(gap); ++k) a *= params[0];
    c = sqrt((1.0 - a) * (1.0 + a));
  }
  void pull_step(ConstVector params, double, double gap, double, double da, double *dparams) const {
    dparams[0] += da * gap * pow(params[0], gap - 1.0);
  }
};

}  // namespace lmm
