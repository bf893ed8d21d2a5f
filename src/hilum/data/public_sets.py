"""Recognises films of public sets by their fingerprints and returns the finding that the public set states.

Folders of films from the web often mix public sets: the same films with other names and sometimes other findings. The
index in hilum lists 23,553 films of eight sets with two short hashes, file, finding and patient each, but no pictures;
recipes/known_films.py makes it.

A film is recognised if at most 14 of the 256 bits of its difference hash differ. In the index, the nearest films with
different findings in one set differ in 18 bits; a re-encoded film differs from itself in at most 8 bits (972 films).
``COLLECTIONS`` are sets that took films from other sets: if the original set is in the index, its finding counts. If
original sets disagree, the finding is ambiguous.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from hilum.data.fingerprint import Fingerprint
from hilum.errors import InputError
from hilum.findings import open_kinds, standard_name

__all__ = ["COLLECTIONS", "MAX_KNOWN_DISTANCE", "PublicFilm", "compare_findings", "recognise"]

MAX_KNOWN_DISTANCE = 14  # of 256 bits
COLLECTIONS = (
    "kaggle covid19-image-dataset",
    "COVID-19 Radiography Database",
    "COVID-CXNet",
    "ozturk (NIH + ieee8023)",
)
_MARGIN = 4  # bits; candidates farther than this behind the nearest are ignored
_BLOCK_PAIRS = 4_000_000
_UNSTATED = {"", "todo", "unlabelled", "unknown"}
_ANY_PNEUMONIA = "Pneumonia (type not stated)"
_PNEUMONIAS = {"Covid-19", "Viral Pneumonia", "Bacterial Pneumonia", "Pneumocystis", "Lipoid"}
_RELATIONS = ("agrees", "less specific", "unstated", "disagrees")  # the best first
_COMPARABLE = {*_PNEUMONIAS, _ANY_PNEUMONIA, "Normal", "Tuberculosis", "ARDS"}


@dataclass(frozen=True)
class PublicFilm:
    """The film of a public set that a film was recognised as.

    Attributes:
        set: The public set; if several contain the film, the original set where it is known.
        file: Its file in that set.
        finding: Its finding in that set, in the words of the index; empty where the set states none.
        patient: The set's key of the patient, prefixed with the set, or None.
        exact: Whether every pixel is the same.
        dhash_distance: Bits that differ, 0 to 14 of 256.
        ambiguous: Whether equally good matches have different findings, so that ``finding`` is not reliable.
    """

    set: str
    file: str
    finding: str
    patient: str | None = field(repr=False)
    exact: bool
    dhash_distance: int
    ambiguous: bool = False


@dataclass(frozen=True, eq=False)
class _Index:
    words: np.ndarray  # (4, n) uint64
    grey: np.ndarray  # (n,) uint64, first 16 hex digits of the SHA-256
    sets: tuple[str, ...]
    files: tuple[str, ...]
    findings: tuple[str, ...]
    patients: tuple[str, ...]


def recognise(fingerprints: Sequence[Fingerprint], *, index: Path | None = None) -> tuple[PublicFilm | None, ...]:
    """Return for each film the film of a public set that it is, or None.

    Args:
        fingerprints: One per film.
        index: An index of recipes/known_films.py; None for the index in hilum.

    Raises:
        InputError: The index cannot be read.
    """
    known = _shipped_index() if index is None else _read_index(index)
    rows = max(1, _BLOCK_PAIRS // max(1, len(known.files)))
    found: list[PublicFilm | None] = []
    for begin in range(0, len(fingerprints), rows):
        block = fingerprints[begin : begin + rows]
        words = np.stack([one.dhash256 for one in block], axis=1)  # (4, b)
        half = np.bitwise_count(words[0, :, None] ^ known.words[0]) + np.bitwise_count(
            words[1, :, None] ^ known.words[1]
        )
        left, right = np.nonzero(half <= MAX_KNOWN_DISTANCE)
        distance = np.bitwise_count(words[:, left] ^ known.words[:, right]).sum(axis=0, dtype=np.int64)
        near = distance <= MAX_KNOWN_DISTANCE
        left, right, distance = left[near], right[near], distance[near]
        bounds = np.searchsorted(left, np.arange(len(block) + 1))
        for position, one in enumerate(block):
            part = slice(bounds[position], bounds[position + 1])
            found.append(_choose(known, one, right[part].tolist(), distance[part].tolist()))
    return tuple(found)


def compare_findings(filed: str, source: str) -> str:
    """Return how a film's finding in a data set agrees with its finding in a public set.

    Viral Pneumonia and Covid-19 disagree: in all indexed sets Viral Pneumonia means another virus (Kermany's films are
    older than Covid-19; the ieee8023 set lists SARS, MERS, influenza and others under it).

    Args:
        filed: The finding in the data set.
        source: The finding in the public set.

    Returns:
        "agrees" (also for an ambiguous label that includes the source's finding); "disagrees"; "less specific" where
        the source states pneumonia without a type; "unstated" where the source states nothing, or one of the two is
        not in the vocabulary.

    Example:
        >>> compare_findings("Viral Pneumonia", "Bacterial Pneumonia"), compare_findings("Covid", "Pneumonia")
        ('disagrees', 'less specific')
    """
    here, there = standard_name(filed), standard_name(source)
    if kinds := open_kinds(here, ()):  # an ambiguous label: the best of its findings
        return min((compare_findings(kind, there) for kind in kinds), key=_RELATIONS.index)
    if there.casefold() in _UNSTATED or here not in _COMPARABLE or there not in _COMPARABLE:
        return "unstated"
    if here == there or (here == _ANY_PNEUMONIA and there in _PNEUMONIAS):
        return "agrees"
    return "less specific" if there == _ANY_PNEUMONIA and here in _PNEUMONIAS else "disagrees"


# --- choosing -------------------------------------------------------------------------------------------------------


def _choose(index: _Index, one: Fingerprint, candidates: list[int], distances: list[int]) -> PublicFilm | None:
    grey = int(one.pixel_sha256[:16], 16) if one.pixel_sha256 else -1
    ranked = sorted(
        (index.sets[row] in COLLECTIONS, int(index.grey[row]) != grey, distance, row)
        for row, distance in zip(candidates, distances, strict=True)
    )
    if not ranked:
        return None
    collected, differs, distance, row = ranked[0]
    equals = [
        other[3]
        for other in ranked
        if other[0] == collected and (other[2] <= distance + _MARGIN if differs else not other[1])
    ]
    stated = {standard_name(index.findings[other]) for other in equals} - {"", "todo"}
    if not index.findings[row] and stated:  # an equally good match may state a finding
        row = next(other for other in equals if index.findings[other])
    findings = {
        index.findings[other]
        for other in equals
        if compare_findings(index.findings[row], index.findings[other]) == "disagrees"
    }
    patient = next(
        (
            index.patients[other]
            for other in [row, *equals]
            if index.patients[other] and index.sets[other] == index.sets[row]
        ),
        "",
    )
    return PublicFilm(
        set=index.sets[row],
        file=index.files[row],
        finding=index.findings[row],
        patient=f"{index.sets[row]}: {patient}" if patient else None,
        exact=not differs,
        dhash_distance=distance,
        ambiguous=bool(findings),
    )


# --- files ----------------------------------------------------------------------------------------------------------


def _read_index(path: Path) -> _Index:
    try:
        return _parse_index(path.read_bytes())
    except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"Cannot read the index of public films `{path}`: {error}.", fix="Install hilum again."
        ) from error


@cache
def _shipped_index() -> _Index:
    with as_file(files("hilum.data") / "known-films.npz") as path:
        return _read_index(path)


def _parse_index(data: bytes) -> _Index:
    if data[:2] != b"PK":
        raise ValueError("it is not an .npz file")
    with np.load(io.BytesIO(data), allow_pickle=False) as parts:
        sets, findings = _unpacked(parts["sets"]), _unpacked(parts["findings"])
        index = _Index(
            words=np.ascontiguousarray(parts["words"].T),
            grey=parts["grey"],
            sets=tuple(sets[code] for code in parts["set"]),
            files=_unpacked(parts["files"]),
            findings=tuple(findings[code] for code in parts["finding"]),
            patients=_unpacked(parts["patients"]),
        )
    num_films = len(index.files)
    columns = (index.sets, index.findings, index.patients, index.grey)
    if index.words.shape != (4, num_films) or any(len(column) != num_films for column in columns):
        raise ValueError("its columns differ in length")
    return index


def _unpacked(packed: np.ndarray) -> tuple[str, ...]:
    return tuple(packed.tobytes().decode().split("\n"))
