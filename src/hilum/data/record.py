"""The record of one film in a data set."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["FilmRecord"]


@dataclass(frozen=True)
class FilmRecord:
    """One film of a data set.

    Attributes:
        path: Path relative to the data set's root, with "/" as separator.
        finding: The reference standard, by its standard name where findings.py has one.
        split: "train", "validation" or "test" where the data set states it, else None.
        patient: The key of the patient; it appears in no message and not in repr.
        source: The hospital or public set that the film came from, if stated.
        group: Films of one group stay on one side of a split, if stated.
        age_years: The patient's age in years, if stated.
    """

    path: str
    finding: str
    split: str | None
    patient: str | None = field(default=None, repr=False)
    source: str | None = None
    group: str | None = None
    age_years: float | None = field(default=None, repr=False)
