// Factor analysis: C = LL' + I - diag(LL'), with standardised loadings L (T, k), row by row, those
// above the diagonal left out. `bayeslmm.loadings` says what they are.
#pragma once

#include "covariance/correlations/structure.h"

namespace lmm {

struct FactorAnalytic : Structure {
  static constexpr bool SIZED = true, OF_POSITIONS = true, BOUND_JOINTLY = true,
                        COORDINATES_JOINTLY = true;

  Int k;

  explicit FactorAnalytic(Sizes sizes) : k(sizes.first) {}

  Int width(Int row) const { return lesser(row + 1, k); }
  Int first(Int row) const {
    return row < k ? row * (row + 1) / 2 : k * (k + 1) / 2 + (row - k) * k;
  }
  Int rows(Int n_loadings) const { return (n_loadings + k * (k - 1) / 2) / k; }

  double value(ConstVector params, Pair pair) const {
    const double *a = &params[first(pair.i)], *b = &params[first(pair.j)];
    double value = 0.0;
    for (Int f = 0; f < width(lesser(pair.i, pair.j)); ++f) value += a[f] * b[f];
    return value;
  }
  void pull(ConstVector params, Pair pair, double dvalue, double *dparams) const {
    const Int a = first(pair.i), b = first(pair.j);
    for (Int f = 0; f < width(lesser(pair.i, pair.j)); ++f) {
      dparams[a + f] += dvalue * params[b + f];
      dparams[b + f] += dvalue * params[a + f];
    }
  }

  // Whether communalities are at most 1, and the diagonal is not negative.
  bool inside(ConstVector params, Memory &) const;

  // Stick-breaking: a loading is tanh(x) times what those before it leave of the row's length.
  void to_natural(ConstVector x, double *params, Memory &) const;
  double pull_coordinates(ConstVector x, const double *dparams, double *dx, Memory &memory) const;
};

}  // namespace lmm
