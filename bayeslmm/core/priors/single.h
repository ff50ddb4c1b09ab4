// Priors of single covariance parameters.
#pragma once

#include "priors/registry.h"

namespace lmm {

// Log density without its constant of the family with a code, and its derivative.
inline LogDensity log_prior(Int code, double x, Hyper hyper) {
  return with_prior(code, [&](auto family) { return family.at(x, hyper); });
}

// Log density of (sigma, exponents), without that of the exponents alone, where a prior is about
// sigma exp(Σ c exponents), and its derivative in sigma. `numbers` are the hyperparameters and then
// the c; the gradient in the exponents is added.
inline LogDensity log_shifted_prior(Int code, const double *numbers, double sigma,
                                    ConstVector exponents, double *dexponents) {
  const double *weights = numbers + Hyper::SIZE;
  double shift = 0.0;
  for (Int j = 0; j < exponents.size; ++j) shift += weights[j] * exponents[j];
  const double about = sigma * exp(shift);
  const LogDensity at = log_prior(code, about, Hyper(numbers));
  for (Int j = 0; j < exponents.size; ++j) dexponents[j] += (at.slope * about + 1.0) * weights[j];
  return {at.value + shift, at.slope * exp(shift)};
}

}  // namespace lmm
