"""The command line: what it prints, what it refuses, and with which exit status."""

import io
import os
import re
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import bayeslmm as bl
from bayeslmm.cli.commands import main
from bayeslmm.cli.tabular_file import read_file
from bayeslmm.support import memory

FORMULA = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module", autouse=True)
def _compiled():
    """On a fresh machine the first fit says on standard error that it compiles: let it be this."""
    model = bl.Model("travel ~ 1 + (1 | Rail)", bl.load_dataset("Rail"))
    model.fit("reml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bl.ConvergenceWarning)
        model.fit("nuts", draws=4, tune=4, chains=1, progress=False)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with data files to work in."""
    monkeypatch.chdir(tmp_path)
    sleep = bl.load_dataset("sleepstudy")
    sleep.to_csv("sleep.csv", index=False)
    sleep.to_parquet("sleep.parquet")
    sleep.to_csv("semicolons.csv", sep=";", index=False)
    sleep.to_csv("marked.csv", index=False, encoding="utf-8-sig")
    sleep.assign(w=1.0 + sleep["Days"]).to_csv("weighted.csv", index=False)
    sleep.assign(Subject="0" + sleep["Subject"]).to_csv("padded.csv", index=False)
    sleep.assign(Reaction=sleep["Reaction"].mask(sleep["Days"] == 3)).to_csv(
        "gaps.csv", index=False
    )
    sleep.assign(Reaction=300).to_csv("constant.csv", index=False)
    files = {
        "empty.csv": b"",
        "header.csv": b"Reaction,Days,Subject\n",
        "ragged.csv": b"Reaction,Days\n1,2\n1,2,3\n",
        "longer.csv": b"Reaction,Days\n1,2,3\n4,5,6\n",
        "latin.csv": "R\xe9action,Days\n1,2\n".encode("latin-1"),
        "twice.csv": b"Reaction,Days,Days\n1,2,3\n",
        "text.parquet": b"Reaction,Days\n1,2\n",
        "data.xlsx": b"PK",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.csv").mkdir()
    return tmp_path


def run(capsys, *arguments):
    """Exit status, standard output and standard error."""
    try:
        status = main(arguments)
    except SystemExit as end:
        status = end.code
    return status, *capsys.readouterr()


@pytest.mark.parametrize("file", ["sleep.csv", "sleep.parquet", "marked.csv"])
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_fit_prints_the_fit(here, capsys, file, method):
    status, out, err = run(capsys, "fit", FORMULA, file, "--method", method)
    assert (status, err) == (0, "")
    assert out == f"{bl.Model(FORMULA, bl.load_dataset('sleepstudy')).fit(method)}\n"


def test_fit_and_show(here, capsys):
    given = ("fit", FORMULA, "sleep.csv", "--method", "reml", "--out", "fit.nc")
    status, out, err = run(capsys, *given)
    assert (status, err) == (0, "")
    assert out.endswith("\nsaved: fit.nc\n")
    assert run(capsys, "show", "fit.nc") == (0, out.removesuffix("\nsaved: fit.nc\n"), "")
    assert bl.load("fit.nc").method == "reml"


def test_nuts_off_a_terminal_shows_no_progress(here, capsys):
    counts = ("--draws", "20", "--tune", "20", "--chains", "2")
    given = ("fit", FORMULA, "sleep.csv", "--seed", "1", *counts, "--out", "fit.nc")
    status, out, err = run(capsys, *given)
    assert status == 0
    assert "fit by NUTS" in out
    # The only thing to say is that there are too few draws.
    assert all(line.startswith("bayeslmm: warning: ") for line in err.splitlines())
    fit = bl.load("fit.nc")
    assert fit.draws.beta.shape == (2, 20, 2)
    assert (fit.draws.settings.seed, fit.draws.settings.tune) == (1, 20)


def test_weights(here, capsys):
    status, out, _ = run(
        capsys, "fit", FORMULA, "weighted.csv", "--method", "reml", "--weights", "w"
    )
    data = bl.load_dataset("sleepstudy")
    expected = bl.Model(FORMULA, data, weights=1.0 + data["Days"].to_numpy()).fit("reml")
    assert status == 0
    assert f"{expected.optimum.criterion:.1f}" in out


def test_codes_with_leading_zeros_stay_text(here, capsys):
    status, _, err = run(
        capsys, "fit", FORMULA, "padded.csv", "--method", "reml", "--out", "fit.nc"
    )
    assert status == 0
    assert err == (
        "bayeslmm: note: column 'Subject' has codes with leading zeros such as '0308' and is read "
        "as text\n"
    )
    assert bl.load("fit.nc").u["Subject"].index[0] == "0308"


def test_missing_cells_are_said(here, capsys):
    status, out, err = run(capsys, "fit", FORMULA, "gaps.csv", "--method", "reml")
    assert status == 0
    assert err == ("bayeslmm: note: column 'Reaction' has 18 empty or NA cells, read as missing\n")
    assert "Number of obs: 162" in out


def test_words_for_nothing_stay_labels(tmp_path, capsys):
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=90), "drug": ["None", "null", "N/A"] * 30})
    data["g"] = np.repeat(np.arange(15), 6)
    data.to_csv(tmp_path / "drug.csv", index=False)
    out = str(tmp_path / "fit.nc")
    given = ("y ~ drug + (1 | g)", str(tmp_path / "drug.csv"), "--method", "reml", "--out", out)
    assert run(capsys, "fit", *given)[0] == 0
    assert bl.load(out).model.design.coef == ("Intercept", "drug[None]", "drug[null]")


BAD_DATA = {
    "empty.csv": "'empty.csv' is empty; its first line should name the columns",
    "header.csv": "'header.csv' has no rows of data, only the columns 'Reaction', 'Days', 'Subje",
    "ragged.csv": "'ragged.csv' cannot be read as CSV: .*Expected 2 fields in line 3, saw 3",
    "longer.csv": "'longer.csv' cannot be read as CSV: .*Every row needs as many cells as",
    "latin.csv": "'latin.csv' is not text in UTF-8 (invalid continuation byte at byte 1)",
    "twice.csv": "'twice.csv' has several columns called 'Days'; rename all but one",
    "semicolons.csv": "'semicolons.csv' has one column, 'Reaction;Days;Subject', and seems to be",
    "text.parquet": "'text.parquet' cannot be read as a Parquet file:",
    "data.xlsx": "'data.xlsx' should be a CSV or Parquet file, with a name that ends in .csv or",
    "nowhere.csv": "there is no file 'nowhere.csv'; give the path of a .csv or .parquet file",
    "folder.csv": "'folder.csv' is a folder; name a .csv or .parquet file in it",
    "constant.csv": "the response 'Reaction' is constant, 300 in all 180 rows",
}
BAD_FORMULAS = {
    "Reaction ~ Dayz + (1 | Subject)": "the data have no column 'Dayz', which the formula",
    "Reaction ~ Days + (1 | Subject": "    Reaction ~ Days + (1 | Subject\n                      ^",
    "": "the formula is empty",
    "Reaction ~ __import__('os').system('touch pwned') + (1 | Subject)": "'__import__' cannot"
    " be called in a formula. What can be called: center,",
    'Reaction ~ eval(\'open("pwned", "w")\') + (1 | Subject)': "'eval' cannot be called in a",
    "Reaction ~ np.save('pwned', Days) + (1 | Subject)": "'np.save' cannot be called in a formula",
    "Reaction ~ np.fromfile('sleep.csv') + (1 | Subject)": "cannot be called in a formula",
    "Reaction ~ Days + (1 | open('pwned', 'w'))": "a grouping factor is a column",
    "Reaction ~ I(().__class__.__base__.__subclasses__()) + (1 | Subject)": "    Reaction ~ I(()",
    "Reaction ~ (lambda: 0)() + (1 | Subject)": "    Reaction ~ (lambda: 0)()",
}
BAD_OPTIONS = [
    (("--method", "reml", "--seed", "1"), "--seed would do nothing with --method reml"),
    (("--method", "ml", "--draws", "1", "--chains", "2"), "--draws, --chains would do nothing"),
    (("--method", "rml"), "method 'rml'; valid: 'nuts', 'reml', 'ml', 'map'. Did you mean"),
    (("--draws", "0"), "`draws` should be a whole number of 1 or more, got 0"),
    (("--draws", "many"), "argument --draws: invalid int value: 'many'"),
    (("--seed", "-1"), "`random_seed` should be a whole number from 0"),
    (("--method", "reml", "--weights", "w"), "no column 'w', which the weights ask for; their"),
    (("--out", "no/fit.nc"), "the folder of 'no/fit.nc' does not exist; choose another place"),
    (("--out", "folder.csv"), "'folder.csv' is a folder; name a file in it, such as 'fit.nc'"),
    (("--out", "x" * 300), "cannot be written: File name too long. Choose another name"),
    (("--out", "a\0b"), "embedded null character in path. Choose another name"),
    (("--out", "/dev/null"), "'/dev/null' is a device or a pipe; name an ordinary file, such as"),
    (("--draws", str(10**30)), "GB are free; ask for fewer; 1,000 draws of each of 4 chains are"),
]
BAD_COMMANDS = [
    ((), "the following arguments are required: COMMAND"),
    (("predict",), "invalid choice: 'predict'"),
    (("show", "sleep.csv"), "'sleep.csv' is a text file, not a netCDF-4 file"),
    (("show", "nowhere.nc"), "there is no file 'nowhere.nc'"),
    (("show", "x" * 300), "cannot be read: [Errno 36] File name too long"),
    (("show", "a\0b"), "cannot be read: embedded null byte"),
    (("fit", FORMULA, "x" * 300 + ".csv"), "there is no file 'xxxx"),
    (("fit", FORMULA, "a\0b.csv"), "there is no file"),
    (("demo", "--out", "folder.csv"), "name a file in it, such as 'bayeslmm-demo.png'"),
    (("demo", "--out", "picture.doc"), "'picture.doc' should have a name that ends in .png, .pdf"),
    (("demo", "--out", "no/picture.png"), "the folder of 'no/picture.png' does not exist"),
]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *((("fit", FORMULA, file, "--method", "reml"), text) for file, text in BAD_DATA.items()),
        *(
            (("fit", formula, "sleep.csv", "--method", "reml"), text)
            for formula, text in BAD_FORMULAS.items()
        ),
        *((("fit", FORMULA, "sleep.csv", *options), text) for options, text in BAD_OPTIONS),
        *BAD_COMMANDS,
    ],
)
def test_errors_are_plain_messages(here, capsys, arguments, message):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert "Traceback" not in err
    first, *rest = message.split(".*")
    assert first in err
    assert all(part in err for part in rest)
    assert not (here / "pwned").exists()
    assert not (here / "pwned.npy").exists()


def test_demo(here, capsys):
    status, out, err = run(capsys, "demo", "--out", "picture.png")
    assert (status, err) == (0, "")
    assert max(map(len, out.splitlines()[:-1])) <= 80
    assert re.search(r"REML \(\d+ ms\)", " ".join(out.split()))
    assert out.splitlines()[-1] == f"It is in {here / 'picture.png'}"
    assert (here / "picture.png").read_bytes().startswith(b"\x89PNG")
    [slope] = [line for line in out.splitlines() if line.startswith("beta[Days]")]
    # REML as in lme4: 10.467 with standard error 1.546.
    assert slope.split()[1:3] == ["10.5", "1.5"]
    assert 10.2 < float(slope.split()[5]) < 10.8


@pytest.mark.parametrize(
    ("arguments", "start"), [(["--version"], f"bayeslmm {bl.__version__}"), (["--help"], "usage:")]
)
def test_as_a_module(arguments, start):
    done = subprocess.run(
        [sys.executable, "-m", "bayeslmm", *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(start)
    assert done.stderr == ""


def test_output_that_nobody_reads(here):
    command = [sys.executable, "-m", "bayeslmm", "fit", FORMULA, "sleep.csv", "--method", "reml"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        said = process.stderr.read().decode().splitlines()
    # a machine that is slow or new says what it waits for
    assert [line for line in said if not line.startswith("bayeslmm: compiling")] == []
    assert process.returncode == 0


def test_out_is_not_the_file_of_the_data(here, capsys):
    before = (here / "sleep.csv").read_bytes()
    (here / "symbolic.csv").symlink_to("sleep.csv")
    (here / "hard.csv").hardlink_to("sleep.csv")
    for out in ("sleep.csv", "./sleep.csv", "symbolic.csv", "hard.csv"):
        status, _, err = run(capsys, "fit", FORMULA, "sleep.csv", "--method", "reml", "--out", out)
        assert status == 2
        assert f"--out {out!r} is the file of the data, 'sleep.csv', which it would replace" in err
        assert (here / "sleep.csv").read_bytes() == before
    assert (here / "symbolic.csv").is_symlink()


def test_names_do_not_steer_the_terminal(here, capsys):
    name = "Sub\x1b[2J\u202eject"
    data = bl.load_dataset("sleepstudy").rename(columns={"Subject": name})
    data.to_csv("steering.csv", index=False)
    status, out, err = run(
        capsys, "fit", f"Reaction ~ Days + (Days | `{name}`)", "steering.csv", "--method", "reml"
    )
    assert status == 0
    assert r"Sub\x1b[2J\u202eject" in out
    status, _, err = run(capsys, "fit", "Reaction ~ Dayz", "steering.csv", "--method", "reml")
    assert status == 2
    assert not {"\x1b", "\u202e"} & {*out, *err}


def test_parquet_that_would_fill_memory_is_refused(here, capsys, monkeypatch):
    # one value a million times: 8 MB of numbers in a file of a few hundred bytes
    pd.DataFrame({"y": np.zeros(10**6, dtype=np.int64)}).to_parquet("bomb.parquet")
    assert (here / "bomb.parquet").stat().st_size < 10_000
    monkeypatch.setattr(memory, "free_memory", lambda: 10**7)
    status, _, err = run(capsys, "fit", "y ~ 1", "bomb.parquet", "--method", "reml")
    assert status == 2
    assert "'bomb.parquet', of 1,000,000 rows and 1 columns, would need about 0.016 GB" in err


def of_text(path, encoding):
    """A text of 10,000 characters in each of 100,000 rows: 1 GB, in a file of a few kilobytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = "x" * 10_000
    options = {"use_dictionary": ["g"]}
    if encoding == "DELTA_BYTE_ARRAY":
        options = {"use_dictionary": False, "column_encoding": {"g": encoding}}
    column = pa.array([text] * 1000)
    if encoding == "lists":
        column = pa.array([[text]] * 1000)
        options = {}
    table = pa.table({"g": column, "y": np.zeros(1000)})
    with pq.ParquetWriter(
        path, table.schema, compression="zstd", store_schema=False, **options
    ) as writer:
        for _ in range(100):
            writer.write_table(table)


@pytest.mark.parametrize("encoding", ["RLE_DICTIONARY", "DELTA_BYTE_ARRAY", "lists"])
def test_text_of_parquet_that_would_fill_memory_is_refused(here, capsys, monkeypatch, encoding):
    of_text("bomb.parquet", encoding)
    assert (here / "bomb.parquet").stat().st_size < 100_000
    monkeypatch.setattr(memory, "free_memory", lambda: 10**8)
    status, _, err = run(capsys, "fit", "y ~ 1", "bomb.parquet", "--method", "reml")
    assert status == 2
    assert re.search(
        r"'bomb.parquet', of 100,000 rows and 2 columns, whose text in 'g\S*' has 0.1 GB or more, "
        r"would need about 0.1\d* GB of memory, and 0.1 GB are free; keep the columns",
        err,
    )


def test_much_text_in_parquet_that_fits_is_read(here):
    names = [f"subject {i % 1000}" for i in range(200_000)]
    frame = pd.DataFrame({"a.b": names, "y": np.arange(200_000.0), "none": [None] * 200_000})
    frame["é"] = pd.Categorical(names)
    frame["day"] = pd.Timestamp("2026-01-01")
    frame["bytes"] = [b"x"] * 200_000
    frame.to_parquet("text.parquet")
    data, _ = read_file("text.parquet")
    pd.testing.assert_frame_equal(data, pd.read_parquet("text.parquet"))


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_output_that_cannot_show_all_characters(here, encoding, monkeypatch):
    data = bl.load_dataset("sleepstudy").rename(columns={"Days": "σ被"})
    data.to_csv("greek.csv", index=False)
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", out)
    formula = "Reaction ~ σ被 + (1 | Subject)"
    assert main(("fit", formula, "greek.csv", "--method", "reml", "--out", "fit.nc")) == 0
    assert main(("show", "fit.nc")) == 0
    assert out.buffer.getvalue().decode(encoding).count(r"\u03c3\u88ab") > 2
    assert bl.load("fit.nc").model.formula == formula


def test_fit_is_saved_before_it_is_printed(here, monkeypatch, capsys):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

        def fileno(self):
            return os.open(os.devnull, os.O_WRONLY)

    monkeypatch.setattr(sys, "stdout", Full())
    assert main(("fit", FORMULA, "sleep.csv", "--method", "reml", "--out", "fit.nc")) == 2
    assert "the output cannot be written: No space left on device" in capsys.readouterr().err
    assert bl.load("fit.nc").method == "reml"
