// Cholesky factors and inverses of dense matrices, by LAPACK where they are large.
#pragma once

#include "support/views.h"

namespace lmm {

// Overwrite the lower triangle of a square matrix by its factor; whether it is positive definite.
bool cholesky_in_place(Matrix a);

// Overwrite the lower triangle of the leading block of an order, a factor L, by that of (LL')⁻¹.
void inverse_from_cholesky(Matrix a, Int order);

}  // namespace lmm
