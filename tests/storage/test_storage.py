"""Fits and frames survive a file; files that are not ours, or not whole, are refused."""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from functools import cache
from pathlib import Path

import arviz
import h5netcdf
import h5py
import numpy as np
import pandas as pd
import polars as pl
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import bayeslmm as bl
from bayeslmm.api.loading import load
from bayeslmm.storage import file as stored_file
from bayeslmm.storage.file import checksum
from bayeslmm.storage.frame import frame_from_dataset, frame_to_dataset
from bayeslmm.storage.solutions import save


def through_file(frame, folder):
    frame_to_dataset(frame).to_netcdf(folder / "frame.nc", engine="h5netcdf")
    with xr.open_dataset(folder / "frame.nc", engine="h5netcdf", decode_times=False) as dataset:
        return frame_from_dataset(dataset.load())


def round_trip(fit, folder):
    fit.save(folder / "fit.nc")
    return load(folder / "fit.nc")


def assert_same(again, fit):
    """Everything that a fit offers, to the last bit."""
    assert type(again) is type(fit)
    assert again.model.formula == fit.model.formula
    pd.testing.assert_frame_equal(again.summary(), fit.summary(), check_exact=True)
    pd.testing.assert_frame_equal(again.ranef(), fit.ranef(), check_exact=True)
    pd.testing.assert_series_equal(again.fitted(), fit.fitted(), check_exact=True, check_freq=False)
    pd.testing.assert_frame_equal(again.model.priors.frame(), fit.model.priors.frame())
    assert again.model.design.n_dropped == fit.model.design.n_dropped
    assert again.model.design.missing == fit.model.design.missing
    assert repr(again) == repr(fit)


# -- frames ---------------------------------------------------------------------------------------

DAYS = pd.to_datetime(["2020-02-29", None, "2021-01-01"])
COLUMNS = {
    "int64": [3, -(2**62), 0],
    "uint8": np.array([0, 255, 7], dtype="uint8"),
    "float64": [1.5, np.nan, -0.0],
    "float32": np.array([1.5, np.inf, np.nan], dtype="float32"),
    "bool": [True, False, True],
    "text": ["ä/b", None, "x\0y\n"],
    "digits": ["308", "0308", ""],
    "ordered": pd.Categorical(["lo", "hi", None], ["lo", "mid", "hi"], ordered=True),
    "numbers as categories": pd.Categorical([3, 1, 3], [3, 1]),
    "booleans as categories": pd.Categorical([True, None, False], [True, False]),
    "intervals": pd.cut([1, 2, 5], [0, 2, 6]),
    "dates": DAYS,
    "dates with a zone": DAYS.tz_localize("Europe/Berlin"),
    "durations": DAYS - DAYS[0],
    "nullable": pd.array([1, None, 3], dtype="Int64"),
    "nullable booleans": pd.array([True, None, False], dtype="boolean"),
    "objects": pd.Series([True, None, False], dtype=object),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_column(name, tmp_path):
    frame = pd.DataFrame({name: COLUMNS[name]})
    again = through_file(frame, tmp_path)
    assert again.dtypes.equals(frame.dtypes)
    pd.testing.assert_frame_equal(again, frame.fillna({"objects": np.nan}), check_exact=True)


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(4, 10, 2),
        pd.Index([7, 7, 1]),
        pd.Index(["a/b", "a", "ü"], name="Zeile"),
        DAYS,
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["g", None]),
    ],
    ids=["range", "duplicates", "text", "dates", "two levels"],
)
def test_row_labels(index, tmp_path):
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0]}, index=index)
    again = through_file(frame, tmp_path)
    pd.testing.assert_frame_equal(again, frame, check_exact=True)
    assert isinstance(again.index, type(index))


# pandas takes a NUL for the end of a text when it looks up categories.
LETTERS = st.characters(codec="utf-8", exclude_characters="\0")
NAMES = st.text(min_size=1, max_size=8)
MISSING = st.just(None)


