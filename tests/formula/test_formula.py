"""Formula text → response, fixed effects, bars and offsets; and what is refused, at which place."""

import pytest

from bayeslmm.errors import ArgumentTypeError, FormulaError
from bayeslmm.formula.callables import ARITY, TRANSFORMS
from bayeslmm.formula.parsing import parse

# formula: (fixed, [(structure, effects, factor, uncorrelated)])
CASES = {
    "y ~ 1": ("1", []),
    "y ~ x": ("1 + x", []),
    "y~x+z": ("1 + x + z", []),
    "y ~ 0 + x": ("0 + x", []),
    "y ~ x - 1": ("0 + x", []),
    "y ~ -1 + x": ("0 + x", []),
    "y ~ x + 0": ("0 + x", []),
    "y ~ 1 + x": ("1 + x", []),
    "y ~ (x + z)": ("1 + x + z", []),
    "y ~ (0 + x)": ("0 + x", []),
    "y ~ a*b - a:b": ("1 + a * b - a:b", []),
    "y ~ a / b": ("1 + a / b", []),
    "y ~ (a + b + c)**2": ("1 + (a + b + c)**2", []),
    "y ~ a + (b - c):d": ("1 + a + (b - c):d", []),
    "y ~ (1 | g)": ("1", [(None, "1", ("g",), False)]),
    "y ~ (x | g)": ("1", [(None, "1 + x", ("g",), False)]),
    "y ~ x + (1 + x | g)": ("1 + x", [(None, "1 + x", ("g",), False)]),
    "y ~ (0 + x | g)": ("1", [(None, "0 + x", ("g",), False)]),
    "y ~ (x - 1 | g)": ("1", [(None, "0 + x", ("g",), False)]),
    "y ~ (-1 + x | g)": ("1", [(None, "0 + x", ("g",), False)]),
    "y ~ (x || g)": ("1", [(None, "1 + x", ("g",), True)]),
    "y ~ (a*b | g)": ("1", [(None, "1 + a * b", ("g",), False)]),
    "y ~ 0 + (1 | g)": ("0", [(None, "1", ("g",), False)]),
    "y ~ (1 | a:b)": ("1", [(None, "1", ("a", "b"), False)]),
    "y ~ (1 | (a:b))": ("1", [(None, "1", ("a", "b"), False)]),
    "y ~ (1 | a/b)": ("1", [(None, "1", ("a",), False), (None, "1", ("a", "b"), False)]),
    "y ~ (x || a/b)": ("1", [(None, "1 + x", ("a",), True), (None, "1 + x", ("a", "b"), True)]),
    "y ~ (1 | a/b/c)": (
        "1",
        [
            (None, "1", ("a",), False),
            (None, "1", ("a", "b"), False),
            (None, "1", ("a", "b", "c"), False),
        ],
    ),
    "y ~ (1 | a:b/c)": (
        "1",
        [(None, "1", ("a", "b"), False), (None, "1", ("a", "b", "c"), False)],
    ),
    # Bars stay apart as written.
    "y ~ (1 | S) + (0 + x | S)": (
        "1",
        [(None, "1", ("S",), False), (None, "0 + x", ("S",), False)],
    ),
    "y ~ x + (1 | g) + z + (1 | h)": (
        "1 + x + z",
        [(None, "1", ("g",), False), (None, "1", ("h",), False)],
    ),
    "y ~ ((1 | g)) + ((x | h) + (1 | k))": (
        "1",
        [
            (None, "1", ("g",), False),
            (None, "1 + x", ("h",), False),
            (None, "1", ("k",), False),
        ],
    ),
    "y ~ us(x | g)": ("1", [("us", "1 + x", ("g",), False)]),
    "y ~ diag(0 + f | g)": ("1", [("diag", "0 + f", ("g",), False)]),
    "y ~ x + id(0 + f | a/b)": (
        "1 + x",
        [("id", "0 + f", ("a",), False), ("id", "0 + f", ("a", "b"), False)],
    ),
    "y ~ (poly(x, 2) | g)": ("1", [(None, "1 + poly(x, 2)", ("g",), False)]),
    "y ~ (1 | `my group`)": ("1", [(None, "1", ("my group",), False)]),
    # Names of functions and structures are columns where nothing is called.
    "y ~ log + scale + (id | us)": ("1 + log + scale", [(None, "1 + id", ("us",), False)]),
    "y ~ exp(x) + I(diag * 2)": ("1 + exp(x) + I(diag * 2)", []),
    "y ~ Größe + _x + a.b + `a b`": ("1 + Größe + _x + a.b + `a b`", []),
    "y ~ I((x+1)*2>-3) + np.where(x==1,0,x)": (
        "1 + I((x + 1) * 2 > -3) + np.where(x == 1, 0, x)",
        [],
    ),
    "y ~ bs(x,df=4,center=False)": ("1 + bs(x, df=4, center=False)", []),
    "y ~ C(f, Treatment('a|b ~ c'))": ("1 + C(f, Treatment('a|b ~ c'))", []),
    "y ~ I(x / 1e-3)": ("1 + I(x / 1e-3)", []),
    "y ~\n  x\n  + (1 | g)": ("1 + x", [(None, "1", ("g",), False)]),
}


