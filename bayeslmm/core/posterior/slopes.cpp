#include "posterior/slopes.h"

namespace lmm {
namespace {

double squared_length(ConstVector z) {
  double sum = 0.0;
  for (Int i = 0; i < z.size; ++i) sum += square(z[i]);
  return sum;
}

}  // namespace

double R2Slopes::around(ConstVector about) const {
  double V = 0.0;
  for (Int i = 0; i < about.size; ++i) V += weight[i] * square(about[i]);
  return V;
}

double R2Slopes::ratio(ConstVector z) const {
  const double length = squared_length(z);
  return 1.0 + length * pow(1.0 + s2 / length, 2.0 * kappa);
}

void R2Slopes::vector(ConstVector z, ConstVector about, double *out) const {
  const double size = sqrt(around(about)) * pow(1.0 + s2 / squared_length(z), kappa);
  for (Int i = 0; i < z.size; ++i) out[i] = size * z[i];
}

// With g = (1 + s²/|z|²)^kappa, w = g z, and h the derivative of log g in log |z|², the density of
// w is |w|^(2a - m) (1 + |w|²)^-(a + b), the Jacobian is g^m (1 + 2h), and 2a kappa = a - m/2 makes
// powers of |z|² those of |z|² + s².
double R2Slopes::pull(ConstVector z, ConstVector about, const double *slope, double dratio,
                      double *dabout, double *dz) const {
  const double V = around(about), length = squared_length(z), whole = ratio(z);
  const double size = sqrt(V) * pow(1.0 + s2 / length, kappa);
  double along = 0.0;
  for (Int i = 0; i < z.size; ++i) along += slope[i] * z[i];
  for (Int i = 0; i < about.size; ++i) dabout[i] += along * size / V * weight[i] * about[i];
  const double wider = length + s2, power = a - 0.5 * double(z.size);
  const double h = -kappa * s2 / wider;
  // the derivative in log |z|² of everything but the direction
  double radial =
      power * length / wider + 2.0 * kappa * s2 * length / (wider * wider * (1.0 + 2.0 * h));
  radial += (dratio - (a + b) / whole) * (whole - 1.0) * (1.0 + 2.0 * h) + size * along * h;
  for (Int i = 0; i < z.size; ++i) dz[i] = size * slope[i] + 2.0 * radial * z[i] / length;
  return power * log(wider) - (a + b) * log(whole) + log(1.0 + 2.0 * h);
}

}  // namespace lmm
