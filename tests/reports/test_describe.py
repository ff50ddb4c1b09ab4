"""What `describe` says, in Unicode and in LaTeX."""

import re

import pytest

import bayeslmm as bl
from tests.pymc_models.test_full import STRUCTURES

SLEEP = """\
Reaction ~ Days + (Days | Subject), 180 rows

Likelihood
  Reactionᵢ = β[Intercept] + β[Days]·Daysᵢ + u[Subjectᵢ, Intercept] + u[Subjectᵢ, Days]·Daysᵢ
              + εᵢ    i = 1, …, 180
  εᵢ        ~ Normal(0, σ)

Random effects of Subject, 18 levels
  (u[Subject, Intercept], u[Subject, Days]) ~ MvNormal(0, G_Subject)
  G_Subject                                 = D C D
  D                                         = diag(sd_Subject[Intercept], sd_Subject[Days])
  C[Intercept, Days]                        = corr_Subject[Intercept, Days]

Priors (of a normal one mean and standard deviation)
  β[Intercept] + 4.5·β[Days]                       ~ Normal(298.508, 140.822)
  β[Days]                                          ~ Normal(0, 48.8915)
  sd(u[Subject, Intercept] + 4.5·u[Subject, Days]) ~ HalfStudentT(3, 56.3288)
  sd_Subject[Days]                                 ~ HalfStudentT(3, 19.5566)
  corr_Subject                                     ~ LKJ(1)    with the intercept at those means
  σ                                                ~ HalfStudentT(3, 56.3288)"""

# R: what is said of a row's standard deviation, and of a correlation
RESIDUALS = {
    "ID by": ("Normal(0, σ[Sexᵢ])", None),
    "Diag": ("Normal(0, σ[ageᵢ])", None),
    "VarIdent": ("Normal(0, σ[Sexᵢ])", None),
    "VarIdents": ("Normal(0, σ[Sexᵢ]·exp(log_ratio[ageᵢ]))", None),
    "UN": ("s[j] = σ[ageⱼ]", "corr_R[j, k]"),
    "CS": ("s[j] = σ", "ρ"),
    "CSH": ("s[j] = σ[ageⱼ]", "ρ"),
    "AR1": ("s[j] = σ", "ρ^|j−k|"),
    "ARH1 by": ("s[j] = σ[Sexⱼ, ageⱼ]", "ρ[Sex]^|j−k|"),
    "ARMA11": ("s[j] = σ", "(1+ρ·ma)(ρ+ma)/(1+2·ρ·ma+ma²)·ρ^(|j−k|−1)"),
    "Toep": ("s[j] = σ", "ρ[|j−k|]"),
    "FA": ("s[j] = σ[ageⱼ]", "loading[j, f]·loading[k, f]"),
    "Ante1": ("s[j] = σ[ageⱼ]", "ρ[j, j+1] ⋯ ρ[k−1, k]"),
    "CAR1": ("s[j] = σ·|ageⱼ|^power", "ρ^|t[j]−t[k]|"),
    "Exp": ("s[j] = σ", "(1−nugget)·exp(−|t[j]−t[k]|/range)"),
    "Gau": ("s[j] = σ[Sexⱼ]·exp(expon·ageⱼ)", "exp(−(|t[j]−t[k]|/range)²)"),
    "Matern": (
        "s[j] = σ",
        "(1+√5·|t[j]−t[k]|/range+5·(|t[j]−t[k]|/range)²/3)·exp(−√5·|t[j]−t[k]|/range)",
    ),
}


def lines(description):
    """What is stated, without the spaces that align it."""
    return [" ".join(line.split()) for line in description.text.splitlines()]


def well_formed(latex):
    assert latex.isascii()  # as the names in these tests
    plain = re.sub(r"\\[{}]", "", latex)
    assert not re.search(r"\\text\{[^{}]*_", plain)  # text mode has no subscripts
    depth = 0
    for character in plain:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    rows = latex.split("\n")
    assert rows[0] == r"\begin{aligned}"
    assert rows[-1] == r"\end{aligned}"
    assert all(row.count("&") == 1 + row.count(r"\\ &") for row in rows[1:-1])


def test_board_of_correlated_slopes():
    model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
    assert repr(model.describe()) == SLEEP
    latex = model.describe()._repr_latex_()
    assert latex.startswith("$$\n\\begin{aligned}")
    assert r"\beta_{\mathrm{Days}}\,\mathrm{Days}_i" in latex
    well_formed(model.describe().latex)


@pytest.mark.parametrize("name", list(STRUCTURES))
def test_residual_structures(name):
    model = bl.Model("distance ~ age", bl.load_dataset("Orthodont"), R=STRUCTURES[name])
    description = model.describe()
    sd, correlation = RESIDUALS[name]
    stated = lines(description)
    assert any(line.endswith(sd) for line in stated)
    found = [line.removesuffix(" j ≠ k") for line in stated if line.startswith("C[j, k]")]
    assert found == ([] if correlation is None else [f"C[j, k] = {correlation}"])
    well_formed(description.latex)


