#include "equations/factorisation.h"

#include "support/lapack.h"

namespace lmm {
namespace {

// M_left' (Z'WZ) M_own of a root node with itself or with another, an element of it.
inline double sandwich(const double *M_left, Int i, Int q_left, const double *raw,
                       const double *M_own, Int j, Int q_own, double value) {
  for (Int h = 0; h < q_left; ++h)
    for (Int k = 0; k < q_own; ++k)
      value += M_left[h * q_left + i] * raw[h * q_own + k] * M_own[k * q_own + j];
  return value;
}

void assemble_root_node(const System &y, Int node, const double *M, Matrix A) {
  const Int q = y.q[y.root_factor[node]], v = y.root_variable[node];
  const double *Mf = M + y.M_start[y.root_factor[node]];
  const double *own = y.own(node), *border = y.border(node);
  for (Int i = 0; i < q; ++i)
    for (Int j = 0; j <= i; ++j)
      A(v + i, v + j) = sandwich(Mf, i, q, own, Mf, j, q, i == j ? y.precision[node] : 0.0);
  for (Int i = 0; i <= y.p; ++i)
    for (Int j = 0; j < q; ++j) {
      double value = 0.0;
      for (Int k = 0; k < q; ++k) value += border[i * q + k] * Mf[k * q + j];
      A(y.n_root_variables + i, v + j) = value;
    }
}

void assemble_root_pair(const System &y, Int pair, const double *M, Matrix A) {
  const Int a = y.pair_a[pair], b = y.pair_b[pair];
  const Int fa = y.root_factor[a], fb = y.root_factor[b], qa = y.q[fa], qb = y.q[fb];
  const double *Ma = M + y.M_start[fa], *Mb = M + y.M_start[fb], *raw = y.between(pair);
  for (Int i = 0; i < qa; ++i)
    for (Int j = 0; j < qb; ++j)
      A(y.root_variable[a] + i, y.root_variable[b] + j) =
          sandwich(Ma, i, qa, raw, Mb, j, qb, i == j ? y.coupling[pair] : 0.0);
}

// The block of A that X and y have: Q'WQ + P σ², which is the identity but for the prior's part.
void assemble_border(const System &y, const GammaPrior *prior, Matrix A) {
  const Int p = y.p, nr = y.n_root_variables;
  const ConstMatrix xy = y.xy();
  for (Int i = 0; i <= p; ++i)
    for (Int j = 0; j <= i; ++j) A(nr + i, nr + j) = xy(i, j);
  if (prior == nullptr) return;
  for (Int i = 0; i < p; ++i) {
    for (Int j = 0; j <= i; ++j) A(nr + i, nr + j) += prior->precision(i, j);
    A(nr + p, nr + i) += prior->precision_mean[i];
  }
  A(nr + p, nr + p) += prior->mean_square;
}

void assemble_root(const System &y, const double *M, const GammaPrior *prior, Matrix A) {
  fill(A.data, A.size(), 0.0);
  for (Int node = 0; node < y.n_root; ++node) assemble_root_node(y, node, M, A);
  for (Int pair = 0; pair < y.pair_a.size; ++pair) assemble_root_pair(y, pair, M, A);
  assemble_border(y, prior, A);
}

// Add M_left' raw M to a panel's block of rows, those of another node.
template <int Q>
inline void add_between(Effects<Q> q, double *rows, const double *raw, Int left,
                        const double *M_left, const double *M) {
  for (Int i = 0; i < left; ++i)
    for (Int h = 0; h < left; ++h) {
      const double weight = M_left[h * left + i];
      if (weight == 0.0) continue;
      for (Int j = 0; j < q; ++j) {
        double part = 0.0;
        for (Int k = 0; k < q; ++k) part += raw[h * q + k] * M[k * q + j];
        rows[i * q + j] += weight * part;
      }
    }
}

// Add a node's own entries of A to what its descendants have left in its panel.
template <int Q>
inline void assemble_node(const System &y, const Stage &stage, Effects<Q> q, Int node,
                          const double *M, double *panel) {
  const double *Mo = M + y.M_start[stage.factor], *raw = y.panel(node);
  for (Int h = 0; h < q; ++h)
    for (Int j = 0; j < q; ++j) {
      double part = 0.0;
      for (Int k = 0; k < q; ++k) part += raw[h * q + k] * Mo[k * q + j];
      for (Int i = 0; i < q; ++i) panel[i * q + j] += Mo[h * q + i] * part;
    }
  for (Int i = 0; i < q; ++i) panel[i * q + i] += 1.0;
  Int at = q * q;
  auto add = [&](Int f) {
    add_between<Q>(q, panel + at, raw + at, y.q[f], M + y.M_start[f], Mo);
    at += y.q[f] * q;
  };
  for (Int later = stage.number + 1; later < y.n_stages; ++later) add(y.stage_factor[later]);
  for (Int e = y.met_start[node]; e < y.met_start[node + 1]; ++e) add(y.root_factor[y.met[e]]);
  for (Int i = 0; i <= y.p; ++i, at += q)
    for (Int j = 0; j < q; ++j) {
      double value = 0.0;
      for (Int k = 0; k < q; ++k) value += raw[at + k] * Mo[k * q + j];
      panel[at + j] += value;
    }
}

// The pivot block L_oo of a node and the rows L_ro below it, in place; the determinant of the
// pivots, or none where one is not positive.
template <int Q>
inline bool factorise_node(Effects<Q> q, Int rows, double *L, double &log_det) {
  double pivots = 1.0;
  for (Int i = 0; i < q; ++i) {
    for (Int j = 0; j < i; ++j) {
      double value = L[i * q + j];
      for (Int k = 0; k < j; ++k) value -= L[i * q + k] * L[j * q + k];
      L[i * q + j] = value / L[j * q + j];
    }
    double value = L[i * q + i];
    for (Int k = 0; k < i; ++k) value -= L[i * q + k] * L[i * q + k];
    if (!(value > 0.0)) return false;
    pivots *= value;
    L[i * q + i] = sqrt(value);
  }
  log_det += log(pivots);
  for (Int i = q; i < rows; ++i)
    for (Int j = 0; j < q; ++j) {
      double value = L[i * q + j];
      for (Int k = 0; k < j; ++k) value -= L[i * q + k] * L[j * q + k];
      L[i * q + j] = value / L[j * q + j];
    }
  return true;
}

// An element of the outer product that a node leaves to others.
template <int Q>
inline double inner(Effects<Q> q, const double *a, const double *b) {
  double value = 0.0;
  for (Int k = 0; k < q; ++k) value += a[k] * b[k];
  return value;
}

// Subtract L_ro L_ro' of a node from the panels of its ancestors in the chain.
template <int Q>
inline void leave_to_ancestors(const System &y, const Stage &stage, Effects<Q> q, Int node,
                               double *panels) {
  const double *L = panels + y.panel_start[node];
  const Int met = y.n_met(node);
  Int column = q;  // the row of L whose elements are a column's in the ancestor
  for (Int later = stage.number + 1; later < y.n_stages; ++later) {
    const Int qg = y.q[y.stage_factor[later]], up = y.ancestor[node * y.n_stages + later];
    double *target = panels + y.panel_start[up];
    auto subtract = [&](Int row, Int there) {
      for (Int j = 0; j < qg; ++j)
        target[there * qg + j] -= inner<Q>(q, L + row * q, L + (column + j) * q);
    };
    // the chain's rows stand in the same order there
    for (Int row = column; row < stage.chain_rows; ++row) subtract(row, row - column);
    Int row = stage.chain_rows;
    const Int *there = &y.met_row[y.met_row_start[node] + (later - stage.number - 1) * met];
    for (Int e = 0; e < met; ++e) {
      const Int root = y.met[y.met_start[node] + e];
      for (Int h = 0; h < y.q[y.root_factor[root]]; ++h) subtract(row++, there[e] + h);
    }
    const Int rows = (y.panel_start[up + 1] - y.panel_start[up]) / qg;
    for (Int h = 0; h <= y.p; ++h) subtract(row++, rows - y.p - 1 + h);
    column += qg;
  }
}

// Eliminate the nodes of a stage; false where a pivot is not positive.
template <int Q>
bool eliminate(const System &y, const Stage &stage, Effects<Q> q, const double *M, Factor L,
               Int *index, double &log_det) {
  Int count = root_rows(y, stage.first, index);
  for (Int node = stage.first; node < stage.end; ++node) {
    if (y.n_root > 0) count = root_rows(y, node, index);  // else all have those of X and y
    double *panel = L.panel + y.panel_start[node];
    assemble_node<Q>(y, stage, q, node, M, panel);
    if (!factorise_node<Q>(q, stage.chain_rows + count, panel, log_det)) return false;
    if (stage.chain_rows > q) leave_to_ancestors<Q>(y, stage, q, node, L.panel);
    const double *below = panel + stage.chain_rows * q;
    for (Int i = 0; i < count; ++i)
      for (Int j = 0; j <= i; ++j)
        L.root(index[i], index[j]) -= inner<Q>(q, below + i * q, below + j * q);
  }
  return true;
}

}  // namespace

Determinants factorise(const System &y, const double *M, const GammaPrior *prior, Factor L,
                       Memory &memory) {
  constexpr Determinants none = {0.0, 0.0, 0.0, false};
  const Int nr = y.n_root_variables, order = y.root_order();
  assemble_root(y, M, prior, L.root);
  fill(L.panel, y.n_panel(), 0.0);
  Int *index = memory.integers(order);
  double log_det = 0.0;
  for (Int s = 0; s < y.n_stages; ++s) {
    const Stage stage(y, s);
    double own = 0.0;
    if (!by_effects(stage.q, [&](auto q) { return eliminate(y, stage, q, M, L, index, own); }))
      return none;
    log_det += own;
  }
  if (!cholesky_in_place(L.root)) return none;
  for (Int i = 0; i < nr; ++i) log_det += 2.0 * log(L.root(i, i));
  double log_all = log_det;
  for (Int i = nr; i < nr + y.p; ++i) log_all += 2.0 * log(L.root(i, i));
  return {log_det, log_all, square(L.root(order - 1, order - 1)), true};
}

namespace {

// Solve for the b of a stage's nodes; `root` has the solution of the root's variables.
template <int Q>
void back_stage(const System &y, const Stage &stage, Effects<Q> q, const double *panels,
                const double *root, const double *noise, double *b, Int *index) {
  Int count = root_rows(y, stage.first, index);
  Int u = y.u_start[stage.factor];
  for (Int node = stage.first; node < stage.end; ++node, u += q) {
    if (y.n_root > 0) count = root_rows(y, node, index);
    const double *L = panels + y.panel_start[node];
    const double *last = L + (stage.chain_rows + count - 1) * q;  // the row of y
    for (Int j = 0; j < q; ++j) b[u + j] = last[j] + (noise == nullptr ? 0.0 : noise[y.p + u + j]);
    const double *row = L + q * q;
    for (Int later = stage.number + 1; later < y.n_stages; ++later) {
      const Int g = y.stage_factor[later];
      const Int level = y.ancestor[node * y.n_stages + later] - y.stage_start[later];
      for (Int k = 0; k < y.q[g]; ++k, row += q)
        for (Int j = 0; j < q; ++j) b[u + j] -= row[j] * b[y.u_start[g] + level * y.q[g] + k];
    }
    for (Int i = 0; i < count - 1; ++i, row += q)
      for (Int j = 0; j < q; ++j) b[u + j] -= row[j] * root[index[i]];
    for (Int j = q - 1; j >= 0; --j) {
      double value = b[u + j];
      for (Int k = j + 1; k < q; ++k) value -= L[k * q + j] * b[u + k];
      b[u + j] = value / L[j * q + j];
    }
  }
}

}  // namespace

void back_substitute(const System &y, const Factor &L, const double *noise, Solution solution,
                     Memory &memory) {
  const Int nr = y.n_root_variables, p = y.p, order = y.root_order();
  double *w = memory.doubles(order);  // of the root: its effects, then gamma
  const double *last = L.root.row(order - 1);
  copy(last, order, w);
  if (noise != nullptr) {
    for (Int i = 0; i < p; ++i) w[nr + i] += noise[i];
    for (Int node = 0; node < y.n_root; ++node)
      for (Int k = 0; k < y.q[y.root_factor[node]]; ++k)
        w[y.root_variable[node] + k] += noise[p + y.root_u(node) + k];
  }
  for (Int i = nr + p - 1; i >= 0; --i) {  // by rows, as the root is stored
    w[i] /= L.root(i, i);
    for (Int j = 0; j < i; ++j) w[j] -= L.root(i, j) * w[i];
  }
  copy(w + nr, p, solution.gamma.data);
  for (Int node = 0; node < y.n_root; ++node)
    copy(w + y.root_variable[node], y.q[y.root_factor[node]], &solution.b[y.root_u(node)]);
  Int *index = memory.integers(order);
  for (Int s = y.n_stages - 1; s >= 0; --s) {
    const Stage stage(y, s);
    by_effects(stage.q,
               [&](auto q) { back_stage(y, stage, q, L.panel, w, noise, solution.b.data, index); });
  }
}

}  // namespace lmm
