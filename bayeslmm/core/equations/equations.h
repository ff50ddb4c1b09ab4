// The packed vectors that Python holds: the system, and the rows of data where R has a structure.
#pragma once

#include "equations/residual_rows.h"

namespace lmm {

struct Equations {
  System system;
  bool structured;
  ResidualRows rows;

  Equations(const Int *ints, Int n_ints, const double *floats)
      : system(ints, floats), structured(n_ints > system.n_integers) {
    if (structured) rows = ResidualRows(ints + system.n_integers, floats + system.n_floats);
  }
};

// The equations under R at given parameters. Without a structure they are the system itself.
struct EquationsAt {
  const Equations &equations;
  ResidualsAt R;
  System system;

  EquationsAt(const Equations &equations, ConstVector theta, Memory &memory)
      : equations(equations),
        R(equations.structured ? ResidualsAt(equations.rows, theta, memory) : ResidualsAt()),
        system(equations.structured && R.ok ? assemble(equations.system, equations.rows, R, memory)
                                            : equations.system) {}
  bool ok() const { return R.ok; }

  // Room for the gradient in the cross-products, null where no parameter changes these.
  double *take_dproducts(Memory &memory) const {
    return equations.structured ? memory.doubles(system.n_products) : nullptr;
  }
  // Add the gradient in R's parameters that follows from it.
  void pull(const double *dproducts, double *dtheta, Memory &memory) const {
    if (equations.structured)
      assemble_pullback(equations.system, equations.rows, R, dproducts, dtheta, memory);
  }
};

}  // namespace lmm
