#include "covariance/correlations/toeplitz.h"

namespace lmm {

bool Toeplitz::partials(ConstVector rho, double *z, Memory &memory) {
  double *phi = memory.zeros(rho.size).data, *reversed = memory.doubles(rho.size);
  double left = 1.0;  // of the variance, after k values
  for (Int k = 0; k < rho.size; ++k) {
    double value = rho[k];
    for (Int j = 0; j < k; ++j) value -= phi[j] * rho[k - 1 - j];
    z[k] = value / left;
    left *= (1.0 - z[k]) * (1.0 + z[k]);
    if (!(-1.0 < z[k] && z[k] < 1.0 && left > 0.0)) return false;
    for (Int j = 0; j < k; ++j) reversed[j] = phi[k - 1 - j];
    for (Int j = 0; j < k; ++j) phi[j] -= z[k] * reversed[j];
    phi[k] = z[k];
  }
  return true;
}

namespace {

// Row k of phi are the coefficients of the best linear predictor from the k + 1 last values; `left`
// is the variance that k values leave.
struct Predictor {
  Matrix phi;
  double *left;
};

Predictor autocorrelations(ConstVector x, double *rho, Memory &memory) {
  const Int m = x.size;
  const Predictor of = {memory.zeros(m, m), memory.doubles(m)};
  for (Int k = 0; k < m; ++k) {
    const double z = tanh(x[k]);
    of.left[k] = k == 0 ? 1.0 : of.left[k - 1] / cosh(x[k - 1]) / cosh(x[k - 1]);
    rho[k] = z * of.left[k];
    for (Int j = 0; j < k; ++j) {
      rho[k] += of.phi(k - 1, j) * rho[k - 1 - j];
      of.phi(k, j) = of.phi(k - 1, j) - z * of.phi(k - 1, k - 1 - j);
    }
    of.phi(k, k) = z;
  }
  return of;
}

}  // namespace

void Toeplitz::to_natural(ConstVector x, double *params, Memory &memory) const {
  autocorrelations(x, params, memory);
}

double Toeplitz::pull_coordinates(ConstVector x, const double *dparams, double *dx,
                                  Memory &memory) const {
  const Int m = x.size;
  double *rho = memory.doubles(m), *drho = memory.doubles(m);
  copy(dparams, m, drho);
  const Predictor of = autocorrelations(x, rho, memory);
  Matrix dphi = memory.zeros(m, m);
  double dleft = 0.0;  // of what is left after k + 1 values
  double log_jacobian = 0.0;
  for (Int k = m - 1; k >= 0; --k) {
    const double z = tanh(x[k]), c = 1.0 / cosh(x[k]);
    double dz = dphi(k, k) + drho[k] * of.left[k] - 2.0 * z * of.left[k] * dleft;
    dleft = dleft * c * c + drho[k] * z;
    for (Int j = 0; j < k; ++j) {
      dz -= dphi(k, j) * of.phi(k - 1, k - 1 - j);
      dphi(k - 1, j) += dphi(k, j) + drho[k] * rho[k - 1 - j];
      dphi(k - 1, k - 1 - j) -= z * dphi(k, j);
      drho[k - 1 - j] += drho[k] * of.phi(k - 1, j);
    }
    // |drho/dx| = ∏ (1 - z_k²)^(m - k)
    const double power = 2.0 * double(m - k);
    dx[k] = c * c * dz - power * z;
    log_jacobian -= power * log_cosh(x[k]);
  }
  return log_jacobian;
}

}  // namespace lmm
