// A family of priors of single parameters: log densities without their constants.
#pragma once

#include "support/views.h"

namespace lmm {

// A log density and its derivative.
struct LogDensity {
  double value, slope;
};

// Up to two hyperparameters, and the interval that the parameter lies in.
struct Hyper {
  static constexpr Int SIZE = 4;

  double a, b, lower, upper;

  explicit Hyper(const double *numbers)
      : a(numbers[0]), b(numbers[1]), lower(numbers[2]), upper(numbers[3]) {}
};

}  // namespace lmm
