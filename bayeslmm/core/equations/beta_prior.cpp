#include "equations/beta_prior.h"

namespace lmm {
namespace {

// Pivots below this share of the diagonal are zeros: those of flat priors.
constexpr double ROUNDING = 1e-12;

// Cholesky factorisation of a precision that may be singular, of which only the determinant counts.
void pseudo_determinant(ConstMatrix precision, Matrix L, double &log_det, Int &rank) {
  log_det = 0.0, rank = 0;
  for (Int i = 0; i < L.rows; ++i)
    for (Int j = 0; j <= i; ++j) {
      double value = precision(i, j);
      for (Int k = 0; k < j; ++k) value -= L(i, k) * L(j, k);
      if (j < i) {
        L(i, j) = L(j, j) > 0.0 ? value / L(j, j) : 0.0;
      } else if (value > ROUNDING * precision(i, i)) {
        L(i, i) = sqrt(value);
        log_det += log(value);
        ++rank;
      } else {
        L(i, i) = 0.0;
      }
    }
}

}  // namespace

RotatedPrior::RotatedPrior(const System &y, const BetaPrior &prior, Memory &memory)
    : mean(memory.zeros(y.p)), precision(memory.matrix(y.p, y.p)) {
  const Int p = y.p;
  const ConstMatrix r = y.rotation, inverse = y.rotation_inverse;
  Matrix half = memory.zeros(p, p);  // B⁻¹ r⁻¹
  for (Int i = 0; i < p; ++i) {
    for (Int j = i; j < p; ++j) mean[i] += r(i, j) * (prior.mean[j] - y.beta_ols[j]);
    for (Int j = 0; j < p; ++j)
      for (Int k = 0; k <= j; ++k) half(i, j) += prior.precision(i, k) * inverse(k, j);
  }
  for (Int i = 0; i < p; ++i)
    for (Int j = 0; j < p; ++j) {
      double value = 0.0;
      for (Int k = 0; k <= i; ++k) value += inverse(k, i) * half(k, j);
      precision(i, j) = value;
    }
  pseudo_determinant(prior.precision, half, log_det, rank);
}

GammaPrior RotatedPrior::scaled(double sigma2, Memory &memory) const {
  const Int p = mean.size;
  Matrix P = memory.matrix(p, p);
  Vector Pg = memory.zeros(p);
  double square = 0.0;
  for (Int i = 0; i < p; ++i) {
    for (Int j = 0; j < p; ++j) {
      P(i, j) = sigma2 * precision(i, j);
      Pg[i] += P(i, j) * mean[j];
    }
    square += Pg[i] * mean[i];
  }
  return {P, Pg.data, square};
}

}  // namespace lmm
