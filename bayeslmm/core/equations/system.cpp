#include "equations/system.h"

#include "equations/parts.h"

namespace lmm {
System::System(const Int *ints, const double *floats) {
  Parts<Int> part(ints, ints);
  const Integers sizes = part.next();
  n_factors = sizes[0], n_stages = sizes[1], p = sizes[2], n_root = sizes[3];
  n_root_variables = sizes[4], n_bars = sizes[5], n = sizes[6];
  Integers *const others[] = {
      &q,           &n_levels,      &M_start,     &u_start,   &bars,   &stage_factor,  &stage_start,
      &root_start,  &panel_start,   &ancestor,    &met_start, &met,    &met_row_start, &met_row,
      &root_factor, &root_variable, &root_border, &root_own,  &pair_a, &pair_b,        &pair_start};
  for (Integers *own : others) *own = part.next();

  n_integers = part.offset();
  Parts<double> values(part.header() + 1, floats);
  products = values.next_data();
  border_at = values.offset(), values.next_data();
  own_at = values.offset(), values.next_data();
  pairs_at = values.offset(), values.next_data();
  xy_at = values.offset(), values.next_data();
  n_products = values.offset();
  rotation = {values.next_data(), p, p};
  rotation_inverse = {values.next_data(), p, p};
  beta_ols = values.next_data();
  precision = values.next_data();
  coupling = values.next_data();
  const double *constants = floats + values.offset();
  sum_log_weights = constants[0], log_det_rotation = constants[1];
  n_floats = values.offset() + 3;
}

System System::with_products(const double *other, double log_det) const {
  System under = *this;
  under.products = other;
  under.sum_log_weights -= log_det;
  return under;
}

Int System::most_effects() const {
  Int most = 1;
  for (Int f = 0; f < n_factors; ++f) most = larger(most, q[f]);
  return most;
}

Stage::Stage(const System &y, Int number)
    : number(number), factor(y.stage_factor[number]), first(y.stage_start[number]),
      end(y.stage_start[number + 1]), q(y.q[factor]), chain_rows(0) {
  for (Int later = number; later < y.n_stages; ++later) chain_rows += y.q[y.stage_factor[later]];
}

}  // namespace lmm
