#include "priors/matrix.h"

#include "priors/registry.h"

namespace lmm {

void invert_factor(ConstMatrix L, Matrix inverse) {
  for (Int i = 0; i < L.rows; ++i) {
    inverse(i, i) = 1.0 / L(i, i);
    for (Int j = 0; j < i; ++j)
      for (Int k = j; k < i; ++k) inverse(i, j) -= L(i, k) * inverse(k, j) / L(i, i);
  }
}

CovarianceAt::CovarianceAt(const double *sd, ConstVector corr, Int q, Memory &memory)
    : sd(sd), C(memory.matrix(q, q)), P(memory.zeros(q, q)), log_det(0.0), ok(false) {
  const Matrix L = memory.zeros(q, q), inverse = memory.zeros(q, q);
  if (!correlation_factor(corr, L)) return;
  for (Int i = 0; i < q; ++i) {
    if (!(L(i, i) > 0.0 && sd[i] > 0.0)) return;
    log_det += log(L(i, i)) + log(sd[i]);
    C(i, i) = 1.0;
    for (Int j = 0; j < i; ++j) C(i, j) = C(j, i) = corr[below_diagonal(i, j)];
  }
  invert_factor(L, inverse);
  for (Int i = 0; i < q; ++i)
    for (Int j = 0; j < q; ++j) {
      for (Int k = larger(i, j); k < q; ++k) P(i, j) += inverse(k, i) * inverse(k, j);
      P(i, j) /= sd[i] * sd[j];
    }
  ok = true;
}

namespace {

template <class Family>
double density(Family, const double *numbers, const CovarianceAt &G, Matrix dG) {
  const double power = Family::power(numbers[0], dG.rows);
  for (Int i = 0; i < dG.size(); ++i) dG.data[i] = power * G.P.data[i];
  return 2.0 * power * G.log_det + Family::add(numbers, G, dG);
}

}  // namespace

double log_matrix_prior(Int code, const double *numbers, Int q, const double *sd, ConstVector corr,
                        double *dsd, double *dcorr, Memory &memory) {
  const CovarianceAt G(sd, corr, q, memory);
  if (!G.ok) return -HUGE_VAL;
  const Matrix dG = memory.matrix(q, q);
  double value =
      with_matrix_prior(code, [&](auto family) { return density(family, numbers, G, dG); });
  for (Int i = 0; i < q; ++i) {
    value += double(q) * log(sd[i]);
    dsd[i] += double(q) / sd[i];
    for (Int j = 0; j < q; ++j) dsd[i] += 2.0 * dG(i, j) * sd[j] * G.C(i, j);
    for (Int j = 0; j < i; ++j) dcorr[below_diagonal(i, j)] += 2.0 * dG(i, j) * sd[i] * sd[j];
  }
  return value;
}

}  // namespace lmm
