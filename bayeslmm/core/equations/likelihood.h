// Likelihoods and their gradients. Values are false, and what they would write is left, where
// parameters are not those of covariance matrices or the equations are singular.
#pragma once

#include "equations/beta_prior.h"
#include "equations/equations.h"
#include "equations/selected_inverse.h"

namespace lmm {

// The solution with its criterion, and the gradient in the relative factors.
struct Profile {
  double *dM, *b, *gamma;
  double value, sigma2;
};

// -2 log-likelihood with σ (and beta) at their best for relative factors. `relative` is theta with
// R's parameters at its end and σ = 1, of which nothing else is read; the gradient in it is
// written.
bool profiled(const Equations &equations, Kind kind, const double *M, ConstVector relative,
              Profile &profile, double *drelative, Memory &memory);

// -2 log-likelihood at relative factors and, from theta, σ and the parameters of R, with its
// gradients in M and in these. Unlike `loglik` it is regular where G is singular.
bool given_factors(const Equations &equations, Kind kind, const double *M, ConstVector theta,
                   double &value, double *dM, double *dtheta, Memory &memory);

// Log density of y given theta with u and beta integrated out, and its gradients in theta and in
// the prior mean of beta; for ML beta is at its maximum instead, and its prior must be flat. The
// gradient in the mean is not wanted where it is null.
bool loglik(const Equations &equations, Kind kind, ConstVector theta, const BetaPrior &prior,
            double &value, double *dtheta, double *dmean, Memory &memory);

}  // namespace lmm
