"""A manifest of the same films without the faults that a rule can mend; nothing in the data set is changed.

The rules, in this order, each written down beside every film it touches:

1. A film that cannot be read, shows nothing, or is no frontal chest film is dropped. On request, so is a film with a
   suspect label, unless it is in the test part: a model must not choose the films that a model is judged on.
2. One picture under several findings gets the one that they agree in, where some leave it open; else the one that its
   source states, where that is known for sure; else the one that more than half of its files have; else all its files
   are dropped.
3. Films of one group (twins, one patient) on several sides of the split all go to the side that is learnt from: to
   train, or where none of them is in train, to validation. So they leave the test part.
4. Of files that are the same picture byte for byte or pixel for pixel one is kept: one that no rule has touched, else
   the first.
"""

from __future__ import annotations

import dataclasses
import io
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hilum.console import count_of
from hilum.data.columns import ROLES
from hilum.data.folder import FilmRecord
from hilum.data.manifest import film_cells
from hilum.data.places import can_be_listed, path_writer
from hilum.data.public_sets import COLLECTIONS, compare_findings
from hilum.data.scan import Scan, group_films
from hilum.data.walk import is_inside
from hilum.errors import InconsistentDataset, InputError
from hilum.files import replace_files
from hilum.findings import common_kinds, open_kinds
from hilum.judge.audit.audit import Audit
from hilum.judge.audit.suspects import SUSPECT
from hilum.results import check_file
from hilum.text import percent_text, write_csv

__all__ = ["DROPPED_ON_REQUEST", "RepairedFilm", "check_place", "dropped_path", "repair_films", "write_repair"]

DROPPED_CODES = ("constant", "not-chest", "lateral")
DROPPED_ON_REQUEST = (SUSPECT,)
COLUMNS = (*ROLES, "reason")


@dataclass(frozen=True)
class RepairedFilm:
    """What becomes of one film.

    Attributes:
        record: The film, with its finding and split after the repair.
        group: Films with the same number must stay on one side of a split; None of one that could not be read.
        kept: Whether it is in the manifest.
        reason: What was done and why; empty where nothing was.
    """

    record: FilmRecord
    group: int | None
    kept: bool
    reason: str


def repair_films(audit: Audit, *, drop: Collection[str] = ()) -> list[RepairedFilm]:
    """Return what becomes of each film, in the order of their paths.

    Args:
        audit: The audit of the data set.
        drop: Kinds of faults, of `DROPPED_ON_REQUEST`, whose films are left out.
    """
    stated = _source_findings(audit.data.scan)
    scan, records = audit.data.scan, audit.data.scan.dataset.records
    findings: list[str | None] = [record.finding for record in records]
    splits = list(audit.data.splits)
    reasons: list[list[str]] = [[] for _ in records]
    kept = [True] * len(records)
    for position, one in enumerate(audit.data.traits):
        if refused := [reason for reason in one.reasons if reason.code in DROPPED_CODES]:
            kept[position] = False
            reasons[position].append(f"dropped: {refused[0].message}")
    for position, why in _suspects(audit, drop):
        kept[position] = False
        reasons[position].append(f"dropped: {why}")
    pictures = _members(group_films([_bare(record) for record in records], scan.twins).tolist())
    for members in pictures:
        found, why = _settled([m for m in members if kept[m]], records, stated, scan.dataset.findings)
        for m in members:
            if why and kept[m] and found is None:
                kept[m] = False
                reasons[m].append(f"dropped: {why}")
            elif why and kept[m] and found != records[m].finding:
                findings[m] = found
                reasons[m].append(f"finding changed from {records[m].finding}: {why}")
    for members in _members(scan.groups.tolist()):
        sides = {splits[m] for m in members if kept[m]}
        if len(sides) > 1:
            side = "train" if "train" in sides else "validation"
            for m in members:
                if kept[m] and splits[m] != side:
                    reasons[m].append(f"moved from {splits[m]} to {side}: a twin or a film of its patient is there")
                    splits[m] = side
    first_of: dict[str, int] = {}
    for position in sorted(range(len(records)), key=lambda m: (bool(reasons[m]), m)):  # those left as they are first
        if kept[position]:
            taken = scan.fingerprints[position]
            first = first_of.setdefault(taken.pixel_sha256 or taken.file_sha256, position)
            if first != position:
                kept[position] = False
                reasons[position] = [f"dropped: the same picture as {records[first].path}"]
    repaired = [
        RepairedFilm(
            dataclasses.replace(r, finding=found or r.finding, split=split if r.split else None),
            int(group),
            keep,
            "; ".join(why),
        )
        for r, found, split, group, keep, why in zip(records, findings, splits, scan.groups, kept, reasons, strict=True)
    ]
    repaired += [
        RepairedFilm(FilmRecord(path, "", None), None, False, f"dropped: {error.message}")
        for path, error in scan.unread
    ]
    return sorted(repaired, key=lambda film: film.record.path)


def _suspects(audit: Audit, drop: Collection[str]) -> Iterator[tuple[int, str]]:
    """Yield the films outside the test part that are left out for a fault that suggests another finding, and why."""
    suggestions = {
        path: one for fault in audit.faults if fault.kind in drop for path, one in (fault.suggestions or {}).items()
    }
    for position, (record, split) in enumerate(zip(audit.data.scan.dataset.records, audit.data.splits, strict=True)):
        if split != "test" and (one := suggestions.get(record.path)):
            yield position, f"a model says {one.finding} ({percent_text(one.probability)}), not {record.finding}"