@pytest.mark.parametrize("text", CASES)
def test_parts(text: str) -> None:
    fixed, bars = CASES[text]
    formula = parse(text)
    assert formula.text == text
    assert formula.response == "y"
    assert formula.fixed == fixed
    found = [(bar.structure, bar.effects, bar.factor, bar.uncorrelated) for bar in formula.bars]
    assert found == bars


def test_bar_knows_its_text_and_place() -> None:
    text = "y ~ x + diag( x|g ) + (1|a/b)"
    bars = parse(text).bars
    assert [bar.text for bar in bars] == ["diag( x|g )", "(1|a/b)", "(1|a/b)"]
    assert [bar.position for bar in bars] == [8, 22, 22]
    assert [bar.factor_name for bar in bars] == ["g", "a", "a:b"]


@pytest.mark.parametrize(
    ("text", "response"),
    [
        ("log( y ) ~ x", "log(y)"),
        ("`my y` ~ x", "`my y`"),
        ("I(y1-y2) ~ x", "I(y1 - y2)"),
        ("np.sqrt(y) ~ 1", "np.sqrt(y)"),
    ],
)
def test_response(text: str, response: str) -> None:
    assert parse(text).response == response


def test_offsets() -> None:
    formula = parse("y ~ x + offset(log(n)) + (1 | g) + offset(z)")
    assert formula.offsets == ("log(n)", "z")
    assert formula.fixed == "1 + x"


def test_columns_by_use() -> None:
    formula = parse("log(y) ~ x*`a b` + offset(w) + C(f, Sum) + (poly(z, 2) | g/h) + np.log(np)")
    assert formula.response_columns == ("y",)
    assert formula.predictor_columns == ("x", "a b", "f", "np", "z", "w")
    assert formula.grouping_columns == ("g", "h")
    assert formula.columns == ("y", "x", "a b", "f", "np", "z", "w", "g", "h")


