"""Write likelihood.json, residuals.json, posterior.json and profile.json from the full list of
reference results.

Usage: ``python tests/reference/extract.py PATH_TO_reference.json``

The full list covers models that the library does not fit yet, and more quantities than tests look
at. What is kept is named as in this library: ``Intercept``, and nested groups outermost first.
"""

import json
import sys
from itertools import combinations
from pathlib import Path

HERE = Path(__file__).parent

# lme4_insteval_ml is left out: its data, 2.3 MB, are too large to ship.
LIKELIHOOD = ("lme4_", "lme_ortho_slope_", "tmb_sleep_us_", "tmb_sleep_diag_")
TOO_LARGE = {"lme4_insteval_ml"}
ALSO = {"lme_ovary_ri_reml", "lme_bw_slope_reml"}
POSTERIOR = {"bayes_sleep_ri", "bayes_sleep_slope", "bayes_penicillin", "bayes_machines_nested"}

ORIGIN = ("id", "dataset", "software_version", "formula", "method", "notes", "trust")
MOMENTS = ("mean", "sd", "q5", "q50", "q95")
ERRORS = ("mcse_mean", "mcse_sd", "mcse_q5", "mcse_q50", "mcse_q95")


def likelihood(record: dict) -> dict:
    """Estimates of one REML or ML fit, from the polished optimum where there is one."""
    polished = record.get("polished")
    values = polished or record
    nested = "/" in record["formula"]
    kept = {key: record[key] for key in ORIGIN}
    for key in ("weights", "offset"):
        if record.get(key):
            kept[key] = record[key]
    kept |= {
        "values": "polished" if polished else "reported",
        "n_obs": record["n_obs"],
        "n_par": record["n_par"],
        "singular": record.get("singular", False),
        "loglik": values["loglik"],
    }
    if not polished:
        kept |= {"aic": record["aic"], "bic": record["bic"]}
    kept |= {
        "theta": {
            **covariance(record["formula"], values["varcorr"], nested),
            "sigma": values["sigma"],
        },
        "fixef": renamed(values["fixef"]),
        "fixef_se": renamed(values["fixef_se"]),
        "ranef": {
            outermost_first(group, nested): {
                outermost_first(level, nested): {
                    quantity: renamed(by_effect) for quantity, by_effect in u.items()
                }
                for level, u in levels.items()
            }
            for group, levels in values.get("ranef_first", {}).items()
        },
    }
    if "df_satterthwaite" in record:
        rows = record["df_satterthwaite"]["coef"]
        kept["satterthwaite"] = renamed(
            {name: {key: row[key] for key in ("df", "t", "p")} for name, row in rows.items()}
        )
    for key in ("df_satterthwaite", "df_kenward_roger"):
        if key in record and not kept["singular"]:
            terms = record[key]["anova_type3"]
            kept[f"{key.removeprefix('df_')}_anova"] = {
                term: {name: row[name] for name in ("num_df", "den_df", "F", "p")}
                for term, row in terms.items()
            }
    if "df_kenward_roger" in record and not kept["singular"]:
        rows = record["df_kenward_roger"]["coef"]
        kept["kenward_roger"] = renamed(
            {name: {key: row[key] for key in ("se", "df", "t", "p")} for name, row in rows.items()}
        )
    if "emmeans" in record:
        kept["emmeans"] = {name: means(table) for name, table in record["emmeans"].items()}
    if record.get("nlme_df_t") and record["method"] == "REML":
        kept["nlme_t"] = renamed(
            {
                name: {"df": row.get("DF"), "t": row["t-value"]}
                for name, row in record["nlme_df_t"].items()
            }
        )
    return kept


def means(table: dict) -> dict:
    """Marginal means, and their differences without adjustment for several of them."""
    names = {"emmean": "estimate", "SE": "se", "t.ratio": "t", "p.value": "p"}
    left_out = {"lower.CL", "upper.CL", "p_tukey"}
    return {
        kind: [
            {names.get(key, key): value for key, value in row.items() if key not in left_out}
            for row in table[kind]
        ]
        for kind in ("means", "pairs")
    }


def residuals(record: dict) -> dict:
    """Estimates of one fit with a structure of R; it is kept as nlme's pieces name it."""
    kept = likelihood(record)
    polished = record["polished"]
    pieces = kept["R"] = {key: value for key, value in record["R_spec"].items() if value}
    sigma = kept["theta"].pop("sigma")
    theta = correlations(pieces, polished.get("R_cor", {}))
    ratios = polished.get("R_var", {})
    if pieces.get("var") == "ident":
        strata = record["R_params"]["sd_ratio"]
        theta |= {f"sigma[{level}]": sigma * ratios.get(level, 1.0) for level in strata}
    else:
        theta |= ratios | {"sigma": sigma}
    kept["theta"] |= theta
    return kept


