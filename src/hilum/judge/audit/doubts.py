"""The doubts that a person can settle: faults of an audit, cut into one question for each film or pair of films."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from hilum.findings import open_kinds, sorted_findings
from hilum.judge.audit.audit import check_of
from hilum.judge.audit.check import SEVERITIES, Check, Fault, Suggestion
from hilum.text import percent_text

__all__ = ["Doubt", "doubts_of"]

_OF_BOTH = "label-conflict"  # one picture: a decision is about both of its films


@dataclass(frozen=True)
class Doubt:
    """One question about a film, or about two films side by side.

    Attributes:
        kind: The kind of the fault.
        severity: ``error``, ``warning`` or ``note``.
        title: A few words.
        reason: Why the film is doubted.
        meaning: Why it matters.
        paths: One film or two, relative to the data set; of a leak the test film first.
        marked: Positions in ``paths`` of the films that a decision is about, unless the person says otherwise.
        findings: The findings in question; fewer than two where no finding is.
        suggestion: The finding that a model or the source suggests; empty where none does.
    """

    kind: str
    severity: str
    title: str
    reason: str
    meaning: str
    paths: tuple[str, ...]
    marked: tuple[int, ...]
    findings: tuple[str, ...]
    suggestion: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What the doubt is known by, in a later audit too: its kind and its films."""
        return (self.kind, *self.paths)


def doubts_of(faults: Iterable[Fault], findings: Mapping[str, str]) -> tuple[Doubt, ...]:
    """Return the doubts, errors first. Faults that are not about single films are passed over.

    Args:
        faults: Of an audit.
        findings: Path to finding of the films of the data set; other films, such as unreadable ones, are passed over.
    """
    found: dict[tuple[str, ...], Doubt] = {}
    for fault in sorted(faults, key=lambda fault: SEVERITIES.index(fault.severity)):
        for doubt in _cut(fault, check_of(fault.kind), findings):
            found.setdefault(doubt.key, doubt)
    return tuple(found.values())


def _cut(fault: Fault, check: Check, findings: Mapping[str, str]) -> Iterator[Doubt]:
    known = [path for path in fault.paths if path in findings]
    films: list[tuple[str, ...]] = []
    if check.shows == "pairs" and known[:1] == list(fault.paths[:1]):
        films = [(known[0], other) for other in known[1:]]
    elif check.shows == "films":
        films = [(path,) for path in known]
    names = set(findings.values())
    for paths in films:
        suggested = (fault.suggestions or {}).get(paths[0])
        filed = [findings[path] for path in paths]
        in_question = filed if fault.kind == _OF_BOTH else filed[:1]
        told = (fault.instead,) if fault.instead in names else open_kinds(fault.instead or "", names)
        named = [*in_question, *([suggested.finding] if suggested else told)]
        yield Doubt(
            kind=fault.kind,
            severity=fault.severity,
            title=check.title,
            reason=_suggested(filed[0], suggested) if suggested else fault.message,
            meaning=check.meaning,
            paths=paths,
            marked=tuple(range(len(in_question))),
            findings=sorted_findings(kind for name in named for kind in open_kinds(name, names) or (name,)),
            suggestion=suggested.finding if suggested else told[0] if len(told) == 1 else "",
        )


def _suggested(filed: str, one: Suggestion) -> str:
    return f"The film is labelled {filed}. A model finds {one.finding} more plausible: {percent_text(one.probability)}."
