"""The data sets that come with the library."""

from importlib import resources

import pandas as pd
import pytest

import bayeslmm as bl

# rows, columns, and facts that published descriptions of the data state
SETS = [
    ("sleepstudy", 180, ["Reaction", "Days", "Subject"], {"Subject": 18, "Days": 10}),
    (
        "politeness",
        84,
        ["subject", "gender", "scenario", "attitude", "frequency"],
        {"subject": 6, "scenario": 7, "attitude": 2},
    ),
    ("Dyestuff", 30, ["Batch", "Yield"], {"Batch": 6}),
    ("Dyestuff2", 30, ["Batch", "Yield"], {"Batch": 6}),
    ("Penicillin", 144, ["diameter", "plate", "sample"], {"plate": 24, "sample": 6}),
    ("Pastes", 60, ["strength", "batch", "cask", "sample"], {"batch": 10, "sample": 30}),
    ("Orthodont", 108, ["distance", "age", "Subject", "Sex"], {"Subject": 27, "age": 4}),
    ("Oats", 72, ["Block", "Variety", "nitro", "yield"], {"Block": 6, "Variety": 3, "nitro": 4}),
    ("Machines", 54, ["Worker", "Machine", "score"], {"Worker": 6, "Machine": 3}),
    ("Rail", 18, ["Rail", "travel"], {"Rail": 6}),
    ("Oxboys", 234, ["Subject", "age", "height", "Occasion"], {"Subject": 26, "Occasion": 9}),
    (
        "cake",
        270,
        ["replicate", "recipe", "temperature", "angle", "temp"],
        {"replicate": 15, "recipe": 3, "temperature": 6},
    ),
    ("opposites", 140, ["id", "time", "opp", "cog", "ccog", "wave"], {"id": 35, "time": 4}),
    ("eight_schools", 8, ["school", "y", "sigma"], {"school": 8}),
    (
        "radon",
        919,
        ["county", "floor", "log_radon", "log_uranium", "floor_by_county"],
        {"county": 85, "floor": 2},
    ),
]

LABELS = {
    "sleepstudy": ["Subject"],
    "politeness": ["subject", "gender", "scenario", "attitude"],
    "Dyestuff": ["Batch"],
    "Dyestuff2": ["Batch"],
    "Penicillin": ["plate", "sample"],
    "Pastes": ["batch", "cask", "sample"],
    "Orthodont": ["Subject", "Sex"],
    "Oats": ["Block", "Variety"],
    "Machines": ["Worker", "Machine"],
    "Rail": ["Rail"],
    "Oxboys": ["Subject", "Occasion"],
    "cake": ["replicate", "recipe", "temperature"],
    "opposites": ["id"],
    "eight_schools": ["school"],
    "radon": ["county"],
}


@pytest.mark.parametrize(("name", "rows", "columns", "distinct"), SETS, ids=[s[0] for s in SETS])
def test_contents(name, rows, columns, distinct):
    data = bl.load_dataset(name)
    assert data.shape == (rows, len(columns))
    assert list(data) == columns
    assert {column: data[column].nunique() for column in distinct} == distinct


@pytest.mark.parametrize("name", LABELS)
def test_labels_are_text_and_measurements_are_numbers(name):
    data = bl.load_dataset(name)
    text = [column for column in data if pd.api.types.is_string_dtype(data[column])]
    numbers = [column for column in data if pd.api.types.is_numeric_dtype(data[column])]
    assert text == LABELS[name]
    assert [column for column in data if column not in text] == numbers


def test_first_row_is_as_published():
    first = bl.load_dataset("sleepstudy").iloc[0].to_dict()
    assert first == {"Reaction": 249.56, "Days": 0, "Subject": "308"}


def test_the_only_missing_value_is_a_pitch():
    missing = {name: int(bl.load_dataset(name).isna().sum().sum()) for name in LABELS}
    assert {name: count for name, count in missing.items() if count} == {"politeness": 1}
    pitch = bl.load_dataset("politeness").set_index(["subject", "scenario", "attitude"])
    assert pitch["frequency"].isna()["M4", "6", "pol"]


def test_each_call_returns_a_frame_of_its_own():
    changed = bl.load_dataset("Rail")
    changed["travel"] = 0
    assert bl.load_dataset("Rail")["travel"].iloc[0] == 55


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sleepstudies", "Did you mean 'sleepstudy'"),
        ("dyestuff", "Did you mean 'Dyestuff'"),
        ("../data/Rail", "valid: 'sleepstudy', 'politeness'"),
        (1, "unknown data set 1"),
    ],
)
def test_unknown_name(name, message):
    with pytest.raises(bl.ArgumentError, match=message):
        bl.load_dataset(name)


def test_table_lists_every_set_with_rows_and_columns():
    table = bl.datasets()
    assert list(table) == ["rows", "columns", "what", "source", "licence"]
    assert [(name, row.rows, row.columns) for name, row in table.iterrows()] == [
        (name, rows, ", ".join(columns)) for name, rows, columns, _ in SETS
    ]


def test_sources_file_and_table_agree():
    text = (resources.files("bayeslmm.data") / "datasets" / "SOURCES.md").read_text(
        encoding="utf-8"
    )
    listed = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in text.splitlines()
        if line.startswith("| ") and not line.startswith("| data set")
    ]
    table = bl.datasets().reset_index()[["name", "what", "source", "licence"]]
    assert listed == list(table.itertuples(index=False, name=None))


def test_files_and_table_agree():
    files = {
        file.name.removesuffix(".csv")
        for file in (resources.files("bayeslmm.data") / "datasets").iterdir()
        if file.name.endswith(".csv")
    }
    assert files == set(bl.datasets().index)
