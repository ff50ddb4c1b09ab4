"""What a formula can call: formulae's transforms and NumPy's elementwise functions, by name.

Nothing else is reachable from a formula. Functions of a whole column (``np.mean``, ``np.std``,
``np.cumsum``) are left out on purpose: they would be computed anew on new data, where `center`,
`scale` and the spline bases remember what they learned.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

TRANSFORMS: dict[str, tuple[str, ...]] = {
    "center": ("x",),
    "scale": ("x",),
    "standardize": ("x",),
    "poly": ("x", "degree", "raw"),
    "bs": ("x", "df", "degree", "lower_bound", "upper_bound", "center"),
    "cr": ("x", "df", "lower_bound", "upper_bound", "center"),
    "cc": ("x", "period", "df", "lower_bound", "center"),
    "tp": ("x", "df", "center", "max_knots", "seed"),
    "I": ("x",),
    "C": ("data", "contrast"),
    "S": ("data", "omit"),
    "T": ("data", "ref"),
}
"""Transforms of formulae, with the parameters that a formula can give."""

BY_KEYWORD = {"bs": 2, "cr": 2, "cc": 2, "tp": 1}
"""Transforms whose parameters after this many are given by name only, because their positions in
formulae are not those of `TRANSFORMS`."""

REQUIRED = {
    "bs": ("df", "bs needs the number of its columns: bs(x, df=4)"),
    "cc": ("period", "cc needs the length of the cycle: cc(x, period=12)"),
}
"""Parameters that have to be given, and what to say where they are not."""

LEAST_DF = {"cr": 2, "cc": 1, "tp": 2}
"""The smallest `df` of a spline with ``center=True``, of which one less is a straight line or
nothing; with ``center=False`` it is one more."""

CONTRASTS: dict[str, tuple[str, ...]] = {
    "Treatment": ("reference",),
    "Sum": ("omit",),
    "Helmert": (),
    "Poly": (),
}
"""Contrasts that ``C(x, ...)`` takes, with the parameters of each."""

CONTRASTS_IN_R = {f"contr.{name.lower()}": name for name in CONTRASTS}
"""The same by R's names, which stand there without arguments."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a parameter of a transform can be.

    Attributes
    ----------
    what : str
        In words: "a whole number of 1 or more".
    holds : function of a value
    """

    what: str
    holds: Callable[[object], bool]


def _whole(least: int, greatest: float = math.inf, *, optional: bool = False) -> Allowed:
    bounds = f"of {least} or more" if greatest == math.inf else f"from {least} to {greatest}"

    def holds(value: object) -> bool:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return (whole and least <= value <= greatest) or (optional and value is None)  # type: ignore[operator]

    return Allowed(f"a whole number {bounds}", holds)


def _finite(above: float = -math.inf, *, optional: bool = True) -> Allowed:
    def holds(value: object) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return (number and above < value < math.inf) or (optional and value is None)  # type: ignore[operator]

    bound = "" if above == -math.inf else f" greater than {above:g}"
    return Allowed(f"a finite number{bound}", holds)


_FLAG = Allowed("True or False", lambda value: isinstance(value, bool))
_BOUND = _finite()
PARAMETERS: dict[str, dict[str, Allowed]] = {
    "poly": {"degree": _whole(1), "raw": _FLAG},
    # FITPACK evaluates splines up to the fifth degree, and writes beyond its memory for higher ones
    "bs": {
        "df": _whole(1),
        "degree": _whole(0, 5),
        "lower_bound": _BOUND,
        "upper_bound": _BOUND,
        "center": _FLAG,
    },
    "cr": {
        "df": _whole(1, optional=True),
        "lower_bound": _BOUND,
        "upper_bound": _BOUND,
        "center": _FLAG,
    },
    "cc": {
        "period": _finite(0, optional=False),
        "df": _whole(1, optional=True),
        "lower_bound": _BOUND,
        "center": _FLAG,
    },
    # the thin-plate basis takes eigenvectors of a dense matrix over the knots; seeds are NumPy's
    "tp": {
        "df": _whole(2),
        "center": _FLAG,
        "max_knots": _whole(3, 10_000),
        "seed": _whole(0, 2**32 - 1),
    },
}
"""What the parameters of transforms can be, by what formulae and the libraries under it support;
those of categories are levels, of any kind."""

_BARE = ("log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "abs", "sin", "cos", "tan")
_UNARY = (
    *("absolute", "arccos", "arcsin", "arctan", "arccosh", "arcsinh", "arctanh", "cbrt", "ceil"),
    *("cosh", "deg2rad", "exp2", "fabs", "floor", "negative", "rad2deg", "reciprocal", "rint"),
    *("sign", "sinh", "square", "tanh", "trunc"),
)
_BINARY = ("arctan2", "floor_divide", "fmod", "hypot", "maximum", "minimum", "mod", "power")

ARITY: dict[str, int] = (
    dict.fromkeys(_BARE, 1)
    | {f"np.{name}": 1 for name in (*_BARE, *_UNARY)}
    | {f"np.{name}": 2 for name in _BINARY}
    | {"np.where": 3, "np.clip": 3}
)
"""NumPy's elementwise functions with the number of their arguments. The number is exact: one
argument more would be ``out``, an array that NumPy overwrites."""

_INSTEAD = {
    "factor": "C(x) makes categories of a numeric column",
    "as.factor": "C(x) makes categories of a numeric column",
    "ns": "cr(x, df=...) is a natural cubic spline",
    "s": "cr(x, df=...), bs(x, df=...) and tp(x, df=...) are unpenalised splines",
    "binary": "I(x == 'level') is 1 where x is that level",
    "B": "I(x == 'level') is 1 where x is that level",
    "np.mean": "center(x) and scale(x) remember the mean for new data",
    "np.std": "scale(x) remembers the standard deviation for new data",
    "mean": "center(x) and scale(x) remember the mean for new data",
}


def unknown_call(name: str) -> str:
    """Word the message for a function that a formula cannot call."""
    parts = [f"{name!r} cannot be called in a formula."]
    close = get_close_matches(name, [*TRANSFORMS, *ARITY], n=1, cutoff=0.8)
    if name in _INSTEAD:
        parts.append(f"Instead: {_INSTEAD[name]}.")
    elif close:
        parts.append(f"Did you mean {close[0]!r}?")
    numpy_only = ", ".join(key for key in ARITY if key.startswith("np.") and key[3:] not in ARITY)
    parts.append(
        f"What can be called: {', '.join(TRANSFORMS)}, offset; "
        f"{', '.join(_BARE)} (also as np.log, ...); {numpy_only}. "
        "For anything else compute the column in the data first."
    )
    return " ".join(parts)
