// A correlation for each pair of occasions: the strict lower triangle, row by row. Its coordinates
// are those of `posterior/coordinates.h`, and it has none here.
#pragma once

#include "covariance/cholesky.h"
#include "covariance/correlations/structure.h"

namespace lmm {

struct Unrestricted : Structure {
  static constexpr bool OF_POSITIONS = true, BOUND_JOINTLY = true, COORDINATES_JOINTLY = true;

  static Int place(Pair pair) {
    return below_diagonal(larger(pair.i, pair.j), lesser(pair.i, pair.j));
  }
  double value(ConstVector params, Pair pair) const { return params[place(pair)]; }
  void pull(ConstVector, Pair pair, double dvalue, double *dparams) const {
    dparams[place(pair)] += dvalue;
  }
  bool inside(ConstVector params, Memory &memory) const {
    const Int occasions = Int(lround((1.0 + sqrt(1.0 + 8.0 * double(params.size))) / 2.0));
    return correlation_factor(params, memory.zeros(occasions, occasions));
  }
  void to_natural(ConstVector x, double *params, Memory &) const { fill(params, x.size, NAN); }
  double pull_coordinates(ConstVector x, const double *, double *dx, Memory &) const {
    fill(dx, x.size, NAN);
    return NAN;
  }
};

}  // namespace lmm
