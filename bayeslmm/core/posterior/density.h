// The posterior density of theta, and of coefficients sampled beside it, at positions z.
#pragma once

#include "equations/equations.h"
#include "posterior/coefficients.h"
#include "posterior/coordinates.h"
#include "priors/table.h"

namespace lmm {

// As `bayeslmm.density.DensityArrays` has it: an address and a length for each array.
struct DensityArrays {
  Integers prior_rows;
  ConstVector hyper;
  CoordinateArrays coordinates;
  ConstVector beta_mean, beta_precision;
  Integers ints;
  ConstVector floats;
  ConstVector slopes;        // numbers of `R2Slopes`
  ConstVector coefficients;  // rows of `CoefficientPrior`
  // (p, m) the change in the prior mean of beta for one in what is sampled: √V w, then coefficients
  ConstVector lift;
  ConstVector location;  // (k + m,) x = location + scale z
  ConstVector scale;     // (k + m, dim)
};

class Density {
  const DensityArrays &arrays_;
  const Int k_, length_, p_;
  const Int n_coefficients_, n_slopes_;  // that are sampled: together m
  const Coordinates coordinates_;
  const Equations equations_;

  double at_x(const double *x, double *dx, bool &ok, Memory &memory) const;

  CoefficientPrior coefficient(Int j) const {
    return CoefficientPrior(&arrays_.coefficients[j * CoefficientPrior::SIZE]);
  }
  // Write √V w of slopes, then coefficients.
  void sampled(const double *x, ConstVector about, double *out) const;
  // Log density of what is sampled beside theta, given the gradient of the rest in it.
  double pull_sampled(const double *x, ConstVector about, const double *slope, double dratio,
                      double *dabout, double *dx) const;

 public:
  explicit Density(const DensityArrays &arrays);

  // x at a position, of `length()` elements: theta's, then those of slopes and coefficients.
  const double *place(ConstVector z, Memory &memory) const;
  Int length() const { return length_; }

  // Log density up to the priors' constants, and its gradient; false where there is none.
  bool evaluate(ConstVector z, double &value, double *gradient, Memory &memory) const;

  // Theta at a position, then √V w of slopes, then coefficients.
  void expand(ConstVector z, double *out, Memory &memory) const;
};

}  // namespace lmm
