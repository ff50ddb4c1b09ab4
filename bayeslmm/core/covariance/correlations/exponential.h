// Exponential: exp(-s), s = distance/range.
#pragma once

#include "covariance/correlations/distance.h"

namespace lmm {

struct Exponential : OfRange<Exponential> {
  static constexpr bool MARKOV = true;

  AtDistance at(double range, double d) const {
    const double s = d / range, decay = exp(-s);
    if (decay == 0.0) return {0.0, 0.0};  // s may be infinite
    return {decay, s * decay / range};
  }
  void step(ConstVector params, double, double gap, double &a, double &c) const {
    const double log_a = -gap / params[0];
    a = exp(log_a), c = sqrt(-expm1(2.0 * log_a));
  }
  void pull_step(ConstVector params, double, double gap, double a, double da,
                 double *dparams) const {
    dparams[0] += da * gap * a / square(params[0]);
  }
};

}  // namespace lmm
