#include "priors/variance_split.h"

namespace lmm {

double VarianceSplit::log_density(ConstVector theta, double ratio, double &dratio,
                                  double *dtheta) const {
  const Int last = theta.size - 1;
  double U = 0.0, together = 0.0;
  for (Int i = 0; i < last; ++i) {
    U += weight[i] * square(theta[i]);
    together += concentration[i];
  }
  const double V = U + weight[last] * square(theta[last]), whole = sqrt(ratio * V);
  const LogDensity of_total = log_prior(total_code, whole, total);
  double value = of_total.value + 0.5 * log(ratio) + (0.5 - a - b) * log(V);
  dratio = 0.5 * (of_total.slope * whole + 1.0) / ratio;
  const double dV = 0.5 * of_total.slope * whole / V + (0.5 - a - b) / V;
  double dU = dV;
  if (U > 0.0) {
    value += (a - together) * log(U);
    dU += (a - together) / U;
  }
  for (Int i = 0; i < last; ++i) {
    if (!(weight[i] > 0.0)) continue;
    const double power = 2.0 * concentration[i] - 1.0;
    value += power * log(theta[i]);
    dtheta[i] += 2.0 * weight[i] * theta[i] * dU + power / theta[i];
  }
  const double sigma = theta[last], power = 2.0 * b - 1.0;
  dtheta[last] += 2.0 * weight[last] * sigma * dV + power / sigma;
  return value + power * log(sigma);
}

}  // namespace lmm
