"""Reads public data sets as they come, by the table in `hilum.data.known_layouts`.

A frontal film with one finding is taken. Other films of the list are left out, counted and reported. Films that the
folder does not hold are left out too, since many people download a part of a set.
"""

from __future__ import annotations

import fnmatch
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hilum.data.known_layouts import KNOWN_LAYOUTS, KnownLayout, ListedFilm, Row, kermany_kind
from hilum.data.labels import FilmRecord, Remark, age_in_years, and_list, sex_named
from hilum.data.names import is_known_finding, parts_in
from hilum.data.table import TABLE_SUFFIXES, cell_text, open_table
from hilum.data.walk import list_folder, walk
from hilum.errors import InconsistentDataset, InputError
from hilum.findings import OTHER_ABNORMALITY, standard_name

__all__ = ["KnownFilm", "KnownSet", "find_known_set", "read_known_set", "split_pneumonias"]

_NOT_FRONTAL = {"l", "ll", "rl", "lat", "lateral", "costal", "exclude", "axial", "coronal", "ct"}
_REASONS = {
    "view": "the view is not frontal",
    "none": "the list states no finding that can be used",
    "uncertain": "a finding is uncertain",
    "several": "more than one finding",
    "absent": "not in the folder",
}


@dataclass(frozen=True)
class KnownSet:
    """A public data set that was recognised.

    Attributes:
        root: The folder of its films.
        layout: How the set comes.
        lists: {list: the part of the data set that it is, or None}.
    """

    root: Path
    layout: KnownLayout
    lists: Mapping[Path, str | None]


@dataclass(frozen=True)
class KnownFilm:
    """A film of a known set: its record, its view as the list writes it, and why it is left out, if it is."""

    record: FilmRecord
    view: str
    reason: str = ""


def find_known_set(data: Path) -> KnownSet | None:
    """Return the public data set that a folder or a list is, or None.

    A folder with class folders is none, whatever lists are in it.

    Raises:
        InconsistentDataset: Two lists say what is in the same part.
    """
    if not data.is_dir():
        known = data.suffix.lower() in TABLE_SUFFIXES and next((one for one in KNOWN_LAYOUTS if _fits(one, data)), None)
        return KnownSet(data.parent, known, {data: None}) if known else None
    if _has_class_folders(data):
        return None
    names = sorted(name for name in os.listdir(data) if name.lower().endswith(TABLE_SUFFIXES))  # noqa: PTH208
    for layout in KNOWN_LAYOUTS:
        lists = {
            data / name: part
            for pattern, part in layout.lists.items()
            for name in names
            if fnmatch.fnmatch(name.lower(), pattern) and _fits(layout, data / name)
        }
        parts = list(lists.values())
        if any(parts.count(part) > 1 for part in parts):
            raise InconsistentDataset(
                f"The folder `{data}` looks like {layout.name}, but it has more than one list of the same films: "
                f"{and_list(path.name for path in lists)}.",
                fix="Name the list instead of the folder, or move the other lists away.",
            )
        if lists:
            return KnownSet(data, layout, lists)
    return None


def read_known_set(known: KnownSet) -> tuple[list[KnownFilm], list[Remark]]:
    """Return all films that the lists name, in their order, and remarks.

    Raises:
        InconsistentDataset: A list is damaged or incomplete, or the folder holds none of its films.
        InputError: A list cannot be read.
    """
    listed: defaultdict[str, list[ListedFilm]] = defaultdict(list)
    part_of: dict[str, str | None] = {}
    for path, part in known.lists.items():
        for row in _rows(known, path, part):
            film = known.layout.film_of(row)
            listed[film.path].append(film)
            part_of.setdefault(film.path, part)
    official = known.root / known.layout.test_list
    if known.layout.test_list and official.is_file():
        tested = set(official.read_text(encoding="utf-8", errors="replace").split())
        part_of = {path: "test" if path in tested else "train" for path in part_of}
    place_of = _Places(known.root)
    films = [_film(known.layout, lines, part_of[path], place_of.find(path)) for path, lines in listed.items()]
    if all(film.reason == "absent" for film in films):
        raise InconsistentDataset(
            f"The list `{next(iter(known.lists))}` is one of {known.layout.name}, but none of its {len(films):,} films "
            f"is in `{known.root}`.",
            fix="Unpack the films into the folder of the list.",
        )
    return films, _remarks(known, films)


def split_pneumonias(records: Sequence[FilmRecord]) -> tuple[list[FilmRecord], list[Remark]]:
    """Give films of Kermany's class folder PNEUMONIA their kind and their patient, which their names state.

    Where the name of one film of pneumonia states no kind, all stay as they are.
    """
    unknown_kind = standard_name("Pneumonia")
    kinds = {
        record.path: kermany_kind(record.path.rpartition("/")[2])
        for record in records
        if standard_name(record.finding) == unknown_kind
    }
    found = {path: kind for path, kind in kinds.items() if kind}
    if not kinds or len(found) < len(kinds):
        return list(records), []
    number = Counter(finding for _, finding in found.values())
    counts = " and ".join(f"{count:,} as {finding}" for finding, count in sorted(number.items()))
    message = (
        f"The names of the films of pneumonia are those of Kermany's set and state the kind: {counts} are read so, "
        "with their patients. To keep pneumonia as one finding, give a CSV with the columns path and finding."
    )
    return [
        replace(record, patient=found[record.path][0], finding=found[record.path][1])
        if record.path in found
        else record
        for record in records
    ], [Remark("columns", message)]


