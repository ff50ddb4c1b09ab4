"""Findings about a fit, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from bayeslmm.support.pages import Lines, Page, as_html, as_text

__all__ = ["SEVERITIES", "Diagnosis", "Finding", "findings_as_lines", "of_diagnosis"]

SEVERITIES = ("error", "warning", "note")
"""Severities of findings, the most serious first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth knowing about a fit.

    Attributes
    ----------
    severity : {"note", "warning", "error"}
        A note is good to know; a warning says that the model suits the data badly, an error that
        the numbers should not be used.
    what : str
        The finding itself.
    where : str
        The parameters, columns or groups concerned.
    remedy : str
        What to try; empty where there is nothing to do.
    """

    severity: Literal["note", "warning", "error"]
    what: str
    where: str
    remedy: str

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"{self.what}{place}" + (f". {self.remedy}" if self.remedy else "")


@dataclass(frozen=True, slots=True, repr=False)
class Diagnosis:
    """The findings of `diagnose`.

    Attributes
    ----------
    findings : tuple of Finding
        The most serious first.
    """

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether all findings are notes."""
        return all(finding.severity == "note" for finding in self.findings)

    def frame(self) -> pd.DataFrame:
        """The findings as a frame.

        Returns
        -------
        pandas.DataFrame
            ``severity``, ``what``, ``where``, ``remedy``.
        """
        names = ("severity", "what", "where", "remedy")
        return pd.DataFrame(
            {
                name: pd.Series([getattr(f, name) for f in self.findings], dtype=object)
                for name in names
            }
        )

    def __repr__(self) -> str:
        return as_text(of_diagnosis(self))

    def _repr_html_(self) -> str:
        return as_html(of_diagnosis(self))


def of_diagnosis(diagnosis: Diagnosis) -> Page:
    """The page that shows a diagnosis."""
    return (Lines(findings_as_lines(diagnosis)),)


def findings_as_lines(diagnosis: Diagnosis) -> tuple[tuple[str, str], ...]:
    """The findings as lines of a page, each with its severity."""
    if not diagnosis.findings:
        return (("no problem found", ""),)
    return tuple((finding.severity, str(finding)) for finding in diagnosis.findings)
