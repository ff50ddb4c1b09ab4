// All priors of theta, as `bayeslmm.priors.kernels.prior_arrays` writes them.
#pragma once

#include "support/memory.h"

namespace lmm {

// A prior of one parameter, of the correlations of a bar, of a covariance matrix, or of all
// standard deviations.
struct PriorRow {
  static constexpr Int SIZE = 6;

  Int code, start, stop;  // its parameters in theta
  Int q;                  // effects of LKJ's matrix; exponents that a prior is about
  const double *numbers;
  Int other;  // where the correlations of a matrix, or the exponents, begin in theta

  PriorRow(const Int *row, const double *hyper)
      : code(row[0]), start(row[1]), stop(row[2]), q(row[3]), numbers(hyper + row[4]),
        other(row[5]) {}
};

struct PriorTable {
  Integers rows;
  const double *hyper;

  Int size() const { return rows.size / PriorRow::SIZE; }
  PriorRow operator[](Int i) const { return {rows.data + i * PriorRow::SIZE, hyper}; }
};

// Log density of all priors without their constants, at the parameters that they are about; its
// derivative in the ratio of `VarianceSplit` is written, its gradient added.
double log_priors(const PriorTable &table, ConstVector about, double ratio, double &dratio,
                  double *dabout, Memory &memory);

}  // namespace lmm
