#include "equations/likelihood.h"

#include "equations/relative_factors.h"

namespace lmm {
namespace {

constexpr double TWO_PI = 2.0 * 3.14159265358979323846;

// The equations factorised and solved at relative factors.
struct Solved {
  Factor L;
  Determinants of;
  Solution w;
};

Solved solve(const System &y, const double *M, const GammaPrior *prior, Solution w,
             Memory &memory) {
  const Factor L = Factor::take(memory, y);
  const Determinants of = factorise(y, M, prior, L, memory);
  if (of.ok) back_substitute(y, L, nullptr, w, memory);
  return {L, of, w};
}

// -2 log-likelihood without what σ adds.
double log_determinant(const System &y, Kind kind, const Determinants &of) {
  return kind == REML ? of.log_all + 2.0 * y.log_det_rotation : of.log_b;
}

Int degrees(const System &y, Kind kind) { return kind == REML ? y.n - y.p : y.n; }

void scale(double *values, Int size, double factor) {
  for (Int i = 0; i < size; ++i) values[i] *= factor;
}

}  // namespace

bool profiled(const Equations &equations, Kind kind, const double *M, ConstVector relative,
              Profile &profile, double *drelative, Memory &memory) {
  const EquationsAt at(equations, relative, memory);
  if (!at.ok()) return false;
  const System &y = at.system;
  const Solution w = {{profile.b, y.n_random()}, {profile.gamma, y.p}};
  const Solved solved = solve(y, M, nullptr, w, memory);
  if (!solved.of.ok) return false;
  const double df = double(degrees(y, kind));
  profile.sigma2 = solved.of.r2 / df;
  profile.value = df * (1.0 + log(TWO_PI * profile.sigma2)) - y.sum_log_weights +
                  log_determinant(y, kind, solved.of);

  double *dproducts = at.take_dproducts(memory);
  const Inverse E = selected_inverse(y, solved.L, kind, memory);
  gradient(y, M, E, w, df / solved.of.r2, profile.dM, dproducts, memory);
  scale(profile.dM, y.n_relative(), -2.0);
  fill(drelative, relative.size, 0.0);
  at.pull(dproducts, drelative, memory);
  scale(drelative, relative.size, -2.0);
  return true;
}

bool given_factors(const Equations &equations, Kind kind, const double *M, ConstVector theta,
                   double &value, double *dM, double *dtheta, Memory &memory) {
  const Int last = theta.size - 1;
  if (!(theta[last] > 0.0)) return false;
  const EquationsAt at(equations, theta, memory);
  if (!at.ok()) return false;
  const System &y = at.system;
  const Solved solved = solve(y, M, nullptr, Solution::take(memory, y), memory);
  if (!solved.of.ok) return false;
  const double df = double(degrees(y, kind)), sigma2 = theta[last] * theta[last];
  value = df * log(TWO_PI * sigma2) + solved.of.r2 / sigma2 - y.sum_log_weights +
          log_determinant(y, kind, solved.of);

  double *dproducts = at.take_dproducts(memory);
  const Inverse E = selected_inverse(y, solved.L, kind, memory);
  gradient(y, M, E, solved.w, 1.0 / sigma2, dM, dproducts, memory);
  scale(dM, y.n_relative(), -2.0);
  fill(dtheta, theta.size, 0.0);
  dtheta[last] = -df / theta[last] + solved.of.r2 / sigma2 / theta[last];
  at.pull(dproducts, dtheta, memory);
  scale(dtheta, theta.size, -2.0);
  return true;
}

namespace {

// tr(B̃⁻¹(E + (gamma - g)(gamma - g)'/σ²)): what the prior adds to the derivative in σ, over -σ.
double prior_part(const System &y, const RotatedPrior &prior, const Matrix E, const double *gamma,
                  double sigma2) {
  const Int nr = y.n_root_variables;
  double total = 0.0;
  for (Int i = 0; i < y.p; ++i)
    for (Int j = 0; j < y.p; ++j) {
      double element = E(nr + larger(i, j), nr + lesser(i, j));
      element += (gamma[i] - prior.mean[i]) * (gamma[j] - prior.mean[j]) / sigma2;
      total += prior.precision(i, j) * element;
    }
  return total;
}

// The gradient in the prior mean of beta: B⁻¹(E[beta | y, theta] - m) = r'B̃⁻¹(gamma - g).
void gradient_in_mean(const System &y, const RotatedPrior &prior, const double *gamma,
                      double *dmean) {
  for (Int j = 0; j < y.p; ++j) {
    dmean[j] = 0.0;
    for (Int i = 0; i <= j; ++i)
      for (Int k = 0; k < y.p; ++k)
        dmean[j] += y.rotation(i, j) * (prior.precision(i, k) * (gamma[k] - prior.mean[k]));
  }
}

}  // namespace

bool loglik(const Equations &equations, Kind kind, ConstVector theta, const BetaPrior &prior,
            double &value, double *dtheta, double *dmean, Memory &memory) {
  const EquationsAt at(equations, theta, memory);
  if (!at.ok()) return false;
  const System &y = at.system;
  double *M = memory.doubles(y.n_relative());
  if (!relative_factors(y, Bars::ALL, theta, M, memory)) return false;
  const RotatedPrior rotated(y, prior, memory);
  const double sigma = theta[theta.size - 1], sigma2 = sigma * sigma;
  const GammaPrior scaled = rotated.scaled(sigma2, memory);
  const Solved solved = solve(y, M, &scaled, Solution::take(memory, y), memory);
  if (!solved.of.ok) return false;
  const double df = double(degrees(y, kind));
  double log_det = log_determinant(y, kind, solved.of);
  if (kind == REML) log_det -= rotated.log_det;
  value = -0.5 * (log_det + df * log(sigma2) + (df + double(rotated.rank)) * log(TWO_PI) +
                  solved.of.r2 / sigma2 - y.sum_log_weights);

  double *dproducts = at.take_dproducts(memory), *dM = memory.doubles(y.n_relative());
  const Inverse E = selected_inverse(y, solved.L, kind, memory);
  gradient(y, M, E, solved.w, 1.0 / sigma2, dM, dproducts, memory);
  const double *gamma = solved.w.gamma.data;
  fill(dtheta, theta.size, 0.0);
  dtheta[theta.size - 1] = -df / sigma + solved.of.r2 / sigma2 / sigma -
                           sigma * prior_part(y, rotated, E.root, gamma, sigma2);
  relative_factors_pullback(y, Bars::ALL, theta, M, dM, dtheta, memory);
  at.pull(dproducts, dtheta, memory);
  if (dmean != nullptr) gradient_in_mean(y, rotated, gamma, dmean);
  return true;
}

}  // namespace lmm
