// Factors of covariance and correlation matrices, and the adjoints back to their parameters.
#pragma once

#include "support/memory.h"

namespace lmm {

// Codes of the structures of a bar without a correlation structure; `bayeslmm.structures` has them.
enum Unshaped : Int { UNRESTRICTED = 0, DIAGONAL = 1, IDENTITY = 2 };

// Cholesky factor K of a correlation matrix given by its strict lower triangle, row by row; the
// upper triangle of K is left. One that is singular to rounding counts, an indefinite one does not.
bool correlation_factor(ConstVector corr, Matrix K);

// Write the lower factor L of G, and say whether G is a covariance matrix. Unrestricted: L =
// diag(sd) K.
bool covariance_factor(Int code, const double *sd, const double *corr, Matrix L);

// Add to dsd and dcorr the adjoint of `covariance_factor`, given that of L (overwritten). The
// derivative in a correlation is left at zero where the correlation matrix is singular. The reverse
// sweep is the unblocked one of Murray (2016), arXiv:1602.07527.
void covariance_pullback(Int code, const double *sd, const double *corr, Matrix dL, double *dsd,
                         double *dcorr, Memory &memory);

// Cholesky factor K of a positive definite C, whose upper triangle is not read; that of K is left.
bool cholesky(ConstMatrix C, Matrix K);

// The adjoint of `cholesky`, as a symmetric one in both triangles; dK is overwritten.
void cholesky_pullback(ConstMatrix K, Matrix dK, Matrix dC);

}  // namespace lmm
