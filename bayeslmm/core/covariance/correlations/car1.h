// Continuous-time autoregression: rho, the correlation at a distance of one, to the power of the
// distance.
#pragma once

#include "covariance/correlations/distance.h"

namespace lmm {

struct ContinuousAutoregressive : OfDistance<ContinuousAutoregressive> {
  static constexpr bool MARKOV = true;

  AtDistance at(double rho, double d) const { return {pow(rho, d), d * pow(rho, d - 1.0)}; }
  Interval interval(Int) const { return {0.0, 1.0}; }
  Coordinate coordinate(Int, double x) const { return logistic(x, 0.0, 1.0); }

  void step(ConstVector params, double, double gap, double &a, double &c) const {
    const double log_a = gap * log(params[0]);
    a = exp(log_a), c = sqrt(-expm1(2.0 * log_a));
  }
  void pull_step(ConstVector params, double, double gap, double a, double da,
                 double *dparams) const {
    dparams[0] += da * gap * a / params[0];
  }
};

}  // namespace lmm
