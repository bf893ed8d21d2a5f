"""Films of public sets, recognised by their fingerprints, and what those sets say about them.

A folder of films from the web is often a mixture of public sets: the same films under other names, sometimes under
another finding. The index shipped with hilum names 23,553 films of eight sets: two short hashes, file, finding and
patient of each; no pictures.

A film is taken for a known one where at most 14 of the 256 bits of the difference hash differ. In the index the nearest
films of different findings in one set are 18 bits apart, and a re-encoded film is at most 8 bits from itself (972 films
of the pool). Sets that collect films of others (``COLLECTIONS``) have their findings from them: where a film's first
home is known, only that is believed. Where first homes disagree, nothing is claimed.
"""

from __future__ import annotations

import csv
import gzip
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
from hilum.files import replacing
from hilum.findings import open_kinds, standard_name
from hilum.results import check_file

__all__ = ["COLLECTIONS", "MAX_KNOWN_DISTANCE", "Known", "compare_findings", "recognise", "write_index"]

MAX_KNOWN_DISTANCE = 14  # of 256 bits
COLLECTIONS = (
    "kaggle covid19-image-dataset",
    "COVID-19 Radiography Database",
    "COVID-CXNet",
    "ozturk (NIH + ieee8023)",
)
COLUMNS = ("set", "file", "finding", "patient", "gray_sha256_16", "dhash256")
PATIENT_COLUMNS = ("set", "file", "patient")
_MARGIN = 4  # bits; a candidate that much farther than the nearest has no say
_BLOCK_PAIRS = 4_000_000
_UNSTATED = {"", "todo", "unlabelled", "unknown"}
_ANY_PNEUMONIA = "Pneumonia (type not stated)"
_PNEUMONIAS = {"Covid-19", "Viral Pneumonia", "Bacterial Pneumonia", "Pneumocystis", "Lipoid"}
_RELATIONS = ("agrees", "less specific", "unstated", "disagrees")  # the best first
_COMPARABLE = {*_PNEUMONIAS, _ANY_PNEUMONIA, "Normal", "Tuberculosis", "ARDS"}


