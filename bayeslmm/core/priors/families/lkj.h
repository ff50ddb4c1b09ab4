// LKJ: the determinant of a correlation matrix to the power of eta - 1.
#pragma once

#include "priors/matrix.h"

namespace lmm {

// Log density without its constant; its gradient is added to dcorr.
inline double log_lkj(double eta, ConstVector corr, Int q, double *dcorr, Memory &memory) {
  if (eta == 1.0) return 0.0;
  const Matrix L = memory.zeros(q, q), inverse = memory.zeros(q, q);
  correlation_factor(corr, L);
  invert_factor(L, inverse);
  double value = 0.0;
  for (Int i = 0; i < q; ++i) value += 2.0 * (eta - 1.0) * log(L(i, i));
  for (Int i = 1; i < q; ++i)
    for (Int j = 0; j < i; ++j)
      for (Int k = i; k < q; ++k)
        dcorr[below_diagonal(i, j)] += 2.0 * (eta - 1.0) * inverse(k, i) * inverse(k, j);
  return value;
}

}  // namespace lmm
