// Correlation matrices by Fisher's z of the partial correlations of effects i and j given those
// before j, row by row, and covariance matrices taken apart.
#pragma once

#include "support/memory.h"

namespace lmm {

// Cholesky factor L of the correlation matrix whose partial correlations are tanh(x).
void partial_factor(const double *x, Matrix L);

// Write the adjoint of `partial_factor` with the gradient of the Jacobian of the correlations,
// whose logarithm is returned.
double partial_factor_pullback(const double *x, ConstMatrix L, ConstMatrix dL, double *dx);

// Standard deviations and correlations of FF'; the rows of F are brought to unit length.
void split(Matrix F, double *sd, double *corr);

// The adjoint of `split`, of an F that it has brought to unit length; dF is written.
void split_pullback(ConstMatrix F, const double *sd, const double *dsd, const double *dcorr,
                    Matrix dF);

}  // namespace lmm
