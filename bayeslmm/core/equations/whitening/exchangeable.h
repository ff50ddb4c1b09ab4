// Rows of compound symmetry: z_t = (y_t - a_t Σ_{s<t} y_s) / c_t.
#pragma once

#include "equations/whitening/whitening.h"

namespace lmm {

struct Exchangeable {
  // Write the weights: the regression of y_t on the sum of those before it, and what this leaves.
  // False if rho is that of no correlation matrix of so many rows.
  static bool weights(double rho, Whitener K) {
    for (Int t = 0; t < K.t; ++t) {
      const double before = 1.0 + (double(t) - 1.0) * rho;  // variance of the sum over t, times 1/t
      const double with = 1.0 + double(t) * rho;
      if (!(rho < 1.0 && with > 0.0)) return false;
      K.a()[t] = t > 0 ? rho / before : 0.0;
      K.c()[t] = t > 0 ? sqrt((1.0 - rho) * with / before) : 1.0;
    }
    return true;
  }

  static double pull_weights(double rho, Whitener K, Whitener dK) {
    double drho = 0.0;
    for (Int t = 1; t < K.t; ++t) {
      const double before = 1.0 + (double(t) - 1.0) * rho, with = 1.0 + double(t) * rho;
      drho += dK.a()[t] / square(before);
      // of c² = (1 - rho)(1 + t rho) / (1 + (t - 1) rho)
      const double slope = -with / before + (1.0 - rho) / square(before);
      drho += dK.c()[t] * slope / (2.0 * K.c()[t]);
    }
    return drho;
  }

  static void whiten(Whitener K, Matrix Y, Memory &memory) {
    double *total = memory.zeros(Y.columns).data;
    for (Int t = 0; t < Y.rows; ++t) {
      const double a = K.a()[t], pivot = 1.0 / K.c()[t];
      for (Int j = 0; j < Y.columns; ++j) {
        const double value = Y(t, j);
        Y(t, j) = (value - a * total[j]) * pivot;
        total[j] += value;
      }
    }
  }

  static void pull(Whitener K, ConstMatrix rows, ConstMatrix Y, Matrix dY, Whitener dK,
                   Memory &memory) {
    double *total = memory.zeros(dY.columns).data;
    for (Int t = 0; t < dY.rows; ++t) {
      const double pivot = 1.0 / K.c()[t];
      double da = 0.0, dc = -1.0;
      for (Int j = 0; j < dY.columns; ++j) {
        const double e = dY(t, j) * pivot;
        dc -= dY(t, j) * Y(t, j);
        da -= e * total[j];
        total[j] += rows(t, j);
        dY(t, j) = e;
      }
      dK.a()[t] += da;
      dK.c()[t] += dc * pivot;
    }
    fill(total, dY.columns, 0.0);
    for (Int t = dY.rows - 1; t >= 0; --t)
      for (Int j = 0; j < dY.columns; ++j) {
        const double e = dY(t, j);
        dY(t, j) -= total[j];
        total[j] += K.a()[t] * e;
      }
  }

  static void colour(Whitener K, const double *z, double *out) {
    double total = 0.0;
    for (Int t = 0; t < K.t; ++t) {
      out[t] = K.a()[t] * total + K.c()[t] * z[t];
      total += out[t];
    }
  }
};

}  // namespace lmm
