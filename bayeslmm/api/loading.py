"""`load`: fits from files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayeslmm.api.fits import fit_of
from bayeslmm.api.model import Model
from bayeslmm.storage import solutions

if TYPE_CHECKING:
    from os import PathLike

    from bayeslmm.api.likelihood_fit import LikelihoodFit
    from bayeslmm.api.map_fit import MapFit
    from bayeslmm.api.posterior_fit import PosteriorFit

__all__ = ["load"]


def load(path: str | PathLike[str]) -> LikelihoodFit | MapFit | PosteriorFit:
    """Read a fit from a file that `fit.save` has written.

    The formula is compiled again from its text, by which nothing but the library's own transforms
    can be called, and the model is evaluated where the fit left off.

    Parameters
    ----------
    path : path

    Returns
    -------
    LikelihoodFit, MapFit or PosteriorFit
        As it was saved; data come as a pandas frame, whatever they were.

    Raises
    ------
    ArgumentTypeError
        If `path` is not a path.
    FileError
        If the file is missing, damaged, of another origin or of a newer format, or if the restored
        model does not reproduce the stored fit.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import bayeslmm as bl
    >>> fit = bl.Model("Yield ~ 1 + (1 | Batch)", bl.load_dataset("Dyestuff")).fit("reml")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "dyestuff.nc"
    ...     fit.save(file)
    ...     again = bl.load(file)
    >>> again.summary().equals(fit.summary())
    True
    """
    solution = solutions.load(path, Model)
    return fit_of(solution.model, solution)
