"""What a check of the audit is, and the one function that runs a list of checks.

A check is a value: its code, the words that explain it, what it needs, and a function that looks at a data set and
returns the faults that it finds. `hilum audit`, `train` and `evaluate` run the same list (`hilum.judge.audit.audit`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from hilum.data.ambiguous_labels import set_apart
from hilum.data.scan import Scan
from hilum.figures import left_out_if_none
from hilum.judge.audit.figures import AuditFigures, CueVerdict
from hilum.judge.audit.traits import FilmTraits

__all__ = [
    "SEVERITIES",
    "AuditData",
    "Check",
    "CheckResults",
    "Fault",
    "Films",
    "JudgedFilms",
    "Outcome",
    "Status",
    "Suggestion",
    "needs_films",
    "needs_training",
    "run_checks",
]

SEVERITIES = ("error", "warning", "note")
DOCS_PAGE = "docs/reference/faults.md"

Status = Literal["failed", "passed", "not_applicable", "ignored"]


@dataclass(frozen=True)
class Suggestion:
    """The finding that a film may show instead of its label, and the probability that a model gives it."""

    finding: str
    probability: float


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a data set.

    Attributes:
        kind: The code of the check that found it.
        severity: ``error`` (do not train on it as it is), ``warning`` or ``note``.
        message: What was found, for people.
        paths: The films it is about, relative to the data set; of a leak the test film, then its twins.
        figure: The number behind it, or None.
        suggestions: Path to the finding that a film may show instead; None of faults that suggest nothing.
        instead: The finding that the source gives all these films; None of faults without one.
    """

    kind: str
    severity: str
    message: str
    paths: tuple[str, ...] = ()
    figure: float | None = None
    suggestions: Mapping[str, Suggestion] | None = left_out_if_none()
    instead: str | None = left_out_if_none()


@dataclass(frozen=True, eq=False)
class Films:
    """Films with their split and traits.

    Attributes:
        scan: The films.
        splits: The split of each: "train", "validation" or "test".
        traits: Of each; empty where the films were not examined.
    """

    scan: Scan
    splits: tuple[str, ...]
    traits: tuple[FilmTraits, ...] = ()

    @property
    def sets(self) -> tuple[str | None, ...]:
        """Return the public set that each film was recognised as."""
        return tuple(one.set if one else None for one in self.scan.public_films)


@dataclass(frozen=True, eq=False)
class JudgedFilms:
    """What models that did not learn from the films say of them.

    Attributes:
        by: Who says it, for the middle of a sentence: ``the model `chest```.
        findings: The K findings that the models know.
        probabilities: (n, K) of the n films of the data set; NaN where a film was not judged.
        num_seen: Films that were not judged because the model learned from them.
    """

    by: str
    findings: tuple[str, ...]
    probabilities: np.ndarray
    num_seen: int = 0


@dataclass(frozen=True, eq=False)
class AuditData(Films):
    """What a check looks at.

    Attributes:
        figures: What was measured on the films, as in audit.json.
        seen: (n,) bool, the films that the starting weights of a training run were learned from; None without such.
        shortcut: The verdict on a model's shortcuts, as in shortcuts.json; None where none was measured.
        is_trained_on: Whether the films are there to be trained on; else a finished model is judged on them.
        judged: What models that did not learn from the films say of them; None where none was asked.
    """

    figures: AuditFigures = field(default_factory=AuditFigures)
    seen: np.ndarray | None = None
    shortcut: CueVerdict | None = None
    is_trained_on: bool = True
    judged: JudgedFilms | None = None

    @cached_property
    def stated(self) -> Films:
        """Return the films that show one finding; one that names several is no class of its own."""
        stated, apart = set_apart(self.scan)
        left_out = set(apart.positions.tolist())
        kept = [position for position in range(len(self.splits)) if position not in left_out]
        traits = tuple(self.traits[i] for i in kept) if self.traits else ()
        return Films(stated, tuple(self.splits[i] for i in kept), traits)


Found = Fault | Iterable[Fault] | None


