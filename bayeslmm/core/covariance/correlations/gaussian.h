// Gaussian: exp(-s²), s = distance/range.
#pragma once

#include "covariance/correlations/distance.h"

namespace lmm {

struct Gaussian : OfRange<Gaussian> {
  AtDistance at(double range, double d) const {
    const double s = d / range, decay = exp(-s * s);
    if (decay == 0.0) return {0.0, 0.0};  // s may be infinite
    return {decay, 2.0 * s * s * decay / range};
  }
};

}  // namespace lmm
