// Rational quadratic: 1/(1 + s²), s = distance/range.
#pragma once

#include "covariance/correlations/distance.h"

namespace lmm {

struct RationalQuadratic : OfRange<RationalQuadratic> {
  AtDistance at(double range, double d) const {
    const double s = d / range, value = 1.0 / (1.0 + s * s);
    return {value, 2.0 * (1.0 - value) * value / range};  // s may be infinite
  }
};

}  // namespace lmm