def _fits(layout: KnownLayout, path: Path) -> bool:
    """Return whether a file is a list of a layout."""
    if not path.is_file():
        return False
    if layout.line:
        with path.open(encoding="utf-8", errors="replace") as lines:
            return bool(layout.line.fullmatch(lines.readline(4096).strip()))
    try:
        with open_table(path, is_known=lambda name: name in layout.columns) as table:
            return set(layout.columns) <= set(table.header)
    except (InconsistentDataset, InputError):
        return False  # not a table


def _has_class_folders(root: Path) -> bool:
    folders = list_folder(str(root))[1]
    inner = [one for part in parts_in(sorted(folders)) for one in list_folder(str(root / part))[1]]
    return any(map(is_known_finding, (*folders, *inner)))


def _rows(known: KnownSet, path: Path, part: str | None) -> Iterator[Row]:
    layout = known.layout
    if layout.line:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                if found := layout.line.fullmatch(line.strip()):
                    yield {name: text or "" for name, text in found.groupdict().items()} | {"part": part or ""}
                elif line.strip():
                    raise InconsistentDataset(
                        f"Line {number} of `{path}` is not a line of {layout.name}.", fix="Correct or remove it."
                    )
        return
    more: dict[str, Row] = {}
    if layout.beside:
        name, column, _ = layout.beside
        second = path.parent / name
        if not second.is_file():
            raise InconsistentDataset(
                f"`{path}` is a list of {layout.name}. Its findings are in `{name}`, which is not beside it.",
                fix=f"Put `{name}` into the same folder.",
            )
        more = {row[column]: row for row in _table(second)}
    for row in _table(path):
        yield {**more.get(layout.beside[2](row), {}), **row} if layout.beside else row


def _table(path: Path) -> Iterator[Row]:
    with open_table(path, is_known=bool) as table:
        for _, row in table.rows:
            yield dict(zip(table.header, map(cell_text, row), strict=True))


def _film(layout: KnownLayout, lines: Sequence[ListedFilm], part: str | None, place: str | None) -> KnownFilm:
    """Return a film from its lines, of which most must state a finding; several readers give several lines."""
    first = lines[0]
    counts = Counter(name for line in lines for name in set(line.findings) if name)
    stated = {name for name, number in counts.items() if 2 * number > len(lines)}
    included = {name for one in stated for name in layout.includes.get(one, ())}
    stated -= included
    uncertain = {name for line in lines for name in line.uncertain} - included
    reason = ""
    if place is None:
        reason = "absent"
    elif first.view.lower() in _NOT_FRONTAL:
        reason = "view"
    elif not stated:
        reason = "uncertain" if uncertain else "none"
    elif len(stated) > 1 or uncertain:
        reason = "several" if len(stated) > 1 else "uncertain"
    return KnownFilm(
        FilmRecord(
            place or first.path,
            min(stated, default=""),
            part,
            first.patient or None,
            first.source or None,
            first.group or None,
            age_in_years(first.age),
            sex_named(first.sex),
        ),
        first.view,
        reason,
    )


class _Places:
    """The films below a folder, by their path or by a name that only one of them has."""

    def __init__(self, root: Path) -> None:
        self._paths: dict[str, str] = {}
        self._names: defaultdict[str, list[str]] = defaultdict(list)
        for path, _ in walk(str(root), os.path.realpath(root), set()):
            place = Path(os.path.relpath(path, root)).as_posix()
            name = place.rpartition("/")[2].lower()
            self._paths[place.lower()] = place
            for one in {name, name.rpartition(".")[0]}:
                self._names[one].append(place)

    def find(self, path: str) -> str | None:
        """Return the film of a path whose first folders may be missing here, or whose name may lack its suffix."""
        parts = path.replace("\\", "/").lower().split("/")
        for start in range(len(parts)):
            if place := self._paths.get("/".join(parts[start:])):
                return place
        named = self._names.get(parts[-1], [])
        return named[0] if len(named) == 1 else None


def _remarks(known: KnownSet, films: Sequence[KnownFilm]) -> list[Remark]:
    kept = [film.record for film in films if not film.reason]
    message = (
        f"Read as {known.layout.name}, by {and_list(path.name for path in known.lists)}: {len(kept):,} of "
        f"{len(films):,} films are taken, the frontal ones with one finding."
    )
    if others := sum(record.finding == OTHER_ABNORMALITY for record in kept):
        message += f" {OTHER_ABNORMALITY} stands for all other findings (films: {others:,})."
    remarks = [Remark("columns", message)]
    for reason, words in _REASONS.items():
        left = sorted(film.record.path for film in films if film.reason == reason)
        if left:
            text = f"Left out {len(left):,} film{'s' * (len(left) > 1)}: {words}."
            is_absent = reason == "absent"
            severity = "warning" if is_absent else "note"
            remarks.append(Remark("left-out", text, () if is_absent else tuple(left), severity))
    return remarks
