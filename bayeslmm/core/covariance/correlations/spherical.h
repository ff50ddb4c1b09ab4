// Spherical: (1 - s)²(1 + s/2) = 1 - 3s/2 + s³/2, s = distance/range, and 0 from s = 1 on.
#pragma once

#include "covariance/correlations/distance.h"

namespace lmm {

struct Spherical : OfRange<Spherical> {
  AtDistance at(double range, double d) const {
    const double s = d / range;
    if (s >= 1.0) return {0.0, 0.0};
    return {square(1.0 - s) * (1.0 + 0.5 * s), 1.5 * s * (1.0 - s) * (1.0 + s) / range};
  }
};

}  // namespace lmm
