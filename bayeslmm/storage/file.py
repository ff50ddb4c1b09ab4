"""The netCDF-4 file that a fit is saved in: written whole, read whole, refused if not ours."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from math import prod
from mmap import ACCESS_READ, mmap
from pathlib import Path
from struct import unpack_from
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

import h5py
import numpy as np
import xarray as xr

from bayeslmm import __version__
from bayeslmm.errors import ArgumentTypeError, FileError
from bayeslmm.support.arguments import place_for_file
from bayeslmm.support.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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

fcntl: ModuleType | None = None
with suppress(ImportError):  # on Windows, where nobody removes a file that is open
    fcntl = import_module("fcntl")

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HEAP = b"GCOL"
"""How a global heap of HDF5 begins."""
_SEAL = b"\nbayeslmm sha256 "
"""What stands after the netCDF file, before the digest of all bytes of it; HDF5 ignores both."""
_SEAL_SIZE = len(_SEAL) + 64
_CHUNK = 2**20
_GROUPS = ("posterior", "sample_stats", MODEL, DATA, FIT)
"""All that a fit is restored from; other groups are for other programs, or theirs."""
_PART = ".bayeslmm-"
"""What names of files begin with that are being written."""
_COMPRESSION, _LEAST_ROOM = 20, 2**28
"""How many times its own bytes a file may expand to, where another program has compressed it; and
the bytes that any file may."""


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
    for name in _GROUPS:
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
    place = place_for_file(target, "fit.nc")
    if not place.parent.is_dir():
        raise FileError(
            f"there is no folder {quoted(place.parent)} to write {place.name!r} in; make it first."
        )
    try:
        # in memory, as HDF5 ends the whole process when a disk is full
        content = tree.to_netcdf(None, engine="h5netcdf")
    except (TypeError, ValueError) as error:
        raise FileError(
            f"a name or label in the data cannot stand in a netCDF file ({error}); rename it"
        ) from error
    _remove_leftovers(place.parent)
    try:
        _replace(place, (content, _SEAL, hashlib.sha256(content).hexdigest().encode()))
    except OSError as error:
        raise FileError(
            f"{quoted(target)} cannot be written: {error.strerror}. The fit is still in memory: "
            "make room, or save it elsewhere."
        ) from error


def _replace(place: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Put a new file where there may be one, once it is complete."""
    file, new = _open_part(place.parent)
    try:
        with file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # Windows moves no open file
            new.replace(place)
    finally:
        new.unlink(missing_ok=True)


def _open_part(folder: Path) -> tuple[BinaryIO, Path]:
    """Open a new file, locked so that other processes that save there leave it alone."""
    while True:
        path = folder / f"{_PART}{secrets.token_hex(8)}.nc"
        file = path.open("xb")
        # another process may have taken it for a leftover before it was locked
        if _lock(file) is not False and os.fstat(file.fileno()).st_nlink:
            return file, path
        file.close()


def _remove_leftovers(folder: Path) -> None:
    """Remove what saves that were killed have left behind: nobody holds a lock on it."""
    for path in folder.glob(f"{_PART}*.nc"):
        with suppress(OSError), path.open("r+b") as file:
            if _lock(file):
                path.unlink()


