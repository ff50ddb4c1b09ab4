// Rows of any correlation matrix C = KK': z = K⁻¹y.
#pragma once

#include "covariance/cholesky.h"
#include "equations/whitening/whitening.h"

namespace lmm {

struct Dense {
  static void whiten(ConstMatrix K, Matrix Y) {
    for (Int i = 0; i < Y.rows; ++i) {
      for (Int k = 0; k < i; ++k) {
        const double weight = K(i, k);
        if (weight == 0.0) continue;
        for (Int j = 0; j < Y.columns; ++j) Y(i, j) -= weight * Y(k, j);
      }
      const double pivot = 1.0 / K(i, i);
      for (Int j = 0; j < Y.columns; ++j) Y(i, j) *= pivot;
    }
  }

  // dY becomes K⁻ᵀdY, and dK loses (dY Y')'s lower triangle.
  static void pull(ConstMatrix K, ConstMatrix Y, Matrix dY, Matrix dK) {
    for (Int i = dY.rows - 1; i >= 0; --i) {
      for (Int k = i + 1; k < dY.rows; ++k) {
        const double weight = K(k, i);
        if (weight == 0.0) continue;
        for (Int j = 0; j < dY.columns; ++j) dY(i, j) -= weight * dY(k, j);
      }
      const double pivot = 1.0 / K(i, i);
      for (Int j = 0; j < dY.columns; ++j) dY(i, j) *= pivot;
    }
    for (Int i = 0; i < dY.rows; ++i) {
      for (Int k = 0; k <= i; ++k) {
        double value = 0.0;
        for (Int j = 0; j < dY.columns; ++j) value += dY(i, j) * Y(k, j);
        dK(i, k) -= value;
      }
      dK(i, i) -= 1.0 / K(i, i);
    }
  }

  static void colour(ConstMatrix K, const double *z, double *out) {
    for (Int i = 0; i < K.rows; ++i) {
      out[i] = 0.0;
      for (Int k = 0; k <= i; ++k) out[i] += K(i, k) * z[k];
    }
  }
};

}  // namespace lmm
