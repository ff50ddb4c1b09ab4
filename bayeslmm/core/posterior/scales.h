// Coordinates of single parameters under NUTS; `bayeslmm.coordinates` says why they are these.
#pragma once

#include "support/views.h"

namespace lmm {

enum class Scale : Int {
  SINH,     // a standard deviation |a sinh x|; its logarithm where a is 0
  LOGIT,    // the logit of the place in (a, b)
  PARTIAL,  // a correlation, part of a matrix
  REAL,     // a x
  JOINT,    // correlations by lag, and loadings
  POWER,    // the logit of the parameter to the power of a
};

// A parameter at x, a standard deviation with the sign of its side, the derivative of its size, the
// logarithm of that and the derivative of the logarithm.
struct Scaled {
  double value, slope, log_slope, change;
};

// The logarithm of the share whose logit is x.
inline double log_share(double x) { return (x < 0.0 ? x : 0.0) - log1p(exp(-fabs(x))); }

inline double scaled_value(Scale scale, double x, double a, double b) {
  switch (scale) {
    case Scale::REAL: return a * x;
    case Scale::LOGIT: return a + (b - a) / (1.0 + exp(-x));
    case Scale::POWER: return exp(log_share(x) / a);
    default: return a > 0.0 ? a * sinh(x) : exp(x);
  }
}

inline Scaled scaled(Scale scale, double x, double a, double b) {
  const double value = scaled_value(scale, x, a, b);
  if (scale == Scale::REAL) return {value, a, log(a), 0.0};
  if (scale == Scale::LOGIT) {
    const double share = 1.0 / (1.0 + exp(-x));
    const double log_slope = log(b - a) - fabs(x) - 2.0 * log1p(exp(-fabs(x)));
    return {value, (b - a) * share * (1.0 - share), log_slope, 1.0 - 2.0 * share};
  }
  if (scale == Scale::POWER) {
    const double left = 1.0 / (1.0 + exp(x));
    const double log_slope = log_share(x) / a + log_share(-x) - log(a);
    return {value, exp(log_slope), log_slope, left / a - (1.0 - left)};
  }
  if (a > 0.0) {
    const double slope = a * cosh(x);
    return {value, x < 0.0 ? -slope : slope, log(slope), tanh(x)};
  }
  return {value, value, x, 1.0};
}

}  // namespace lmm
