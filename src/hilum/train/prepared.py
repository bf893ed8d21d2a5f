"""A data set read once for training: which films it has, what groups them, and their preprocessed pixels in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hilum.console import Console, count_of
from hilum.data.ambiguous_labels import AmbiguousFilms, set_apart
from hilum.data.fingerprint import Fingerprint, seen_films
from hilum.data.folder import Dataset, FilmRecord, read_dataset
from hilum.data.scan import Scan, scan_films
from hilum.data.split import assign_folds
from hilum.errors import InconsistentDataset, RefusedFilm
from hilum.film.preprocess import Preprocessing, preprocess
from hilum.film.radiograph import Radiograph
from hilum.run.gate import MIN_SIDE_PX, least_side_px
from hilum.run.modelfile import read_model_file
from hilum.run.models import DEFAULT_MODEL
from hilum.train.batches import COVER_PX, Films, packed_cover

__all__ = [
    "PreparedFilms",
    "draw_validation",
    "films_seen_before",
    "hashes_behind",
    "prepare_films",
    "unrecognised_words",
]

_RECOGNISED_PX = 64  # of the 28 px films of PneumoniaMNIST, hardly any is recognised: see docs/reference/faults.md


@dataclass(frozen=True, eq=False)
class PreparedFilms:
    """The readable films of a data set, ready to be learned from.

    Attributes:
        scan: Records, fingerprints, twins and groups, one entry a film whose finding is stated.
        films: Their pixels and labels, in the same order.
        findings: What the labels count into.
        ambiguous: The films with an ambiguous label. They are used for training only.
        ambiguous_films: Their pixels.
        positions: (n,) int, where the stated films stand among all that were read.
    """

    scan: Scan
    films: Films
    findings: tuple[str, ...]
    ambiguous: AmbiguousFilms
    ambiguous_films: Films
    positions: np.ndarray

    @property
    def records(self) -> tuple[FilmRecord, ...]:
        """Return the films' records."""
        return self.scan.dataset.records

    def training(self, chosen: np.ndarray, *, without_sources: Collection[str] = ()) -> Films:
        """Return films to learn from: the chosen ones, and ambiguous ones of other groups than the rest.

        Args:
            chosen: (n,) bool.
            without_sources: The sources that are held out.
        """
        part = self.films.subset(np.flatnonzero(chosen))
        teaching = self.ambiguous.teaching(self.scan.groups[~chosen], without_sources=without_sources)
        return part.joined(self.ambiguous_films.subset(np.flatnonzero(teaching))) if teaching.any() else part


