// Rows of which each depends on the one before it: z_t = (y_t - a_t y_{t-1}) / c_t. Of rows with
// correlation matrix C, z'z = y'C⁻¹y and log|C| = 2 Σ log c_t.
#pragma once

#include "covariance/correlations/registry.h"
#include "equations/whitening/whitening.h"

namespace lmm {

struct Markov {
  // Write the weights, with a_0 = 0 and c_0 = 1; false where parameters are outside their bounds,
  // or places do not increase (by enough to tell).
  static bool weights(Correlation of, ConstVector params, ConstVector place, Whitener K,
                      Memory &memory) {
    if (!inside(of, params, place.size, memory)) return false;
    return with_structure(of.code, [&](auto structure) {
      if constexpr (decltype(structure)::MARKOV) {
        for (Int t = 0; t < place.size; ++t) {
          double &a = K.a()[t], &c = K.c()[t];
          a = 0.0, c = 1.0;
          if (t == 0) continue;
          const double gap = place[t] - place[t - 1];
          if (!(gap > 0.0)) return false;
          structure.step(params, place[t - 1], gap, a, c);
          if (!(c > 0.0)) return false;  // the gap is too small for a number
        }
        return true;
      } else {
        return false;
      }
    });
  }

  static void pull_weights(Correlation of, ConstVector params, ConstVector place, Whitener K,
                           Whitener dK, double *dparams) {
    with_structure(of.code, [&](auto structure) {
      if constexpr (decltype(structure)::MARKOV) {
        for (Int t = 1; t < place.size; ++t) {
          const double a = K.a()[t];
          const double da = dK.a()[t] - dK.c()[t] * a / K.c()[t];  // as c² = 1 - a²
          structure.pull_step(params, place[t - 1], place[t] - place[t - 1], a, da, dparams);
        }
      }
    });
  }

  static void whiten(Whitener K, Matrix Y) {
    for (Int t = Y.rows - 1; t > 0; --t) {
      const double a = K.a()[t], pivot = 1.0 / K.c()[t];
      double *own = Y.row(t), *before = Y.row(t - 1);
      for (Int j = 0; j < Y.columns; ++j) own[j] = (own[j] - a * before[j]) * pivot;
    }
  }

  static void pull(Whitener K, ConstMatrix rows, ConstMatrix Y, Matrix dY, Whitener dK) {
    for (Int t = 1; t < dY.rows; ++t) {
      const double a = K.a()[t], pivot = 1.0 / K.c()[t];
      double da = 0.0, dc = -1.0;
      for (Int j = 0; j < dY.columns; ++j) {
        const double e = dY(t, j) * pivot;
        dc -= dY(t, j) * Y(t, j);
        da -= e * rows(t - 1, j);
        dY(t, j) = e;
        dY(t - 1, j) -= a * e;
      }
      dK.a()[t] += da;
      dK.c()[t] += dc * pivot;
    }
  }

  static void colour(Whitener K, const double *z, double *out) {
    for (Int t = 0; t < K.t; ++t) out[t] = K.a()[t] * (t > 0 ? out[t - 1] : 0.0) + K.c()[t] * z[t];
  }
};

}  // namespace lmm