STATED = [
    ("Reaction ~ Days + ar1(0 + C(Days) | Subject)", "C[j, k] = rho_Subject^|j−k|"),
    ("Reaction ~ Days + ar1(0 + C(Days) | Subject)", "G_Subject = sd_Subject[C(Days)]²·C"),
    ("log(Reaction) ~ Days + offset(off) + (Days || Subject)", "+ offᵢ"),
    ("log(Reaction) ~ Days + offset(off) + (Days || Subject)", "εᵢ ~ Normal(0, σ/√wᵢ)"),
    ("Reaction ~ Days + (Days || Subject)", "diag(sd_Subject[Intercept]², sd_Subject[Days]²)"),
    ("Reaction ~ Days + id(1 + Days | Subject)", "G_Subject = sd_Subject[Days]²·I"),
    ("Reaction ~ (poly(Days, 3) | Subject)", "6 correlations, 4×4"),
    ("Reaction ~ C(Days)", "xᵢ′β + εᵢ i = 1, …, 180; x has 10 columns"),
    ("Reaction ~ 0 + Days", "β[Days] ~ Normal(0,"),
    ("Reaction ~ 0 + (1 | Subject)", "Reactionᵢ = u[Subjectᵢ, Intercept] + εᵢ"),
    ("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", "u[Subject, Days] ~ Normal("),
]


@pytest.mark.parametrize(("formula", "text"), STATED)
def test_what_is_stated(formula, text):
    data = bl.load_dataset("sleepstudy").assign(w=2.0, off=1.0)
    description = bl.Model(formula, data, weights="w" if "off" in formula else None).describe()
    assert any(text in line for line in lines(description))
    well_formed(description.latex)


def test_priors_of_the_user_and_names_that_latex_would_read():
    data = bl.load_dataset("sleepstudy").rename(columns={"Days": "n_days", "Subject": "sub_j"})
    priors = {"beta[n_days]": bl.Normal(5, 2), "sd": bl.Exponential(0.1), "corr": bl.LKJ(2)}
    model = bl.Model("Reaction ~ n_days + (n_days | sub_j)", data, priors=priors)
    description = model.describe()
    for text in ("β[n_days] ~ Normal(5, 2)", "sd_sub_j[n_days] ~ Exponential(0.1)"):
        assert text in lines(description)
    assert "corr_sub_j ~ LKJ(2)" in lines(description)
    assert r"\beta_{\mathrm{n\_days}}" in description.latex
    well_formed(description.latex)


def test_remarks_name_columns_that_latex_would_read():
    data = bl.load_dataset("Orthodont").rename(columns={"Sex": "the_sex"})
    G = {"Subject": bl.AR1(variance=bl.VarIdent("the_sex"))}
    model = bl.Model("distance ~ age + (0 + age | Subject)", data, G=G)
    assert "j ≠ k, AR1 with VarIdent(the_sex)" in " ".join(lines(model.describe()))
    well_formed(model.describe().latex)


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\x85", "\u2028", "\u2029"])
def test_line_ends_in_names_are_data(end):
    data = bl.load_dataset("Orthodont")
    names = {"distance": f"dis{end}tance", "age": f"a{end}ge", "Subject": f"Sub{end}ject"}
    data["Sex"] = data["Sex"].astype(str) + end + "x"
    renamed = data.rename(columns={old: new for old, new in names.items() if end != "\n"})
    y, x, g = (names[name] if end != "\n" else name for name in names)
    structure = {g: bl.AR1(variance=[bl.VarIdent("Sex"), bl.VarExp(x)])}
    formula = f"`{y}` ~ `{x}` * Sex + (0 + `{x}` | `{g}`)"
    plain = bl.Model(
        "distance ~ age * Sex + (0 + age | Subject)",
        bl.load_dataset("Orthodont").assign(Sex=data["Sex"].str[:-2]),
        G={"Subject": bl.AR1(variance=[bl.VarIdent("Sex"), bl.VarExp("age")])},
    ).describe()
    told = bl.Model(formula, renamed, G=structure).describe()
    assert str(told).splitlines() == told.text.split("\n")
    assert len(told.latex.splitlines()) == len(told.latex.split("\n"))
    # a statement stands in as many lines as with plain names, or in more where it is too long
    for line in told.latex.split("\n")[1:-1]:
        assert line.count("{") - line.count(r"\{") == line.count("}") - line.count(r"\}")
    assert told.latex.count("&") == told.latex.count("\n") - 1
    assert told.text.count("~") == plain.text.count("~")
    shown = repr(end)[1:-1].replace("\\", r"\backslash ")
    assert f"Male{shown}x" in told.latex
