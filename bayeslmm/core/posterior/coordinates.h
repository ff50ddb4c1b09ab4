// Unconstrained coordinates x of theta, in which posteriors are close to normal.
#pragma once

#include "posterior/scales.h"
#include "support/memory.h"

namespace lmm {

// The correlation matrix of an unrestricted bar, or of R, in coordinates of its own: G = TG̃T'.
struct MatrixBlock {
  static constexpr Int SIZE = 5;

  Int sds, corrs, q;   // where they begin in theta, and effects; sds is -1 where it has none
  Int natural, about;  // where the matrices T begin: to the effects of theta, and of the prior

  explicit MatrixBlock(const Int *row)
      : sds(row[0]), corrs(row[1]), q(row[2]), natural(row[3]), about(row[4]) {}
};

// Correlations by lag, or loadings, whose coordinates make them together.
struct JointBlock {
  static constexpr Int SIZE = 4;

  Int first, last, occasions, code;

  explicit JointBlock(const Int *row)
      : first(row[0]), last(row[1]), occasions(row[2]), code(row[3]) {}
};

// As `bayeslmm.coordinates.Coordinates` has them.
struct Coordinates {
  Integers scales;    // (k,) of `Scale`
  ConstMatrix ab;     // (k, 2)
  Integers matrices;  // rows of `MatrixBlock`
  const double *T;
  Integers joint;     // rows of `JointBlock`
  ConstMatrix shear;  // (k, k), or no rows: what is taken from the logarithm of each parameter

  Int size() const { return scales.size; }
  Scale scale(Int i) const { return Scale(scales[i]); }
  // Whether a parameter has a coordinate of its own.
  bool single(Int i) const { return scale(i) != Scale::PARTIAL && scale(i) != Scale::JOINT; }
  Int n_matrices() const { return matrices.size / MatrixBlock::SIZE; }
  MatrixBlock matrix(Int i) const { return MatrixBlock(matrices.data + i * MatrixBlock::SIZE); }
  Int n_joint() const { return joint.size / JointBlock::SIZE; }
  JointBlock joint_block(Int i) const { return JointBlock(joint.data + i * JointBlock::SIZE); }
  double shift(Int i, const double *x) const;

  // Write theta at x, and what its priors are about.
  void constrain(const double *x, double *theta, double *about, Memory &memory) const;

  // Write the gradient in x of a log density, with the log Jacobian of what the priors are about,
  // which is returned. dtheta is the gradient of the log-likelihood, dabout that of the log prior
  // density in what it is about; both are overwritten.
  double pullback(const double *x, double *dtheta, double *dabout, double *dx,
                  Memory &memory) const;
};

// The same as Python passes it: an address and a length for each array.
struct CoordinateArrays {
  Integers scales;
  ConstVector ab;
  Integers matrices;
  ConstVector T;
  Integers joint;
  ConstVector shear;

  Coordinates view() const {
    const Int k = scales.size;
    return {scales, {ab.data, k, 2}, matrices,
            T.data, joint,           {shear.data, shear.size / larger(k, 1), k}};
  }
};

}  // namespace lmm
