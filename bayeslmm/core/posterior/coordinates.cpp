#include "posterior/coordinates.h"

#include "covariance/correlations/correlation.h"
#include "posterior/partial_correlations.h"

namespace lmm {
namespace {

// The factor K = diag(w) L of G̃ = KK', of correlations alone with w = 1.
struct MatrixAt {
  double *w;
  Matrix L, K;

  MatrixAt(const Coordinates &of, const MatrixBlock &block, const double *x, Memory &memory)
      : w(memory.doubles(block.q)), L(memory.matrix(block.q, block.q)),
        K(memory.matrix(block.q, block.q)) {
    partial_factor(x + block.corrs, L);
    for (Int i = 0; i < block.q; ++i) {
      const Int at = block.sds + i;
      w[i] = block.sds < 0 ? 1.0 : scaled_value(of.scale(at), x[at], of.ab(at, 0), of.ab(at, 1));
      for (Int j = 0; j < block.q; ++j) K(i, j) = w[i] * L(i, j);
    }
  }
};

// T K, of a lower triangular K.
Matrix transformed(const double *T, ConstMatrix K, Memory &memory) {
  const Int q = K.rows;
  Matrix F = memory.zeros(q, q);
  for (Int i = 0; i < q; ++i)
    for (Int h = 0; h < q; ++h)
      for (Int j = 0; j <= h; ++j) F(i, j) += T[i * q + h] * K(h, j);
  return F;
}

}  // namespace

double Coordinates::shift(Int i, const double *x) const {
  double total = 0.0;
  for (Int j = 0; j < size(); ++j)
    if (shear(i, j) != 0.0) total += shear(i, j) * x[j];
  return total;
}

void Coordinates::constrain(const double *x, double *theta, double *about, Memory &memory) const {
  for (Int i = 0; i < size(); ++i) {
    if (!single(i)) continue;
    theta[i] = scaled_value(scale(i), x[i], ab(i, 0), ab(i, 1));
    if (scale(i) == Scale::SINH) theta[i] = fabs(theta[i]);
    if (shear.rows > 0) theta[i] *= exp(-shift(i, x));
    about[i] = theta[i];
  }
  for (Int b = 0; b < n_joint(); ++b) {
    const JointBlock block = joint_block(b);
    const Int count = block.last - block.first;
    to_natural({block.code, false}, block.occasions, {x + block.first, count}, theta + block.first,
               memory);
    copy(theta + block.first, count, about + block.first);
  }
  for (Int b = 0; b < n_matrices(); ++b) {
    const Memory::Mark mark = memory.mark();
    const MatrixBlock block = matrix(b);
    const MatrixAt at(*this, block, x, memory);
    if (block.sds < 0) {
      split(at.K, memory.doubles(block.q), theta + block.corrs);
      copy(theta + block.corrs, block.q * (block.q - 1) / 2, about + block.corrs);
    } else {
      split(transformed(T + block.natural, at.K, memory), theta + block.sds, theta + block.corrs);
      split(transformed(T + block.about, at.K, memory), about + block.sds, about + block.corrs);
    }
    memory.back_to(mark);
  }
}

namespace {

// The adjoint of correlations alone: that of the prior is about the same ones.
double pull_correlations(const MatrixBlock &block, const MatrixAt &at, const double *x,
                         double *dtheta, const double *dabout, double *dx, Memory &memory) {
  const Int q = block.q, pairs = q * (q - 1) / 2;
  double *sd = memory.doubles(q);
  split(at.K, sd, memory.doubles(pairs));
  for (Int i = 0; i < pairs; ++i) dtheta[block.corrs + i] += dabout[block.corrs + i];
  Matrix dL = memory.matrix(q, q);
  split_pullback(at.K, sd, memory.zeros(q).data, dtheta + block.corrs, dL);
  return partial_factor_pullback(x + block.corrs, at.L, dL, dx + block.corrs);
}

// The adjoint of standard deviations and correlations. What dtheta has on return are the slopes in
// the standard deviations of G̃, for the coordinates of these.
double pull_covariance(const double *T, const MatrixBlock &block, const MatrixAt &at,
                       const double *x, double *dtheta, double *dabout, double *dx,
                       Memory &memory) {
  const Int q = block.q, sds = block.sds, corrs = block.corrs;
  const double *natural = T + block.natural, *prior = T + block.about;
  double *sd = memory.doubles(q), *corr = memory.doubles(q * (q - 1) / 2), log_jacobian = 0.0;
  Matrix dF = memory.matrix(q, q), dP = memory.matrix(q, q), dL = memory.zeros(q, q);
  const Matrix F = transformed(natural, at.K, memory);
  split(F, sd, corr);
  split_pullback(F, sd, dtheta + sds, dtheta + corrs, dF);
  const Matrix P = transformed(prior, at.K, memory);
  split(P, sd, corr);
  for (Int i = 0; i < q; ++i) {  // |d(sd, corr)/d(s̃d, c̃orr)| = ∏ (s̃d/sd)^q
    dabout[sds + i] -= double(q) / sd[i];
    log_jacobian += double(q) * (log(fabs(at.w[i])) - log(sd[i]));
  }
  split_pullback(P, sd, dabout + sds, dabout + corrs, dP);
  for (Int h = 0; h < q; ++h) {
    double dw = double(q) / at.w[h];
    for (Int j = 0; j <= h; ++j) {
      double value = 0.0;
      for (Int i = 0; i < q; ++i)
        value += natural[i * q + h] * dF(i, j) + prior[i * q + h] * dP(i, j);
      dw += value * at.L(h, j);
      dL(h, j) = value * at.w[h];
    }
    dtheta[sds + h] = at.w[h] >= 0.0 ? dw : -dw;  // the sign goes in again with the coordinate
    dabout[sds + h] = 0.0;
  }
  return log_jacobian + partial_factor_pullback(x + corrs, at.L, dL, dx + corrs);
}

}  // namespace

double Coordinates::pullback(const double *x, double *dtheta, double *dabout, double *dx,
                             Memory &memory) const {
  double log_jacobian = 0.0;
  for (Int b = 0; b < n_matrices(); ++b) {
    const Memory::Mark mark = memory.mark();
    const MatrixBlock block = matrix(b);
    const MatrixAt at(*this, block, x, memory);
    log_jacobian += block.sds < 0 ? pull_correlations(block, at, x, dtheta, dabout, dx, memory)
                                  : pull_covariance(T, block, at, x, dtheta, dabout, dx, memory);
    memory.back_to(mark);
  }
  for (Int b = 0; b < n_joint(); ++b) {
    const JointBlock block = joint_block(b);
    const Int first = block.first, count = block.last - first;
    for (Int i = first; i < block.last; ++i) dtheta[i] += dabout[i];
    log_jacobian += coordinates_pullback({block.code, false}, block.occasions, {x + first, count},
                                         dtheta + first, dx + first, memory);
  }
  double *along = memory.zeros(shear.rows).data;
  for (Int i = 0; i < size(); ++i) {
    if (!single(i)) continue;
    Scaled at = scaled(scale(i), x[i], ab(i, 0), ab(i, 1));
    const double slope = dtheta[i] + dabout[i];
    if (shear.rows > 0) {
      const double shrunk = shift(i, x), factor = exp(-shrunk);
      at.slope *= factor, at.log_slope -= shrunk;
      // of theta[i] exp(-shift) in what it is multiplied by, and of the Jacobian
      along[i] = fabs(at.value) * factor * slope + 1.0;
    }
    dx[i] = at.slope * slope + at.change;
    log_jacobian += at.log_slope;
  }
  for (Int i = 0; i < shear.rows; ++i)
    for (Int j = 0; j < size(); ++j)
      if (shear(i, j) != 0.0) dx[j] -= shear(i, j) * along[i];
  return log_jacobian;
}

}  // namespace lmm
