#include "covariance/correlations/correlation.h"

#include "covariance/correlations/registry.h"

namespace lmm {
namespace {

// The share of the correlations that a nugget leaves.
double share_of(Correlation of, ConstVector params) {
  return of.nugget ? 1.0 - params[params.size - 1] : 1.0;
}

template <class S>
bool is_one(S, CorrelatedRows rows, Int i, Int j) {
  return S::OF_POSITIONS && rows.point[i] == rows.point[j];
}

template <class S>
Pair pair_of(S, CorrelatedRows rows, Int i, Int j) {
  const bool apart = rows.distance.rows > 0;
  return {S::OF_POSITIONS ? rows.point[i] : i, S::OF_POSITIONS ? rows.point[j] : j,
          apart ? rows.distance(i, j) : 0.0};
}

template <class S>
void fill_matrix(S structure, double share, ConstVector params, CorrelatedRows rows, Matrix C) {
  for (Int i = 0; i < C.rows; ++i) {
    C(i, i) = 1.0;
    for (Int j = 0; j < i; ++j) {
      double value = 1.0;
      if (!is_one(structure, rows, i, j))
        value = share * structure.value(params, pair_of(structure, rows, i, j));
      C(i, j) = C(j, i) = value;
    }
  }
}

template <class S>
void pull_matrix(S structure, Correlation of, ConstVector params, CorrelatedRows rows,
                 ConstMatrix dC, double *dparams) {
  const double share = share_of(of, params);
  for (Int i = 0; i < dC.rows; ++i)
    for (Int j = 0; j < i; ++j) {
      if (is_one(structure, rows, i, j)) continue;
      const Pair pair = pair_of(structure, rows, i, j);
      const double dvalue = dC(i, j) + dC(j, i);
      structure.pull(params, pair, share * dvalue, dparams);
      if (of.nugget) dparams[params.size - 1] -= dvalue * structure.value(params, pair);
    }
}

template <class S>
bool all_inside(S structure, ConstVector params, Int rows, Memory &memory) {
  if constexpr (S::BOUND_JOINTLY) {
    return structure.inside(params, memory);
  } else {
    const Interval own = structure.interval(rows);
    bool inside = true;
    for (Int i = 0; i < params.size; ++i)
      inside = inside && own.lower < params[i] && params[i] < own.upper;
    return inside;
  }
}

// The parameters of a structure without the nugget.
ConstVector without_nugget(Correlation of, ConstVector params) {
  return params.part(0, params.size - (of.nugget ? 1 : 0));
}

}  // namespace

bool inside(Correlation of, ConstVector params, Int rows, Memory &memory) {
  if (of.nugget) {
    const double nugget = params[params.size - 1];
    if (!(0.0 <= nugget && nugget < 1.0)) return false;
  }
  return with_structure(of.code, [&](auto structure) {
    return all_inside(structure, without_nugget(of, params), rows, memory);
  });
}

bool correlation(Correlation of, ConstVector params, CorrelatedRows rows, Matrix C,
                 Memory &memory) {
  if (!inside(of, params, C.rows, memory)) return false;
  with_structure(of.code, [&](auto structure) {
    fill_matrix(structure, share_of(of, params), params, rows, C);
  });
  return true;
}

void correlation_pullback(Correlation of, ConstVector params, CorrelatedRows rows, ConstMatrix dC,
                          double *dparams) {
  with_structure(of.code,
                 [&](auto structure) { pull_matrix(structure, of, params, rows, dC, dparams); });
}

namespace {

// The coordinate of a parameter that has one of its own; the nugget is the last.
template <class S>
Coordinate coordinate_of(S structure, Correlation of, Int occasions, ConstVector x, Int i) {
  if (of.nugget && i == x.size - 1) return logistic(x[i], 0.0, 1.0);
  return structure.coordinate(occasions, x[i]);
}

}  // namespace

void to_natural(Correlation of, Int occasions, ConstVector x, double *params, Memory &memory) {
  with_structure(of.code, [&](auto structure) {
    if constexpr (decltype(structure)::COORDINATES_JOINTLY) {
      structure.to_natural(x, params, memory);
    } else {
      for (Int i = 0; i < x.size; ++i)
        params[i] = coordinate_of(structure, of, occasions, x, i).value;
    }
  });
}

double coordinates_pullback(Correlation of, Int occasions, ConstVector x, const double *dparams,
                            double *dx, Memory &memory) {
  return with_structure(of.code, [&](auto structure) {
    if constexpr (decltype(structure)::COORDINATES_JOINTLY) {
      return structure.pull_coordinates(x, dparams, dx, memory);
    } else {
      double log_jacobian = 0.0;
      for (Int i = 0; i < x.size; ++i) {
        const Coordinate at = coordinate_of(structure, of, occasions, x, i);
        dx[i] = at.slope * dparams[i] + at.change;
        log_jacobian += at.log_slope;
      }
      return log_jacobian;
    }
  });
}

}  // namespace lmm
