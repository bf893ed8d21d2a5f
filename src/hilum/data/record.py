"""One film of a data set, as its folder or its line in a list describes it."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["FilmRecord"]


@dataclass(frozen=True)
class FilmRecord:
    """One film of a data set.

    Attributes:
        path: Where it lies, relative to the data set's root, with "/" between the parts.
        finding: Its reference standard, under the standard name where findings.py knows one.
        split: "train", "validation" or "test" where the data set says so, else None.
        patient: The manifest's key of the patient; kept out of every message and of repr.
        source: The hospital or public set that the film came from, where the manifest says so.
        group: Films of one group must stay on one side of a split, where the manifest says so.
        age_years: The patient's age, where the manifest says so.
    """

    path: str
    finding: str
    split: str | None
    patient: str | None = field(default=None, repr=False)
    source: str | None = None
    group: str | None = None
    age_years: float | None = field(default=None, repr=False)