# formula: (marked text, where it starts, a part of the message)
ERRORS = {
    "": (None, None, "empty"),
    "   ": (None, None, "empty"),
    "y": ("", 1, "'~'"),
    "~ x": ("~", 0, "response is missing"),
    "y ~": ("", 3, "predictors are missing"),
    "y ~ x ~ z": ("~", 6, "one '~'"),
    "y ~ (x ~ z)": ("~", 7, "one '~'"),
    "y ~ .": (".", 4, "list the columns"),
    "y ~ x + y": ("y", 8, "the response 'y' stands on both sides"),
    "`y` ~ x:(z + y)": ("y", 13, "both sides"),
    "log(y) ~ log( y )": ("log", 9, "the response 'log(y)' stands on both sides"),
    "y ~ (x * y | g)": ("y", 9, "both sides"),
    "y ~ (1 | y)": ("y", 9, "both sides"),
    "y ~ __import__('os').system('x')": ("__import__", 4, "cannot be called in a formula. What"),
    "y ~ log(x).real": (".", 10, "no attributes"),
    "y ~ (x).real": (".", 7, "no attributes"),
    "y ~ x | g": ("|", 6, "brackets of its own"),
    "y ~ x || g": ("||", 6, "brackets of its own"),
    "y ~ x * (1 | g)": ("|", 11, "cannot be crossed"),
    "y ~ x : (1 | g)": ("|", 11, "cannot be crossed"),
    "y ~ x - (1 | g)": ("-", 6, "added, not taken away"),
    "y ~ (x |ID| g)": ("|", 10, "two sides"),
    "y ~ ((1 | a) | b)": ("|", 8, "inside another"),
    "y ~ (1 | (a | b))": ("|", 12, "inside another"),
    "y ~ (x + (1 | g) | h)": ("|", 12, "inside another"),
    "(1 | g) ~ x": ("|", 3, "right of '~'"),
    "c(y1, y2) ~ x": ("c", 0, "several responses"),
    "cbind(y1, y2) ~ x": ("cbind", 0, "several responses"),
    "y1 + y2 ~ x": ("y1", 0, "I(...)"),
    "(y) ~ x": ("(", 0, "a column or a function"),
    "3 ~ x": ("3", 0, "a column or a function"),
    "y ~ (1 | g": ("(", 4, "never closed"),
    "y ~ x)": (")", 5, "closes nothing"),
    "y ~ ()": ("(", 4, "empty"),
    "y ~ (| g)": ("|", 5, "effects are missing"),
    "y ~ (1 |)": ("|", 7, "factor is missing"),
    "y ~ (0 | g)": ("|", 7, "no effect"),
    "y ~ (1 | a + b)": ("+", 11, "one bar per grouping factor"),
    "y ~ (1 | a * b)": ("*", 11, "one bar per grouping factor"),
    "y ~ (1 | factor(g))": ("factor", 9, "grouping factor is"),
    "y ~ (1 | a:a)": ("a", 11, "twice"),
    "y ~ (1 | a/)": ("/", 10, "missing"),
    "y ~ (1 | a:b) + (0 + x | b:a)": ("(0 + x | b:a)", 16, "same grouping factor"),
    "y ~ us(x || g)": ("||", 9, "already says"),
    "y ~ foo(x | g)": ("foo", 4, "not a covariance structure"),
    "y ~ factor(0 + t | id)": ("factor", 4, "is not a covariance structure"),
    "y ~ I(x | g)": ("I", 4, "not a covariance structure"),
    "y ~ x z": ("z", 6, "operator missing"),
    "y ~ x +": ("+", 6, "missing after"),
    "y ~ x + * z": ("*", 8, "missing before"),
    "y ~ x + + z": ("+", 6, "missing after"),
    "y ~ 2*x": ("2", 4, "I(2 * x)"),
    "y ~ x:1": ("1", 6, "I(2 * x)"),
    "y ~ x**2": ("**", 5, "I(x**2)"),
    "y ~ (a + b)**1.5": ("1.5", 13, "whole number"),
    "y ~ x^2": ("^", 5, "**"),
    "y ~ x %in% z": ("%", 6, "a/b"),
    "y ~ {x + 1}": ("{", 4, "I(...)"),
    "y ~ x[a]": ("[", 5, "column alone"),
    "y ~ x > 3": (">", 6, "I(x > 3)"),
    "y ~ x = 3": ("=", 6, "inside a call"),
    "y ~ 'x'": ("'x'", 4, "text is not a term"),
    "y ~ True": ("True", 4, "text is not a term"),
    "y ~ 1 - 1": ("1", 8, "both asked for"),
    "y ~ 0 + x + 1": ("1", 12, "both asked for"),
    "y ~ 3x": ("3x", 4, "starts with a digit"),
    "y ~ 'x": ("'", 4, "never closed"),
    "y ~ `x": ("`", 4, "none closes"),
    "y ~ x \N{MINUS SIGN} z": ("\N{MINUS SIGN}", 6, "typographic"),
    "y ~ offset(x) * z": ("offset", 4, "term of its own"),
    "y ~ x - offset(z)": ("-", 6, "offset(-x)"),
    "y ~ (offset(x) | g)": ("offset", 5, "does not vary"),
    "y ~ I()": ("I", 4, "needs an argument"),
    "y ~ I(x,)": ("I", 4, "is empty"),
    "y ~ I(x +)": ("+", 8, "missing after"),
    "y ~ I(-x**2)": ("**", 8, "-(x**2)"),
    "y ~ I(x**2**3)": ("**", 10, "a**(b**c)"),
    "y ~ I(a:b)": (":", 7, "does not belong"),
    "y ~ log(x, 2)": ("log", 4, "takes 1 argument"),
    "y ~ poly(x, z)": ("z", 12, "has to be a number"),
    "y ~ poly(x, deg=2)": ("deg", 12, "no parameter"),
    "y ~ poly(x, 2, degree=2)": ("degree", 15, "twice"),
    "y ~ bs(x, 4, 3)": ("3", 13, "by name"),
    "y ~ cc(x)": ("cc", 4, "period"),
    "y ~ C(f, Scaled)": ("Scaled", 9, "a contrast is"),
}


