"""Reads every film of a data set once: which can be read, their fingerprints, twins and groups."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from hilum.data.fingerprint import Fingerprint, Twin, find_twins, fingerprint
from hilum.data.folder import Dataset, FilmRecord
from hilum.data.patients import drop_placeholders
from hilum.data.public_sets import Known, recognise
from hilum.data.split import group_films
from hilum.errors import HilumError, RefusedFilm
from hilum.film.decode import decode, read_bytes
from hilum.film.radiograph import Radiograph

__all__ = ["FINGERPRINT_SIDE_PX", "Scan", "scan_films"]

FINGERPRINT_SIDE_PX = 256  # the same for every network, so that the twins found do not depend on it


@dataclass(frozen=True, eq=False)
class Scan:
    """A data set whose films have all been read once.

    Attributes:
        dataset: The films that can be read, with patients filled in where the manifest has none: from DICOM,
            else from the public set that a film is surely of; without IDs that are placeholders.
        fingerprints: One a film.
        twins: Pairs of films that are the same picture.
        groups: (n,) int; films of one group must not be on two sides of a split.
        unread: Path and error of the films that cannot be read or, as their header or colour says, are refused.
        known: For each film the one of a public set that it is, or None.
    """

    dataset: Dataset
    fingerprints: tuple[Fingerprint, ...]
    twins: tuple[Twin, ...]
    groups: np.ndarray
    unread: tuple[tuple[str, HilumError], ...]
    known: tuple[Known | None, ...] = ()

    @property
    def num_refused(self) -> int:
        """Return how many of the films in ``unread`` can be read, but show what hilum does not judge."""
        return sum(isinstance(error, RefusedFilm) for _, error in self.unread)

    @property
    def num_unread(self) -> int:
        """Return how many films cannot be read."""
        return len(self.unread) - self.num_refused


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
        min_side_px: For ``visit``, large JPEGs are decoded at reduced scale, no side below this.
        visit: Called in a thread with the position in ``dataset.records`` and the film, for those that can be read.
        look: Called in a thread with the position, the file's bytes and the film as its fingerprint is taken.
        done: Called after each film with the share of all films it makes up.

    Returns:
        The scan; films that cannot be read are in ``unread`` and nowhere else.
    """

    def read(position: int) -> tuple[Fingerprint, str | None] | HilumError:
        record = dataset.records[position]
        try:
            data = read_bytes(dataset.root / record.path)
            radiograph = decode(data, name=record.path, min_side_px=FINGERPRINT_SIDE_PX)
            if visit is not None:
                same = min_side_px == FINGERPRINT_SIDE_PX
                visit(position, radiograph if same else decode(data, name=record.path, min_side_px=min_side_px))
            found = fingerprint(data, radiograph), radiograph.patient_key
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
                records.append(dataclasses.replace(record, patient=record.patient or result[1]))
                fingerprints.append(result[0])
    patients, remarks = drop_placeholders(records)
    known = recognise(fingerprints)
    records = [
        dataclasses.replace(record, patient=patient or (one.patient if one else None))
        for record, patient, one in zip(records, patients, known, strict=True)
    ]
    readable = dataclasses.replace(dataset, records=tuple(records), remarks=(*dataset.remarks, *remarks))
    twins = tuple(find_twins(fingerprints))
    return Scan(readable, tuple(fingerprints), twins, group_films(readable.records, twins), tuple(unread), known)
