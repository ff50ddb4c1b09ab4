#include "covariance/cholesky.h"

namespace lmm {

bool correlation_factor(ConstVector corr, Matrix K) {
  for (Int i = 0; i < K.rows; ++i) {
    double left = 1.0;  // of the row's squared length
    for (Int j = 0; j < i; ++j) {
      double value = corr[below_diagonal(i, j)];
      for (Int k = 0; k < j; ++k) value -= K(i, k) * K(j, k);
      if (K(j, j) > 0.0)
        value /= K(j, j);
      else if (fabs(value) < 1e-7)
        value = 0.0;
      else
        return false;
      K(i, j) = value;
      left -= value * value;
    }
    if (!(left >= -1e-10)) return false;
    K(i, i) = left > 1e-14 ? sqrt(left) : 0.0;
  }
  return true;
}

bool covariance_factor(Int code, const double *sd, const double *corr, Matrix L) {
  const Int q = L.rows;
  fill(L.data, L.size(), 0.0);
  if (code != UNRESTRICTED) {
    for (Int i = 0; i < q; ++i) L(i, i) = code == IDENTITY ? sd[0] : sd[i];
    return true;
  }
  if (!correlation_factor({corr, q * (q - 1) / 2}, L)) return false;
  for (Int i = 0; i < q; ++i)
    for (Int j = 0; j <= i; ++j) L(i, j) *= sd[i];
  return true;
}

namespace {

// Add to dcorr the adjoint of `correlation_factor`, given that of K (overwritten).
void correlation_factor_pullback(ConstMatrix K, Matrix dK, double *dcorr) {
  for (Int i = K.rows - 1; i > 0; --i) {
    const double dleft = K(i, i) > 0.0 ? dK(i, i) * 0.5 / K(i, i) : 0.0;
    for (Int j = i - 1; j >= 0; --j) {
      if (K(j, j) == 0.0) continue;
      const double dvalue = (dK(i, j) - 2.0 * K(i, j) * dleft) / K(j, j);
      dK(j, j) -= dvalue * K(i, j);
      for (Int k = 0; k < j; ++k) {
        dK(i, k) -= dvalue * K(j, k);
        dK(j, k) -= dvalue * K(i, k);
      }
      dcorr[below_diagonal(i, j)] += dvalue;
    }
  }
}

}  // namespace

void covariance_pullback(Int code, const double *sd, const double *corr, Matrix dL, double *dsd,
                         double *dcorr, Memory &memory) {
  const Int q = dL.rows;
  if (code != UNRESTRICTED) {
    for (Int i = 0; i < q; ++i) dsd[code == IDENTITY ? 0 : i] += dL(i, i);
    return;
  }
  Matrix K = memory.zeros(q, q);
  correlation_factor({corr, q * (q - 1) / 2}, K);
  for (Int i = 0; i < q; ++i)
    for (Int j = 0; j <= i; ++j) {
      dsd[i] += dL(i, j) * K(i, j);
      dL(i, j) *= sd[i];
    }
  correlation_factor_pullback(K, dL, dcorr);
}

bool cholesky(ConstMatrix C, Matrix K) {
  for (Int i = 0; i < C.rows; ++i)
    for (Int j = 0; j <= i; ++j) {
      double value = C(i, j);
      for (Int k = 0; k < j; ++k) value -= K(i, k) * K(j, k);
      if (i == j) {
        if (!(value > 0.0)) return false;
        K(i, i) = sqrt(value);
      } else {
        K(i, j) = value / K(j, j);
      }
    }
  return true;
}

void cholesky_pullback(ConstMatrix K, Matrix dK, Matrix dC) {
  const Int t = K.rows;
  for (Int i = t - 1; i >= 0; --i)
    for (Int j = i; j >= 0; --j) {
      double slope;
      if (i == j) {
        dK(i, i) *= 0.5 / K(i, i);
        slope = 2.0 * dK(i, i);
      } else {
        dK(i, j) /= K(j, j);
        slope = dK(i, j);
        dK(j, j) -= slope * K(i, j);
      }
      for (Int k = 0; k < j; ++k) {
        dK(i, k) -= slope * K(j, k);
        if (i != j) dK(j, k) -= slope * K(i, k);
      }
    }
  for (Int i = 0; i < t; ++i) {
    for (Int j = 0; j < i; ++j) dC(i, j) = dC(j, i) = 0.5 * dK(i, j);
    dC(i, i) = dK(i, i);
  }
}

}  // namespace lmm
