// Rows that are correlated with each other made independent, in place, and the adjoints.
//
// Markov and exchangeable structures are whitened in order, each row by the one before it or by the
// sum of all before it, with two weights a row, in a time that grows with the rows. A dense one is
// multiplied by the inverse of the Cholesky factor of its correlation matrix; where that is known,
// the factor stays the same.
#pragma once

#include "covariance/correlations/correlation.h"

namespace lmm {

// How rows are whitened; `bayeslmm.whitening` has the same.
enum Whitening : Int { INDEPENDENT, MARKOV, EXCHANGEABLE, DENSE };

// What whitens t rows: two weights a row, (a, c) with z_t = (y_t - a_t ...)/c_t; or a Cholesky
// factor by rows.
struct Whitener {
  Whitening how;
  Int t;
  double *numbers;

  double *a() const { return numbers; }
  double *c() const { return numbers + t; }
  Matrix K() const { return {numbers, t, t}; }
};

// Rows with the same positions and places, and their parameters. Places (t, d) have no columns
// where no distance counts.
struct Pattern {
  Correlation of;
  ConstVector params;
  const Int *point;
  ConstMatrix place;
};

// Write what whitens the rows of a pattern, and the logarithm of the determinant of their
// correlation matrix; false where the parameters are those of none.
bool whitener_of(const Pattern &pattern, Whitener K, double &log_det, Memory &memory);

// Add to dparams the adjoint of `whitener_of`, given that of the numbers (overwritten).
void whitener_pullback(const Pattern &pattern, Whitener K, Whitener dK, double *dparams,
                       Memory &memory);

// log|C| of the Cholesky factor of C.
double dense_log_det(ConstMatrix K);

// Whiten the rows of Y in place.
void whiten(Whitener K, Matrix Y, Memory &memory);

// The adjoint of `whiten`, and of -½ log|R|: dY is turned into that of the rows that were whitened
// to Y, and that of the numbers of K is added to dK.
void whiten_pullback(Whitener K, ConstMatrix rows, ConstMatrix Y, Matrix dY, Whitener dK,
                     Memory &memory);

// Correlated rows of independent standard normal z.
void colour(Whitener K, const double *z, double *out);

}  // namespace lmm
