"""The netCDF-4 file that a fit is saved in: written whole, read whole, refused if not ours."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import xarray as xr

from bayeslmm import __version__
from bayeslmm.errors import ArgumentTypeError, FileError
from bayeslmm.support.arguments import refuse_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DATA",
    "FIT",
    "FORMAT",
    "MODEL",
    "as_path",
    "checksum",
    "plain_number",
    "quoted",
    "read_tree",
    "write_tree",
]

FORMAT = 1
"""Version of the layout; another number is another way to read the file."""

MODEL, DATA, FIT = "bayeslmm_model", "bayeslmm_data", "bayeslmm_fit"
"""Names of the groups from which a fit is restored, beside those that ArviZ knows."""

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SEAL = b"\nbayeslmm sha256 "
"""What stands after the netCDF file, before the digest of all bytes of it; HDF5 ignores both."""
_SEAL_SIZE = len(_SEAL) + 64
_CHUNK = 2**20


def checksum(groups: Mapping[str, xr.Dataset]) -> str:
    """Digest of what a fit is restored from: it tells when a byte has changed.

    Parameters
    ----------
    groups : mapping of str to Dataset
        All groups of a file; those that only other programs read do not count.

    Returns
    -------
    str
    """
    digest = hashlib.sha256()
    for name in ("posterior", "sample_stats", MODEL, DATA, FIT):
        if name not in groups:
            continue
        group = groups[name]
        if name.startswith("bayeslmm"):
            digest.update(
                json.dumps(dict(sorted(group.attrs.items())), default=plain_number).encode()
            )
        for key in sorted(map(str, group.data_vars)):
            values = np.ascontiguousarray(group[key].to_numpy())
            digest.update(f"{name}/{key} {values.dtype.str} {values.shape}".encode())
            digest.update(values.tobytes())
    return digest.hexdigest()


def plain_number(number: np.generic) -> object:
    """A number of NumPy as one of Python, which JSON has."""
    return number.item()


def as_path(path: str | os.PathLike[str]) -> Path:
    """Take what users give as a path; ArgumentTypeError if it is none."""
    if not isinstance(path, str | os.PathLike) or isinstance(os.fspath(path), bytes):
        raise ArgumentTypeError(
            f"a path is a text or a pathlib.Path, such as 'fit.nc', not {type(path).__name__}."
        )
    return Path(path)


def quoted(path: Path) -> str:
    """Write a path for a message."""
    return repr(str(path))


def write_tree(tree: xr.DataTree, target: Path) -> None:
    """Write to a file beside the target and move it there, so that there is never half a file."""
    refuse_folder(target, "fit.nc")
    if not target.parent.is_dir():
        raise FileError(
            f"there is no folder {quoted(target.parent)} to write {target.name!r} in; make it "
            "first."
        )
    try:
        handle, name = tempfile.mkstemp(prefix=".bayeslmm-", suffix=".nc", dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise FileError(f"{quoted(target)} cannot be written: {error.strerror}.") from error
    part = Path(name)
    try:
        tree.to_netcdf(part, engine="h5netcdf")
        digest = _digest(part, part.stat().st_size)
        with part.open("ab") as file:
            file.write(_SEAL + digest)
        # mkstemp makes files for one user only; the file gets what an ordinary new file has.
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)
        part.replace(target)
    except OSError as error:
        raise FileError(f"{quoted(target)} cannot be written: {error}") from error
    except (TypeError, ValueError) as error:
        raise FileError(
            f"a name or label in the data cannot stand in a netCDF file ({error}); rename it"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def read_tree(source: Path) -> xr.DataTree:
    """All groups of a file of this library, in memory."""
    remedy = "bayeslmm.load reads what fit.save(...) has written."
    if source.is_dir():
        raise FileError(f"{quoted(source)} is a folder, not a file; {remedy}")
    try:
        with source.open("rb") as file:
            start = file.read(len(_SIGNATURE))
    except FileNotFoundError:
        raise FileError(f"there is no file {quoted(source)}; {remedy}") from None
    except (OSError, ValueError) as error:
        raise FileError(f"{quoted(source)} cannot be read: {error}") from error
    if not start:
        raise FileError(f"{quoted(source)} is empty; {remedy}")
    if start != _SIGNATURE:
        raise FileError(f"{quoted(source)} is {_what_is(start)}, not a netCDF-4 file; {remedy}")
    if _seal_is_broken(source):
        raise FileError(
            f"{quoted(source)} is damaged: its bytes are not those that were saved. Save the fit "
            "again, or restore the file from a copy."
        )
    try:
        # h5netcdf leaves half an object behind where h5py cannot open a file, and HDF5 can search
        # a damaged group without end; a visit checks the checksums of all of them first.
        with h5py.File(source, "r") as file:
            file.visit(lambda _: None)
            list(file.attrs.items())
        with xr.open_datatree(source, engine="h5netcdf", decode_times=False) as opened:
            tree = opened.load()
    except Exception as error:  # which one depends on the place of the damage
        raise FileError(
            f"{quoted(source)} is damaged or incomplete: it begins as a netCDF-4 file and cannot "
            f"be read to its end ({error}). Save the fit again, or restore the file from a copy."
        ) from error
    if "bayeslmm_format" not in tree.attrs:
        groups = ", ".join(tree.children) or "none"
        raise FileError(
            f"{quoted(source)} is a netCDF file of another program (its groups: {groups}); {remedy}"
        )
    version = tree.attrs["bayeslmm_format"]
    if version != FORMAT:
        raise FileError(
            f"{quoted(source)} has format {version}, written by bayeslmm "
            f"{tree.attrs.get('bayeslmm_version')}; this "
            f"is bayeslmm {__version__}, which reads format {FORMAT}. Update bayeslmm."
        )
    found = checksum({name: group.dataset for name, group in tree.children.items()})
    if found != tree.attrs.get("bayeslmm_checksum"):
        raise FileError(
            f"{quoted(source)} is damaged: its contents are not those that were saved (their "
            "checksum differs). Save the fit again, or restore the file from a copy."
        )
    return tree


def _seal_is_broken(source: Path) -> bool:
    """Whether the file ends in a digest that is not that of its bytes.

    One without a digest at its end has been written to by another program since, or is cut off.
    """
    size = source.stat().st_size - _SEAL_SIZE
    with source.open("rb") as file:
        file.seek(max(size, 0))
        seal = file.read()
    return seal.startswith(_SEAL) and seal != _SEAL + _digest(source, size)


def _digest(path: Path, size: int) -> bytes:
    """Digest of the first `size` bytes of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (chunk := file.read(min(size, _CHUNK))):
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest().encode()


def _what_is(start: bytes) -> str:
    known = {
        b"CDF": "a netCDF-3 file",
        b"PK": "a zip archive",
        b"PAR1": "a Parquet file",
        b"\x80": "a Python pickle",
    }
    for signature, what in known.items():
        if start.startswith(signature):
            return what
    try:
        start.decode("ascii")
    except UnicodeDecodeError:
        return "a binary file of another kind"
    return "a text file"
