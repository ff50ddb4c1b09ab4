#include "equations/selected_inverse.h"

namespace lmm {
namespace {

// Adjoint of M_a' raw M, whose weight is `moment` (q_a, q), for two different nodes.
template <int Q>
inline void pull_between(Effects<Q> q, Int qa, const double *Ma, const double *M, const double *raw,
                         const double *moment, double *dMa, double *dM) {
  for (Int h = 0; h < qa; ++h)
    for (Int k = 0; k < q; ++k) {
      const double value = raw[h * q + k];
      if (value == 0.0) continue;
      for (Int i = 0; i < qa; ++i) {
        const double left = value * Ma[h * qa + i];
        double total = 0.0;
        for (Int j = 0; j < q; ++j) {
          dM[k * q + j] -= left * moment[i * q + j];
          total += M[k * q + j] * moment[i * q + j];
        }
        dMa[h * qa + i] -= value * total;
      }
    }
}

// Adjoint of M' raw M, half of it: raw M moment.
template <int Q>
inline void pull_own(Effects<Q> q, const double *M, const double *raw, const double *moment,
                     double *dM) {
  for (Int k = 0; k < q; ++k)
    for (Int j = 0; j < q; ++j) {
      double part = 0.0;
      for (Int i = 0; i < q; ++i) part += M[k * q + i] * moment[i * q + j];
      for (Int h = 0; h < q; ++h) dM[h * q + j] -= raw[h * q + k] * part;
    }
}

// Adjoint of the cross-products themselves: -M_a moment M', times `share`.
template <int Q>
inline void pull_products(Effects<Q> q, Int qa, const double *Ma, const double *M,
                          const double *moment, double share, double *draw) {
  for (Int i = 0; i < qa; ++i)
    for (Int k = 0; k < q; ++k) {
      double value = 0.0;
      for (Int j = 0; j < q; ++j) value += moment[i * q + j] * M[k * q + j];
      value *= share;
      for (Int h = 0; h < qa; ++h) draw[h * q + k] -= Ma[h * qa + i] * value;
    }
}

// The moment E + ww'/σ² of two nodes.
template <int Q>
inline void moment_of(Effects<Q> q, Int qa, const double *E, const double *wa, const double *w,
                      double scale, double *moment) {
  for (Int i = 0; i < qa; ++i)
    for (Int j = 0; j < q; ++j) moment[i * q + j] = E[i * q + j] + scale * wa[i] * w[j];
}

// What the gradient is made of, and where it goes.
struct Sweep {
  const System &y;
  const double *M;
  const Inverse &E;
  const double *b;
  const double *border;  // w of X and y: gamma, -1
  double scale;
  double *moment;  // room for one
  double *dM, *dproducts;

