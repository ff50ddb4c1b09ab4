"""What models, fits and diagnoses look like."""

import re

import numpy as np
import pytest

import bayeslmm as bl
from bayeslmm.criticism.findings import Diagnosis, Finding
from bayeslmm.support.pages import numbers
from tests.oracles import fits_cache


def test_a_model():
    assert repr(fits_cache.model("slopes")) == (
        "Linear mixed model\n"
        "Formula: Reaction ~ Days + (Days | Subject)\n"
        "Rows: 180 used\n"
        "Coefficients: Intercept, Days (2)\n"
        "\n"
        "Groups:\n"
        " group    levels  term              effects\n"
        " Subject  18      (Days | Subject)  Intercept, Days"
    )


def test_a_model_without_random_effects_says_so():
    text = "no random effects: an ordinary linear model"
    assert text in repr(fits_cache.model("no random effects"))
    for shown in (fits_cache.model, fits_cache.likelihood, fits_cache.posterior):
        assert repr(shown("no random effects")).startswith("Linear model")
    assert text in fits_cache.model("no random effects")._repr_html_()


STRUCTURED = [
    (bl.AR1(time="age", group="Subject"), "correlated residuals", "Subjects: Subject, 27"),
    (bl.CS(group="Subject"), "correlated residuals", "Residuals: CS within Subject"),
    (bl.ID(variance=bl.VarIdent("Sex")), "residuals of unequal variance", "with VarIdent(Sex)"),
]


@pytest.mark.parametrize(("R", "kind", "text"), STRUCTURED)
def test_a_model_with_a_structure_of_R_says_what_it_is(R, kind, text):
    model = bl.Model("distance ~ age", bl.load_dataset("Orthodont"), R=R)
    assert repr(model).startswith(f"Linear model with {kind}\n")
    assert text in repr(model)
    fit = repr(model.fit("reml"))
    assert fit.startswith(f"Linear model with {kind} fit by REML\n")
    assert "ordinary" not in fit
    assert f"Residuals{':' if R.group is None else ','} {R.words}" in fit
    assert ("Subjects: Subject, 27" in fit) == (R.group is not None)


def test_a_fit_shows_what_lme4_shows():
    assert repr(fits_cache.likelihood("slopes")) == (
        "Linear mixed model fit by REML\n"
        "Formula: Reaction ~ Days + (Days | Subject)\n"
        "REML criterion: 1743.6   AIC: 1755.6   BIC: 1774.8\n"
        "Status: converged\n"
        "\n"
        "Scaled residuals:\n"
        "     Min       1Q  Median      3Q     Max\n"
        " -3.9536  -0.4634  0.0231  0.4634  5.1793\n"
        "\n"
        "Random effects:\n"
        " Groups    Name       Variance  Std.Dev.  Std. Error  Corr\n"
        " Subject   Intercept    612.09    24.740       5.836\n"
        "           Days          35.07     5.922       1.248  0.07\n"
        " Residual               654.94    25.592       1.508\n"
        "\n"
        "Number of obs: 180\n"
        "Groups: Subject, 18\n"
        "\n"
        "Fixed effects:\n"
        "            Estimate  Std. Error    df  t value        p\n"
        " Intercept    251.41       6.825  17.0    36.84  <0.0001\n"
        " Days          10.47       1.546  17.0     6.77  <0.0001\n"
        "\n"
        "no problem found"
    )


def test_criteria_are_cells_of_their_own_in_html():
    html = fits_cache.likelihood("slopes")._repr_html_()
    cells = ("REML criterion</b>: 1743.6", "AIC</b>: 1755.6", "BIC</b>: 1774.8")
    assert "<tr>" + "".join(f"<td><b>{cell}</td>" for cell in cells) + "</tr>" in html
    assert "<br>\n<b>Formula</b>: Reaction ~ Days + (Days | Subject)</p>\n<table>" in html
    assert "</table>\n<p><b>Status</b>: converged</p>" in html


def test_a_posterior_has_the_same_tables_and_its_own_diagnostics():
    text = repr(fits_cache.posterior("slopes"))
    for part in (
        "Linear mixed model fit by NUTS",
        "Draws: 2 chains of 1000",
        f"seed {fits_cache.SEED}",
        "Number of obs: 180\nGroups: Subject, 18",
        "no problem found",
    ):
        assert part in text
    header, number = "Estimate +Post. SD +2.5% +97.5% +ESS +r_hat", r" +-?\d+\.\d\d"
    row = f"({number}){{4}} +\\d+ +[01]\\.\\d{{3}}\n"
    assert re.search(
        rf"Random effects:\n +{header}\n Subject\n   sd\(Intercept\){row}   sd\(Days\){row}"
        rf"   corr\(Intercept, Days\){row} Residual sd{row}",
        text,
    )
    assert re.search(rf"Fixed effects:\n +{header}\n Intercept{row} Days{row}", text)


def test_a_posterior_shows_the_numbers_of_its_summary():
    post = fits_cache.posterior("crossed")
    page = [line for line in repr(post).splitlines() if len(line.split()) > 6]
    lines = {line.rsplit(None, 6)[0].strip(): line.split()[-6:] for line in page}
    columns = ["estimate", "std_error", "lower", "upper", "ess_bulk", "r_hat"]
    for name, shown in (("beta[Intercept]", "Intercept"), ("sigma", "Residual sd")):
        numbers = post.summary().loc[name, columns]
        for number, text in zip(numbers, lines[shown], strict=True):
            assert abs(float(text) - number) <= 0.5 * 10.0 ** -len(text.partition(".")[2]) + 1e-9


