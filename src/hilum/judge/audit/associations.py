"""How far what is not the picture goes with the finding: one trait at a time, by Cramér's V.

Where a trait goes with the finding, a model can answer the trait: which scanner, which publication, which encoder. One
film a group is counted, so that a patient with many films does not pass for many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from hilum.data.folder import FilmRecord
from hilum.data.labels import spelling_key
from hilum.data.names import part_named
from hilum.findings import standard_name
from hilum.judge.audit.check import AuditData, Check, Fault, Films, needs_films
from hilum.judge.audit.figures import Association, Telling
from hilum.judge.audit.traits import CORNERS, SIDES, FilmTraits
from hilum.judge.audit.trivial_scores import trivial_faults
from hilum.judge.contingency import cramers_v, cramers_v_interval
from hilum.text import percent_text

__all__ = ["CHECKS", "associate_traits", "association_faults", "sources_of"]

ERROR_V, WARNING_V = 0.8, 0.3
MOST_P = 0.001  # a trait that goes with the finding by chance as rarely as this is reported
_MOST_P_ALONE = 0.01  # noted: a category that one finding has for itself, where the trait on the whole says little
_LEAST_FILMS = 5  # rarer categories are counted as one
_LEAST_SHARE = 0.02
_EXACT_SIZE_SHARE = 0.05  # a pixel size that so many films share is a category of its own
_OTHER = "other"
_PLAIN = (_OTHER, "no sign", "no margin", "no JPEG", "not stated")
_TITLES = {
    "source": "Source",
    "file_format": "File format",
    "pixel_size": "Pixel size",
    "bit_depth": "Bit depth",
    "colour_mode": "Colour mode",
    "jpeg_quality": "JPEG quality",
    "margin": "Margin",
    "corner_signs": "Corner signs",
}


def associate_traits(films: Films) -> tuple[Association, ...]:
    """Return how far each trait goes with the finding among the training films, the most telling first.

    Args:
        films: Those whose finding is stated; those of the test part are left out. Of films that were not examined one
            by one only the source is known.

    Returns:
        One a trait that varies.
    """
    scan, records = films.scan, films.scan.dataset.records
    rows = np.array([row for row, split in enumerate(films.splits) if split != "test"], dtype=np.int64)
    if not len(rows):
        return ()
    _, counted = np.unique(scan.groups[rows], return_index=True)  # one film a group
    findings = scan.dataset.findings
    columns = np.array([findings.index(records[row].finding) for row in rows[counted]], dtype=np.int64)
    found = []
    for name, words in _categories(records, films.traits, rows.tolist(), films.sets).items():
        labels, codes = np.unique(np.array(words)[counted], return_inverse=True)
        table = np.zeros((len(labels), len(findings)), np.int64)
        np.add.at(table, (codes, columns), 1)
        if min((table.sum(axis=1) > 0).sum(), (table.sum(axis=0) > 0).sum()) < 2:
            continue
        shares = table / np.maximum(table.sum(axis=0), 1)
        others = (table.sum(axis=1, keepdims=True) - table) / np.maximum(len(counted) - table.sum(axis=0), 1)
        plain = np.isin(labels, _PLAIN)[:, None]  # of two that tell as much, the one that stands out is named
        category, finding = np.unravel_index(
            np.argmax(shares - others - 0.01 * (others > 0) - 0.02 * plain), table.shape
        )
        found.append(
            Association(
                trait=name,
                title=_TITLES[name],
                n=len(counted),
                cramers_v=cramers_v_interval(table),
                p=cramers_v(table)[1],
                table={
                    str(label): dict(zip(findings, line.tolist(), strict=True))
                    for label, line in zip(labels, table, strict=True)
                },
                telling=Telling(
                    category=str(labels[category]),
                    finding=findings[finding],
                    share=float(shares[category, finding]),
                    share_of_others=float(others[category, finding]),
                ),
            )
        )
    return tuple(sorted(found, key=lambda one: -(one.cramers_v.value or 0.0)))


def association_faults(associations: Sequence[Association], films: Films) -> list[Fault]:
    """Return a fault of each trait that goes with the finding; its paths are the films that give it away.

    Args:
        associations: What `associate_traits` returned for the same films.
        films: Those whose finding is stated.
    """
    records = films.scan.dataset.records
    rows = [row for row, split in enumerate(films.splits) if split != "test"]
    words = _categories(records, films.traits, rows, films.sets) if associations else {}
    faults = []
    for one in associations:
        severity = _severity(one)
        if severity is None:
            continue
        telling, of_others = one.telling, one.telling.share_of_others
        said = one.title if one.title.startswith("JPEG") else one.title.lower()
        others = "none of the others" if of_others == 0 else f"{percent_text(of_others, 0)} of the others"
        message = (
            f"{one.title}: {percent_text(telling.share, 0)} of the {telling.finding} films have the {said} "
            f"`{telling.category}`, and {others} have it (Cramér's V {one.cramers_v.value:.2f}, 95 % interval "
            f"{one.cramers_v.low:.2f}–{one.cramers_v.high:.2f})."
        )
        paths = tuple(
            records[row].path
            for row, word in zip(rows, words[one.trait], strict=True)
            if word == telling.category and records[row].finding == telling.finding
        )
        faults.append(Fault("class-by-source", severity, message, paths, one.cramers_v.value))
    return faults


def _severity(one: Association) -> str | None:
    """Return how bad it is that a trait goes with the finding; None where it is no fault."""
    value = one.cramers_v.value or 0.0
    if value >= WARNING_V and one.p < MOST_P:
        return "error" if value >= ERROR_V else "warning"
    is_alone = any(
        sum(counts.values()) >= _LEAST_FILMS and sum(1 for n in counts.values() if n) == 1
        for category, counts in one.table.items()
        if category != _OTHER
    )
    return "note" if is_alone and one.p < _MOST_P_ALONE else None


# --- categories -----------------------------------------------------------------------------------------------------


def sources_of(records: Sequence[FilmRecord], sets: Sequence[str | None] = ()) -> list[str | None]:
    """Return where each film comes from: the manifest's source, the set it was recognised as, or its folder.

    Of the folders on its path those count that are neither a finding of the data set nor a part of the split. Where
    no folder is named as its films' finding, and those of one level go with the findings one to one, they are the
    findings under other names (Normal/ and Effusion/ labelled 0 and 1) and no source: they say nothing that the label
    does not say. So is a folder that stands beside one named as its finding (Normal/ and Effusion/ labelled Normal and
    abnormal).

    Args:
        records: All films of the data set.
        sets: The public set each film was recognised as, where that is known.
    """
    stated = {spelling_key(one) for one in {record.finding for record in records}}
    stated |= _renamed(records)
    folders = [_folders_of(record, stated) for record in records]
    depth = max(map(len, folders), default=0)
    levels = [[names[level] if level < len(names) else "" for names in folders] for level in range(depth)]
    if not any(_names_finding(record) for record in records):
        one_to_one = [number for number, level in enumerate(levels) if _is_one_to_one(level, records)]
        levels = [level for number, level in enumerate(levels) if number not in one_to_one[-1:]]
    found: list[str | None] = []
    for row, record in enumerate(records):
        place = "/".join(level[row] for level in levels if level[row])
        found.append(record.source or (sets[row] if sets else None) or place or None)
    return found


def _folders_of(record: FilmRecord, stated: set[str]) -> list[str]:
    names = (name for name in record.path.split("/")[:-1] if part_named(name) is None)
    return [name for name in names if spelling_key(standard_name(name)) not in stated]


def _renamed(records: Sequence[FilmRecord]) -> set[str]:
    """Return the keys of folders that stand beside one named as its finding, and go with the findings one to one."""
    paths = [[name for name in record.path.split("/")[:-1] if part_named(name) is None] for record in records]
    for level in range(min(map(len, paths), default=0)):
        names = [path[level] for path in paths]
        if any(map(_is_its_finding, names, records)) and _is_one_to_one(names, records):
            return {spelling_key(standard_name(name)) for name in names}
    return set()


def _names_finding(record: FilmRecord) -> bool:
    return any(_is_its_finding(name, record) for name in record.path.split("/")[:-1])


def _is_its_finding(name: str, record: FilmRecord) -> bool:
    return standard_name(name) == record.finding or spelling_key(name) == spelling_key(record.finding)


def _is_one_to_one(names: Sequence[str], records: Sequence[FilmRecord]) -> bool:
    pairs = {(spelling_key(standard_name(name)), record.finding) for name, record in zip(names, records, strict=True)}
    return 1 < len(pairs) == len({name for name, _ in pairs}) == len({finding for _, finding in pairs})


def _categories(
    records: Sequence[FilmRecord], traits: Sequence[FilmTraits], rows: Sequence[int], sets: Sequence[str | None]
) -> dict[str, list[str]]:
    """Return the category of each chosen film, by trait."""
    sources = sources_of(records, sets)
    raw = {"source": [sources[row] or "not stated" for row in rows]}
    if traits:
        raw |= _of_files([traits[row] for row in rows])
    return {name: _without_rare(words) for name, words in raw.items()}


def _of_files(chosen: Sequence[FilmTraits]) -> dict[str, list[str]]:
    return {
        "file_format": [one.file_format.upper() for one in chosen],
        "pixel_size": _sizes(chosen),
        "bit_depth": [f"{one.bit_depth} bits" for one in chosen],
        "colour_mode": [one.colour_mode for one in chosen],
        "jpeg_quality": [f"quality {one.jpeg_quality}" if one.jpeg_quality else "no JPEG" for one in chosen],
        "margin": [_margin(one) for one in chosen],
        "corner_signs": [
            ", ".join(name for name, flag in zip(CORNERS, one.markers, strict=True) if flag) or "no sign"
            for one in chosen
        ],
    }


def _without_rare(words: list[str]) -> list[str]:
    counts = Counter(words)
    least = max(_LEAST_FILMS, _LEAST_SHARE * len(words))
    return [word if counts[word] >= least else _OTHER for word in words]


def _sizes(traits: Sequence[FilmTraits]) -> list[str]:
    """Return a word for each film's size: the size itself where many share it, else a third of the others."""
    counts = Counter(one.size_px for one in traits)
    least = max(_LEAST_FILMS, _EXACT_SIZE_SHARE * len(traits))
    shorter = [min(one.size_px) for one in traits if counts[one.size_px] < least]
    low, high = np.percentile(shorter, [100 / 3, 200 / 3]).round().astype(int) if shorter else (0, 0)
    words = []
    for one in traits:
        if counts[one.size_px] >= least:
            words.append(f"{one.size_px[1]}x{one.size_px[0]} pixels")
        elif min(one.size_px) <= low:
            words.append(f"shorter side up to {low} pixels")
        else:
            words.append(
                f"shorter side {low + 1} to {high} pixels"
                if min(one.size_px) <= high
                else f"shorter side above {high} pixels"
            )
    return words


def _margin(one: FilmTraits) -> str:
    parts = [
        f"{colour} at {', '.join(named)}"
        for colour, sign in (("black", 1), ("white", -1))
        if (named := [side for side, depth in zip(SIDES, one.margins, strict=True) if depth * sign > 0])
    ]
    return "; ".join(parts) or "no margin"


# --- the check -------------------------------------------------------------------------------------------------------


def _class_by_source(data: AuditData) -> list[Fault]:
    scores = trivial_faults("class-by-source", data.figures.trivial_models or {})
    return [*scores, *association_faults(data.figures.traits or (), data.stated)]


CHECKS = (
    Check(
        code="class-by-source",
        title="Something other than the picture shows the finding",
        severity="error",
        meaning="Size, format, compression, margins or burnt-in signs go with the finding, and so does the place where "
        "a film was taken. A model may learn that instead of the disease, and fail on films of another hospital.",
        remedy="Take each finding from every source, or convert all films in the same way and cut the margins off.",
        find=_class_by_source,
        needs=(needs_films,),
        many="{n} properties go with the finding; the first: {first}",
    ),
)