def correlations(pieces: dict, values: dict) -> dict:
    """Parameters of R's correlation under the names that `summary()` gives them."""
    if pieces.get("corr") == "un":  # down the columns, of four occasions
        pairs = combinations(range(1, 5), 2)
        return {
            f"corr_R[{a}, {b}]": value for (a, b), value in zip(pairs, values.values(), strict=True)
        }
    names = {"Rho": "rho", "Phi": "rho", "Phi1": "rho", "Theta1": "ma"}
    return {names.get(name, name): value for name, value in values.items()}


def covariance(formula: str, varcorr: dict, nested: bool) -> dict:
    """Standard deviations and correlations under the names that `summary()` gives them."""
    named = {}
    for group, G in varcorr.items():
        # The second bar of a `||` is a group of its own in lme4: Subject.1.
        factor = outermost_first(group.removesuffix(".1"), nested)
        sd = renamed(G["sd"])
        named |= {f"sd_{factor}[{effect}]": value for effect, value in sd.items()}
        if "diag(" not in formula:
            named |= {
                f"corr_{factor}[{first}, {second}]": G["corr"][i][j]
                for (i, first), (j, second) in combinations(enumerate(sd), 2)
            }
    return named


def profile(record: dict) -> dict:
    """Profile-likelihood intervals, by the names that `summary()` has."""
    named = {}
    nested = "/" in record["formula"]
    for name, row in renamed(record["profile_ci_95_exact"]).items():
        if "|" in name:
            own, group = name.split("|")
            kind, effects = own.split("_", 1)
            effects = ", ".join(reversed(effects.split(".")))
            kind = "corr" if kind == "cor" else kind
            name = f"{kind}_{outermost_first(group, nested)}[{effects}]"
        elif name != "sigma":
            name = f"beta[{name}]"
        named[name] = [row["lower"], row["upper"]]
    return {key: record[key] for key in ORIGIN} | {"intervals": named}


def posterior(record: dict) -> dict:
    """Posterior summaries of one model, by NUTS and by importance sampling."""
    sampled = record["independent_importance_sampling"]["posterior"]
    return {key: record[key] for key in ORIGIN} | {
        "n_obs": record["n_obs"],
        "draws": record["chains"] * record["draws_per_chain"],
        "priors": [
            {key: prior[key] for key in ("class", "coef", "prior", "lb") if prior[key]}
            for prior in record["priors"]
        ],
        "posterior": {
            from_brms(name): {key: row[key] for key in MOMENTS + ERRORS}
            for name, row in record["posterior"].items()
        },
        "importance_sampling": {
            from_brms(name): {key: row[key] for key in (*MOMENTS, "mcse_mean")}
            for name, row in sampled.items()
        },
    }


def is_structured(pieces: dict | None) -> bool:
    """Whether R is more than one variance."""
    return bool(pieces and (pieces["corr"] or pieces.get("var")))


def renamed(by_name: dict) -> dict:
    return {name.replace("(Intercept)", "Intercept"): value for name, value in by_name.items()}


def outermost_first(name: str, nested: bool) -> str:
    """lme4 writes the innermost factor of ``a/b`` first, in names of groups and of levels."""
    return ":".join(reversed(name.split(":"))) if nested else name


def from_brms(name: str) -> str:
    """``sd_Subject__Days`` is ``sd_Subject[Days]`` here, and so on."""
    if name.startswith("r_"):
        return name.replace("r_", "u_", 1).replace(",", ", ")
    head, *effects = name.replace("b_", "beta__", 1).replace("cor_", "corr_", 1).split("__")
    return f"{head}[{', '.join(effects)}]" if effects else head


def layout(value: object, indent: str = "") -> str:
    """JSON with what has no objects inside on one line."""
    items = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(items, list) or not any(isinstance(item, dict) for item in items):
        return json.dumps(value, ensure_ascii=False)
    inner = indent + " "
    if isinstance(value, dict):
        lines = [f"{json.dumps(key)}: {layout(item, inner)}" for key, item in value.items()]
        opening, closing = "{", "}"
    else:
        lines = [layout(item, inner) for item in items]
        opening, closing = "[", "]"
    body = ",\n".join(inner + line for line in lines)
    return f"{opening}\n{body}\n{indent}{closing}"


def main(source: Path) -> None:
    records = json.loads(source.read_text())
    chosen = {
        "likelihood": [
            likelihood(record)
            for record in records
            if record["id"].startswith(LIKELIHOOD) and record["id"] not in TOO_LARGE
        ],
        "residuals": [
            residuals(record)
            for record in records
            if is_structured(record.get("R_spec")) or record["id"] in ALSO
        ],
        "profile": [profile(record) for record in records if "profile_ci_95_exact" in record],
        "posterior": [posterior(record) for record in records if record["id"] in POSTERIOR],
    }
    for name, kept in chosen.items():
        (HERE / f"{name}.json").write_text(layout(kept) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
