// Matérn of smoothness 1.5 and 2.5: a polynomial in s times exp(-s), s = √(2 smoothness) distance /
// range.
#pragma once

#include "covariance/correlations/distance.h"

namespace lmm {

struct Matern15 : OfRange<Matern15> {
  AtDistance at(double range, double d) const {
    const double s = d / range * sqrt(3.0), decay = exp(-s);
    if (decay == 0.0) return {0.0, 0.0};  // s may be infinite
    return {(1.0 + s) * decay, s * s * decay / range};
  }
};

struct Matern25 : OfRange<Matern25> {
  AtDistance at(double range, double d) const {
    const double s = d / range * sqrt(5.0), decay = exp(-s);
    if (decay == 0.0) return {0.0, 0.0};
    return {(1.0 + s + s * s / 3.0) * decay, s * s * (1.0 + s) / 3.0 * decay / range};
  }
};

}  // namespace lmm
