// Priors of a covariance matrix G, as densities of its standard deviations and correlations.
#pragma once

#include "covariance/cholesky.h"

namespace lmm {

// G at standard deviations and correlations.
struct CovarianceAt {
  const double *sd;
  Matrix C, P;     // the correlations, and G⁻¹
  double log_det;  // half of log|G|
  bool ok;         // whether G is positive definite

  CovarianceAt(const double *sd, ConstVector corr, Int q, Memory &memory);
};

// The inverse of a lower triangular L, into zeros.
void invert_factor(ConstMatrix L, Matrix inverse);

// Log density without its constant of the family with a code (`PriorCode`), minus infinity where G
// is none; its gradient is added. The Jacobian of G in (sd, corr) is 2^q ∏ sd^q. With S the
// gradient in the elements of G, that in corr_ij is 2 S_ij sd_i sd_j, and in sd_i 2 Σ_j S_ij sd_j
// corr_ij.
double log_matrix_prior(Int code, const double *numbers, Int q, const double *sd, ConstVector corr,
                        double *dsd, double *dcorr, Memory &memory);

}  // namespace lmm