def _source_findings(scan: Scan) -> dict[str, str]:
    """Return path to finding of the films that the set they first came from has under just one of these findings."""
    stated = {}
    names = [name for name in scan.dataset.findings if not open_kinds(name, scan.dataset.findings)]
    for record, one in zip(scan.dataset.records, scan.public_films, strict=False):  # a scan may know nothing of sets
        if one and not one.ambiguous and one.set not in COLLECTIONS:
            same = [name for name in names if compare_findings(name, one.finding) == "agrees"]
            if len(same) == 1:
                stated[record.path] = same[0]
    return stated


def write_repair(
    audit: Audit, out: Path, data: Path, *, overwrite: bool = False, drop: Collection[str] = ()
) -> tuple[int, int]:
    """Write the manifest, and beside it OUT.dropped.csv with the films that are not in it.

    Paths are relative to the manifest where it lies above the films, else absolute.

    Args:
        audit: The audit of the data set.
        out: The manifest, a .csv outside the data set.
        data: The data set.
        overwrite: Whether an earlier repair may be replaced.
        drop: Kinds of faults, of `DROPPED_ON_REQUEST`, whose films are left out.

    Returns:
        How many films the manifest has, and how many were dropped.

    Raises:
        InputError: The manifest would lie in the data set, is no .csv, or cannot be written.
        InconsistentDataset: Less than two findings would be left.
    """
    check_place(out, data, overwrite=overwrite)
    films = [_checked_name(film) for film in repair_films(audit, drop=drop)]
    kept = [film for film in films if film.kept]
    findings = {film.record.finding for film in kept if film.record.split in (None, "train")}
    if len(findings) < 2:
        raise InconsistentDataset(
            f"Nothing to train on is left of `{data}` after the repair: {len(findings)} finding in the training part.",
            fix="Look at the audit's report, and mend the labels by hand.",
        )
    place = path_writer(audit.data.scan.dataset.root, out.parent)
    dropped = [film for film in films if not film.kept]
    replace_files({dropped_path(out): _csv(dropped, place), out: _csv(kept, place)})
    return len(kept), len(films) - len(kept)


def dropped_path(out: Path) -> Path:
    """Return where the films that a repaired manifest leaves out are listed."""
    return out.with_suffix(".dropped.csv")


def check_place(out: Path, data: Path, *, overwrite: bool = False) -> None:
    """Refuse a manifest that is no CSV, would change the data set, or would replace anything but an earlier repair.

    Raises:
        InputError: It is so.
    """
    if out.suffix.lower() != ".csv":
        raise InputError(f"`{out}` is no name for a manifest; expected one that ends in .csv.", fix="Rename it.")
    target = os.path.realpath(out)
    real = os.path.realpath(data)
    if target == real or (os.path.isdir(data) and is_inside(target, real)):  # noqa: PTH112
        raise InputError(
            f"The manifest `{out}` lies in the data set, which is left as it is.", fix="Choose another place."
        )
    for path in (out, dropped_path(out)):
        check_file(path, made_by="hilum audit --repair", is_own=_is_own, may_replace=overwrite, reads=(data,))


def _is_own(path: Path) -> bool:
    with path.open(encoding="utf-8") as lines:
        return lines.readline() == ",".join(COLUMNS) + "\n"


def _settled(
    members: Sequence[int],
    records: Sequence[FilmRecord],
    source_findings: Mapping[str, str],
    findings: tuple[str, ...],
) -> tuple[str | None, str]:
    """Return the one finding of a picture's files, None to drop them, and why; "" where they agree."""
    filed = Counter(records[m].finding for m in members)
    if len(filed) < 2:
        return None, ""
    stated = {source_findings[records[m].path] for m in members if records[m].path in source_findings}
    often, count = filed.most_common(1)[0]
    told = ", ".join(f"{count_of(number, 'time')} under {name}" for name, number in sorted(filed.items()))
    if shared := common_kinds(filed, findings):
        narrowest = min(filed, key=lambda name: (len(open_kinds(name, findings)), name))
        found = shared[0] if len(shared) == 1 else narrowest
        return found, f"the same picture is filed {told}, which {found} agrees with"
    if len(stated) == 1:
        return stated.pop(), f"the same picture is filed {told}; its source states it"
    if not stated and 2 * count > len(members):
        return often, f"the same picture is filed {told}"
    return None, f"the same picture is filed {told}"


def _bare(record: FilmRecord) -> FilmRecord:
    """Return a film without what groups it but for its twins: a patient may have two findings, a picture may not."""
    return FilmRecord(record.path, record.finding, record.split)


def _members(groups: Sequence[int]) -> list[list[int]]:
    members: dict[int, list[int]] = {}
    for position, group in enumerate(groups):
        members.setdefault(group, []).append(position)
    return list(members.values())


def _checked_name(film: RepairedFilm) -> RepairedFilm:
    """Drop a film whose name would not come back from a CSV: one that is no text, or has spaces at its ends."""
    if film.kept and not can_be_listed(film.record.path):
        return RepairedFilm(film.record, film.group, False, "dropped: its file name cannot stand in a CSV; rename it")
    return film


def _csv(films: Sequence[RepairedFilm], place: Callable[[str], str]) -> str:
    text = io.StringIO()
    rows = [
        (
            *film_cells(dataclasses.replace(film.record, group=None if film.group is None else str(film.group)), place),
            film.reason,
        )
        for film in films
    ]
    write_csv(text, COLUMNS, rows)
    return text.getvalue()
