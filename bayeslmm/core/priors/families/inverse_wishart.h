// Inverse Wishart of G: |G|^(-(df + q + 1)/2) exp(-tr(S P)/2), P = G⁻¹. The numbers are df and S
// (q, q).
#pragma once

#include "priors/matrix.h"

namespace lmm {

struct InverseWishart {
  static double power(double df, Int q) { return -0.5 * (df + double(q) + 1.0); }

  static double add(const double *numbers, const CovarianceAt &G, Matrix dG) {
    const ConstMatrix scale = {numbers + 1, dG.rows, dG.rows};
    const Int q = dG.rows;
    double value = 0.0;
    for (Int i = 0; i < q; ++i)
      for (Int j = 0; j < q; ++j) {
        value -= 0.5 * scale(i, j) * G.P(i, j);
        for (Int k = 0; k < q; ++k)
          for (Int m = 0; m < q; ++m) dG(i, j) += 0.5 * G.P(i, k) * scale(k, m) * G.P(m, j);
      }
    return value;
  }
};

}  // namespace lmm
