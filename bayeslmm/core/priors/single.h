// Priors of single parameters by the codes that `bayeslmm.prior_kernels` gives them.
#pragma once

#include "priors/families/beta.h"
#include "priors/families/exponential.h"
#include "priors/families/gamma.h"
#include "priors/families/half_normal.h"
#include "priors/families/half_student_t.h"
#include "priors/families/inverse_gamma.h"
#include "priors/families/log_normal.h"
#include "priors/families/normal.h"
#include "priors/families/uniform.h"

namespace lmm {

enum PriorCode : Int {
  HELD,
  HALF_NORMAL,
  HALF_T,
  EXPONENTIAL,
  GAMMA,
  INVERSE_GAMMA,
  LOG_NORMAL,
  UNIFORM,
  BETA,
  NORMAL,
  LKJ,
  SPLIT,
  WISHART,
  INVERSE_WISHART,
  HUANG_WAND,
};

inline LogDensity log_prior(Int code, double x, Hyper hyper) {
  switch (code) {
    case HALF_NORMAL: return HalfNormal::at(x, hyper);
    case HALF_T: return HalfStudentT::at(x, hyper);
    case EXPONENTIAL: return ExponentialPrior::at(x, hyper);
    case GAMMA: return Gamma::at(x, hyper);
    case INVERSE_GAMMA: return InverseGamma::at(x, hyper);
    case LOG_NORMAL: return LogNormal::at(x, hyper);
    case BETA: return Beta::at(x, hyper);
    case NORMAL: return Normal::at(x, hyper);
    default: return Uniform::at(x, hyper);
  }
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
