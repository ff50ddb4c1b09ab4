#include "covariance/correlations/factor_analytic.h"

namespace lmm {
namespace {

constexpr double ROUNDING = 1e-12;

// The sign of a factor's loadings: that of its diagonal's coordinate.
double sign_of(ConstVector x, Int factor) {
  return x[factor * (factor + 3) / 2] < 0.0 ? -1.0 : 1.0;
}

}  // namespace

bool FactorAnalytic::inside(ConstVector params, Memory &) const {
  for (Int i = 0; i < rows(params.size); ++i) {
    double communality = 0.0;
    for (Int f = 0; f < width(i); ++f) communality += square(params[first(i) + f]);
    if (!(communality <= 1.0 + ROUNDING)) return false;
    if (i < k && params[first(i) + i] < 0.0) return false;
  }
  return true;
}

void FactorAnalytic::to_natural(ConstVector x, double *params, Memory &) const {
  for (Int i = 0; i < rows(x.size); ++i) {
    double left = 1.0;
    for (Int f = 0; f < width(i); ++f) {
      const double at = x[first(i) + f];
      params[first(i) + f] = sign_of(x, f) * left * tanh(at);
      left /= cosh(at);
    }
  }
}

double FactorAnalytic::pull_coordinates(ConstVector x, const double *dparams, double *dx,
                                        Memory &memory) const {
  double *left = memory.doubles(k), log_jacobian = 0.0;
  for (Int i = 0; i < rows(x.size); ++i) {
    const double *own = &x[first(i)];
    left[0] = 1.0;
    for (Int f = 1; f < width(i); ++f) left[f] = left[f - 1] / cosh(own[f - 1]);
    double behind = 0.0;  // the adjoint of the logarithm of what is left for those that follow
    for (Int f = width(i) - 1; f >= 0; --f) {
      const double share = tanh(own[f]), log_c = log_cosh(own[f]);
      const double slope = sign_of(x, f) * dparams[first(i) + f] * left[f];
      dx[first(i) + f] = slope * exp(-2.0 * log_c) - share * (2.0 + behind);
      behind += slope * share + 1.0;
      log_jacobian += log(left[f]) - 2.0 * log_c;
    }
  }
  return log_jacobian;
}

}  // namespace lmm
