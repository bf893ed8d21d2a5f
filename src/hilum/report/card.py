"""The model card: what a model is for, how it was made and measured, and what nobody has checked.

The software fills in what it knows. What only people can know is marked so, in their words' place, and never guessed.

Source: Mitchell et al. 2019, Model cards for model reporting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hilum.judge.calibrate import LEAST_FINDING_FILMS
from hilum.judge.calibration import calibration_words
from hilum.judge.chance import headline_chance
from hilum.judge.parts import PARTS, correct_films, judged_parts
from hilum.report.external import sources_table
from hilum.report.markdown import figure_text, inline, table
from hilum.report.run_page import OVERALL, PER_FINDING
from hilum.text import percent

__all__ = ["TO_FILL_IN", "model_card_text"]

TO_FILL_IN = "*To be filled in by a person*"
_HANDLED = ("name", "findings", "fingerprint", "command", "operating_thresholds", "conformal_thresholds")


def model_card_text(
    *,
    metadata: Mapping[str, Any],
    metrics: Mapping[str, Any],
    facts: Iterable[tuple[str, str]],
    faults: Sequence[Mapping[str, Any]] | None = None,
) -> str:
    """Return the model card in Markdown.

    Args:
        metadata: Shown as it is where its values are plain (text, numbers, lists of them). The keys "name", "findings"
            and "command" (how the model was made) have places of their own; any key may lack.
        metrics: What metrics.json holds: parts by name, each P or None.
        facts: What was trained, as (name, value) pairs.
        faults: What the audit found, as in audit.json; None where nobody looked.
    """
    name = inline(metadata.get("name", "model"))
    findings = [inline(finding) for finding in metadata.get("findings", ())]
    known = [(str(key), str(value)) for key, value in facts]
    told = {key.casefold() for key, _ in known}
    plain = [(key.replace("_", " "), value) for key, value in metadata.items() if _is_plain(key, value)]
    known += [(key, _plain(value)) for key, value in plain if key not in told]
    details = table(("What", "Value"), known) if known else TO_FILL_IN
    sections = [
        (f"Model card: {name}", "Research software, not a medical device."),
        (
            "Model details",
            f"{details}\n\n- Answerable for the model: {TO_FILL_IN}\n- Licence of the weights: {TO_FILL_IN}",
        ),
        ("Intended use", _intended_use(findings)),
        ("Factors", _factors()),
        ("Metrics", _metrics_text()),
        ("Training data", _data_text(metrics, ("cross_validation", "validation"), "training")),
        ("Faults of the data", _faults(faults)),
        ("Evaluation data", _data_text(metrics, ("test_clean", "test"), "evaluation")),
        ("Quantitative analyses", _analyses(metrics)),
        ("Calibration and refusal", _calibration(metadata, metrics)),
        ("Films of other sources", _sources(metrics)),
        ("Limits", _limits(metrics)),
        ("How to reproduce", _reproduce(metadata)),
    ]
    return (
        "\n\n".join(f"{'##' if order else '#'} {title}\n\n{body}" for order, (title, body) in enumerate(sections))
        + "\n"
    )


def _intended_use(findings: Sequence[str]) -> str:
    listing = ", ".join(findings) if findings else TO_FILL_IN
    return (
        f"- Task: which of these findings a frontal chest radiograph shows: {listing}.\n"
        "- For research and teaching only. It is not a medical device, has no clearance, and must not be used to "
        "diagnose, to treat or to decide about a person.\n"
        "- Out of scope: lateral films, other body parts, CT slices, photographs of films, findings that are not in "
        "the list. A film with another disease still gets one of the listed answers, unless it is refused.\n"
        f"- Intended users and setting: {TO_FILL_IN}"
    )


def _factors() -> str:
    return (
        "Figures may differ by age, sex, projection (PA, AP), hospital, device and severity of disease. The software "
        "does not know these of every film, so the figures below are not split by them.\n\n"
        f"- Ages and sexes of the patients: {TO_FILL_IN}\n"
        f"- Hospitals and devices: {TO_FILL_IN}\n"
        "- Whether the findings come from different sources (children in one, adults in another): "
        f"{TO_FILL_IN}; the audit reports what it can tell"
    )


def _metrics_text() -> str:
    return (
        "Accuracy, balanced accuracy, macro F1 and AUROC over the findings; precision, recall, F1, AUROC, sensitivity "
        "and specificity of each. Sensitivity and specificity hold at operating thresholds chosen on validation films. "
        "Intervals are 95 %: Wilson's for accuracy, else a bootstrap over groups (twins and a patient's films stay "
        "together). Calibration error: 15 bins of the top probability."
    )


def _data_text(metrics: Mapping[str, Any], names: Sequence[str], purpose: str) -> str:
    lines = []
    for name in names:
        figures = metrics.get(name)
        if not figures:
            continue
        per_finding = ", ".join(f"{inline(key)} {value['n']}" for key, value in figures["per_finding"].items())
        lines.append(f"- {PARTS[name][0]} ({PARTS[name][1]}): {figures['n']} films: {per_finding}")
    if not lines:
        lines.append(f"- No {purpose} films were judged.")
    lines.append(f"- Origin, period, inclusion and licence of the {purpose} films: {TO_FILL_IN}")
    lines.append(f"- Reference standard (who labelled the {purpose} films, and how): {TO_FILL_IN}")
    return "\n".join(lines)


def _faults(faults: Sequence[Mapping[str, Any]] | None) -> str:
    if faults is None:
        return TO_FILL_IN
    if not faults:
        return "The audit found none. It looks for what it knows; see audit.json."
    kinds: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for fault in faults:
        kinds.setdefault((str(fault["severity"]), str(fault["kind"])), []).append(fault)
    rows = [(severity, kind, str(len(found)), str(found[0]["message"])) for (severity, kind), found in kinds.items()]
    return "Found by the audit before training; audit.json names the films.\n\n" + table(
        ("Severity", "Kind", "Cases", "The first"), rows
    )


def _calibration(metadata: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    lines = []
    if "temperature" in metadata:
        facts = metadata.get("calibration") or (metadata.get("ensemble") or {}).get("calibration") or {}
        said = calibration_words(metadata["temperature"], facts)
        if not facts and metrics.get("validation"):
            said += f", set on {metrics['validation']['n']} validation films"
        lines.append(f"- Probabilities: {said}.")
    conformal = metadata.get("conformal") or {}
    if conformal:
        behind = ", ".join(f"{inline(name)} {values['n']}" for name, values in conformal.items())
        kinds = sorted(
            {"out-of-fold" if values.get("method") == "cross" else "validation" for values in conformal.values()}
        )
        told = f"within each finding, from {' and '.join(kinds)} films: {behind}"
        if any("shared" in values for values in conformal.values()):
            told += f"; findings with fewer than {LEAST_FINDING_FILMS} share one limit, and its coverage, together"
        lines.append(
            f"- Sets of findings: coverage {metadata.get('coverage', 0.9):.0%} {told}. With fewer than nine films "
            "nothing is promised."
        )
    gate = metadata.get("gate") or {}
    strange = (
        ", and those strange to the model: far from the training films, with little evidence or much doubt; of films "
        f"like its {gate['n']} validation films {gate['refused_fraction']:.1%}."
        if gate
        else "."
    )
    lines.append(
        "- Refused: films that are too small, without contrast, lateral, turned, cut off, no chest at all or without "
        "two lungs to be found" + strange
    )
    return "\n".join(lines)


def _sources(metrics: Mapping[str, Any]) -> str:
    head, rows = sources_table(metrics)
    if not rows:
        return f"{TO_FILL_IN}. `hilum evaluate` judges the model on films of another hospital."
    cells = [[cell if isinstance(cell, str) else figure_text(cell) for cell in row] for row in rows]
    return (
        "Each source judged by a model that saw none of its films. Per cent, with 95 % intervals; mean recall is over "
        f"the findings present.\n\n{table(head, cells)}"
    )


def _analyses(metrics: Mapping[str, Any]) -> str:
    names = judged_parts(metrics)
    if not names:
        return "No film was judged: there is no figure to show."
    rows = [
        (
            PARTS[name][0],
            f"{correct_films(metrics[name])} of {metrics[name]['n']}",
            figure_text(metrics[name]["accuracy"]),
            *(figure_text(metrics[name][figure]) for figure in OVERALL),
            percent(metrics[name]["ece"]),
        )
        for name in names
    ]
    head = ("Films", "Right", "Accuracy", *OVERALL.values(), "Calibration error")
    blocks = ["Per cent, with 95 % intervals. A dash: the films cannot give the figure.", table(head, rows)]
    if chance := headline_chance(metrics):
        blocks.insert(0, f"**{chance}**")
    for name in names:
        rows = [
            (finding, str(values["n"]), *(figure_text(values[figure]) for figure in PER_FINDING))
            for finding, values in metrics[name]["per_finding"].items()
        ]
        blocks.append(f"### {PARTS[name][0]}\n\n" + table(("Finding", "n", *PER_FINDING.values()), rows))
    return "\n\n".join(blocks)


def _limits(metrics: Mapping[str, Any]) -> str:
    lines = [
        "- The figures hold for films like those judged here. Films of other hospitals are often answered much worse.",
        "- Probabilities are calibrated for the mix of findings in the validation films; in another mix they are off.",
        "- Heat maps show where the network looked, not why.",
        "- The labels are taken as the truth; they may be wrong.",
    ]
    test, clean = metrics.get("test"), metrics.get("test_clean")
    if test and clean and clean["n"] < test["n"]:
        lines.insert(
            0,
            f"- {test['n'] - clean['n']} of the {test['n']} test films have a twin or a known patient in training; the "
            "clean test leaves them out, and its figures are the ones to quote.",
        )
    if not (test and test["n"]):
        lines.insert(0, "- No test films: every figure comes from films that training had a part in.")
    if not metrics.get("leave_one_source_out"):
        lines.append(f"- Tested on films of another hospital: {TO_FILL_IN}")
    return "\n".join(lines)


def _reproduce(metadata: Mapping[str, Any]) -> str:
    steps = (
        "The same films, `config.toml`, seed and versions give the same splits (`splits.csv`) and, but for the "
        "hardware's rounding, the same model. `predictions.csv` holds every answer behind the figures."
    )
    command = metadata.get("command")
    return f"{steps}\n\n    {inline(command, code=True)}" if command else steps


def _is_plain(key: str, value: object) -> bool:
    if key in _HANDLED or value in ("", (), []):
        return False
    items = value if isinstance(value, list | tuple) else [value]
    return all(isinstance(item, str | int | float) for item in items) and len(str(value)) <= 200


def _plain(value: object) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list | tuple) else str(value)
