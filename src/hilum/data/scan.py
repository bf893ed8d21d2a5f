"""Reads every film of a data set once and finds unreadable films, fingerprints, twins and groups."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from hilum.data.fingerprint import Fingerprint, Twin, find_twins, fingerprint
from hilum.data.folder import Dataset, FilmRecord
from hilum.data.labels import Remark
from hilum.data.public_sets import PublicFilm, recognise
from hilum.errors import HilumError, RefusedFilm
from hilum.film.decode import decode, read_bytes
from hilum.film.radiograph import Radiograph

__all__ = ["FINGERPRINT_SIDE_PX", "Scan", "drop_placeholders", "group_films", "scan_films", "typical_side", "united"]

# Placeholder patient IDs, which anonymisers and scanners write on all films. They would put a whole data set into one
# group. An ID is a placeholder if it is on at least 8 films and 20 % of all films, and on films of every finding or on
# more than half of the films of one finding; or if it is on at least 20 films and more than half of the films of one
# source. In public sets of follow-up films, the patient with the most films has 2 % of them. A column ``group`` always
# counts.

_SAMPLED = 15
LEAST_FILMS = 8
LEAST_SHARE = 0.2
LEAST_FILMS_OF_SOURCE = 20


def typical_side(dataset: Dataset) -> int | None:
    """Return the median of the shorter sides of a few films in their files, in pixels; None where none can be read."""
    sides: list[int] = []
    for position in np.unique(np.linspace(0, len(dataset.records) - 1, _SAMPLED).astype(int)):
        path = dataset.root / dataset.records[position].path
        try:
            film = decode(read_bytes(path), min_side_px=FINGERPRINT_SIDE_PX)
            sides.append(min(film.original_size_px))
        except (HilumError, OSError):
            continue
    return int(np.median(sides)) if sides else None


def drop_placeholders(records: Sequence[FilmRecord]) -> tuple[list[str | None], list[Remark]]:
    """Return the patient of each film without placeholder IDs, and a remark on these; it never contains the ID."""
    patients = [record.patient for record in records]
    of_patient: defaultdict[str, list[int]] = defaultdict(list)
    in_source: defaultdict[tuple[str | None, str], list[int]] = defaultdict(list)
    for row, patient in enumerate(patients):
        if patient is not None:
            of_patient[patient].append(row)
            in_source[records[row].source, patient].append(row)
    per_finding = Counter(record.finding for record in records)
    per_source = Counter(source for (source, _), rows in in_source.items() for _ in rows)
    found: set[int] = set()
    num_ids = 0
    for rows in of_patient.values():
        counts = Counter(records[row].finding for row in rows)
        is_everywhere = len(per_finding) > 1 and len(counts) == len(per_finding)
        is_most = any(2 * count > per_finding[finding] for finding, count in counts.items())
        if len(rows) >= max(LEAST_FILMS, LEAST_SHARE * len(records)) and (is_everywhere or is_most):
            found.update(rows)
            num_ids += 1
    for (source, _), rows in in_source.items():
        if len(rows) >= LEAST_FILMS_OF_SOURCE and 2 * len(rows) > per_source[source] and not found.issuperset(rows):
            found.update(rows)
            num_ids += 1
    if not found:
        return patients, []
    kept = [None if row in found else patient for row, patient in enumerate(patients)]
    paths = tuple(sorted(records[row].path for row in found))
    return kept, [
        Remark("placeholder-patient", _message(num_ids, [records[row] for row in found], len(records)), paths)
    ]


def _message(num_ids: int, films: Sequence[FilmRecord], num_films: int) -> str:
    findings = len({film.finding for film in films})
    on = f"on {len(films):,} of {num_films:,} films, of {findings} finding{'s' if findings > 1 else ''}"
    fix = "give a CSV with a column `group`."
    if num_ids == 1:
        return (
            f"The same Patient ID is {on}. It is a placeholder, so films are not grouped by it. "
            f"If it is a real patient, {fix}"
        )
    return (
        f"{num_ids} Patient IDs are {on}. They are placeholders, so films are not grouped by them. "
        f"If they are real patients, {fix}"
    )


FINGERPRINT_SIDE_PX = 256  # the same for every network, so that the twins found do not depend on it


@dataclass(frozen=True, eq=False)
class Scan:
    """A data set whose films have all been read once.

    Attributes:
        dataset: The n films that can be read. Patients that the manifest lacks come from DICOM or from the public set
            of the film; placeholder IDs are removed. Ages and sexes that it lacks come from DICOM.
        fingerprints: One per film.
        twins: Pairs of films that show the same picture.
        groups: (n,) int; films of one group must not be on two sides of a split.
        unread: Path and error of each film that cannot be read or is refused.
        public_films: For each film the film of a public set that it is, or None.
    """

    dataset: Dataset
    fingerprints: tuple[Fingerprint, ...]
    twins: tuple[Twin, ...]
    groups: np.ndarray
    unread: tuple[tuple[str, HilumError], ...]
    public_films: tuple[PublicFilm | None, ...] = ()

    @property
    def num_refused(self) -> int:
        """The number of films in ``unread`` that were refused, such as films of another body part."""
        return sum(isinstance(error, RefusedFilm) for _, error in self.unread)

    @property
    def num_unread(self) -> int:
        """The number of films that cannot be read."""
        return len(self.unread) - self.num_refused

    def part(self, kept: np.ndarray) -> Scan:
        """Return the scan of some of the films, by their ascending positions; their groups stay as they are."""
        place = {int(old): new for new, old in enumerate(kept)}
        twins = (twin for twin in self.twins if twin.first in place and twin.second in place)
        return dataclasses.replace(
            self,
            dataset=dataclasses.replace(self.dataset, records=tuple(self.dataset.records[i] for i in kept)),
            fingerprints=tuple(self.fingerprints[i] for i in kept),
            twins=tuple(dataclasses.replace(one, first=place[one.first], second=place[one.second]) for one in twins),
            groups=self.groups[kept],
            public_films=tuple(self.public_films[i] for i in kept) if self.public_films else (),
        )


def scan_films(
    dataset: Dataset,
    *,
    min_side_px: int = FINGERPRINT_SIDE_PX,
    visit: Callable[[int, Radiograph], None] | None = None,
    look: Callable[[int, bytes, Radiograph], None] | None = None,
    done: Callable[[float], None] = lambda _: None,
) -> Scan:
    """Read all films of a data set in threads.

    Args:
        dataset: The films.
        min_side_px: The shortest side of films for ``visit``; large films are decoded at reduced scale.
        visit: Called in a thread with the position in ``dataset.records`` and the film, if it can be read.
        look: Called in a thread with the position, the file's bytes and the film at the scale of the fingerprint.
        done: Called after each film with its share of all films.

    Returns:
        The scan; films that cannot be read are only in ``unread``.
    """

    def read(position: int) -> tuple[Fingerprint, FilmRecord] | HilumError:
        record = dataset.records[position]
        try:
            data = read_bytes(dataset.root / record.path)
            radiograph = decode(data, name=record.path, min_side_px=FINGERPRINT_SIDE_PX)
            if visit is not None:
                same = min_side_px == FINGERPRINT_SIDE_PX
                visit(position, radiograph if same else decode(data, name=record.path, min_side_px=min_side_px))
            found = fingerprint(data, radiograph), _completed(record, radiograph)
            if look is not None:
                look(position, data, radiograph)
            return found
        except HilumError as error:
            return error
        finally:
            done(1 / len(dataset.records))

    records: list[FilmRecord] = []
    fingerprints: list[Fingerprint] = []
    unread: list[tuple[str, HilumError]] = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for record, result in zip(dataset.records, pool.map(read, range(len(dataset.records))), strict=True):
            if isinstance(result, HilumError):
                unread.append((record.path, result))
            else:
                fingerprints.append(result[0])
                records.append(result[1])
    patients, remarks = drop_placeholders(records)
    known = recognise(fingerprints)
    records = [
        dataclasses.replace(record, patient=patient or (one.patient if one else None))
        for record, patient, one in zip(records, patients, known, strict=True)
    ]
    readable = dataclasses.replace(dataset, records=tuple(records), remarks=(*dataset.remarks, *remarks))
    twins = tuple(find_twins(fingerprints))
    return Scan(readable, tuple(fingerprints), twins, group_films(readable.records, twins), tuple(unread), known)


def group_films(records: Sequence[FilmRecord], twins: Sequence[Twin]) -> np.ndarray:
    """Return the group of each film: films of one group must never be on two sides of a split.

    A group holds twins, films of one patient of one source, and films that a manifest puts into one group, combined
    transitively.

    Args:
        records: The films.
        twins: Pairs of positions in records.

    Returns:
        (n,) int64, numbered 0, 1, ... in order of first appearance.
    """
    first_of: dict[tuple[str | None, str], int] = {}
    named_first: dict[str, int] = {}
    pairs = [(twin.first, twin.second) for twin in twins]
    for film, record in enumerate(records):
        if (patient := record.source_and_patient) is not None:
            pairs.append((first_of.setdefault(patient, film), film))
        if record.group is not None:
            pairs.append((named_first.setdefault(record.group, film), film))
    return united(len(records), pairs)


def united(num_films: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """Return the group of each film, (n,) int64, where the films of each pair are in one group, transitively.

    Groups are numbered 0, 1, ... in order of first appearance.
    """
    parents = list(range(num_films))

    def root_of(film: int) -> int:
        while parents[film] != film:
            parents[film] = parents[parents[film]]  # path halving
            film = parents[film]
        return film

    for first, second in pairs:
        low, high = sorted((root_of(first), root_of(second)))
        parents[high] = low
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(root_of(film), len(numbers)) for film in range(num_films)], dtype=np.int64)


def _completed(record: FilmRecord, radiograph: Radiograph) -> FilmRecord:
    """Return the record with what the film's file says of the patient, where the data set does not say it."""
    age = radiograph.age_years if record.age_years is None else record.age_years
    return dataclasses.replace(
        record, patient=record.patient or radiograph.patient_key, age_years=age, sex=record.sex or radiograph.sex
    )
