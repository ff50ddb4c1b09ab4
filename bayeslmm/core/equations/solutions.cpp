#include "equations/solutions.h"

#include "equations/relative_factors.h"

namespace lmm {
namespace {

// beta = beta_ols + r⁻¹ gamma, and u = M b.
void to_user(const System &y, const double *M, const Solution &w, double *beta, double *u) {
  for (Int i = 0; i < y.p; ++i) {
    beta[i] = y.beta_ols[i];
    for (Int j = i; j < y.p; ++j) beta[i] += y.rotation_inverse(i, j) * w.gamma[j];
  }
  for (Int f = 0; f < y.n_factors; ++f) {
    const Int q = y.q[f];
    const double *Mf = M + y.M_start[f];
    for (Int level = 0; level < y.n_levels[f]; ++level) {
      const Int at = y.u_start[f] + level * q;
      for (Int i = 0; i < q; ++i) {
        double value = 0.0;
        for (Int j = 0; j < q; ++j) value += Mf[i * q + j] * w.b[at + j];
        u[at + i] = value;
      }
    }
  }
}

}  // namespace

bool solve_at(const System &y, const double *M, double *beta, double *u, Memory &memory) {
  const Factor L = Factor::take(memory, y);
  if (!factorise(y, M, nullptr, L, memory).ok) return false;
  const Solution w = Solution::take(memory, y);
  back_substitute(y, L, nullptr, w, memory);
  to_user(y, M, w, beta, u);
  return true;
}

namespace {

// The stage of a factor in the chain, or -1 of a factor of the root.
Int stage_of(const System &y, Int factor) {
  for (Int s = 0; s < y.n_stages; ++s)
    if (y.stage_factor[s] == factor) return s;
  return -1;
}

// E of a level with itself.
void level_block(const System &y, const Inverse &E, Int f, Int stage, Int level, Matrix block) {
  if (stage >= 0) {
    copy(E.panel + y.panel_start[y.stage_start[stage] + level], block.size(), block.data);
    return;
  }
  const Int v = y.root_variable[y.root_start[f] + level];
  for (Int i = 0; i < block.rows; ++i)
    for (Int j = 0; j < block.rows; ++j) block(i, j) = E.root(v + larger(i, j), v + lesser(i, j));
}

}  // namespace

bool conditional_variances(const System &y, const double *M, Kind kind, double *var_gamma,
                           double *blocks, Memory &memory) {
  const Factor L = Factor::take(memory, y);
  if (!factorise(y, M, nullptr, L, memory).ok) return false;
  const Inverse E = selected_inverse(y, L, kind, memory);
  const Int nr = y.n_root_variables;
  for (Int i = 0; i < y.p; ++i)
    for (Int j = 0; j < y.p; ++j)
      var_gamma[i * y.p + j] = E.root(nr + larger(i, j), nr + lesser(i, j));
  double *room = memory.doubles(y.most_effects() * y.most_effects());
  double *out = blocks;
  for (Int f = 0; f < y.n_factors; ++f) {
    const Int q = y.q[f], stage = stage_of(y, f);
    const double *Mf = M + y.M_start[f];
    const Matrix own = {room, q, q};
    for (Int level = 0; level < y.n_levels[f]; ++level) {
      level_block(y, E, f, stage, level, own);
      for (Int i = 0; i < q; ++i)
        for (Int j = 0; j < q; ++j) {
          double value = 0.0;
          for (Int h = 0; h < q; ++h)
            for (Int k = 0; k < q; ++k) value += Mf[i * q + h] * own(h, k) * Mf[j * q + k];
          *out++ = value;
        }
    }
  }
  return true;
}

bool draw(const Equations &equations, ConstVector theta, const RotatedPrior &prior, double *z,
          double *beta, double *u, Memory &memory) {
  const EquationsAt at(equations, theta, memory);
  const System &y = at.system;
  double *M = memory.doubles(y.n_relative());
  if (!at.ok() || !relative_factors(y, Bars::ALL, theta, M, memory)) return false;
  const double sigma = theta[theta.size - 1];
  const GammaPrior scaled = prior.scaled(sigma * sigma, memory);
  const Factor L = Factor::take(memory, y);
  if (!factorise(y, M, &scaled, L, memory).ok) return false;
  for (Int i = 0; i < y.p + y.n_random(); ++i) z[i] *= sigma;
  const Solution w = Solution::take(memory, y);
  back_substitute(y, L, z, w, memory);
  to_user(y, M, w, beta, u);
  return true;
}

namespace {

// Forward substitution for one function through the chain. It may touch levels that do not lie
// within each other: each starts a walk of its own up the tree, and walks that meet go on as one.
class Walks {
  const System &y_;
  const double *panels_;
  const Int stages_, width_;
  Int count_ = 0;
  Int *node_;     // (walks, stages), -1 where a walk does not pass
  double *work_;  // (walks, stages, effects)
  Int *index_;