@dataclass(frozen=True)
class Known:
    """A film of a public set that a film was recognised as.

    Attributes:
        set: The public set; where several hold the film, the one it came from first, as far as is known.
        file: Its file there.
        finding: What that set says it shows, in the index's words; empty where it does not say.
        patient: That set's key of the patient, prefixed with the set, or None.
        exact: Whether every pixel is the same.
        dhash_distance: Bits that differ, 0 to 14 of 256.
        ambiguous: Whether equally good sources name different findings; ``finding`` must then not be relied on.
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


def recognise(fingerprints: Sequence[Fingerprint], *, index: Path | None = None) -> tuple[Known | None, ...]:
    """Return for each film the public film that it is, or None.

    Args:
        fingerprints: One a film.
        index: Another index than the one shipped, from write_index.

    Raises:
        InputError: The index cannot be read.
    """
    known = _shipped_index() if index is None else _read_index(index)
    rows = max(1, _BLOCK_PAIRS // max(1, len(known.files)))
    found: list[Known | None] = []
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
    """Return how a film's finding here agrees with its finding at its source.

    Viral Pneumonia means another virus than that of Covid-19 in every known set (Kermany's films are older than it; the
    ieee8023 set lists SARS, MERS, influenza and others under it), so the two disagree. ARDS, pneumocystis and lipoid
    pneumonia are findings of their own.

    Args:
        filed: The finding here.
        source: The finding there.

    Returns:
        "agrees", as a finding left open does where it may be the source's; "disagrees"; "less specific" where the
        source says pneumonia but not of which type; "unstated" where it says nothing, or where one of the two is not
        in the vocabulary.

    Example:
        >>> compare_findings("Viral Pneumonia", "Bacterial Pneumonia"), compare_findings("Covid", "Pneumonia")
        ('disagrees', 'less specific')
    """
    here, there = standard_name(filed), standard_name(source)
    if kinds := open_kinds(here, ()):  # filed as one of several: as the best of them
        return min((compare_findings(kind, there) for kind in kinds), key=_RELATIONS.index)
    if there.casefold() in _UNSTATED or here not in _COMPARABLE or there not in _COMPARABLE:
        return "unstated"
    if here == there or (here == _ANY_PNEUMONIA and there in _PNEUMONIAS):
        return "agrees"
    return "less specific" if there == _ANY_PNEUMONIA and here in _PNEUMONIAS else "disagrees"


def _is_index(path: Path) -> bool:
    return zipfile.is_zipfile(path) and {"words.npy", "grey.npy", "sets.npy"} <= set(zipfile.ZipFile(path).namelist())


def write_index(table: Path, out: Path, *, patients: Path | None = None, overwrite: bool = False) -> int:
    """Write an index of known films and return how many it names.

    Args:
        table: A CSV, or one compressed with gzip, with the columns set, file, finding, patient, gray_sha256_16 and
            dhash256; the hashes are those of Fingerprint, in hex digits.
        out: The file, .npz; the same table gives the same contents.
        patients: A CSV with the columns set, file and patient, for films whose patient the table does not name.
        overwrite: Whether an earlier index may be replaced.

    Raises:
        InputError: A file cannot be read or written, or a line does not hold together.
    """
    reads = [table] if patients is None else [table, patients]
    check_file(out, made_by="hilum data index", is_own=_is_index, may_replace=overwrite, reads=reads)
    more = {(row["set"], row["file"]): row["patient"] for row in _rows(patients, PATIENT_COLUMNS)} if patients else {}
    rows = _rows(table, COLUMNS)
    try:
        words = np.array(
            [[int(row["dhash256"][at : at + 16], 16) for at in (0, 16, 32, 48)] for row in rows], np.uint64
        )
        grey = np.array([int(row["gray_sha256_16"], 16) for row in rows], np.uint64)
    except ValueError as error:
        raise InputError(
            f"The table `{table}` holds a hash that is not one: {error}. Expected 16 and 64 hex digits.",
            fix="Write the table anew.",
        ) from error
    sets = sorted({row["set"] for row in rows})
    findings = sorted({row["finding"] for row in rows})
    keys = [row["patient"] or more.get((row["set"], row["file"]), "") for row in rows]
    try:
        with replacing(out) as partial, partial.open("wb") as target:
            np.savez_compressed(
                target,
                words=words,
                grey=grey,
                set=np.array([sets.index(row["set"]) for row in rows], np.uint8),
                finding=np.array([findings.index(row["finding"]) for row in rows], np.uint8),
                sets=_packed(sets),
                findings=_packed(findings),
                files=_packed([row["file"] for row in rows]),
                patients=_packed(keys),
            )
    except OSError as error:
        raise InputError(f"Cannot write the index `{out}`: {error.strerror}.", fix="Choose another place.") from error
    return len(rows)


# --- choosing -------------------------------------------------------------------------------------------------------


def _choose(index: _Index, one: Fingerprint, candidates: list[int], distances: list[int]) -> Known | None:
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
    if not index.findings[row] and stated:  # another set of the same rank may say what this one does not
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
    return Known(
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
    except OSError as error:
        reason, fix = error.strerror or "it is damaged", "Make it with `hilum data index`."
        raise InputError(f"Cannot read the index of known films `{path}`: {reason}.", fix=fix) from error
    except (ValueError, KeyError, IndexError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        fix = "Make it anew with `hilum data index`."
        raise InputError(f"The index of known films `{path}` is damaged: {error}.", fix=fix) from error


@cache
def _shipped_index() -> _Index:
    with as_file(files("hilum.data") / "known-films.npz") as path:
        return _read_index(path)


def _parse_index(data: bytes) -> _Index:
    if data[:2] != b"PK":
        raise ValueError("it is no .npz file")
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


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    fix = f"Give a CSV with the columns {', '.join(columns)}."
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        lacking = [name for name in columns if name not in (reader.fieldnames or ())]
        if lacking:
            raise InputError(f"`{path}` lacks the column {lacking[0]}.", fix=fix)
        rows = [{name: row[name] or "" for name in columns} for row in reader]
    except OSError as error:
        raise InputError(f"Cannot read `{path}`: {error.strerror or 'it is damaged'}.", fix=fix) from error
    except (csv.Error, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read `{path}`: {error}.", fix=fix) from error
    if not rows:
        raise InputError(f"`{path}` names no films.", fix=fix)
    if any("\n" in value for row in rows for value in row.values()):
        raise InputError(f"`{path}` holds a value of more than one line.", fix=fix)
    return rows


def _packed(texts: Sequence[str]) -> np.ndarray:
    return np.frombuffer("\n".join(texts).encode(), dtype=np.uint8)


def _unpacked(packed: np.ndarray) -> tuple[str, ...]:
    return tuple(packed.tobytes().decode().split("\n"))
