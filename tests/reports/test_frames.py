"""Tables of results as LaTeX and as Markdown."""

import re
from html import unescape

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

import bayeslmm as bl
from tests.oracles import fits_cache

ROWS = {"a_b": 5e-7, "50%": 0.001, "a&b": 0.0499, "a|b": 0.9999, "b[Days]": np.nan}
# what a name is in text of LaTeX
LATEX = [r"a\_b", r"50\%", r"a\&b", r"a\textbar{}b", r"b{[}Days{]}"]
P_VALUES = ["< 0.001", "0.001", "0.050", "1.000", "--"]


def frame_of_tests():
    index = pd.Index(list(ROWS), name="the_term")
    return pd.DataFrame({"F": np.arange(len(index)) - 2.5, "p": list(ROWS.values())}, index)


def rendered(text):
    """The cells of a table, a list for each row, as CommonMark with tables reads them."""
    html = MarkdownIt("commonmark").enable("table").render(text)
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    return [[unescape(c) for c in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows]


def test_latex():
    lines = bl.to_latex(frame_of_tests()).splitlines()
    assert lines[:4] == [
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"the\_term & F & p \\",
        r"\midrule",
    ]
    assert lines[4:-2] == [
        rf"{name} & {F} & {p} \\"
        for name, F, p in zip(
            LATEX,
            ["$-2.50$", "$-1.50$", "$-0.50$", "0.50", "1.50"],
            ["$< 0.001$", *P_VALUES[1:]],
            strict=True,
        )
    ]
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]


def test_markdown():
    text = bl.to_markdown(frame_of_tests())
    assert text.splitlines()[1] == "| :-- | --: | --: |"
    assert text.splitlines()[2] == r"| a\_b | -2.50 | < 0.001 |"
    F = ["-2.50", "-1.50", "-0.50", "0.50", "1.50"]
    rows = [list(row) for row in zip(ROWS, F, P_VALUES, strict=True)]
    assert rendered(text) == [["the_term", "F", "p"], *rows]


@pytest.mark.parametrize(
    "name",
    [
        *ROWS,
        "a*b*c",
        "_a_",
        "`x`",
        "<b>",
        "&lt;",
        r"a\|b",
        "a\\",
        "$x$",
        "~~a~~",
        "![i](j)",
        "<http://a.b>",
    ],
)
def test_every_name_comes_through_markdown(name):
    frame = pd.DataFrame({name: [1.0]}, index=pd.Index([name]))
    assert rendered(bl.to_markdown(frame)) == [["", name], [name, "1"]]


def test_characters_that_latex_obeys():
    shown = bl.to_latex(pd.DataFrame({"x": ["~^\\{}#$<>", "a\nb\r"]})).splitlines()[4:6]
    assert shown == [
        r"\textasciitilde{}\textasciicircum{}\textbackslash{}\{\}\#\$\textless{}\textgreater{} \\",
        r"a\textbackslash{}nb\textbackslash{}r \\",
    ]


def test_estimates_have_the_decimals_that_their_standard_errors_need():
    table = rendered(bl.to_markdown(fits_cache.likelihood("slopes").summary()))
    header = "parameter estimate std_error lower upper df t p"
    assert table[0] == header.split()
    # lme4's estimates; the interval of beta by t with 17 degrees of freedom
    assert table[1][:5] == ["beta[Intercept]", "251.41", "6.82", "237.01", "265.80"]
    assert table[1][5:] == ["17.0", "36.84", "< 0.001"]
    assert table[3][:3] == ["sd_Subject[Intercept]", "24.74", "5.84"]
    assert table[3][5:] == ["--"] * 3
    assert table[5][:3] == ["corr_Subject[Intercept, Days]", "0.066", "0.325"]


def test_what_has_no_standard_error():
    zero = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff2")).fit("reml")
    row = rendered(bl.to_markdown(zero.varcorr()))[1]
    assert row == ["Batch", "sd", "Intercept", "", "0", "--", "--", "--"]


def test_a_number_of_parameters_is_no_p_value():
    loo = pd.DataFrame({"elpd": [-880.5], "p": [0.0001234]}, index=pd.Index(["AR1"]))
    assert rendered(bl.to_markdown(loo))[1] == ["AR1", "-880.5", "0.0001234"]


def test_powers_and_infinity():
    frame = pd.DataFrame({"x": [1e-12, 2.5e9, -np.inf]})
    rows = bl.to_latex(frame).splitlines()[4:-2]
    assert rows == [r"$1 \times 10^{-12}$ \\", r"$2.5 \times 10^{9}$ \\", r"$-\infty$ \\"]


def test_every_table_of_a_fit():
    fit = fits_cache.likelihood("slopes", "ml")
    other = fits_cache.likelihood("intercepts", "ml")
    tables = [
        fit.fixef(),
        fit.ranef(),
        fit.coef(),
        fit.G(),
        fit.test("Days"),
        fit.drop1(),
        bl.compare([other, fit]),
        fit.varcorr(scale="variance"),
        fit.summary().iloc[:0],
        pd.concat({"one": fit.fixef(), "two": fit.fixef()}, axis=1),
    ]
    for frame in tables:
        before = frame.copy()
        rows = rendered(bl.to_markdown(frame))
        assert len(rows) == len(frame) + 1
        assert len({len(row) for row in rows}) == 1
        assert bl.to_latex(frame).count(r"\\") == len(rows)
        assert "nan" not in str(rows)
        pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("write", [bl.to_latex, bl.to_markdown])
def test_anything_but_a_frame_is_refused(write):
    with pytest.raises(bl.ArgumentTypeError, match=r"fit\.summary\(\), got LikelihoodFit"):
        write(fits_cache.likelihood("slopes"))