@st.composite
def frames(draw):
    n = draw(st.integers(1, 6))

    def column(values):
        return st.lists(values, min_size=n, max_size=n)

    def categories(levels):
        codes = draw(st.lists(st.integers(-1, len(levels) - 1), min_size=n, max_size=n))
        return pd.Categorical.from_codes(codes, levels, ordered=draw(st.booleans()))

    kinds = st.one_of(
        column(st.integers(-(2**63), 2**63 - 1)).map(lambda v: np.array(v, dtype="int64")),
        column(st.floats()).map(lambda v: np.array(v, dtype="float64")),
        column(st.booleans()),
        column(NAMES | MISSING).map(lambda v: pd.array(v, dtype="str")),
        st.lists(NAMES, min_size=1, max_size=4, unique=True).map(categories),
        st.lists(st.integers(-9, 9), min_size=1, max_size=4, unique=True).map(categories),
    )
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    return pd.DataFrame({name: draw(kinds) for name in names})


@given(frames())
@settings(max_examples=60)
def test_any_frame(tmp_path_factory, frame):
    again = through_file(frame, tmp_path_factory.mktemp("frame"))
    assert again.dtypes.equals(frame.dtypes)
    pd.testing.assert_frame_equal(again, frame, check_exact=True)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"z": [1j]}), "column 'z' of type complex128 cannot be stored; convert"),
        (pd.DataFrame({"o": [object()]}), "'o' holds <object .* of type object, which cannot"),
        (pd.DataFrame([[1]], columns=[("a", "b")]), r"the name \('a', 'b'\) of type tuple cannot"),
    ],
)
def test_column_that_cannot_be_stored(frame, message):
    with pytest.raises(bl.FileError, match=message):
        frame_to_dataset(frame)


# -- fits -----------------------------------------------------------------------------------------


def sleep():
    data = bl.load_dataset("sleepstudy")
    data["Group"] = pd.Categorical(
        np.where(data["Subject"] < "335", "old", "young"), ["young", "old", "unused"]
    )
    data["Late"] = data["Days"] > 4
    return data


def with_gaps():
    data = sleep()
    data.loc[[3, 17, 40], "Reaction"] = np.nan
    data.loc[[17, 90], "Subject"] = None
    return data.sample(frac=1, random_state=1)


LIKELIHOOD = {
    "slopes": lambda: bl.Model("Reaction ~ Days + (Days | Subject)", sleep()),
    "missing rows, another order": lambda: bl.Model(
        "Reaction ~ Days * Group + (1 | Subject)", with_gaps()
    ),
    "booleans and transforms": lambda: bl.Model(
        "np.log(Reaction) ~ poly(Days, 2) + Late + scale(Days) + (Days || Subject)", sleep()
    ),
    "weights in a column": lambda: bl.Model(
        "Reaction ~ Days + (1 | Subject)", sleep().assign(w=lambda d: 1 + d["Days"]), weights="w"
    ),
    "weights beside the data": lambda: bl.Model(
        "Reaction ~ Days + (1 | Subject)", with_gaps(), weights=np.linspace(1, 2, 180)
    ),
    "another response": lambda: bl.Model("Reaction ~ Days + (1 | Subject)", sleep()).with_response(
        np.random.default_rng(1).normal(size=180)
    ),
    "priors": lambda: bl.Model(
        "Reaction ~ Days + (Days | Subject)",
        sleep(),
        priors={"beta": bl.Normal(0, 50), "sd": bl.Exponential(0.1), "corr": bl.LKJ(2)},
    ),
    "polars": lambda: bl.Model("Reaction ~ Days + (1 | Subject)", pl.from_pandas(sleep())),
    "nested": lambda: bl.Model("strength ~ 1 + (1 | batch/cask)", bl.load_dataset("Pastes")),
    "singular": lambda: bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff2")),
    "no groups": lambda: bl.Model("Reaction ~ Days", sleep()),
    "names that need backticks": lambda: bl.Model(
        "`Temps (ms)` ~ `a/b` + (`a/b` | `被験者 1`)",
        sleep().rename(columns={"Reaction": "Temps (ms)", "Days": "a/b", "Subject": "被験者 1"}),
    ),
    "numeric groups": lambda: bl.Model(
        "Reaction ~ Days + (1 | Subject)", sleep().astype({"Subject": int})
    ),
}


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("name", LIKELIHOOD)
@pytest.mark.filterwarnings("ignore::bayeslmm.BayeslmmWarning")
def test_likelihood_fit(name, method, tmp_path):
    fit = LIKELIHOOD[name]().fit(method)
    again = round_trip(fit, tmp_path)
    assert_same(again, fit)
    assert again.status is fit.status
    pd.testing.assert_frame_equal(again.trace, fit.trace, check_exact=True)
    assert again.algorithm == fit.algorithm
    assert again.optimum.information == fit.optimum.information
    pd.testing.assert_frame_equal(again.model.data, fit.model.data, check_exact=True)


