"""The data sets that come with the library."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from bayeslmm.errors import ArgumentError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

LABEL, COUNT, NUMBER = "str", "int64", "float64"

_LME4 = "GPL-2 or later (R package lme4)"
_NLME = "GPL-2 or later (R package nlme)"
_NONE_STATED = "none stated where found"
_DAVIES = "Davies & Goldsmith 1972"
_PINHEIRO = "Pinheiro & Bates 2000"


@dataclass(frozen=True, slots=True)
class _Dataset:
    what: str
    source: str
    licence: str
    # Stated rather than left to pandas, which would read labels such as "308" as numbers.
    columns: dict[str, str]


_DATASETS = {
    "sleepstudy": _Dataset(
        "reaction time (ms) over days of sleep deprivation, 18 subjects",
        "Belenky et al. 2003",
        _LME4,
        {"Reaction": NUMBER, "Days": COUNT, "Subject": LABEL},
    ),
    "politeness": _Dataset(
        "voice pitch (Hz) by attitude and gender, 6 subjects, 7 scenarios; one pitch is missing",
        "Winter & Grawunder 2012, as in Winter 2013 (arXiv:1308.5499)",
        _NONE_STATED,
        {
            "subject": LABEL,
            "gender": LABEL,
            "scenario": LABEL,
            "attitude": LABEL,
            "frequency": NUMBER,
        },
    ),
    "Dyestuff": _Dataset(
        "yield of dyestuff (g) from 6 batches",
        _DAVIES,
        _LME4,
        {"Batch": LABEL, "Yield": COUNT},
    ),
    "Dyestuff2": _Dataset(
        "simulated yields from 6 batches that do not differ",
        "Box & Tiao 1973",
        _LME4,
        {"Batch": LABEL, "Yield": NUMBER},
    ),
    "Penicillin": _Dataset(
        "diameter of growth inhibition (mm), 24 plates crossed with 6 samples",
        _DAVIES,
        _LME4,
        {"diameter": COUNT, "plate": LABEL, "sample": LABEL},
    ),
    "Pastes": _Dataset(
        "strength of a paste, 3 casks in each of 10 batches, 2 assays each",
        _DAVIES,
        _LME4,
        {"strength": NUMBER, "batch": LABEL, "cask": LABEL, "sample": LABEL},
    ),
    "Orthodont": _Dataset(
        "distance from pituitary to pterygomaxillary fissure (mm), 27 children at 4 ages",
        "Potthoff & Roy 1964",
        _NLME,
        {"distance": NUMBER, "age": COUNT, "Subject": LABEL, "Sex": LABEL},
    ),
    "Oats": _Dataset(
        "split plot: yield of 3 varieties of oats at 4 amounts of nitrogen in 6 blocks",
        "Yates 1935",
        _NLME,
        {"Block": LABEL, "Variety": LABEL, "nitro": NUMBER, "yield": COUNT},
    ),
    "Machines": _Dataset(
        "productivity of 6 workers on 3 machines, 3 times each",
        _PINHEIRO,
        _NLME,
        {"Worker": LABEL, "Machine": LABEL, "score": NUMBER},
    ),
    "Rail": _Dataset(
        "travel time of an ultrasonic wave (ns), 6 rails, 3 times each",
        _PINHEIRO,
        _NLME,
        {"Rail": LABEL, "travel": COUNT},
    ),
    "Oxboys": _Dataset(
        "height (cm) of 26 boys on 9 occasions; age is centred and scaled",
        _PINHEIRO,
        _NLME,
        {"Subject": LABEL, "age": NUMBER, "height": NUMBER, "Occasion": LABEL},
    ),
    "cake": _Dataset(
        "breaking angle (degrees) of chocolate cakes by recipe, replicate and temperature (F)",
        "Cook 1938",
        _LME4,
        {
            "replicate": LABEL,
            "recipe": LABEL,
            "temperature": LABEL,
            "angle": COUNT,
            "temp": COUNT,
        },
    ),
    "opposites": _Dataset(
        "score in naming opposites, 35 people on 4 occasions, with a cognitive covariate",
        "Willett 1988; Singer & Willett 2003",
        "CC0",
        {
            "id": LABEL,
            "time": COUNT,
            "opp": COUNT,
            "cog": COUNT,
            "ccog": NUMBER,
            "wave": COUNT,
        },
    ),
    "eight_schools": _Dataset(
        "estimated coaching effects in 8 schools with known standard errors (sigma)",
        "Rubin 1981, as in posteriordb",
        "BSD-3-Clause",
        {"school": LABEL, "y": COUNT, "sigma": COUNT},
    ),
    "radon": _Dataset(
        "log radon in 919 Minnesota homes, floor (1: first, 0: basement), 85 counties",
        "US EPA and state survey; Gelman & Hill 2007",
        _NONE_STATED,
        {
            "county": LABEL,
            "floor": COUNT,
            "log_radon": NUMBER,
            "log_uranium": NUMBER,
            "floor_by_county": NUMBER,
        },
    ),
}


def load_dataset(name: str) -> pd.DataFrame:
    """Read one of the data sets that come with the library.

    Parameters
    ----------
    name : str
        A name in the index of `datasets`, such as ``"sleepstudy"``.

    Returns
    -------
    pandas.DataFrame
        A new frame. Columns of labels (subjects, batches, conditions) are text, also where the
        labels are digits; missing measurements are NaN.

    Raises
    ------
    ArgumentError
        No data set has this name.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> bl.load_dataset("sleepstudy").head(2)
       Reaction  Days Subject
    0  249.5600     0     308
    1  258.7047     1     308
    """
    import pandas as pd

    if name not in _DATASETS:
        raise ArgumentError(unknown_name("data set", name, _DATASETS))
    columns = _DATASETS[name].columns
    # "NA" and "" are missing in a measurement, but would be labels like any other in a label.
    missing = {column: ["NA", ""] for column, kind in columns.items() if kind != LABEL}
    file = resources.files("bayeslmm.data") / "datasets" / f"{name}.csv"
    with file.open(encoding="utf-8") as text:
        return pd.read_csv(text, dtype=columns, na_values=missing, keep_default_na=False)


def datasets() -> pd.DataFrame:
    """List the data sets that come with the library.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``name``, with ``rows``, ``columns`` (their names), ``what``, ``source`` and
        ``licence``.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> bl.datasets()[["rows", "columns"]].head(2)
                rows                                         columns
    name
    sleepstudy   180                         Reaction, Days, Subject
    politeness    84  subject, gender, scenario, attitude, frequency
    """
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "name": name,
                "rows": len(load_dataset(name)),
                "columns": ", ".join(dataset.columns),
                "what": dataset.what,
                "source": dataset.source,
                "licence": dataset.licence,
            }
            for name, dataset in _DATASETS.items()
        ]
    ).set_index("name")
