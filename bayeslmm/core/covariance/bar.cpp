#include "covariance/bar.h"

#include "covariance/cholesky.h"

namespace lmm {

Bar::Bar(Integers table, Int number) {
  const Int *row = table.data + number * ROW;
  factor = row[0], first = row[1], q = row[2], code = row[3];
  sd = row[4], n_sd = row[5], corr = row[6], n_corr = row[7];
  record = table.data + row[8], n_exponents = row[9];
}

namespace {

// What a bar with a correlation structure has at theta.
struct Shaped {
  double *sd, *growth;  // by effect; the second in units of the parameter
  Vector params;        // of the correlation
  Vector lower;         // the strict lower triangle of the correlation matrix, row by row
  const Int *point;     // 0, 1, …
  bool ok;

  Shaped(const Bar &bar, const double *theta, Memory &memory)
      : sd(memory.doubles(bar.q)), growth(memory.doubles(bar.q)), params(memory.vector(bar.n_corr)),
        lower(memory.vector(bar.q * (bar.q - 1) / 2)) {
    const ConstMatrix covariates = bar.covariates();
    Int *positions = memory.integers(bar.q);
    for (Int i = 0; i < bar.q; ++i) {
      positions[i] = i;
      growth[i] = 1.0;
      for (Int j = 0; j < bar.n_exponents; ++j)
        growth[i] *= exp(theta[bar.exponent_of(j)] * covariates(i, j));
      sd[i] = growth[i] * theta[bar.sd_of(i)];
    }
    point = positions;
    for (Int i = 0; i < bar.n_corr; ++i) params[i] = theta[bar.corr_of(i)];
    Matrix C = memory.matrix(bar.q, bar.q);
    ok = correlation(bar.correlation(), params, {point, bar.distances()}, C, memory);
    for (Int i = 0; ok && i < bar.q; ++i) copy(C.row(i), i, &lower[below_diagonal(i, 0)]);
  }
};

}  // namespace

bool bar_factor(const Bar &bar, const double *theta, Matrix L, Memory &memory) {
  if (!bar.shaped()) return covariance_factor(bar.code, theta + bar.sd, theta + bar.corr, L);
  const Shaped own(bar, theta, memory);
  return own.ok && covariance_factor(UNRESTRICTED, own.sd, own.lower.data, L);
}

void bar_pullback(const Bar &bar, const double *theta, Matrix dL, double *dtheta, Memory &memory) {
  if (!bar.shaped()) {
    covariance_pullback(bar.code, theta + bar.sd, theta + bar.corr, dL, dtheta + bar.sd,
                        dtheta + bar.corr, memory);
    return;
  }
  const Shaped own(bar, theta, memory);
  double *dsd = memory.zeros(bar.q).data;
  Vector dlower = memory.zeros(own.lower.size);
  covariance_pullback(UNRESTRICTED, own.sd, own.lower.data, dL, dsd, dlower.data, memory);
  const ConstMatrix covariates = bar.covariates();
  Matrix dC = memory.zeros(bar.q, bar.q);
  for (Int i = 0; i < bar.q; ++i) {
    dtheta[bar.sd_of(i)] += dsd[i] * own.growth[i];
    for (Int j = 0; j < bar.n_exponents; ++j)
      dtheta[bar.exponent_of(j)] += dsd[i] * own.sd[i] * covariates(i, j);
    for (Int j = 0; j < i; ++j) dC(i, j) = dlower[below_diagonal(i, j)];
  }
  Vector dparams = memory.zeros(bar.n_corr);
  correlation_pullback(bar.correlation(), own.params, {own.point, bar.distances()}, dC,
                       dparams.data);
  for (Int i = 0; i < bar.n_corr; ++i) dtheta[bar.corr_of(i)] += dparams[i];
}

}  // namespace lmm
