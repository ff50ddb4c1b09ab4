#include "posterior/partial_correlations.h"

#include "covariance/correlations/scalars.h"

namespace lmm {

void partial_factor(const double *x, Matrix L) {
  fill(L.data, L.size(), 0.0);
  L(0, 0) = 1.0;
  for (Int i = 1; i < L.rows; ++i) {
    double left = 1.0;
    for (Int j = 0; j < i; ++j) {
      const double at = x[below_diagonal(i, j)];
      L(i, j) = tanh(at) * left;
      left /= cosh(at);
    }
    L(i, i) = left;
  }
}

double partial_factor_pullback(const double *x, ConstMatrix L, ConstMatrix dL, double *dx) {
  double log_jacobian = 0.0;
  for (Int i = 1; i < L.rows; ++i) {
    double dleft = dL(i, i), left = L(i, i);
    for (Int j = i - 1; j >= 0; --j) {
      const double at = x[below_diagonal(i, j)], z = tanh(at), c = 1.0 / cosh(at);
      left /= c;  // what was left before column j was taken out
      // z' = c² and c' = -z c in x
      const double alpha = double(L.rows - j);  // twice 1 + (q - 2 - j)/2
      dx[below_diagonal(i, j)] = c * left * (dL(i, j) * c - dleft * z) - alpha * z;
      dleft = dL(i, j) * z + dleft * c;
      log_jacobian -= alpha * log_cosh(at);
    }
  }
  return log_jacobian;
}

void split(Matrix F, double *sd, double *corr) {
  const Int q = F.rows;
  for (Int i = 0; i < q; ++i) {
    double length = 0.0;
    for (Int k = 0; k < q; ++k) length += F(i, k) * F(i, k);
    sd[i] = sqrt(length);
    for (Int k = 0; k < q; ++k) F(i, k) /= sd[i];
  }
  for (Int i = 0; i < q; ++i)
    for (Int j = 0; j < i; ++j) {
      double value = 0.0;
      for (Int k = 0; k < q; ++k) value += F(i, k) * F(j, k);
      corr[below_diagonal(i, j)] = value;
    }
}

void split_pullback(ConstMatrix F, const double *sd, const double *dsd, const double *dcorr,
                    Matrix dF) {
  const Int q = F.rows;
  fill(dF.data, dF.size(), 0.0);
  for (Int i = 0; i < q; ++i)
    for (Int j = 0; j < i; ++j) {
      const double slope = dcorr[below_diagonal(i, j)];
      for (Int k = 0; k < q; ++k) {
        dF(i, k) += slope * F(j, k);
        dF(j, k) += slope * F(i, k);
      }
    }
  for (Int i = 0; i < q; ++i) {
    double along = 0.0;
    for (Int k = 0; k < q; ++k) along += dF(i, k) * F(i, k);
    for (Int k = 0; k < q; ++k) dF(i, k) = (dF(i, k) - along * F(i, k)) / sd[i] + dsd[i] * F(i, k);
  }
}

}  // namespace lmm