def _lock(file: BinaryIO) -> bool | None:
    """Whether this process has got the lock of a file; None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def read_tree(source: Path) -> xr.DataTree:
    """The groups that a fit is restored from, in memory: arrays without labels."""
    remedy = "bayeslmm.load reads what fit.save(...) has written."
    if os.path.isdir(source):
        raise FileError(f"{quoted(source)} is a folder, not a file; {remedy}")
    if os.path.exists(source) and not os.path.isfile(source):
        raise FileError(f"{quoted(source)} is a device or a pipe, not a file; {remedy}")
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
        _check_heaps(source)
        with h5py.File(source, "r") as opened:
            # HDF5 can search a damaged group without end; a visit, which follows no links to other
            # files and goes around no loop twice, checks the checksums of all of them first
            opened.visit(lambda _: None)
            tree = _Reader(opened, source.stat().st_size).tree()
    except _ForeignContentError as error:
        raise FileError(
            f"{quoted(source)} holds what fit.save(...) does not write, and is not read: {error}."
        ) from error
    except Exception as error:  # which one depends on the place of the damage
        raise FileError(
            f"{quoted(source)} is damaged or incomplete: it begins as a netCDF-4 file and cannot "
            f"be read to its end ({error}). Save the fit again, or restore the file from a copy."
        ) from error
    if "bayeslmm_format" not in tree.attrs:
        groups = ", ".join(map(visible, tree.attrs.get("groups", ()))) or "nothing"
        raise FileError(
            f"{quoted(source)} is a netCDF file of another program (it holds: {groups}); {remedy}"
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


class _ForeignContentError(ValueError):
    """Something in a file that could lead to other files, without end, or out of memory."""


@dataclass
class _Reader:
    """Reads arrays that stand in the file itself, of no more bytes than such a file can hold.

    HDF5 would also follow links to other files, which may be anybody's, and make any number of
    bytes of a few.
    """

    file: h5py.File
    size: int

    def __post_init__(self) -> None:
        self.left = max(_LEAST_ROOM, _COMPRESSION * self.size)

    def tree(self) -> xr.DataTree:
        names = list(self.file)
        groups = {name: self.group(name) for name in _GROUPS if name in names}
        own = ("bayeslmm_format", "bayeslmm_version", "bayeslmm_kind", "bayeslmm_checksum")
        found = {key: _attribute(self.file, key) for key in own if key in self.file.attrs}
        if not found:
            found["groups"] = names
        return xr.DataTree.from_dict(groups | {"/": xr.Dataset(attrs=found)})

    def group(self, name: str) -> xr.Dataset:
        group = _inside(self.file, name)
        if not isinstance(group, h5py.Group):
            raise _ForeignContentError(f"{name!r} is no group")
        arrays = {}
        for key in group:
            item = _inside(group, key)
            if not isinstance(item, h5py.Dataset):
                raise _ForeignContentError(f"'{name}/{key}' is no array")
            if not item.is_scale:  # which dimensions with or without labels are
                values = self.array(item)
                arrays[key] = tuple(f"{key}_{axis}" for axis in range(values.ndim)), values
        attributes = group.attrs if name.startswith("bayeslmm") else ()
        return xr.Dataset(arrays, attrs={key: _attribute(group, key) for key in attributes})

    def array(self, item: h5py.Dataset) -> np.ndarray:
        if item.is_virtual or item.external:
            raise _ForeignContentError(f"the numbers of {item.name!r} are in another file")
        if item.dtype.kind not in "biuf":
            raise _ForeignContentError(f"{item.name!r} is of type {item.dtype}")
        self.left -= prod(item.shape) * item.dtype.itemsize
        if self.left < 0:
            raise _ForeignContentError(
                f"{item.name!r} is an array of shape {item.shape}, far larger than the file"
            )
        values = np.asarray(item[()])
        # netCDF has no booleans: xarray writes them as bytes, and says so
        is_boolean = "dtype" in item.attrs and _attribute(item, "dtype") == "bool"
        return values.astype(bool) if is_boolean else values


def _inside(group: h5py.Group, key: str) -> h5py.HLObject:
    """What stands under a name in the file itself."""
    if not isinstance(group.get(key, getlink=True), h5py.HardLink):
        raise _ForeignContentError(f"{key!r} is a link to another place or file")
    return group[key]


def _attribute(holder: h5py.HLObject, key: str) -> Any:
    """An attribute of one value; a list could repeat a long text any number of times."""
    if holder.attrs.get_id(key).shape not in ((), (1,)):
        raise _ForeignContentError(f"the attribute {key!r} of {holder.name!r} is a list")
    value = holder.attrs[key]
    return value[0] if isinstance(value, np.ndarray) else value


def _seal_is_broken(source: Path) -> bool:
    """Whether the file ends in a digest that is not that of its bytes.

    One without a digest at its end has been written to by another program since, or is cut off.
    """
    size = source.stat().st_size - _SEAL_SIZE
    with source.open("rb") as file:
        file.seek(max(size, 0))
        seal = file.read()
    return seal.startswith(_SEAL) and seal != _SEAL + _digest(source, size)


def _check_heaps(source: Path) -> None:
    """Walk the heaps that hold the texts of a file; HDF5 would walk a damaged one without end.

    The layout is that of "Global Heap" in the HDF5 File Format Specification: a header of 16 bytes,
    then objects, each with a header of 16 bytes, and free space as the object of number zero.
    """
    with source.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        start = content.find(_HEAP)
        while start >= 0:
            (size,) = unpack_from("<Q", content[start + 8 : start + 16].ljust(8, b"\0"))
            end, at = min(start + size, len(content)), start + 16
            while at + 16 <= end:
                number, length = unpack_from("<H6xQ", content, at)
                step = length if number == 0 else 16 + -(-length // 8) * 8
                if step < 16:
                    raise ValueError("a heap of its texts has an object without a size")
                at += step
            start = content.find(_HEAP, start + 1)


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