@pytest.mark.parametrize("text", ERRORS)
def test_errors_mark_the_place(text: str) -> None:
    marked, position, part = ERRORS[text]
    with pytest.raises(FormulaError) as caught:
        parse(text)
    assert part in caught.value.message
    assert caught.value.position == position
    if marked:
        assert text[position : position + caught.value.length] == marked


# Nothing in a formula may reach Python beyond the transforms and elementwise functions.
HOSTILE = [
    "y ~ __import__('os').system('id')",
    "y ~ os.system('id')",
    "y ~ eval('1')",
    "y ~ exec('1')",
    "y ~ open('/etc/passwd')",
    "y ~ getattr(x, 'a')",
    "y ~ np.load('f')",
    "y ~ np.fromfile('f')",
    "y ~ np.save('f', x)",
    "y ~ np.savetxt('f', x)",
    "y ~ np.lib.npyio.DataSource('f')",
    "y ~ np.ctypeslib.load_library('a', 'b')",
    "y ~ np.log.__call__(x)",
    "y ~ np.log.reduce(x)",
    "y ~ np.add.at(x, 0, 1)",
    "y ~ np.vectorize(x)",
    "y ~ np.mean(x)",
    "y ~ I(np.load('f'))",
    "y ~ I(x.to_csv('f'))",
    "y ~ x.to_pickle('f')",
    "y ~ (x)('f')",
    "y ~ I(x)(1)",
    "y ~ I((x)(1))",
    "y ~ `np.load`('f')",
    "y ~ 'a'('b')",
    "y ~ I(1(2))",
    "y ~ np.log(x, x)",
    "y ~ np.log(x, out=x)",
    "y ~ np.maximum(x, z, x)",
    "y ~ C(x, eval('1'))",
    "y ~ C(x, Treatment(open('f')))",
    "y ~ C(x, contrast=np.load)",
    "y ~ poly(x, degree=np.load('f'))",
    "y ~ C(x, levels=z)",
    "y ~ bs(x, knots=z)",
    "y ~ binary(x)",
    "y ~ proportion(x, z)",
    "y ~ hsgp(x)",
    "y ~ I(9**9**9)",
    "y ~ I((9**9)**(9**9))",
    "y ~ I(x**(9**999))",
    "y ~ I('a' * 999999999)",
    "y ~ I(x + 'a')",
    "y ~ lambda: 0",
    "y ~ x; import os",
    "y ~ x\n~ import os",
    "y ~ x @ z",
    "y ~ x\0",
    "y ~ offset(open('f'))",
    "y ~ (open('f') | g)",
    "y ~ (1 | open('f'))",
    "open('f') ~ x",
    "y ~ " + "(" * 500 + "x" + ")" * 500,
    "y ~ " + "I(" * 500 + "x" + ")" * 500,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_else_can_be_called(text: str) -> None:
    with pytest.raises(FormulaError):
        parse(text)


def test_unknown_function_lists_what_can_be_called() -> None:
    with pytest.raises(FormulaError, match="compute the column in the data first") as caught:
        parse("y ~ rolling(x)")
    for name in (*TRANSFORMS, "log", "np.maximum"):
        assert name in caught.value.message


@pytest.mark.parametrize("name", ARITY)
def test_elementwise_functions_take_exactly_their_inputs(name: str) -> None:
    inputs = ["x"] * ARITY[name]
    assert parse(f"y ~ {name}({', '.join(inputs)})").columns == ("y", "x")
    with pytest.raises(FormulaError, match="takes"):
        parse(f"y ~ {name}({', '.join([*inputs, 'x'])})")


@pytest.mark.parametrize("text", [None, 3, ["y ~ x"], b"y ~ x"])
def test_not_a_text(text: object) -> None:
    with pytest.raises(ArgumentTypeError, match="a formula is a text"):
        parse(text)  # type: ignore[arg-type]
