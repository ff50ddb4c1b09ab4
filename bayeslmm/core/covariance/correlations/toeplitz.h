// A correlation for each lag. Its coordinates are Fisher's z of the partial autocorrelations, by
// the recursion of Durbin and Levinson.
#pragma once

#include "covariance/correlations/structure.h"

namespace lmm {

struct Toeplitz : Structure {
  static constexpr bool OF_POSITIONS = true, BOUND_JOINTLY = true, COORDINATES_JOINTLY = true;

  double value(ConstVector params, Pair pair) const { return params[pair.lag() - 1]; }
  void pull(ConstVector, Pair pair, double dvalue, double *dparams) const {
    dparams[pair.lag() - 1] += dvalue;
  }
  bool inside(ConstVector params, Memory &memory) const {
    return partials(params, memory.doubles(params.size), memory);
  }

  // Write the partial autocorrelations z of rho; false if there are none.
  static bool partials(ConstVector rho, double *z, Memory &memory);

  void to_natural(ConstVector x, double *params, Memory &memory) const;
  double pull_coordinates(ConstVector x, const double *dparams, double *dx, Memory &memory) const;
};

}  // namespace lmm
