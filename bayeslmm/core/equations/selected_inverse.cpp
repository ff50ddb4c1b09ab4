#include "equations/selected_inverse.h"

#include "support/lapack.h"

namespace lmm {
namespace {

// The rows of an ancestor's panel that are those of a node's, one after another: the chain's from
// one on, then of the root nodes that the node meets, then of X.
class AncestorRows {
  const System &y_;
  const Stage &stage_;
  const Int node_, rows_, start_, width_, border_;
  const Int *there_;
  Int entry_ = 0, left_ = 0, row_ = 0;

 public:
  AncestorRows(const System &y, const Stage &stage, Int node, Int later, Int rows)
      : y_(y), stage_(stage), node_(node), rows_(rows),
        start_(y.panel_start[y.ancestor[node * y.n_stages + later]]),
        width_(y.q[y.stage_factor[later]]),
        border_((y.panel_start[y.ancestor[node * y.n_stages + later] + 1] - start_) / width_ - y.p -
                1),
        there_(y.met_row.data + y.met_row_start[node] +
               (later - stage.number - 1) * y.n_met(node)) {}

  // Where the row that is the node's `row` begins; `column` is the first that both have.
  Int next(Int row, Int column) {
    if (row < stage_.chain_rows) {
      row_ = row - column;
    } else if (row >= rows_ - y_.p) {
      row_ = border_ + row - (rows_ - y_.p);
    } else if (left_ == 0) {
      const Int root = y_.met[y_.met_start[node_] + entry_];
      left_ = y_.q[y_.root_factor[root]] - 1;
      row_ = there_[entry_++];
    } else {
      ++row_;
      --left_;
    }
    return start_ + row_ * width_;
  }
};

// Add E[below, ancestors] L[ancestors, own] and its mirror to E[below, own].
template <int Q>
inline void gather_ancestors(const System &y, const Stage &stage, Effects<Q> q, Int node, Int rows,
                             const double *panels, double *inverse) {
  const double *L = panels + y.panel_start[node];
  double *E = inverse + y.panel_start[node];
  Int column = q;
  for (Int later = stage.number + 1; later < y.n_stages; ++later) {
    const Int qg = y.q[y.stage_factor[later]];
    AncestorRows ancestor(y, stage, node, later, rows);
    for (Int i = column; i < rows; ++i) {
      const double *source = inverse + ancestor.next(i, column);
      for (Int j = 0; j < qg; ++j) {
        const double value = source[j];
        for (Int k = 0; k < q; ++k) E[i * q + k] += value * L[(column + j) * q + k];
        if (i >= column + qg)
          for (Int k = 0; k < q; ++k) E[(column + j) * q + k] += value * L[i * q + k];
      }
    }
    column += qg;
  }
}

// Add E[below, root] L[root, own] to E[below, own].
template <int Q>
inline void gather_root(Effects<Q> q, ConstMatrix root, const Int *index, Int count,
                        const double *below, double *E) {
  for (Int i = 0; i < count; ++i) {
    double value = root(index[i], index[i]);
    for (Int k = 0; k < q; ++k) E[i * q + k] += value * below[i * q + k];
    for (Int j = 0; j < i; ++j) {
      value = root(index[i], index[j]);
      for (Int k = 0; k < q; ++k) E[i * q + k] += value * below[j * q + k];
      for (Int k = 0; k < q; ++k) E[j * q + k] += value * below[i * q + k];
    }
  }
}

// E_ro = -E_rr L_ro L_oo⁻¹ of what was gathered, and E_oo = (L_oo⁻ᵀ - E_ro'L_ro) L_oo⁻¹, from its
// last column back.
template <int Q>
inline void finish_node(Effects<Q> q, Int rows, const double *L, double *E) {
  for (Int i = q; i < rows; ++i)
    for (Int j = q - 1; j >= 0; --j) {
      double value = -E[i * q + j];
      for (Int k = j + 1; k < q; ++k) value -= E[i * q + k] * L[k * q + j];
      E[i * q + j] = value / L[j * q + j];
    }
  for (Int j = q - 1; j >= 0; --j)
    for (Int i = q - 1; i >= j; --i) {
      double value = i == j ? 1.0 / L[j * q + j] : 0.0;
      for (Int k = q; k < rows; ++k) value -= E[k * q + i] * L[k * q + j];
      for (Int k = j + 1; k < q; ++k) value -= E[i * q + k] * L[k * q + j];
      value /= L[j * q + j];
      E[i * q + j] = value;
      E[j * q + i] = value;
    }
}

template <int Q>
void invert_stage(const System &y, const Stage &stage, Effects<Q> q, const Factor &L, Inverse E,
                  Int *index) {
  Int count = root_rows(y, stage.first, index) - 1;  // without y
  for (Int node = stage.first; node < stage.end; ++node) {
    if (y.n_root > 0) count = root_rows(y, node, index) - 1;
    const double *own = L.panel + y.panel_start[node];
    double *inverse = E.panel + y.panel_start[node];
    const Int chain = stage.chain_rows, rows = chain + count;
    if (chain > q) gather_ancestors<Q>(y, stage, q, node, rows, L.panel, E.panel);
    gather_root<Q>(q, E.root, index, count, own + chain * q, inverse + chain * q);
    finish_node<Q>(q, rows, own, inverse);
  }
}

}  // namespace

Inverse selected_inverse(const System &y, const Factor &L, Kind kind, Memory &memory) {
  const Int order = kind == REML ? y.n_root_variables + y.p : y.n_root_variables;
  Inverse E = {memory.zeros(y.n_panel()).data, L.root};
  inverse_from_cholesky(E.root, order);
  fill(E.root.row(order), (y.root_order() - order) * y.root_order(), 0.0);
  Int *index = memory.integers(y.root_order());
  for (Int s = y.n_stages - 1; s >= 0; --s) {
    const Stage stage(y, s);
    by_effects(stage.q, [&](auto q) { invert_stage(y, stage, q, L, E, index); });
  }
  return E;
}

}  // namespace lmm
