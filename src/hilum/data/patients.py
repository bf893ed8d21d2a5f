"""Patient IDs that stand for no patient: what anonymisers and scanners write on every film alike.

Films of one patient must stay together in a split, so a placeholder would tie a whole data set into one group. A real
patient may have many films, and of several findings, so that neither alone says anything. An ID is a placeholder where

- it stands on at least 8 films (fewer tie too little together to do harm), and
- on at least 20 % of all films: in public sets of follow-up films the patient with the most films has 2 % of them, and
  a set of less than five patients can be neither split nor judged, and
- on films of every finding, or on more than half of the films of one finding.

An ID is also one where it stands on at least 20 films and on more than half of the films of one source that have an ID.
Whoever knows better says so by a column ``group``, which always holds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from hilum.data.folder import FilmRecord
from hilum.data.labels import Remark

__all__ = ["drop_placeholders"]

LEAST_FILMS = 8
LEAST_SHARE = 0.2
LEAST_FILMS_OF_SOURCE = 20


def drop_placeholders(records: Sequence[FilmRecord]) -> tuple[list[str | None], list[Remark]]:
    """Return the patient of each film without IDs that are placeholders, and what to tell of them; never the ID itself.

    Args:
        records: The films, with their patients, findings and sources.
    """
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
    way_out = "give a CSV with a column `group`."
    if num_ids == 1:
        return (
            f"The same Patient ID stands {on}: it is a placeholder, not a patient, and films are not grouped by it. "
            f"If it is a patient, {way_out}"
        )
    return (
        f"{num_ids} Patient IDs stand {on}: they are placeholders, not patients, and films are not grouped by them. "
        f"If they are patients, {way_out}"
    )
