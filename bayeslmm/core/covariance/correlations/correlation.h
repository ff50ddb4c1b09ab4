// Correlation matrices of rows, the adjoint back to the parameters, and unconstrained coordinates
// of these, for any structure.
#pragma once

#include "support/memory.h"

namespace lmm {

// A structure by its code, and whether its last parameter is a nugget, which multiplies the
// correlations off the diagonal by one less it.
struct Correlation {
  Int code;
  bool nugget;
};

// Rows that are correlated: their positions among all occasions, and their distances, which only
// functions of distance read; of known correlations these.
struct CorrelatedRows {
  const Int *point;
  ConstMatrix distance;
};

// Write the correlation matrix C, unless the parameters are those of none.
bool correlation(Correlation of, ConstVector params, CorrelatedRows rows, Matrix C, Memory &memory);

// Add the adjoint of `correlation`, given that of C, of which a pair counts with both triangles.
void correlation_pullback(Correlation of, ConstVector params, CorrelatedRows rows, ConstMatrix dC,
                          double *dparams);

// Whether parameters are those of a correlation matrix of so many rows.
bool inside(Correlation of, ConstVector params, Int rows, Memory &memory);

// Write the parameters at unconstrained coordinates.
void to_natural(Correlation of, Int occasions, ConstVector x, double *params, Memory &memory);

// Write the gradient in x of a log density with the gradient dparams, with the Jacobian, whose
// logarithm is returned.
double coordinates_pullback(Correlation of, Int occasions, ConstVector x, const double *dparams,
                            double *dx, Memory &memory);

}  // namespace lmm
