// Henderson's equations reduced to cross-products, as `bayeslmm.elimination.System` packs them.
//
// Every level of a grouping factor is a node with q effects. The nodes of a chain of nested factors
// are eliminated one by one; the other factors, X and y are the dense root. A chain node's panel
// has, row by row, its couplings to its own effects, its ancestors in the chain, the root nodes
// that it shares rows of data with, X, y.
#pragma once

#include "support/memory.h"

namespace lmm {

struct System {
  // numbers of factors, stages of the chain, columns of X, root nodes, root variables, bars, rows
  Int n_factors, n_stages, p, n_root, n_root_variables, n_bars, n;

  // by factor: effects, levels, and where M_f, u_f and the root nodes begin
  Integers q, n_levels, M_start, u_start;
  Integers bars;  // the table of bars, of which `Bar` is a row
  Integers stage_factor, stage_start, root_start;

  // by chain node: where its panel begins, its ancestor in each stage, the root nodes that it
  // meets, and, for each ancestor, the rows that these have in the ancestor's panel
  Integers panel_start, ancestor, met_start, met, met_row_start, met_row;

  // by root node: its factor, first variable in the root, and where its products begin
  Integers root_factor, root_variable, root_border, root_own;

  // pairs of root nodes with rows in common, or of related levels; `pair_a` comes after `pair_b`
  Integers pair_a, pair_b, pair_start;

  // cross-products: of the panels; Z'WZ of root nodes with [X y], with themselves and by pair;
  // [X y]'W[X y]
  const double *products;
  Int border_at, own_at, pairs_at, xy_at, n_products;

  // r of the QR of X with its inverse, and beta of least squares
  ConstMatrix rotation, rotation_inverse;
  const double *beta_ols;

  // K⁻¹ of known relationships: its diagonal by root node, and what it has between a pair
  const double *precision, *coupling;

  double sum_log_weights, log_det_rotation;

  // what the packed vectors have beyond these is R's
  Int n_integers, n_floats;

  System(const Int *ints, const double *floats);

  // The same system with other cross-products, those under an R with this log|R/σ²|.
  System with_products(const double *other, double log_det) const;

  Int root_order() const { return n_root_variables + p + 1; }
  Int n_relative() const { return M_start[n_factors]; }
  Int n_random() const { return u_start[n_factors]; }
  Int most_effects() const;

  const double *panel(Int node) const { return products + panel_start[node]; }
  const double *border(Int root) const { return products + border_at + root_border[root]; }
  const double *own(Int root) const { return products + own_at + root_own[root]; }
  const double *between(Int pair) const { return products + pairs_at + pair_start[pair]; }
  ConstMatrix xy() const { return {products + xy_at, p + 1, p + 1}; }

  Int n_panel() const { return border_at; }
  Int n_met(Int node) const { return met_start[node + 1] - met_start[node]; }
  // Where the effects of a root node stand in u.
  Int root_u(Int root) const {
    const Int f = root_factor[root];
    return u_start[f] + (root - root_start[f]) * q[f];
  }
};

// The number of effects of a node, which the compiler knows where Q is not 0: loops over effects
// are then unrolled.
template <int Q>
struct Effects {
  Int count;
  constexpr operator Int() const { return Q != 0 ? Q : count; }
};

template <class Work>
inline auto by_effects(Int q, Work work) {
  if (q == 1) return work(Effects<1>{1});
  if (q == 2) return work(Effects<2>{2});
  return work(Effects<0>{q});
}

// A stage of the chain: the nodes of one factor.
struct Stage {
  Int number, factor, first, end;
  Int q;
  Int chain_rows;  // panel rows that belong to the chain: own effects and those of later stages

  Stage(const System &y, Int number);
};

// Write the root position of each panel row of a chain node below the chain's, that of y last;
// return their number.
inline Int root_rows(const System &y, Int node, Int *index) {
  Int count = 0;
  for (Int e = y.met_start[node]; e < y.met_start[node + 1]; ++e) {
    const Int root = y.met[e];
    for (Int k = 0; k < y.q[y.root_factor[root]]; ++k) index[count++] = y.root_variable[root] + k;
  }
  for (Int k = 0; k <= y.p; ++k) index[count++] = y.n_root_variables + k;
  return count;
}

}  // namespace lmm