@dataclass(frozen=True)
class Check:
    """One thing that can be wrong with a data set, and how to find it.

    Attributes:
        code: The kind of its faults, for programs, and its heading's anchor in the documentation.
        title: A few words.
        severity: The worst that its faults can be.
        meaning: Why it matters, a sentence or two.
        remedy: What to do.
        find: Returns a fault, several, or None; each fault has the check's code as its kind.
        needs: Each returns why the check cannot be applied to the data, or "" where it can.
        many: One line for several faults, with ``{n}`` for their number and ``{first}`` for the first message.
        shows: What the report shows of its faults: their ``films`` as pictures, ``pairs`` of films side by side,
            the ``paths`` alone, or the whole ``sentences``.
        comes_from: The plug-in that brings it; empty for hilum's own.
    """

    code: str
    title: str
    severity: str
    meaning: str
    remedy: str
    find: Callable[[AuditData], Found]
    needs: tuple[Callable[[AuditData], str], ...] = ()
    many: str = "{n} cases; the first: {first}"
    shows: Literal["films", "pairs", "paths", "sentences"] = "paths"
    comes_from: str = ""

    @property
    def anchor(self) -> str:
        """Return where the documentation explains it."""
        return f"{DOCS_PAGE}#{self.code}"

    def summary(self, messages: Sequence[str]) -> str:
        """Return one line for the messages of its faults."""
        if len(messages) == 1:
            return messages[0]
        return self.many.replace("{n}", str(len(messages))).replace("{first}", messages[0])


@dataclass(frozen=True)
class Outcome:
    """What came of one check.

    Attributes:
        check: The check.
        status: ``failed`` (it found faults), ``passed``, ``not_applicable`` or ``ignored`` (as the user asked).
        why: Why it could not be applied, or what was ignored; else empty.
        faults: What a failed check found.
    """

    check: Check
    status: Status
    why: str = ""
    faults: tuple[Fault, ...] = ()

    def to_dict(self) -> dict[str, str]:
        """Return the outcome as it stands in audit.json."""
        return {"code": self.check.code, "status": self.status, "why": self.why}


@dataclass(frozen=True)
class CheckResults:
    """What came of a list of checks, in its order."""

    outcomes: tuple[Outcome, ...] = ()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Return all faults that were found and not ignored: errors first, then by kind."""
        faults = (fault for outcome in self.outcomes for fault in outcome.faults)
        return tuple(sorted(faults, key=lambda fault: (SEVERITIES.index(fault.severity), fault.kind)))

    def of_status(self, status: Status) -> tuple[Outcome, ...]:
        """Return the outcomes with one status."""
        return tuple(one for one in self.outcomes if one.status == status)


def run_checks(data: AuditData, checks: Iterable[Check], *, ignore: Iterable[str] = ()) -> CheckResults:
    """Run checks on a data set.

    A check of a plug-in that fails does not stop the others: it counts as not applicable, with the reason.

    Args:
        data: The films and what was measured on them.
        checks: In the order in which they are reported.
        ignore: Codes of checks whose faults do not count.
    """
    ignored = set(ignore)
    return CheckResults(tuple(_outcome(check, data, is_ignored=check.code in ignored) for check in checks))


def _outcome(check: Check, data: AuditData, *, is_ignored: bool) -> Outcome:
    try:
        lacking = next((why for need in check.needs if (why := need(data))), "")
        faults = () if lacking else _checked(check, check.find(data))
    except Exception as error:
        if not check.comes_from:
            raise
        lacking, faults = f"It failed in {check.comes_from}: {type(error).__name__}: {error}", ()
    if is_ignored:
        found = f"It found {len(faults)} fault{'s' if len(faults) > 1 else ''}" if faults else lacking or "It passed"
        return Outcome(check, "ignored", f"{found.removesuffix('.')}; ignored as you asked.")
    if lacking:
        return Outcome(check, "not_applicable", lacking)
    return Outcome(check, "failed" if faults else "passed", faults=faults)


def _checked(check: Check, found: Found) -> tuple[Fault, ...]:
    """Return what a check found as a tuple.

    Raises:
        ValueError: A fault has another kind than the check's code, or an unknown severity.
    """
    faults = (found,) if isinstance(found, Fault) else tuple(found or ())
    for fault in faults:
        if not isinstance(fault, Fault) or fault.kind != check.code or fault.severity not in SEVERITIES:
            raise ValueError(f"expected faults of kind {check.code} with a severity of {SEVERITIES}, got {fault!r}")
    return faults


def needs_films(data: AuditData) -> str:
    """Ask for films that were examined one by one."""
    return "" if data.traits else "The films were not examined one by one."


def needs_training(data: AuditData) -> str:
    """Ask for films that are there to be trained on."""
    return "" if data.is_trained_on else "No model is trained on these films."
