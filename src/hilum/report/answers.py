"""The report's section on answers that are no single finding: refused films with their reasons, and conformal sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from hilum.console import count_of
from hilum.judge.calibrate import LEAST_FINDING_FILMS, set_figures
from hilum.judge.intervals import wilson_interval
from hilum.judge.parts import PARTS
from hilum.judge.predictions import LabelledPredictions
from hilum.report.page import Section
from hilum.run.modelfile import Metadata
from hilum.text import escape, percent

__all__ = ["answers_section", "sets_fact"]

_MAX_FILMS = 50


def sets_fact(metadata: Metadata) -> str:
    """Return what stands behind the conformal sets: the coverage asked for and the films behind each threshold."""
    parts: list[str] = []
    for finding, limit in metadata.conformal.items():
        kind = "out-of-fold" if limit.get("method") == "cross" else "validation"
        if "shared" in limit:
            few = "" if limit["shared_n"] >= LEAST_FINDING_FILMS else " (few)"
            told = f"{count_of(limit['shared_n'], f'{kind} film')} of {_listed(limit['shared'])} together{few}"
            parts += [told] if told not in parts else []
        else:
            few = "" if limit.get("n", 0) >= LEAST_FINDING_FILMS else " (few)"
            parts.append(f"{count_of(limit.get('n', 0), f'{kind} film')} of {finding}{few}")
    return f"coverage {percent(metadata.coverage)} %, made from {'; '.join(parts)}" if parts else "none"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def answers_section(parts: Mapping[str, LabelledPredictions], metadata: Metadata) -> Section:
    """Return the section on refused films and conformal sets.

    Args:
        parts: LabelledPredictions by the names of the report's parts.
        metadata: The model's, with the conformal thresholds.
    """
    names = [name for name in PARTS if name in parts and parts[name].answers]
    rows = "".join(_row(PARTS[name][0], parts[name], metadata) for name in names)
    heads = ("n", "Refused", "Truth in the set", "Mean set size", "One finding", "No finding fits")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    table = (
        '<div class="scroll" role="region" tabindex="0" aria-label="Sets and refusals"><table class="wide">'
        "<caption>Per cent, 95&nbsp;% intervals beneath; the set size is a number of findings.</caption>"
        f'<thead><tr><th scope="col">Part</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )
    words = (
        f'<p class="fine">The set of a film holds every finding that cannot be ruled out, always the likeliest: the '
        f"true one for {percent(metadata.coverage)}&nbsp;% of the films of each finding, as far as films are like "
        f"those the sets were made from ({escape(sets_fact(metadata))}). A film that no finding fits is refused. "
        "Refused films count here and in the figures with their likeliest finding.</p>"
    )
    return Section("answers", "Sets and refusals", (words + table if rows else "") + _refused(parts, names))


def _row(label: str, verdicts: LabelledPredictions, metadata: Metadata) -> str:
    figures = set_figures(verdicts.probabilities, verdicts.truth, verdicts.findings, metadata.conformal)
    num, refused = figures["n"], sum(not answer.accepted for answer in verdicts.answers)
    cells = (
        str(num),
        _rate(refused, num),
        _rate(figures["num_covered"], num),
        f"{figures['mean_size']:.2f}",
        percent(figures["num_single"] / num),
        percent(figures["num_empty"] / num),
    )
    return f'<tr><th scope="row">{label}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _rate(count: int, num: int) -> str:
    low, high = wilson_interval(count, num)
    return f"{percent(count / num)}<small>{percent(low)}–{percent(high)}</small>"


def _refused(parts: Mapping[str, LabelledPredictions], names: Sequence[str]) -> str:
    """Return the refused films of every part but the one within another, each with its reasons."""
    lines: dict[str, str] = {}
    codes: Counter[str] = Counter()
    for name in names:
        for record, answer in zip(parts[name].records, parts[name].answers, strict=True):
            if not answer.accepted and record.path not in lines:
                codes.update(reason.code for reason in answer.reasons)
                said = " ".join(reason.message for reason in answer.reasons)
                lines[record.path] = f"<li><b>{escape(record.path)}</b>: {escape(said)}</li>"
    if not lines:
        return '<p class="fine">No film was refused.</p>'
    counts = ", ".join(f"{code} {count}" for code, count in codes.most_common())
    more = f"<li>and {len(lines) - _MAX_FILMS} more, in predictions.csv</li>" if len(lines) > _MAX_FILMS else ""
    listing = "".join(list(lines.values())[:_MAX_FILMS]) + more
    return f"<details><summary>{len(lines)} refused: {counts}</summary><ul>{listing}</ul></details>"
