"""Turns the labels of a data set into findings: unites spellings and recognises labels of several findings.

``Effusion``, ``EFFUSION `` and ``effusion`` are one finding; ``Normal|Effusion`` is an ambiguous label of two findings.
Labels stay separate if a sign may matter: ``TB+`` and ``TB-``, ``<5 mm`` and ``>5 mm``.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hilum.findings import finding_named, open_kinds, standard_name
from hilum.text import folded

__all__ = [
    "FilmRecord",
    "Remark",
    "age_in_years",
    "and_list",
    "settle_labels",
    "sex_named",
    "spelling_key",
    "states_nothing",
]

_ALWAYS = re.compile(r"[|;\n\\\uff5c\uff1b\u3001]")  # these never occur in the name of a finding
_WHERE_ONE_PART_IS_KNOWN = re.compile(r"\s*[,+&\uff0c\uff0b\uff06]\s*")
_WHERE_ALL_PARTS_ARE_KNOWN = (
    re.compile(r"\s*[/\uff0f]\s*|\s+(?:and|und|et|y|e|with|mit|plus)\s+|\s+[-_:]\s+", re.IGNORECASE),
    re.compile(r"\s*[-_:]\s*"),
)
_MOST_NAMED = 6


@dataclass(frozen=True)
class Remark:
    """A remark on how a data set was read.

    Attributes:
        kind: One word for programs.
        message: A text for people.
        paths: The films that it is about, if any.
        severity: ``warning`` where films may be missing or misread, else ``note``.
    """

    kind: str
    message: str
    paths: tuple[str, ...] = ()
    severity: str = "note"


def spelling_key(name: str) -> str:
    """Return a name without case, spaces, underscores, hyphens and final full stop, the same for all its spellings.

    Example:
        >>> spelling_key("Pleural_effusion ") == spelling_key("PLEURAL-EFFUSION.")
        True
        >>> spelling_key("TB+") == spelling_key("TB-")
        False
    """
    plain = folded(name)
    plain = "".join(sign for sign in plain if unicodedata.category(sign) != "Cf")
    plain = re.sub("[\u2010-\u2015\u2212]", "-", plain).strip().rstrip(".,:;").strip()
    if number := re.fullmatch(r"([+-]?\d+)\.0+", plain):  # 1.0 is 1
        return number[1]
    sign = plain[-1] if plain[-1:] in ("+", "-") else ""
    first = plain[0] if plain[:1] in ("+", "-") and plain[1:2].isdigit() else ""
    plain = re.sub(r"(?<=\d)[\s_-]+(?=\d)", "~", plain)  # grades 1-5 are not grade 15
    return first + re.sub(r"[\s_-]+", "", plain).rstrip("+").lstrip("+") + sign


_STATES_NOTHING = re.compile(
    r"nan|na|n/a|<na>|null|#n/a|[-?.]+|unknown|undefined|missing|todo|tbd|no[ _-]?labels?"
    r"|(?:un|not[ _-]?)(?:stated|specified|labell?ed|annotated|classified|diagnosed|assigned|sorted)"
)


def states_nothing(label: str) -> bool:
    """Return whether a label says that the finding is not known, such as NaN, "?" or "unlabelled".

    Example:
        >>> [states_nothing(label) for label in ("Unknown", "N/A", "No finding", "None")]
        [True, True, False, False]
    """
    return _STATES_NOTHING.fullmatch(label.strip().lower()) is not None


def settle_labels(labels: Mapping[str, Sequence[str]]) -> tuple[dict[str, str], list[Remark]]:
    """Return the finding of each label of a data set, and remarks.

    Args:
        labels: {label as found: paths of its films}.

    Returns:
        {label: finding}; a label of several findings gives all of them, separated by ``|``. A label is left out if it
        names a finding that no film has alone.
    """
    known_alone = {spelling_key(label) for label in labels}
    parts_of = {label: _parts(label, known_alone) for label in labels}
    spellings: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for label, paths in labels.items():
        for part in parts_of[label]:
            spellings[spelling_key(part)][_tidy(part)] += len(paths) if len(parts_of[label]) == 1 else 0
    names = {key: _chosen(found) for key, found in spellings.items()}
    settled = {
        label: standard_name("|".join(names[spelling_key(part)] for part in parts)) for label, parts in parts_of.items()
    }
    stated = {finding for finding in settled.values() if "|" not in finding}
    remarks = _spelling_remarks(settled, labels)
    remarks += _ambiguous_remarks(settled, labels, stated)
    kept = {label: finding for label, finding in settled.items() if not _unstated(finding, stated)}
    return kept, remarks


def and_list(names: Iterable[str], *, most: int = _MOST_NAMED) -> str:
    """Return names in code quotes for a sentence, with "and" before the last.

    Example:
        >>> and_list(["A", "B", "C"])
        '`A`, `B` and `C`'
    """
    quoted = [f"`{name}`" for name in names]
    if len(quoted) > most:
        quoted = [*quoted[:most], f"{len(quoted) - most} more"]
    return " and ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1]))) if quoted else ""


def _parts(label: str, known_alone: set[str]) -> list[str]:
    """Return the findings that a label names, without repetition."""
    text = label.strip()
    if text[:1] == "[" and text[-1:] == "]":  # a list as Python writes it
        cells = [cell.strip().strip("'\"").strip() for cell in text[1:-1].split(",")]
        return _distinct(cells) or [label]
    if _ALWAYS.search(text):
        return _distinct(part for piece in _ALWAYS.split(text) for part in _parts(piece, known_alone)) or [label]
    if finding_named(text):
        return [text]
    for separator, needed in ((_WHERE_ONE_PART_IS_KNOWN, any), *((one, all) for one in _WHERE_ALL_PARTS_ARE_KNOWN)):
        parts = _distinct(separator.split(text))
        if len(parts) < 2:
            continue
        known = [spelling_key(part) in known_alone for part in parts]
        vocabulary = [needed is any and finding_named(part) is not None for part in parts]
        if needed(a or b for a, b in zip(known, vocabulary, strict=True)):
            return _distinct(piece for part in parts for piece in _parts(part, known_alone))
    return [label]


def _distinct(names: Iterable[str]) -> list[str]:
    return list({spelling_key(name): name.strip() for name in reversed(list(names)) if name.strip()}.values())[::-1]


def _tidy(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).split())


def _chosen(spellings: Counter[str]) -> str:
    """Return the commonest spelling; among equals the one that looks most like a name."""

    def rank(name: str) -> tuple[int, bool, bool, str]:
        return -spellings[name], name.isupper() and len(name) > 4, not name[:1].isupper(), name

    return min(spellings, key=rank)


def _unstated(finding: str, stated: set[str]) -> list[str]:
    return [kind for kind in open_kinds(finding, ()) if kind not in stated]


def _spelling_remarks(settled: Mapping[str, str], labels: Mapping[str, Sequence[str]]) -> list[Remark]:
    same: defaultdict[str, list[str]] = defaultdict(list)
    for label, finding in settled.items():
        if "|" not in finding and not _ALWAYS.search(label):
            same[finding].append(label)
    return [
        Remark(
            "same-finding",
            f"{and_list(sorted(found))} are read as one finding, {finding}: they are spellings or other names of it.",
            tuple(sorted(path for label in found for path in labels[label])),
        )
        for finding, found in same.items()
        if len(found) > 1
    ]


def _ambiguous_remarks(
    settled: Mapping[str, str], labels: Mapping[str, Sequence[str]], stated: set[str]
) -> list[Remark]:
    several = [label for label, finding in settled.items() if "|" in finding]
    if not several:
        return []
    lost = {label: _unstated(settled[label], stated) for label in several}
    kept = sorted(label for label in several if not lost[label])
    dropped = sorted(label for label in several if lost[label])
    remarks = []
    if kept:
        paths = tuple(sorted(path for label in kept for path in labels[label]))
        remarks.append(
            Remark(
                "ambiguous-label",
                f"{_films(len(paths))} an ambiguous label, which names more than one finding, such as "
                f"{and_list(kept, most=2)}. The model trains on these films but is not evaluated on them.",
                paths,
            )
        )
    if dropped:
        paths = tuple(sorted(path for label in dropped for path in labels[label]))
        names = sorted({kind for label in dropped for kind in lost[label]})
        remarks.append(
            Remark(
                "ambiguous-label",
                f"{_films(len(paths))} an ambiguous label, which names more than one finding, such as "
                f"{and_list(dropped, most=2)}. They are left out, because no film shows {and_list(names)} alone.",
                paths,
                "warning",
            )
        )
    return remarks


def _films(number: int) -> str:
    return "1 film has" if number == 1 else f"{number:,} films have"


# The record of one film in a data set.

_OLDEST_YEARS = 125
_SEXES = {"f": "F", "female": "F", "woman": "F", "m": "M", "male": "M", "man": "M"}


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
        sex: The patient's sex, "F" or "M", if stated.
    """

    path: str
    finding: str
    split: str | None
    patient: str | None = field(default=None, repr=False)
    source: str | None = None
    group: str | None = None
    age_years: float | None = field(default=None, repr=False)
    sex: str | None = field(default=None, repr=False)

    @property
    def source_and_patient(self) -> tuple[str | None, str] | None:
        """What the films of a patient share: source and ID, whatever its case and spaces; None without one."""
        return None if self.patient is None else (self.source, " ".join(self.patient.split()).casefold())


def age_in_years(cell: str) -> float | None:
    """Return an age in years from "45", "45.5" or DICOM's "045Y", "018M"; None of anything else."""
    parts = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}
    unit = cell[-1:].upper()
    try:
        years = float(cell[:-1]) / parts[unit] if unit in parts else float(cell)
    except ValueError:
        return None
    return years if 0 <= years <= _OLDEST_YEARS else None


def sex_named(cell: str) -> str | None:
    """Return "F" or "M" from a cell such as "Female" or "m"; None of anything else."""
    return _SEXES.get(cell.casefold())
