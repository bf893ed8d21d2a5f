"""The report's section on answers that are no single finding: refused films with their reasons, and conformal sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hilum.console import count_of
from hilum.judge.calibrate import LEAST_FINDING_FILMS, set_figures
from hilum.judge.intervals import Interval, proportion
from hilum.judge.parts import PARTS
from hilum.judge.predictions import LabelledPredictions
from hilum.report.page import Section, render
from hilum.run.modelfile import Metadata
from hilum.text import percent

__all__ = ["answers_section", "sets_fact"]


def sets_fact(metadata: Metadata) -> str:
    """Return what stands behind the conformal sets: the coverage asked for and the films behind each threshold."""
    parts: list[str] = []
    for finding, limit in metadata.conformal.items():
        kind = "out-of-fold" if limit.get("method") == "cross" else "validation"
        if "shared" in limit:
            few = "" if limit["shared_n"] >= LEAST_FINDING_FILMS else " (few)"
            words = f"{count_of(limit['shared_n'], f'{kind} film')} of {_listed(limit['shared'])} together{few}"
            parts += [words] if words not in parts else []
        else:
            few = "" if limit.get("n", 0) >= LEAST_FINDING_FILMS else " (few)"
            parts.append(f"{count_of(limit.get('n', 0), f'{kind} film')} of {finding}{few}")
    return f"coverage {percent(metadata.coverage)} %, made from {'; '.join(parts)}" if parts else "none"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


@dataclass(frozen=True)
class _Row:
    """The sets and refusals of one part of the films."""

    part: str
    n: int
    refused: Interval
    covered: Interval
    mean_size: float
    single: float
    empty: float


def answers_section(parts: Mapping[str, LabelledPredictions], metadata: Metadata) -> Section:
    """Return the section on refused films and conformal sets.

    Args:
        parts: LabelledPredictions by the names of the report's parts.
        metadata: The model's, with the conformal thresholds.
    """
    judged = {PARTS[name][0]: parts[name] for name in PARTS if name in parts and parts[name].answers}
    refused, codes = _refused(judged.values())
    html = render(
        "answers.html.j2",
        rows=[_row(name, verdicts, metadata) for name, verdicts in judged.items()],
        coverage=metadata.coverage,
        sets=sets_fact(metadata),
        refused=refused,
        codes=codes,
    )
    return Section("answers", "Sets and refusals", html)


def _row(part: str, verdicts: LabelledPredictions, metadata: Metadata) -> _Row:
    figures = set_figures(verdicts.probabilities, verdicts.truth, verdicts.findings, metadata.conformal)
    num = figures["n"]
    return _Row(
        part=part,
        n=num,
        refused=proportion(sum(not answer.accepted for answer in verdicts.answers), num),
        covered=proportion(figures["num_covered"], num),
        mean_size=figures["mean_size"],
        single=figures["num_single"] / num,
        empty=figures["num_empty"] / num,
    )


def _refused(parts: Iterable[LabelledPredictions]) -> tuple[dict[str, str], Counter[str]]:
    """Return path -> reasons of the refused films, each once, and how often each reason's code was given."""
    reasons: dict[str, str] = {}
    codes: Counter[str] = Counter()
    for verdicts in parts:
        for record, answer in zip(verdicts.records, verdicts.answers, strict=True):
            if not answer.accepted and record.path not in reasons:
                codes.update(reason.code for reason in answer.reasons)
                reasons[record.path] = " ".join(reason.message for reason in answer.reasons)
    return reasons, codes