  bool of_products() const { return dproducts != nullptr; }
};

template <int Q>
void gradient_stage(const Sweep &sweep, const Stage &stage, Effects<Q> q) {
  const System &y = sweep.y;
  const double *M = sweep.M + y.M_start[stage.factor];
  double *dM = sweep.dM + y.M_start[stage.factor], *moment = sweep.moment;
  const double *w = sweep.b + y.u_start[stage.factor];
  for (Int node = stage.first; node < stage.end; ++node, w += q) {
    const double *raw = y.panel(node), *E = sweep.E.panel + y.panel_start[node];
    double *draw = sweep.of_products() ? sweep.dproducts + y.panel_start[node] : nullptr;
    moment_of<Q>(q, q, E, w, w, sweep.scale, moment);
    pull_own<Q>(q, M, raw, moment, dM);
    if (draw != nullptr) pull_products<Q>(q, q, M, M, moment, 0.5, draw);
    Int at = q * q;
    auto pull = [&](Int g, const double *wg) {
      const double *Mg = sweep.M + y.M_start[g];
      moment_of<Q>(q, y.q[g], E + at, wg, w, sweep.scale, moment);
      pull_between<Q>(q, y.q[g], Mg, M, raw + at, moment, sweep.dM + y.M_start[g], dM);
      if (draw != nullptr) pull_products<Q>(q, y.q[g], Mg, M, moment, 1.0, draw + at);
      at += y.q[g] * q;
    };
    for (Int later = stage.number + 1; later < y.n_stages; ++later) {
      const Int g = y.stage_factor[later];
      const Int level = y.ancestor[node * y.n_stages + later] - y.stage_start[later];
      pull(g, sweep.b + y.u_start[g] + level * y.q[g]);
    }
    for (Int e = y.met_start[node]; e < y.met_start[node + 1]; ++e)
      pull(y.root_factor[y.met[e]], sweep.b + y.root_u(y.met[e]));
    for (Int i = 0; i <= y.p; ++i, at += q)
      for (Int j = 0; j < q; ++j) {
        const double value = E[at + j] + sweep.scale * sweep.border[i] * w[j];
        for (Int h = 0; h < q; ++h) dM[h * q + j] -= raw[at + h] * value;
        if (draw != nullptr)
          for (Int h = 0; h < q; ++h) draw[at + h] -= value * M[h * q + j];
      }
  }
}

void gradient_root_node(const Sweep &sweep, Int node) {
  const System &y = sweep.y;
  const Matrix root = sweep.E.root;
  const Int f = y.root_factor[node], v = y.root_variable[node], nr = y.n_root_variables;
  const Effects<0> q{y.q[f]};
  const double *M = sweep.M + y.M_start[f], *w = sweep.b + y.root_u(node);
  double *dM = sweep.dM + y.M_start[f], *moment = sweep.moment;
  for (Int i = 0; i < q; ++i)
    for (Int j = 0; j < q; ++j)
      moment[i * q + j] = root(v + larger(i, j), v + lesser(i, j)) + sweep.scale * w[i] * w[j];
  pull_own<0>(q, M, y.own(node), moment, dM);
  if (sweep.of_products())
    pull_products<0>(q, q, M, M, moment, 0.5, sweep.dproducts + y.own_at + y.root_own[node]);
  for (Int i = 0; i <= y.p; ++i)
    for (Int j = 0; j < q; ++j) {
      const double value = root(nr + i, v + j) + sweep.scale * sweep.border[i] * w[j];
      const double *raw = y.border(node) + i * q;
      for (Int h = 0; h < q; ++h) dM[h * q + j] -= raw[h] * value;
      if (!sweep.of_products()) continue;
      double *draw = sweep.dproducts + y.border_at + y.root_border[node] + i * q;
      for (Int h = 0; h < q; ++h) draw[h] -= value * M[h * q + j];
    }
}

void gradient_root_pair(const Sweep &sweep, Int pair) {
  const System &y = sweep.y;
  const Int a = y.pair_a[pair], c = y.pair_b[pair];
  const Int fa = y.root_factor[a], fc = y.root_factor[c], qa = y.q[fa];
  const Effects<0> qc{y.q[fc]};
  const double *Ma = sweep.M + y.M_start[fa], *Mc = sweep.M + y.M_start[fc];
  const double *wa = sweep.b + y.root_u(a), *wc = sweep.b + y.root_u(c);
  for (Int i = 0; i < qa; ++i)
    for (Int j = 0; j < qc; ++j)
      sweep.moment[i * qc + j] = sweep.E.root(y.root_variable[a] + i, y.root_variable[c] + j) +
                                 sweep.scale * wa[i] * wc[j];
  pull_between<0>(qc, qa, Ma, Mc, y.between(pair), sweep.moment, sweep.dM + y.M_start[fa],
                  sweep.dM + y.M_start[fc]);
  if (sweep.of_products())
    pull_products<0>(qc, qa, Ma, Mc, sweep.moment, 1.0,
                     sweep.dproducts + y.pairs_at + y.pair_start[pair]);
}

// Of [X y]'W[X y], half a symmetric adjoint.
void gradient_border(const Sweep &sweep) {
  const System &y = sweep.y;
  const Int nr = y.n_root_variables;
  for (Int i = 0; i <= y.p; ++i)
    for (Int j = 0; j <= y.p; ++j)
      sweep.dproducts[y.xy_at + i * (y.p + 1) + j] -=
          0.5 * (sweep.E.root(nr + larger(i, j), nr + lesser(i, j)) +
                 sweep.scale * sweep.border[i] * sweep.border[j]);
}

}  // namespace

void gradient(const System &y, const double *M, const Inverse &E, const Solution &w, double scale,
              double *dM, double *dproducts, Memory &memory) {
  const Int most = y.most_effects();
  double *border = memory.doubles(y.p + 1);
  copy(w.gamma.data, y.p, border);
  border[y.p] = -1.0;
  const Sweep sweep = {y,  M,        E, w.b.data, border, scale, memory.doubles(most * most),
                       dM, dproducts};
  fill(dM, y.n_relative(), 0.0);
  if (sweep.of_products()) fill(dproducts, y.n_products, 0.0);
  for (Int s = 0; s < y.n_stages; ++s) {
    const Stage stage(y, s);
    by_effects(stage.q, [&](auto q) { gradient_stage(sweep, stage, q); });
  }
  if (sweep.of_products()) gradient_border(sweep);
  for (Int node = 0; node < y.n_root; ++node) gradient_root_node(sweep, node);
  for (Int pair = 0; pair < y.pair_a.size; ++pair) gradient_root_pair(sweep, pair);
}

}  // namespace lmm
