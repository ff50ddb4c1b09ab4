// Autoregressive moving average of orders 1 and 1, with parameters rho and ma: the correlation at
// lag 1 times rho to the power of the lags beyond it.
#pragma once

#include "covariance/correlations/structure.h"

namespace lmm {

struct AutoregressiveMovingAverage : Structure {
  static constexpr bool OF_POSITIONS = true;

  // The correlation at lag 1 and its derivatives.
  struct First {
    double value, drho, dma;
  };
  static First first(ConstVector params) {
    const double rho = params[0], ma = params[1];
    const double both = rho + ma, more = 1.0 + rho * ma;
    const double variance = (1.0 - rho) * (1.0 + rho) + both * both;  // 1 + 2 rho ma + ma²
    const double value = more * both / variance;
    return {value, (more + ma * both - 2.0 * ma * value) / variance,
            (more + rho * both - 2.0 * both * value) / variance};
  }
  double value(ConstVector params, Pair pair) const {
    return first(params).value * pow(params[0], double(pair.lag() - 1));
  }
  void pull(ConstVector params, Pair pair, double dvalue, double *dparams) const {
    const First at = first(params);
    const double rho = params[0], beyond = double(pair.lag() - 1), power = pow(rho, beyond);
    dparams[0] += dvalue * power * at.drho;
    dparams[1] += dvalue * power * at.dma;
    if (beyond > 0.0) dparams[0] += dvalue * at.value * beyond * pow(rho, beyond - 1.0);
  }
  Interval interval(Int) const { return {-1.0, 1.0}; }
  Coordinate coordinate(Int, double x) const { return fisher(x, -1.0, 1.0); }
};

}  // namespace lmm