def prepare_films(
    data: Path,
    preprocessing: Preprocessing,
    *,
    with_lungs: bool = False,
    console: Console | None = None,
    make_look: Callable[[int], Callable[[int, bytes, Radiograph], None]] | None = None,
) -> PreparedFilms:
    """Return a data set read once; films that cannot be read are left out, and said.

    Args:
        data: What read_dataset takes.
        preprocessing: The one definition, the same as at serving.
        with_lungs: Whether the lungs are to be found, for augmentation that shows or hides them.
        console: Where messages and progress go.
        make_look: A function that takes the number of films and returns what else is to be done with each film read.

    Returns:
        The films.

    Raises:
        InconsistentDataset: The data set cannot be used, or no film of a finding can be read.
    """
    console = console or Console()
    dataset = read_dataset(data)
    size_px, num_films = preprocessing.size_px, len(dataset.records)
    pixels = np.zeros((num_films, size_px, size_px), np.float16)
    own_px = np.zeros(num_films, np.int64)
    covers = np.zeros((num_films, COVER_PX, COVER_PX // 8), np.uint8) if with_lungs else None

    def keep(position: int, radiograph: Radiograph) -> None:
        pixels[position] = preprocess(radiograph, preprocessing)[0]
        own_px[position] = min(radiograph.original_size_px)
        if covers is not None:
            covers[position] = packed_cover(radiograph)

    look = make_look(num_films) if make_look else None
    with console.bar(f"Reading {count_of(num_films, 'film')} of {dataset.name}", 1.0) as done:
        scan = scan_films(dataset, min_side_px=preprocessing.decoded_px, visit=keep, look=look, done=done)
    _say_unread(scan, console)
    _check_findings(dataset, scan, data)
    unread = {path for path, _ in scan.unread}
    readable = np.array([record.path not in unread for record in dataset.records], dtype=bool)
    covers = None if covers is None else covers[readable]
    prepared = _by_label(scan, pixels if readable.all() else pixels[readable], covers, own_px[readable])
    if len(prepared.findings) < 2:
        raise InconsistentDataset(
            f"All films of `{data}` have the same finding: {', '.join(prepared.findings)}. Expected "
            "two or more findings."
        )
    if num_ambiguous := len(prepared.ambiguous):
        named = "1 film names" if num_ambiguous == 1 else f"{num_ambiguous:,} films name"
        console.say(f"{named} several findings. Such films are used for training, but not for figures.")
    return prepared


def _say_unread(scan: Scan, console: Console) -> None:
    """Say what is remarkable about the data set, and which films are left out and why."""
    for remark in scan.dataset.remarks:
        console.say(remark.message)
    for path, error in sorted(scan.unread, key=lambda one: one[0]):
        said = f"refused: {error.message}" if isinstance(error, RefusedFilm) else f"cannot be read: {path}"
        console.say(f"Left out, {said}")
    sides = [one.shorter_side_px for one in scan.fingerprints]
    if sides and (least := least_side_px(sides)) < MIN_SIDE_PX:
        few = sum(side < MIN_SIDE_PX for side in sides)
        console.say(
            f"{count_of(few, 'film')} of {len(sides):,} have fewer than {MIN_SIDE_PX} pixels on a side, some only "
            f"{least}. They are used all the same. A model that learns from them judges films of this size; other "
            "models refuse them."
        )


def _check_findings(dataset: Dataset, scan: Scan, data: Path) -> None:
    """Refuse a data set that has a finding of which no film can be read."""
    by_path = {record.path: record.finding for record in dataset.records}
    if lost := [name for name in dataset.findings if name not in scan.dataset.findings]:
        raise InconsistentDataset(
            f"No film of `{data}` with the finding `{lost[0]}` can be read. The first one: "
            f"{next(error for path, error in scan.unread if by_path[path] == lost[0]).message}",
            fix="Repair these films, or leave the finding out.",
        )


def _by_label(scan: Scan, pixels: np.ndarray, covers: np.ndarray | None, own_px: np.ndarray) -> PreparedFilms:
    """Return the films of a scan, those with one stated finding apart from those with an ambiguous label.

    Args:
        scan: n films.
        pixels: (n, S, S) float16.
        covers: (n, 64, 8) uint8, where the lungs lie; None where it is not needed.
        own_px: (n,) int, the shorter side of each film in its file.
    """
    stated, ambiguous = set_apart(scan)
    positions = np.setdiff1d(np.arange(len(scan.dataset.records)), ambiguous.positions)
    findings, records = stated.dataset.findings, stated.dataset.records
    sources = sorted({record.source or "" for record in (*records, *ambiguous.records)})
    films = Films(
        pixels if not len(ambiguous) else pixels[positions],
        np.array([findings.index(record.finding) for record in records]),
        np.array([sources.index(record.source or "") for record in records]),
        covers=None if covers is None else covers[positions],
        own_px=own_px[positions],
    )
    kinds = np.array([[name in kinds for name in findings] for kinds in ambiguous.kinds], bool)
    ambiguous_films = Films(
        pixels[ambiguous.positions],
        np.full(len(ambiguous), -1),
        np.array([sources.index(record.source or "") for record in ambiguous.records], dtype=np.int64),
        kinds.reshape(-1, len(findings)),
        None if covers is None else covers[ambiguous.positions],
        own_px[ambiguous.positions],
    )
    return PreparedFilms(stated, films, findings, ambiguous, ambiguous_films, positions)


def draw_validation(prepared: PreparedFilms, rest: np.ndarray, *, fraction: float, seed: int) -> np.ndarray:
    """Return which of some films to validate on, drawn by groups and stratified by finding.

    Args:
        prepared: The data set.
        rest: (m,) int, positions of the films to divide.
        fraction: The share to validate on.
        seed: Decides the draw.

    Returns:
        (n,) bool over all films of the data set.

    Raises:
        InconsistentDataset: A finding has too few groups.
    """
    records = tuple(dataclasses.replace(prepared.records[i], split="train") for i in rest)
    folds = assign_folds(
        dataclasses.replace(prepared.scan.dataset, records=records),
        ["train"] * len(rest),
        prepared.scan.groups[rest],
        num_folds=max(2, round(1 / fraction)),
        seed=seed,
    )
    chosen = np.zeros(len(prepared.records), dtype=bool)
    chosen[rest[folds == 0]] = True
    return chosen


def hashes_behind(weights: str) -> str | None:
    """Return the hashes of the films that starting weights have learned from; None where there are no such films.

    Args:
        weights: The setting; only `chest` has seen chest films.
    """
    return read_model_file(Path(DEFAULT_MODEL)).metadata.training_data.get("dhash256") if weights == "chest" else None


def films_seen_before(weights: str, fingerprints: Sequence[Fingerprint], groups: np.ndarray) -> np.ndarray:
    """Return which films the starting weights have learned from already: no figure may be taken on them.

    Args:
        weights: The setting.
        fingerprints: One a film, n of them.
        groups: (n,) int. A twin, or another film of the same patient, counts as seen too.

    Returns:
        (n,) bool.
    """
    seen = seen_films(fingerprints, hashes_behind(weights))
    if seen is None:
        return np.zeros(len(fingerprints), dtype=bool)
    return np.isin(groups, groups[seen])


def unrecognised_words(weights: str, sizes_px: Sequence[tuple[int, int]]) -> str:
    """Return one sentence where films are too small to be recognised as those the starting weights have learned from.

    Args:
        weights: The setting.
        sizes_px: (height, width) of each film as stored.

    Returns:
        The sentence; empty where it need not be said.
    """
    num_small = sum(min(size) < _RECOGNISED_PX for size in sizes_px)
    if weights != "chest" or not num_small:
        return ""
    return (
        f"{num_small:,} of {count_of(len(sizes_px), 'film')} are smaller than {_RECOGNISED_PX} px: hilum cannot tell "
        "whether the starting weights have learned from them. If they are public films, start from ImageNet."
    )