@pytest.mark.filterwarnings("ignore::bayeslmm.DesignWarning")
def test_predictions_after_loading_use_the_learned_state(tmp_path):
    fit = LIKELIHOOD["booleans and transforms"]().fit("reml")
    new = sleep().iloc[[1, 8, 77]]
    again = round_trip(fit, tmp_path)
    pd.testing.assert_frame_equal(
        again.predict(new, interval="new"), fit.predict(new, interval="new"), check_exact=True
    )


def sampled(model, draws=20):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bl.ConvergenceWarning)
        return model.fit(
            "nuts", random_seed=np.int64(1), draws=draws, tune=20, chains=2, progress=False
        )


POSTERIOR = {
    "slopes and priors": LIKELIHOOD["priors"],
    "dates as row labels": lambda: bl.Model(
        "travel ~ 1 + (1 | Rail)",
        bl.load_dataset("Rail").set_index(pd.date_range("2020-01-01", periods=18)),
    ),
    "intervals as row labels": lambda: bl.Model(
        "Yield ~ 1 + (1 | Batch)",
        bl.load_dataset("Dyestuff").set_index(pd.interval_range(0, periods=30)),
    ),
    "two bars over one factor": lambda: bl.Model(
        "Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)",
        with_gaps().assign(w=lambda d: 1.0 + d["Days"]),
        weights="w",
    ),
    "no groups": LIKELIHOOD["no groups"],
}


@pytest.mark.parametrize("name", POSTERIOR)
def test_posterior_fit(name, tmp_path):
    fit = sampled(POSTERIOR[name]())
    again = round_trip(fit, tmp_path)
    assert_same(again, fit)
    assert again.draws.settings == fit.draws.settings
    np.testing.assert_array_equal(again.draws.theta, fit.draws.theta)
    for stat, values in fit.draws.stats.items():
        np.testing.assert_array_equal(again.draws.stats[stat], values)


def test_other_programs_can_open_a_posterior(tmp_path):
    fit = sampled(POSTERIOR["slopes and priors"]())
    fit.save(tmp_path / "fit.nc")
    for tree in (arviz.from_netcdf(tmp_path / "fit.nc"), xr.open_datatree(tmp_path / "fit.nc")):
        np.testing.assert_array_equal(tree["posterior"]["beta"], fit.draws.beta)
        assert list(tree["posterior"]["coef"].values) == ["Intercept", "Days"]
        assert {"sample_stats", "observed_data"} <= set(tree.children)
        assert tree.attrs["formula"] == fit.model.formula
        tree.close()


@given(st.lists(st.text(LETTERS, min_size=1), min_size=2, max_size=5, unique=True))
@settings(max_examples=12)
@pytest.mark.filterwarnings("ignore::bayeslmm.BayeslmmWarning")
def test_any_levels(tmp_path_factory, levels):
    x = np.tile(np.arange(4.0), len(levels))
    y = np.sin(7 * np.arange(len(x))) + x
    data = pd.DataFrame({"y": y, "x": x, "g": pd.Categorical(np.repeat(levels, 4), levels)})
    fit = bl.Model("y ~ x + (1 | g)", data).fit("reml")
    assert_same(round_trip(fit, tmp_path_factory.mktemp("fit")), fit)


