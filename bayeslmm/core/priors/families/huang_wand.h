// Huang and Wand (2013) of G: |G|^(-(df + 2q)/2) ∏ (df P_kk + 1/s_k²)^(-(df + q)/2), P = G⁻¹. The
// numbers are df and the q scales.
#pragma once

#include "priors/matrix.h"

namespace lmm {

struct HuangWand {
  static double power(double df, Int q) { return -0.5 * (df + 2.0 * double(q)); }

  static double add(const double *numbers, const CovarianceAt &G, Matrix dG) {
    const Int q = dG.rows;
    const double df = numbers[0], *scale = numbers + 1, outer = df + double(q);
    double value = 0.0;
    for (Int k = 0; k < q; ++k) {
      const double term = df * G.P(k, k) + 1.0 / square(scale[k]);
      value -= 0.5 * outer * log(term);
      for (Int i = 0; i < q; ++i)
        for (Int j = 0; j < q; ++j) dG(i, j) += 0.5 * outer * df * G.P(i, k) * G.P(j, k) / term;
    }
    return value;
  }
};

}  // namespace lmm
