// Relative factors M_f = L_f/σ of theta, and the adjoint back.
#pragma once

#include "equations/system.h"

namespace lmm {

// All bars, or only those that are a correlation with standard deviations: others are linear in M,
// and a search moves M itself.
enum class Bars { ALL, SHAPED };

// Write the blocks of bars into M; false where theta is not that of covariance matrices.
bool relative_factors(const System &y, Bars which, ConstVector theta, double *M, Memory &memory);

// Add the adjoint of `relative_factors` to dtheta.
void relative_factors_pullback(const System &y, Bars which, ConstVector theta, const double *M,
                               const double *dM, double *dtheta, Memory &memory);

}  // namespace lmm