  Int &node(Int walk, Int stage) { return node_[walk * stages_ + stage]; }
  double *work(Int walk, Int stage) { return work_ + (walk * stages_ + stage) * width_; }

  void join(Int stage) {
    for (Int walk = 0; walk < count_; ++walk) {
      if (node(walk, stage) < 0) continue;
      for (Int other = 0; other < walk; ++other) {
        if (node(other, stage) != node(walk, stage)) continue;
        for (Int later = stage; later < stages_; ++later) {
          for (Int j = 0; j < y_.q[y_.stage_factor[later]]; ++j)
            work(other, later)[j] += work(walk, later)[j];
          node(walk, later) = -1;
        }
        break;
      }
    }
  }

  // Solve a node's own part; returns its squared length.
  double solve(const Stage &stage, Int walk, double *rest) {
    const Int q = stage.q, at = node(walk, stage.number), count = root_rows(y_, at, index_);
    const double *L = panels_ + y_.panel_start[at];
    double *own = work(walk, stage.number), length = 0.0;
    for (Int j = 0; j < q; ++j) {
      double value = own[j];
      for (Int k = 0; k < j; ++k) value -= L[j * q + k] * own[k];
      own[j] = value / L[j * q + j];
      length += own[j] * own[j];
    }
    const double *row = L + q * q;
    for (Int later = stage.number + 1; later < stages_; ++later)
      for (Int h = 0; h < y_.q[y_.stage_factor[later]]; ++h, row += q)
        for (Int j = 0; j < q; ++j) work(walk, later)[h] -= row[j] * own[j];
    for (Int h = 0; h < count - 1; ++h, row += q)
      for (Int j = 0; j < q; ++j) rest[index_[h]] -= row[j] * own[j];
    return length;
  }

 public:
  Walks(const System &y, const double *panels, Memory &memory)
      : y_(y), panels_(panels), stages_(y.n_stages), width_(y.most_effects()),
        node_(memory.integers(stages_ * stages_)),
        work_(memory.doubles(stages_ * stages_ * width_)), index_(memory.integers(y.root_order())) {
  }

  void clear() {
    count_ = 0;
    fill(work_, stages_ * stages_ * width_, 0.0);
  }

  // Touch a level of the factor of a stage.
  void touch(Int stage, Int level, const double *weights) {
    const Int at = y_.stage_start[stage] + level;
    Int walk = 0;
    while (walk < count_ && node(walk, stage) != at) ++walk;
    if (walk == count_) {
      ++count_;
      for (Int s = 0; s < stages_; ++s)
        node(walk, s) = s < stage ? -1 : s == stage ? at : y_.ancestor[at * stages_ + s];
    }
    for (Int j = 0; j < y_.q[y_.stage_factor[stage]]; ++j) work(walk, stage)[j] += weights[j];
  }

  double up_the_tree(double *rest) {
    double length = 0.0;
    for (Int s = 0; s < stages_; ++s) {
      const Stage stage(y_, s);
      join(s);
      for (Int walk = 0; walk < count_; ++walk)
        if (node(walk, s) >= 0) length += solve(stage, walk, rest);
    }
    return length;
  }
};

// M'z of one factor: from weights on u to weights on b.
void weights_on_b(const double *M, Int q, const double *on_u, double *on_b) {
  for (Int j = 0; j < q; ++j) {
    on_b[j] = 0.0;
    for (Int i = 0; i < q; ++i) on_b[j] += M[i * q + j] * on_u[i];
  }
}

}  // namespace

void half_solve_chain(const System &y, const double *M, const double *panels,
                      const LinearFunctions &functions, Matrix rest, double *length,
                      Memory &memory) {
  Walks walks(y, panels, memory);
  Int n_effects = 0;
  for (Int f = 0; f < y.n_factors; ++f) n_effects += y.q[f];
  double *on_b = memory.doubles(y.most_effects());
  Int *stage = memory.integers(y.n_factors);
  for (Int f = 0; f < y.n_factors; ++f) stage[f] = stage_of(y, f);
  fill(rest.data, rest.size(), 0.0);
  for (Int row = 0; row < functions.count; ++row) {
    walks.clear();
    copy(functions.basis + row * y.p, y.p, rest.row(row) + y.n_root_variables);
    const double *on_u = functions.effects + row * n_effects;
    for (Int f = 0; f < y.n_factors; on_u += y.q[f++]) {
      const Int level = functions.level[row * y.n_factors + f];
      if (level < 0) continue;
      weights_on_b(M + y.M_start[f], y.q[f], on_u, on_b);
      if (stage[f] >= 0)
        walks.touch(stage[f], level, on_b);
      else
        copy(on_b, y.q[f], rest.row(row) + y.root_variable[y.root_start[f] + level]);
    }
    length[row] = walks.up_the_tree(rest.row(row));
  }
}

}  // namespace lmm