def test_one_chain_has_no_r_hat():
    model = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff"))
    with pytest.warns(bl.ConvergenceWarning):
        fit = model.fit("nuts", draws=3, tune=3, chains=1, random_seed=1, progress=False)
    assert "nan" not in repr(fit).partition("error:")[0]


def test_dropped_rows_are_said_once():
    data = bl.load_dataset("sleepstudy")
    data.loc[3, "Reaction"] = np.nan
    text = repr(bl.Model("Reaction ~ Days + (1 | Subject)", data).fit("reml"))
    assert "Number of obs: 179\n" in text
    assert text.count("dropped") == 1
    assert text.endswith("note: 1 row with missing values dropped (missing: Reaction 1)")


@pytest.mark.parametrize("name", fits_cache.MODELS)
@pytest.mark.parametrize("kind", [fits_cache.likelihood, fits_cache.posterior])
def test_every_fit_prints(name, kind):
    fit = kind(name)
    text, html = repr(fit), fit._repr_html_()
    assert fit.model.formula in text
    assert "nan" not in text
    assert max(map(len, text.splitlines())) <= 80
    for name in (*fit.model.design.coef, *(f.name for f in fit.model.design.factors)):
        assert name in text
        assert name in html


def test_html_escapes_what_came_from_data():
    rng = np.random.default_rng(1)
    column = "<script>alert(1)</script>"
    levels = np.array(["<script>", "<b>b</b>", "&amp;", "d"])
    g, x = np.repeat(levels, 8), np.tile(np.array(["<i>", "</table>"]), 16)
    data = {"y": rng.normal(size=32) + np.arange(32) % 8, column: g, "x": x}
    model = bl.Model(f"y ~ x + (1 | `{column}`)", data)
    fit = model.fit("ml")
    diagnosis = Diagnosis((Finding("warning", "<script>", "<b>", "<i>"),))
    for shown in (model, fit, diagnosis):
        html = shown._repr_html_()
        assert "<script>" not in html
        assert "<i>" not in html
        assert "<b>b" not in html
        assert "&lt;script&gt;" in html
        assert html.count("<table>") == html.count("</table>")


OBJECTS = {
    "fit.optimum": "Optimum by REML, quasi-newton: converged at 1743.6283 after",
    "fit.model.parameters": "Parameters: sd_Subject[Intercept], sd_Subject[Days], corr_Subject",
    "fit.model.equations": "Equations of 180 rows: 2 coefficients, 36 random effects, 4 param",
    "fit.model.design.factors[0]": "GroupingFactor Subject: 18 levels of Intercept, Days",
    "post.draws": "Draws by nutpie",
    "ar1.model.design.residuals": "Residuals: AR1 over age within Subject",
}


@pytest.mark.parametrize(("name", "text"), OBJECTS.items())
def test_objects_are_shown_by_a_line(name, text):
    orthodont = bl.load_dataset("Orthodont")
    R = bl.AR1(time="age", group="Subject")
    known = {
        "fit": fits_cache.likelihood("slopes"),
        "post": fits_cache.posterior("slopes") if "post" in name else None,
        "ar1": bl.Model("distance ~ age", orthodont, R=R).fit("reml"),
    }
    shown = repr(eval(name, known))
    assert shown.startswith(text)
    assert len(shown) < 160


def test_no_public_object_of_a_fit_is_shown_by_pages():
    fit = fits_cache.likelihood("slopes")
    for owner in (fit, fit.model, fit.model.design, fit.model.parameters):
        for name in dir(owner):
            value = None if name.startswith("_") else getattr(owner, name, None)
            if type(value).__module__.startswith("bayeslmm"):
                assert len(repr(value)) < 1500, name


def test_a_diagnosis():
    assert repr(Diagnosis(())) == "no problem found"
    findings = (Finding("error", "it is bad", "sigma", "Try this"), Finding("note", "so", "", ""))
    assert repr(Diagnosis(findings)) == "error: it is bad (sigma). Try this\nnote: so"
    assert not Diagnosis(findings).ok
    assert Diagnosis(findings[1:]).ok


NUMBERS = [
    ([251.4051, 10.46729], ["251.41", "10.47"]),
    ([612.0899, 35.07166, 654.9410], ["612.09", "35.07", "654.94"]),
    ([1234567.0, 2345.0], ["1234567", "2345"]),
    ([0.0, 1.5], ["0.000", "1.500"]),
    ([0.0, 0.0], ["0", "0"]),
    ([np.nan, 2.0], ["--", "2.000"]),
    ([1e-15, 1.0], ["1e-15", "1"]),
    ([1e7, 1e-3], ["1e+07", "0.001"]),
    ([-0.0123456], ["-0.01235"]),
    ([], []),
]


@pytest.mark.parametrize(("values", "shown"), NUMBERS)
def test_numbers_are_rounded_for_display(values, shown):
    assert numbers(values) == shown
