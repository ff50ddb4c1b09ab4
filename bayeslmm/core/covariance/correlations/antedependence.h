// First-order antedependence: products of the correlations of neighbouring occasions between two.
#pragma once

#include "covariance/correlations/structure.h"

namespace lmm {

struct Antedependence : Structure {
  static constexpr bool OF_POSITIONS = true, MARKOV = true;

  static double product(ConstVector rho, Int from, Int gap) {
    double value = 1.0;
    for (Int k = 0; k < gap; ++k) value *= rho[from + k];
    return value;
  }
  // Add the adjoint of `product`: to each factor, the product of the others.
  static void pull_product(ConstVector rho, Int from, Int gap, double dvalue, double *drho) {
    for (Int k = 0; k < gap; ++k) {
      double others = dvalue;
      for (Int h = 0; h < gap; ++h)
        if (h != k) others *= rho[from + h];
      drho[from + k] += others;
    }
  }
  double value(ConstVector params, Pair pair) const {
    return product(params, lesser(pair.i, pair.j), pair.lag());
  }
  void pull(ConstVector params, Pair pair, double dvalue, double *dparams) const {
    pull_product(params, lesser(pair.i, pair.j), pair.lag(), dvalue, dparams);
  }
  Interval interval(Int) const { return {-1.0, 1.0}; }
  Coordinate coordinate(Int, double x) const { return fisher(x, -1.0, 1.0); }

  void step(ConstVector params, double from, double gap, double &a, double &c) const {
    a = product(params, Int(from), Int(gap));
    c = sqrt((1.0 - a) * (1.0 + a));
  }
  void pull_step(ConstVector params, double from, double gap, double, double da,
                 double *dparams) const {
    pull_product(params, Int(from), Int(gap), da, dparams);
  }
};

}  // namespace lmm
