// Coefficients with priors of their own that are not Gaussian, sampled beside theta in units of
// their standard errors. `bayeslmm.estimation.posterior.sampled_coefficients` says how.
#pragma once

#include "priors/registry.h"

namespace lmm {

struct CoefficientPrior {
  static constexpr Int SIZE = 5;

  Int code;
  double location, scale, shape;
  double unit;  // of the coordinate

  explicit CoefficientPrior(const double *row)
      : code(Int(row[0])), location(row[1]), scale(row[2]), shape(row[3]), unit(row[4]) {}

  double coefficient(double x) const { return unit * x; }

  // Log density of the coordinate without its constant, and its derivative.
  LogDensity at(double x) const {
    const double distance = coefficient(x) - location;
    const LogDensity own = with_coefficient_prior(
        code, [&](auto family) { return family.at(distance, scale, shape); });
    return {own.value, unit * own.slope};
  }
};

}  // namespace lmm