# -- files that are refused -----------------------------------------------------------------------


@cache
def reml():
    return bl.Model("Reaction ~ Days + (Days | Subject)", sleep()).fit("reml")


def other_netcdf(path):
    xr.Dataset({"x": ("a", [1.0])}).to_netcdf(path, engine="h5netcdf")


FOREIGN = {
    "empty": (lambda path: path.write_bytes(b""), "is empty; bayeslmm.load reads what fit.save"),
    "text": (lambda path: path.write_text("Reaction,Days\n"), "is a text file, not a netCDF-4"),
    "zip": (lambda path: path.write_bytes(b"PK\3\4" + bytes(30)), "is a zip archive, not"),
    "netCDF-3": (lambda path: path.write_bytes(b"CDF\1" + bytes(30)), "is a netCDF-3 file, not"),
    "Parquet": (lambda path: sleep().to_parquet(path), "is a Parquet file, not a netCDF-4"),
    "pickle": (
        lambda path: path.write_bytes(pickle.dumps({"a": 1})),
        "is a Python pickle, not a netCDF-4 file",
    ),
    "binary": (lambda path: path.write_bytes(bytes(range(255, 155, -1))), "is a binary file of"),
    "folder": (lambda path: path.mkdir(), "is a folder, not a file"),
    "pipe": (lambda path: os.mkfifo(path), "is a device or a pipe, not a file"),
    "missing": (lambda path: None, "there is no file"),
    "other netCDF": (other_netcdf, "is a netCDF file of another program .it holds: a, x.; bay"),
    "only a beginning": (
        lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100)),
        "is damaged or incomplete: it begins as a netCDF-4 file and cannot be read to its end",
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_file(name, tmp_path):
    make, message = FOREIGN[name]
    make(tmp_path / "file.nc")
    with pytest.raises(bl.FileError, match=message):
        bl.load(tmp_path / "file.nc")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated_file(share, tmp_path):
    reml().save(tmp_path / "fit.nc")
    whole = (tmp_path / "fit.nc").read_bytes()
    (tmp_path / "fit.nc").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(bl.FileError, match="is damaged"):
        bl.load(tmp_path / "fit.nc")


@given(st.data())
@settings(max_examples=40)
def test_changed_bytes_give_the_same_fit_or_an_error(tmp_path_factory, data):
    file = tmp_path_factory.mktemp("fit") / "fit.nc"
    reml().save(file)
    content = bytearray(file.read_bytes())
    start = data.draw(st.integers(8, len(content) - 4))
    content[start : start + 4] = data.draw(st.binary(min_size=4, max_size=4))
    file.write_bytes(content)
    try:
        again = bl.load(file)
    except bl.FileError:
        return
    assert_same(again, reml())


LOAD_DAMAGED = """
import sys
import bayeslmm as bl
for name in sys.argv[1:]:
    try:
        bl.load(name)
    except bl.FileError as error:
        print(error)
"""
SPANS = [(3000, 9000), (8, 64), (600, 1200), (2000, 2050), (9000, 20000), (20000, 26000)]


def damaged(whole, start, stop, *, sealed):
    """The bytes of a file with some of them zero, and its last ones too if not `sealed`."""
    content = bytearray(whole)
    content[start:stop] = bytes(len(content[start:stop]))
    return bytes(content if sealed else content[:-80] + bytes(80))


