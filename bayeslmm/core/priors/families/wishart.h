// Wishart of G: |G|^((df - q - 1)/2) exp(-tr(S⁻¹G)/2). The numbers are df and S⁻¹ (q, q).
#pragma once

#include "priors/matrix.h"

namespace lmm {

struct Wishart {
  static double power(double df, Int q) { return 0.5 * (df - double(q) - 1.0); }

  static double add(const double *numbers, const CovarianceAt &G, Matrix dG) {
    const ConstMatrix inverse_scale = {numbers + 1, dG.rows, dG.rows};
    double value = 0.0;
    for (Int i = 0; i < dG.rows; ++i)
      for (Int j = 0; j < dG.rows; ++j) {
        value -= 0.5 * inverse_scale(i, j) * G.C(i, j) * G.sd[i] * G.sd[j];
        dG(i, j) -= 0.5 * inverse_scale(i, j);
      }
    return value;
  }
};

}  // namespace lmm
