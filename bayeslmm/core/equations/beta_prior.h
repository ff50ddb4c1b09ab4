// A Gaussian prior of beta, N(m, B) with B⁻¹ the precision, as one of gamma = r(beta - beta_ols).
#pragma once

#include "equations/factorisation.h"

namespace lmm {

struct BetaPrior {
  ConstVector mean;
  ConstMatrix precision;  // rows and columns of zeros are flat priors
};

struct RotatedPrior {
  Vector mean;       // g
  Matrix precision;  // B̃⁻¹ = r⁻ᵀ B⁻¹ r⁻¹
  double log_det;    // of the precision of beta, over what is not flat
  Int rank;          // of it

  RotatedPrior(const System &y, const BetaPrior &prior, Memory &memory);

  // The prior in the units of the equations at σ²; `room` is written.
  GammaPrior scaled(double sigma2, Memory &memory) const;
};

}  // namespace lmm
