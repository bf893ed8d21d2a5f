"""An ensemble in words: its section of the report, its facts and notes, and config.toml."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hilum.judge.gains import EnsembleMetrics, Gain, MemberFigures
from hilum.judge.metrics import Performance
from hilum.report.page import Section, render
from hilum.run.modelfile import Metadata
from hilum.text import interval_words, points, points_range
from hilum.version import __version__

__all__ = ["ensemble_facts", "ensemble_notes", "ensemble_section", "ensemble_toml", "gain_text"]

_METHODS = {
    "average": "mean of the members' probabilities",
    "stack": "logistic regression on the members' answers",
}
_CALIBRATIONS = {
    "out-of-fold": "out-of-fold answers, by models of the same settings that had learned from fewer films",
    "validation": "validation films of every member",
    "held-out": "films that some members had held out, answered by those members alone",
}


def gain_text(gain: Gain, what: str) -> str:
    """Return one sentence about a paired difference.

    Args:
        gain: The difference on the same films.
        what: What is compared with what, as the sentence's subject.
    """
    difference = gain.macro_f1
    low, high = difference.low, difference.high
    is_clear = low is not None and high is not None and (low > 0 or high < 0)
    return (
        f"{what}: {gain.right[1]} of {gain.n} films right against {gain.right[0]}, macro F1 "
        f"{points(difference.value)} points{interval_words(points_range(difference))}"
        f"{'' if is_clear else '; these films cannot say which is better'}."
    )


def ensemble_section(metadata: Metadata, metrics: EnsembleMetrics) -> Section:
    """Return the report's section: the members, each with its figures, and what the ensemble gains."""
    gains, crossed = metrics.ensemble, metrics.cross_validation
    rows: list[tuple[str, str, MemberFigures | Performance]] = [
        (member.name, f"{member.backbone}, seed {member.seed}", member) for member in gains.members
    ]
    said = []
    if crossed:
        rows.append(("The ensemble", metadata.ensemble["method"], crossed))
        said.append("Films of train and validation, each answered by models that saw neither it nor its group.")
    if gains.best_member:
        said.append(gain_text(gains.best_member, f"The ensemble against its best member, {gains.best_member.name}"))
        said.append("That member was chosen as the best on these very films, which makes it look better than it is.")
    elif not crossed:
        said.append("Not every member has out-of-fold answers, so what the ensemble gains cannot be measured.")
    return Section("ensemble", "Members", render("ensemble.html.j2", rows=rows, said=said))


def ensemble_facts(metadata: Metadata, splits: Sequence[str]) -> list[tuple[str, str]]:
    """Return what was put together, as (name, value) pairs."""
    facts, calibration = metadata.ensemble, metadata.ensemble["calibration"]
    counts = {name: splits.count(name) for name in ("train", "validation", "test")}
    rows = [
        ("Method", _METHODS[facts["method"]]),
        *(
            (f"Member {number}", f"{one['name']}: {one['backbone']}, seed {one['seed']}, {one['size_px']} px")
            for number, one in enumerate(facts["members"], start=1)
        ),
        ("Films", ", ".join(f"{count} {name}" for name, count in counts.items()) + " (as all members have them)"),
        ("Input", f"{metadata.preprocessing.size_px} x {metadata.preprocessing.size_px} pixels, grey"),
        ("Calibrated on", f"{calibration['n']} films: {_CALIBRATIONS[calibration['method']]}"),
        ("Temperature", f"{metadata.temperature:.3f}"),
        (
            "Sealed graph against members",
            f"at most {metadata.agreement['largest_difference']:.1e} apart in probability on "
            f"{metadata.agreement['n']} films",
        ),
        ("Versions", f"hilum {__version__}"),
    ]
    if "stack" in facts:
        rows.insert(1, ("Regularisation of the stack", f"C = {facts['stack']['penalty']:g}"))
    return rows


def ensemble_notes(metadata: Metadata, *, has_films: bool) -> list[str]:
    """Return what the reader of the figures must know."""
    calibration = metadata.ensemble["calibration"]
    notes = ["The audit is that of the first member's run."]
    if calibration["is_stand_in"]:
        notes.append(
            f"The calibration is a stand-in: a film's held-out answer came from {calibration['mean_members']:g} of the "
            f"{calibration['num_members']} members on average, since the others had learned from it. Probabilities and "
            "sets of the whole ensemble are likely to be too cautious."
        )
    if not has_films:
        notes.append(
            "The figures were computed from the members' own answers; the films were not judged again. The sealed "
            "graph was compared with its members on drawn films."
        )
    sizes = {member["size_px"] for member in metadata.ensemble["members"]}
    if len(sizes) > 1:
        notes.append(
            f"Members of {', '.join(f'{size} px' for size in sorted(sizes)[:-1])} get their films reduced from "
            f"{max(sizes)} px inside the graph, which is not quite what they were trained on."
        )
    return notes


def ensemble_toml(metadata: Metadata) -> str:
    """Return config.toml: the method and the members with their SHA-256."""
    facts = metadata.ensemble
    lines = [f"method = {json.dumps(facts['method'])}", f"mirror = {str(facts['mirror']).lower()}"]
    for member in facts["members"]:
        lines += ["", "[[members]]"]
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in member.items()]
    return "\n".join(lines) + "\n"
