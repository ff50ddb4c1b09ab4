#include "posterior/density.h"

#include "equations/likelihood.h"
#include "posterior/slopes.h"

namespace lmm {
Density::Density(const DensityArrays &arrays)
    : arrays_(arrays), k_(arrays.coordinates.scales.size), length_(arrays.location.size),
      p_(arrays.beta_mean.size), n_coefficients_(arrays.coefficients.size / CoefficientPrior::SIZE),
      n_slopes_(length_ - k_ - n_coefficients_), coordinates_(arrays.coordinates.view()),
      equations_(arrays.ints.data, arrays.ints.size, arrays.floats.data) {}

const double *Density::place(ConstVector z, Memory &memory) const {
  double *x = memory.doubles(length_);
  for (Int i = 0; i < length_; ++i) {
    const double *row = &arrays_.scale[i * z.size];
    x[i] = arrays_.location[i];
    for (Int j = 0; j < z.size; ++j) x[i] += row[j] * z[j];
  }
  return x;
}

void Density::sampled(const double *x, ConstVector about, double *out) const {
  const double *own = x + k_ + n_slopes_;
  if (n_slopes_ > 0) R2Slopes(arrays_.slopes.data).vector({x + k_, n_slopes_}, about, out);
  for (Int j = 0; j < n_coefficients_; ++j) out[n_slopes_ + j] = coefficient(j).coefficient(own[j]);
}

double Density::pull_sampled(const double *x, ConstVector about, const double *slope, double dratio,
                             double *dabout, double *dx) const {
  double value = 0.0;
  if (n_slopes_ > 0)
    value += R2Slopes(arrays_.slopes.data)
                 .pull({x + k_, n_slopes_}, about, slope, dratio, dabout, dx + k_);
  for (Int j = 0; j < n_coefficients_; ++j) {
    const CoefficientPrior prior = coefficient(j);
    const Int at = k_ + n_slopes_ + j;
    const LogDensity own = prior.at(x[at]);
    value += own.value;
    dx[at] = own.slope + prior.unit * slope[n_slopes_ + j];
  }
  return value;
}

double Density::at_x(const double *x, double *dx, bool &ok, Memory &memory) const {
  const Int m = length_ - k_;
  const ConstMatrix lift = {arrays_.lift.data, p_, m};
  Vector theta = memory.vector(k_), about = memory.vector(k_);
  coordinates_.constrain(x, theta.data, about.data, memory);

  Vector mean = memory.vector(p_), dmean = memory.vector(p_), beside = memory.vector(m);
  copy(arrays_.beta_mean.data, p_, mean.data);
  sampled(x, about, beside.data);
  for (Int i = 0; i < p_; ++i)
    for (Int j = 0; j < m; ++j) mean[i] += lift(i, j) * beside[j];

  double value, dratio, *dtheta = memory.doubles(k_), *dabout = memory.zeros(k_).data;
  const BetaPrior prior = {mean, {arrays_.beta_precision.data, p_, p_}};
  ok = loglik(equations_, REML, theta, prior, value, dtheta, dmean.data, memory);
  if (!ok) return -HUGE_VAL;
  const double ratio =
      n_slopes_ > 0 ? R2Slopes(arrays_.slopes.data).ratio({x + k_, n_slopes_}) : 1.0;
  value +=
      log_priors({arrays_.prior_rows, arrays_.hyper.data}, about, ratio, dratio, dabout, memory);
  Vector dbeside = memory.zeros(m);
  for (Int j = 0; j < m; ++j)
    for (Int i = 0; i < p_; ++i) dbeside[j] += lift(i, j) * dmean[i];
  value += pull_sampled(x, about, dbeside.data, dratio, dabout, dx);
  return value + coordinates_.pullback(x, dtheta, dabout, dx, memory);
}

bool Density::evaluate(ConstVector z, double &value, double *gradient, Memory &memory) const {
  const double *x = place(z, memory);
  double *dx = memory.zeros(length_).data;
  bool ok;
  value = at_x(x, dx, ok, memory);
  bool finite = ok && isfinite(value);
  for (Int j = 0; j < z.size; ++j) {
    double total = 0.0;
    for (Int i = 0; i < length_; ++i) total += arrays_.scale[i * z.size + j] * dx[i];
    gradient[j] = total;
    finite = finite && isfinite(total);
  }
  return finite;
}

void Density::expand(ConstVector z, double *out, Memory &memory) const {
  const double *x = place(z, memory);
  Vector about = memory.vector(k_);
  coordinates_.constrain(x, out, about.data, memory);
  sampled(x, about, out + k_);
}

}  // namespace lmm
