// Unconstrained coordinates x of single parameters.
#pragma once

#include "support/views.h"

namespace lmm {

// A parameter at x, its derivative, the logarithm of that, and the derivative of the logarithm.
struct Coordinate {
  double value, slope, log_slope, change;
};

// log cosh x, which does not overflow.
inline double log_cosh(double x) { return fabs(x) + log1p(exp(-2.0 * fabs(x))) - log(2.0); }

// A value whose share of an interval has the logit x.
inline Coordinate logistic(double x, double lower, double upper) {
  const double e = exp(-fabs(x)), width = upper - lower;
  const double share = x >= 0.0 ? 1.0 / (1.0 + e) : e / (1.0 + e);
  return {lower + width * share, width * e / square(1.0 + e), log(width) - fabs(x) - 2.0 * log1p(e),
          1.0 - 2.0 * share};
}

// A value of which x is Fisher's z, half a logit, scaled to the interval.
inline Coordinate fisher(double x, double lower, double upper) {
  const Coordinate at = logistic(2.0 * x, lower, upper);
  return {at.value, 2.0 * at.slope, at.log_slope + log(2.0), 2.0 * at.change};
}

// A positive value with the logarithm x.
inline Coordinate exponential(double x) { return {exp(x), exp(x), x, 1.0}; }

}  // namespace lmm
