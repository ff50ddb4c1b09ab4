// A bar of a formula: its place in theta and in the relative factor of its grouping factor, and the
// lower factor L of its G = LL' with the adjoint back.
#pragma once

#include "covariance/correlations/correlation.h"

namespace lmm {

// A row of the table of bars (`bayeslmm.shapes` writes it). A bar that is a correlation with
// standard deviations of its effects has a record in the table as well: the places in theta of its
// correlation parameters and of the exponents that its standard deviations grow by; and, as the
// bits of floats, the distances of its effects (q, q) and the covariates (q, c) of the exponents.
struct Bar {
  static constexpr Int ROW = 10, SHAPED = 8;

  Int factor, first, q, code;
  Int sd, n_sd;      // where its standard deviations begin in theta, and how many they are
  Int corr, n_corr;  // its correlation parameters
  Int n_exponents;
  const Int *record;

  Bar(Integers table, Int number);

  bool shaped() const { return code >= SHAPED; }
  Correlation correlation() const { return {(code - SHAPED) / 2, (code - SHAPED) % 2 == 1}; }
  // The place in theta of an effect's standard deviation, and of a correlation parameter or an
  // exponent of a record.
  Int sd_of(Int effect) const { return n_sd > 1 ? sd + effect : sd; }
  Int corr_of(Int i) const { return record[i]; }
  Int exponent_of(Int j) const { return record[n_corr + j]; }
  ConstMatrix distances() const { return {floats(n_corr + n_exponents), q, q}; }
  ConstMatrix covariates() const { return {floats(n_corr + n_exponents + q * q), q, n_exponents}; }

 private:
  const double *floats(Int at) const { return reinterpret_cast<const double *>(record + at); }
};

// Write L (q, q), and say whether theta are the parameters of a covariance matrix.
bool bar_factor(const Bar &bar, const double *theta, Matrix L, Memory &memory);

// Add to dtheta the adjoint of `bar_factor`, given that of L (overwritten).
void bar_pullback(const Bar &bar, const double *theta, Matrix dL, double *dtheta, Memory &memory);

}  // namespace lmm
