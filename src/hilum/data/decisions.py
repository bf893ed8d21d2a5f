"""The decisions of a person on doubtful films, and the list of films that follows from them.

A folder holds three files, which are replaced together after every decision: review.json (all decisions, to go on
with), review.csv (the films with the findings decided on) and review.dropped.csv (the films that are left out).
"""

from __future__ import annotations

import dataclasses
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from hilum.data.columns import ROLES, Listing, listing
from hilum.data.folder import Dataset, FilmRecord
from hilum.data.manifest import film_cells
from hilum.data.places import can_be_listed, path_writer
from hilum.errors import InputError
from hilum.files import replace_files
from hilum.results import check_file, json_with
from hilum.text import CsvLines, csv_row

__all__ = ["CHOICES", "Choice", "Decision", "Decisions", "review_files", "reviewed_data"]

Choice = Literal["keep", "relabel", "drop", "undecided"]
CHOICES: tuple[Choice, ...] = ("keep", "relabel", "drop", "undecided")
_COLUMNS = (*ROLES, "decision", "who", "when")
_KEYS = frozenset({"data", "columns", "decisions"})


@dataclass(frozen=True)
class Decision:
    """What a person decided on one doubt.

    Attributes:
        doubt: The key of the doubt.
        choice: One of `CHOICES`.
        films: Paths of the films that it is about.
        finding: The new label of these films; empty where the label stays.
        who: The person.
        when: The time, UTC, as in ISO 8601.
    """

    doubt: tuple[str, ...]
    choice: Choice
    films: tuple[str, ...]
    finding: str = ""
    who: str = ""
    when: str = ""


class Decisions:
    """The decisions on the films of one data set.

    Args:
        folder: Where the files lie; decisions in it are gone on with.
        data: Where the data set was read from.
        dataset: Its films.

    Attributes:
        made: The decisions, in order. A later one on the same doubt replaces an earlier one.

    Raises:
        InputError: The folder holds decisions on another data set or files of other origin, or cannot be written to.
    """

    def __init__(self, folder: Path, data: Path, dataset: Dataset) -> None:
        self._state, self._list, self._dropped = review_files(folder)
        for path in (self._list, self._dropped):
            check_file(path, made_by="hilum review", is_own=_is_own, may_replace=True, reads=(data,))
        self._head = {"data": str(data.resolve()), "columns": dict(data.columns) if isinstance(data, Listing) else {}}
        self._records = {record.path: record for record in dataset.records}
        self._place = path_writer(dataset.root, folder)
        self._as_filed = {path: self._line(record) for path, record in self._records.items()}
        self._written = self._state.read_text(encoding="utf-8") if self._state.exists() else ""
        self.made: list[Decision] = []
        self._save(self._earlier())

    def in_effect(self) -> dict[tuple[str, ...], Decision]:
        """Return the last decision on each doubt, the latest last."""
        return _in_effect(self.made)

    def dropped(self) -> set[str]:
        """Return the films that are left out."""
        return {path for one in self.in_effect().values() if one.choice == "drop" for path in one.films}

    def finding_of(self, path: str) -> str:
        """Return the finding of a film as it is decided now."""
        changed = [one.finding for one in self.in_effect().values() if one.finding and path in one.films]
        return changed[-1] if changed else self._records[path].finding

    def add(self, decision: Decision) -> None:
        """Keep a decision. When this returns, it is safe on disk.

        Raises:
            InputError: The files cannot be written, or another review has changed them; nothing is decided.
        """
        when = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        self._save([*self.made, dataclasses.replace(decision, when=when)])

    def undo(self) -> Decision | None:
        """Take the last decision back and return it; None where there is none. Errors as in `add`."""
        last = self.made[-1] if self.made else None
        self._save(self.made[:-1])
        return last

    def _earlier(self) -> list[Decision]:
        if not self._state.exists():
            return []
        if not json_with(self._state, _KEYS):
            raise InputError(f"`{self._state}` exists and was not made by `hilum review`.", fix="Move it away.")
        earlier = json.loads(self._written)
        if earlier["data"] != self._head["data"]:
            raise InputError(
                f"`{self._state}` holds decisions on the films of `{earlier['data']}`, not of `{self._head['data']}`.",
                fix="Give the same data, or move the file away to begin again.",
            )
        return [
            Decision(**{**one, "doubt": tuple(one["doubt"]), "films": tuple(one["films"])})
            for one in earlier["decisions"]
        ]

    def _save(self, made: list[Decision]) -> None:
        """Replace the three files; the decisions change only if that succeeds."""
        if (self._state.read_text(encoding="utf-8") if self._state.exists() else "") != self._written:
            raise InputError(
                f"Another review has changed `{self._state}`.", fix="End one of them; start this one again."
            )
        state = json.dumps({**self._head, "decisions": [dataclasses.asdict(one) for one in made]}, indent=1) + "\n"
        kept, dropped = self._lists(made)
        replace_files({self._state: state, self._list: kept, self._dropped: dropped})
        self.made, self._written = made, state

    def _lists(self, made: list[Decision]) -> tuple[str, str]:
        """Return the list of the films that are kept, and of those that are left out."""
        last: dict[str, Decision] = {}
        labels: dict[str, str] = {}
        for one in _in_effect(made).values():
            for path in one.films:
                if path in self._records and (path not in last or last[path].choice != "drop"):
                    last[path] = one
                if one.finding:
                    labels[path] = one.finding
        lines = dict(self._as_filed)
        for path, one in last.items():
            record = self._records[path]
            lines[path] = self._line(dataclasses.replace(record, finding=labels.get(path, record.finding)), one)
        out = {path for path, one in last.items() if one.choice == "drop"}
        out |= {path for path in lines if not can_be_listed(path)}
        head = ",".join(_COLUMNS) + "\n"
        return head + "".join(line for path, line in lines.items() if path not in out), head + "".join(
            lines[path] for path in sorted(out)
        )

    def _line(self, record: FilmRecord, one: Decision | None = None) -> str:
        text = io.StringIO()
        decided = (one.choice, one.who, one.when) if one else ("", "", "")
        CsvLines(text).write(csv_row((*film_cells(record, self._place), *decided), paths=(0,)))
        return text.getvalue()


def _in_effect(made: list[Decision]) -> dict[tuple[str, ...], Decision]:
    found: dict[tuple[str, ...], Decision] = {}
    for one in made:
        found.pop(one.doubt, None)
        found[one.doubt] = one
    return found


def reviewed_data(folder: Path) -> Path | None:
    """Return the data set that an earlier review in a folder was of; None where there was none."""
    state = review_files(folder)[0]
    if not json_with(state, _KEYS):
        return None
    earlier = json.loads(state.read_text(encoding="utf-8"))
    return listing(earlier["data"], earlier["columns"]) if earlier["columns"] else Path(earlier["data"])


def _is_own(path: Path) -> bool:
    with path.open(encoding="utf-8") as lines:
        header = lines.readline()
    return header.startswith("path,finding,split,") and header.endswith(",decision,who,when\n")


def review_files(folder: Path) -> tuple[Path, Path, Path]:
    """Return the paths of review.json, review.csv and review.dropped.csv."""
    return folder / "review.json", folder / "review.csv", folder / "review.dropped.csv"
