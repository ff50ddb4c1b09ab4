#include "posterior/density.h"

#include "equations/likelihood.h"
#include "posterior/slopes.h"

namespace lmm {
Density::Density(const DensityArrays &arrays)
    : arrays_(arrays), k_(arrays.coordinates.scales.size), length_(arrays.location.size),
      p_(arrays.beta_mean.size), coordinates_(arrays.coordinates.view()),
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

double Density::at_x(const double *x, double *dx, bool &ok, Memory &memory) const {
  const Int m = length_ - k_;
  const ConstVector z = {x + k_, m};
  const ConstMatrix lift = {arrays_.lift.data, p_, m};
  const R2Slopes slopes(arrays_.slopes.data);
  Vector theta = memory.vector(k_), about = memory.vector(k_);
  coordinates_.constrain(x, theta.data, about.data, memory);

  Vector mean = memory.vector(p_), dmean = memory.vector(p_), vector = memory.vector(m);
  copy(arrays_.beta_mean.data, p_, mean.data);
  if (m > 0) slopes.vector(z, about, vector.data);
  for (Int i = 0; i < p_; ++i)
    for (Int j = 0; j < m; ++j) mean[i] += lift(i, j) * vector[j];

  double value, dratio, *dtheta = memory.doubles(k_), *dabout = memory.zeros(k_).data;
  const BetaPrior prior = {mean, {arrays_.beta_precision.data, p_, p_}};
  ok = loglik(equations_, REML, theta, prior, value, dtheta, dmean.data, memory);
  if (!ok) return -HUGE_VAL;
  value += log_priors({arrays_.prior_rows, arrays_.hyper.data}, about,
                      m > 0 ? slopes.ratio(z) : 1.0, dratio, dabout, memory);
  if (m > 0) {
    Vector dvector = memory.zeros(m);
    for (Int j = 0; j < m; ++j)
      for (Int i = 0; i < p_; ++i) dvector[j] += lift(i, j) * dmean[i];
    value += slopes.pull(z, about, dvector.data, dratio, dabout, dx + k_);
  }
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
  if (length_ > k_) R2Slopes(arrays_.slopes.data).vector({x + k_, length_ - k_}, about, out + k_);
}

}  // namespace lmm