def test_damaged_spans_are_refused_and_not_searched_without_end(tmp_path):
    reml().save(tmp_path / "fit.nc")
    whole = (tmp_path / "fit.nc").read_bytes()
    files = []
    for start, stop in SPANS:
        for sealed in (True, False):
            file = tmp_path / f"{start}-{stop}-{sealed}.nc"
            file.write_bytes(damaged(whole, start, stop, sealed=sealed))
            files.append(str(file))
    # HDF5 cannot be interrupted from Python: a process of its own can be ended.
    done = subprocess.run(
        [sys.executable, "-c", LOAD_DAMAGED, *files],
        capture_output=True,
        text=True,
        timeout=600,  # a busy machine takes minutes to import the library
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(files)
    assert all("is damaged" in line for line in lines)
    sealed = [line for line in lines if "True.nc" in line]
    assert len(sealed) == len(SPANS)
    assert all("its bytes are not those that were saved" in line for line in sealed)


def test_a_file_that_another_program_has_added_to_is_read(tmp_path):
    reml().save(tmp_path / "fit.nc")
    xr.Dataset({"x": ("a", [1.0])}).to_netcdf(
        tmp_path / "fit.nc", group="more", mode="a", engine="h5netcdf"
    )
    assert_same(bl.load(tmp_path / "fit.nc"), reml())


def test_changed_number(tmp_path):
    fit = sampled(POSTERIOR["slopes and priors"]())
    fit.save(tmp_path / "fit.nc")
    with h5netcdf.File(tmp_path / "fit.nc", "r+") as file:
        file["posterior"]["sigma"][1, 3] = 20.0
    with pytest.raises(bl.FileError, match="is damaged: its contents are not those that were sav"):
        bl.load(tmp_path / "fit.nc")


def edit(path, change):
    """Change a saved file as another program or another version could have written it."""
    with h5netcdf.File(path, "r+") as file:
        change(file)
    with xr.open_datatree(path, engine="h5netcdf", decode_times=False) as tree:
        digest = checksum({name: group.dataset for name, group in tree.load().children.items()})
    with h5netcdf.File(path, "r+") as file:
        file.attrs["bayeslmm_checksum"] = digest


def specification(**changes):
    def change(file):
        attributes = file["bayeslmm_model"].attrs
        new = json.loads(attributes["specification"]) | changes
        attributes["specification"] = json.dumps(new)

    return change


def second_day(file):
    file["bayeslmm_data"]["column1"][1] = 5


def factors(file):
    file["bayeslmm_fit"]["M"][0] = 3.0


def newer_format(file):
    file.attrs["bayeslmm_format"] = 2


HOSTILE = "Reaction ~ __import__('os').getpid() + (1 | Subject)"
EDITS = {
    "predictor": (second_day, "does not reproduce the fit that was saved: the log-likelihood"),
    "estimates": (factors, "does not reproduce the fit that was saved"),
    "formula": (
        specification(formula="Reaction ~ Days + (1 | Subject)"),
        "is damaged|does not reproduce",
    ),
    "formula that calls": (
        specification(formula=HOSTILE),
        "is damaged: .*'__import__' cannot be called",
    ),
    "formula that is none": (specification(formula=3), "is damaged: .*a formula is a text"),
    "prior that is none": (
        specification(
            priors=[{"parameter": "sigma", "family": "eval", "values": [], "source": "user"}]
        ),
        "is damaged: what it holds does not make a fit .'eval'.",
    ),
    "weights that are not there": (specification(weights="w"), "is damaged: .*'w'"),
    "format": (newer_format, "has format 2, written by bayeslmm .*; this is .* Update bayeslmm"),
}


@pytest.mark.parametrize("name", EDITS)
def test_edited_file(name, tmp_path):
    change, message = EDITS[name]
    reml().save(tmp_path / "fit.nc")
    edit(tmp_path / "fit.nc", change)
    with pytest.raises(bl.FileError, match=message):
        bl.load(tmp_path / "fit.nc")


ELSEWHERE = "is a link to another place or file"


def external_link(file, other):
    del file["bayeslmm_fit/theta"]
    file["bayeslmm_fit/theta"] = h5py.ExternalLink(other, "/bayeslmm_fit/theta")


def soft_link(file, other):
    file.move("bayeslmm_fit/theta", "theta")
    file["bayeslmm_fit/theta"] = h5py.SoftLink("/theta")


def linked_group(file, other):
    del file["bayeslmm_fit"]
    file["bayeslmm_fit"] = h5py.ExternalLink(other, "/bayeslmm_fit")


def virtual(file, other):
    del file["bayeslmm_fit/theta"]
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource(other, "/bayeslmm_fit/theta", shape=(4,))
    file.create_virtual_dataset("bayeslmm_fit/theta", layout)


def external_storage(file, other):
    del file["bayeslmm_fit/theta"]
    file["bayeslmm_fit"].create_dataset("theta", (4,), "f8", external=[(other, 0, 32)])


def loop(file, other):
    file["bayeslmm_fit/again"] = file["bayeslmm_fit"]


def bomb(file, other):
    file["bayeslmm_fit"].create_dataset("more", (2**40,), "f8", chunks=(2**20,))


def overflowing(file, other):
    file["bayeslmm_fit"].create_dataset("more", (2**31, 2**31, 8), "f8", chunks=(1, 2**10, 8))


def compressed_bomb(file, other):
    more = file["bayeslmm_fit"].create_dataset(
        "more", (2**28,), "i8", chunks=(2**20,), compression=9
    )
    more[: 2**20] = 1


def texts(file, other):
    file["bayeslmm_fit"].create_dataset("more", (10**6,), h5py.string_dtype())


def list_of_texts(file, other):
    del file["bayeslmm_model"].attrs["specification"]
    file["bayeslmm_model"].attrs["specification"] = ["{}"] * 1000


FORGED = {
    "external link": (external_link, ELSEWHERE),
    "soft link": (soft_link, ELSEWHERE),
    "group of another file": (linked_group, ELSEWHERE),
    "virtual data set": (virtual, "the numbers of .* are in another file"),
    "external storage": (external_storage, "the numbers of .* are in another file"),
    "loop of hard links": (loop, "'bayeslmm_fit/again' is no array"),
    "bomb": (bomb, "far larger than the file"),
    "bomb whose size overflows": (overflowing, "far larger than the file"),
    "compressed bomb": (compressed_bomb, "far larger than the file"),
    "texts": (texts, "is of type object"),
    "list of texts": (list_of_texts, "the attribute 'specification' of .* is a list"),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_file_is_not_followed(name, tmp_path):
    change, message = FORGED[name]
    path, other = tmp_path / "fit.nc", tmp_path / "other.nc"
    for file in (path, other):
        reml().save(file)
    with h5py.File(path, "r+") as file:
        change(file, str(other))
    with pytest.raises(bl.FileError, match=f"holds what fit.save.* does not write.*{message}"):
        bl.load(path)


def test_loops_among_groups_of_other_programs_do_not_matter(tmp_path):
    reml().save(tmp_path / "fit.nc")
    with h5py.File(tmp_path / "fit.nc", "r+") as file:
        file["theirs/again"] = file["/"]
    assert_same(bl.load(tmp_path / "fit.nc"), reml())


def test_a_fit_that_another_program_has_compressed_is_read(tmp_path):
    fit = sampled(POSTERIOR["slopes and priors"]())
    fit.save(tmp_path / "fit.nc")
    arviz.from_netcdf(tmp_path / "fit.nc").load().to_netcdf(
        tmp_path / "again.nc",
        engine="h5netcdf",
        encoding={"/posterior": {"beta": {"zlib": True}, "u_Subject": {"zlib": True}}},
    )
    assert_same(bl.load(tmp_path / "again.nc"), fit)


def attribute(name, value):
    def change(file):
        file["bayeslmm_fit"].attrs[name] = value

    return change


def element(group, name, place, value):
    def change(file):
        file[group][name][place] = value

    return change


def deep_json(file):
    file["bayeslmm_model"].attrs["specification"] = "[" * 200_000


FALSE_ESTIMATES = {
    "deep JSON": (deep_json, "recursion"),
    "sigma": (attribute("sigma", 20.0), "sigma is not that of theta"),
    "sigma that is none": (attribute("sigma", np.nan), "sigma is not that of theta"),
    "criterion": (attribute("criterion", 1700.0), "the criterion is 1700, and 1743.6"),
    "theta": (element("bayeslmm_fit", "theta", 0, 30.0), "is not that of theta"),
    "infinite theta": (element("bayeslmm_fit", "theta", 0, np.inf), "not finite"),
    "correlation of 2": (element("bayeslmm_fit", "theta", 2, 2.0), "bounds of the parameters"),
    "hessian": (element("bayeslmm_fit", "hessian", (1, 1), -1e6), "the Hessian is not that of"),
    "asymmetric hessian": (element("bayeslmm_fit", "hessian", (0, 1), 9.0), "not symmetric"),
    "hessian that is none": (element("bayeslmm_fit", "hessian", (0, 0), np.nan), "not symmetric"),
    "status": (attribute("status", "WONDERFUL"), "WONDERFUL"),
}
FALSE_DRAWS = {
    "theta": (element("bayeslmm_fit", "theta", (1, 3, 0), -1.0), "bounds of the parameters"),
    "theta that is none": (element("bayeslmm_fit", "theta", (1, 3, 3), np.nan), "not finite"),
    "beta that is none": (element("posterior", "beta", (1, 3, 1), np.nan), "beta has values"),
    "infinite u": (element("posterior", "u_Subject", (0, 5, 3, 1), np.inf), "u has values"),
    "beta": (element("posterior", "beta", (0, 0, 0), 600.0), "beta of draw 0 of chain 0 is not a"),
    "u": (element("posterior", "u_Subject", (1, 19, 3, 1), 99.0), "u of draw 19 of chain 1 is no"),
}


@pytest.mark.parametrize("name", FALSE_ESTIMATES)
def test_estimates_that_are_not_those_of_the_model(name, tmp_path):
    change, message = FALSE_ESTIMATES[name]
    reml().save(tmp_path / "fit.nc")
    edit(tmp_path / "fit.nc", change)
    with pytest.raises(bl.FileError, match=f"is damaged: what it holds does not.*{message}"):
        bl.load(tmp_path / "fit.nc")


@pytest.mark.parametrize("name", FALSE_DRAWS)
def test_draws_that_are_not_those_of_the_model(name, tmp_path):
    change, message = FALSE_DRAWS[name]
    sampled(POSTERIOR["slopes and priors"]()).save(tmp_path / "fit.nc")
    edit(tmp_path / "fit.nc", change)
    with pytest.raises(bl.FileError, match=f"is damaged: what it holds does not.*{message}"):
        bl.load(tmp_path / "fit.nc")


@pytest.mark.parametrize("name", ["dyestuff_reml.nc", "dyestuff_nuts.nc"])
def test_files_of_the_first_development_version_are_read(name):
    # written by bayeslmm 0.1.0.dev0 when netCDF-4 files were still written by HDF5 itself
    fit = bl.load(Path(__file__).parents[1] / "data" / name)
    assert fit.model.formula == "Yield ~ 1 + (1 | Batch)"
    # lme4: 1527.5
    assert abs(fit.beta["Intercept"] - 1527.5) < (1e-8 if fit.method == "reml" else 60)


# -- writing --------------------------------------------------------------------------------------


def test_save_replaces_a_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "fit.nc"
    path.write_text("before")
    reml().save(str(path))
    assert_same(bl.load(str(path)), reml())
    bl.load(path).save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["fit.nc"]


def test_save_where_it_cannot(tmp_path):
    with pytest.raises(bl.FileError, match=r"there is no folder .* to write 'fit.nc' in; make it"):
        reml().save(tmp_path / "no" / "fit.nc")
    with pytest.raises(bl.FileError, match="is a folder; name a file in it"):
        reml().save(tmp_path)
    with pytest.raises(bl.ArgumentTypeError, match=r"a path is a text or a pathlib.Path, .* int"):
        reml().save(3)
    with pytest.raises(bl.ArgumentTypeError, match="not bytes"):
        bl.load(b"fit.nc")
    with pytest.raises(bl.ArgumentTypeError, match=r"what is saved is a fit, .* not Model"):
        save(reml().model, tmp_path / "fit.nc")


LIMITED = """
import resource, sys
import bayeslmm as bl
fit = bl.load(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
try:
    fit.save(sys.argv[2])
except bl.FileError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
fit.save(sys.argv[2])
print("saved")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit of the size of files")
def test_a_full_disk_is_an_error_after_which_the_fit_can_be_saved(tmp_path):
    # a file that may not grow stands for a disk that is full: writing fails in the same place
    reml().save(tmp_path / "fit.nc")
    place = tmp_path / "place"
    place.mkdir()
    (place / "fit.nc").write_text("before")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "fit.nc"), str(place / "fit.nc")],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    error, saved = done.stdout.splitlines()
    assert "cannot be written: File too large. The fit is still in memory: make room" in error
    assert saved == "saved"
    assert [file.name for file in place.iterdir()] == ["fit.nc"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_devices_are_not_replaced_by_files():
    with pytest.raises(bl.FileError, match="'/dev/full' is a device or a pipe; name an ordinary"):
        reml().save("/dev/full")
    assert not Path("/dev/full").is_file()


def test_leftovers_of_killed_saves_are_removed_and_saves_under_way_are_not(tmp_path):
    (tmp_path / ".bayeslmm-killed.nc").write_bytes(b"half")
    file, path = stored_file._open_part(tmp_path)
    with file:
        reml().save(tmp_path / "fit.nc")
        assert {each.name for each in tmp_path.iterdir()} == {"fit.nc", path.name}
    reml().save(tmp_path / "fit.nc")
    assert {each.name for each in tmp_path.iterdir()} == {"fit.nc"}


def test_interrupted_save_leaves_the_file_of_before(tmp_path, monkeypatch):
    reml().save(tmp_path / "fit.nc")
    before = (tmp_path / "fit.nc").read_bytes()
    monkeypatch.setattr(os, "fsync", lambda number: signal.raise_signal(signal.SIGINT))
    # a shell that runs tests in the background has them ignore this signal
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            reml().save(tmp_path / "fit.nc")
    finally:
        signal.signal(signal.SIGINT, handler)
    assert (tmp_path / "fit.nc").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["fit.nc"]


def test_saves_at_once_keep_the_mask_of_permissions(tmp_path):
    mask = os.umask(0o027)
    try:
        threads = [
            threading.Thread(target=reml().save, args=(tmp_path / f"{i}.nc",)) for i in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        modes = {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
        assert len(list(tmp_path.iterdir())) == 8
        assert modes == {0o640}
    finally:
        assert os.umask(mask) == 0o027


def test_symbolic_links_are_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.nc").symlink_to(tmp_path / "real" / "fit.nc")
    reml().save(tmp_path / "link.nc")
    assert (tmp_path / "link.nc").is_symlink()
    assert_same(bl.load(tmp_path / "real" / "fit.nc"), reml())
    (tmp_path / "loop.nc").symlink_to(tmp_path / "loop.nc")
    with pytest.raises(bl.FileError, match="Too many levels of symbolic links"):
        reml().save(tmp_path / "loop.nc")


@pytest.mark.parametrize("name", ["x" * 300 + ".nc", "a\0b.nc"], ids=["long", "NUL"])
def test_names_that_no_file_can_have(name, tmp_path):
    with pytest.raises(bl.FileError, match=r"cannot be written: .*Choose another name"):
        reml().save(tmp_path / name)
    with pytest.raises(bl.FileError, match="cannot be read"):
        bl.load(tmp_path / name)


@pytest.mark.filterwarnings("ignore::bayeslmm.BayeslmmWarning")
def test_long_names_of_columns_and_levels(tmp_path):
    data = bl.load_dataset("Dyestuff").rename(columns={"Batch": "b" * 300, "Yield": "y" * 300})
    data["b" * 300] += "l" * 70_000
    fit = sampled(bl.Model(f"{'y' * 300} ~ 1 + (1 | {'b' * 300})", data))
    assert_same(round_trip(fit, tmp_path), fit)
