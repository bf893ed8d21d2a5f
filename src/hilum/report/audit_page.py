"""The audit's page: what is wrong with a data set, on one page that can be read without having heard of hilum.

It says first whether the films may be trained on, then shows each kind of fault with what it means and what to do,
then the figures behind it. Pairs of films stand side by side; their number and size are bounded, so that the page of
thousands of films stays a few megabytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hilum.judge.audit.all_faults import Audit
from hilum.judge.audit.trivial import TRIVIAL_MODELS
from hilum.report.audit_kinds import PAIRED_KINDS, PICTURED_KINDS, group_faults, kind_text, summary_of
from hilum.report.audit_pictures import accuracy_scale, film_image, seen_image
from hilum.report.page import Section, html_page
from hilum.text import escape, percent, range_text

__all__ = ["audit_page"]

_MOST_FIGURES = 24  # of one kind of fault
_MOST_BESIDE = 4  # films in one figure
_MOST_LINES = 200
_MOST_SAID = 12
_SEVERITIES = {"error": "Error", "warning": "Warning", "note": "Note"}
_TERMS = (
    ("Twin", "The same picture once more, identical or nearly so: another size, compression, contrast or mark."),
    ("Training part, test part", "The films a model learns from; the films it is judged on and must never have seen."),
    ("Chance", "What is right if every film is given the commonest finding."),
    (
        "Grouped cross-validation",
        "The training films in five parts; each part is answered by a model that learnt from the other four. Twins and "
        "films of one patient stay in one part.",
    ),
    ("95 % interval", "Values that this many films cannot rule out."),
    ("Macro-F1", "The mean over the findings of the harmonic mean of precision and recall."),
    (
        "Cramér's V",
        "How closely two properties go together: 0 not at all, 1 one gives the other. Corrected for chance.",
    ),
    ("Severity", "Error: do not train on the films as they are. Warning: know it before you believe a figure."),
)


def audit_page(audit: Audit) -> str:
    """Return the audit as one self-contained HTML page; everything in the data is escaped.

    Args:
        audit: What was found. The films of its pairs are read again for their pictures; one that can no longer be
            read is shown as missing.
    """
    sections = [
        Section("found", "What was found", _found(audit)),
        Section("trivial", "What can be told without reading the lungs", _trivial(audit)),
        Section("traits", "What goes with the finding", _traits(audit.figures.get("traits") or ())),
        Section("ages", "Children and adults", _ages(audit.figures.get("ages"))),
        Section("films", "Films", _films(audit)),
        Section("terms", "Terms", _terms()),
    ]
    return html_page(
        audit.scan.dataset.name, "hilum audit", _verdict(audit), sections, styles=("report.css", "audit.css")
    )


def _verdict(audit: Audit) -> str:
    count = {name: sum(fault.severity == name for fault in audit.faults) for name in _SEVERITIES}
    groups = group_faults([fault.to_dict() for fault in audit.faults])
    if count["error"]:
        heading = "Do not train on these films as they are."
    elif count["warning"]:
        heading = "These films may be trained on; know their weaknesses first."
    else:
        heading = "Nothing was found that speaks against training on these films."
    points = "".join(
        f"<li>{escape(kind_text(kind).heading)}</li>" for severity, kind, _ in groups if severity == "error"
    )
    figures = audit.figures
    parts = {name: sum(numbers.values()) for name, numbers in figures["films"].items()}
    said = ", ".join(f"{number} {name}" for name, number in parts.items() if number)
    tally = "".join(
        f"<span><b>{number}</b> {name}{'s' if number != 1 else ''}</span>" for name, number in count.items()
    )
    return (
        f'<section class="verdict{" bad" if count["error"] else ""}" aria-label="Verdict"><h2>{heading}</h2>'
        f"{f'<ul>{points}</ul>' if points else ''}"
        f'<p class="tally">{tally}<span class="lede">{figures["num_films"]} films read ({said}), '
        f"{figures['num_unreadable']} unreadable</span></p></section>"
    )


# --- faults ---------------------------------------------------------------------------------------------------------


def _found(audit: Audit) -> str:
    rows = []
    for severity, kind, faults in group_faults([fault.to_dict() for fault in audit.faults]):
        text = kind_text(kind)
        messages = [str(fault["message"]) for fault in faults]
        if len(faults) == 1 or kind in PAIRED_KINDS:
            said = f"<p>{escape(summary_of(kind, faults))}</p>"
        else:
            shown = "".join(f"<li>{escape(message)}</li>" for message in messages[:_MOST_SAID])
            more = f"<li>and {len(messages) - _MOST_SAID} more</li>" if len(messages) > _MOST_SAID else ""
            said = f'<ul class="said">{shown}{more}</ul>'
        advice = " ".join(part for part in (text.meaning, text.remedy) if part)
        rows.append(
            f'<li class="{severity}"><span class="severity">{_SEVERITIES[severity]}</span>'
            f'<div><h3>{escape(text.heading)}</h3>{said}<p class="lede">{escape(advice)}</p>'
            f"{_listing(kind, faults)}{_pictures(audit, kind, faults)}</div></li>"
        )
    if not rows:
        return "<p>Nothing.</p>"
    return f'<ul class="faults found">{"".join(rows)}</ul>'


def _listing(kind: str, faults: Sequence[Mapping[str, Any]]) -> str:
    if kind in PAIRED_KINDS:
        lines = [" = ".join(str(path) for path in fault["paths"]) for fault in faults if fault["paths"]]
    else:
        lines = [str(path) for fault in faults for path in fault["paths"]]
    if not lines:
        return ""
    rows = "".join(f"<li>{escape(line)}</li>" for line in lines[:_MOST_LINES])
    if len(lines) > _MOST_LINES:
        rows += f"<li>and {len(lines) - _MOST_LINES} more, in audit.json</li>"
    noun = "case" if kind in PAIRED_KINDS else "film"
    return f"<details><summary>{len(lines)} {noun}{'s' if len(lines) > 1 else ''}</summary><ul>{rows}</ul></details>"


def _pictures(audit: Audit, kind: str, faults: Sequence[Mapping[str, Any]]) -> str:
    """Return the films of a kind of fault, those of a pair side by side."""
    if kind not in PAIRED_KINDS + PICTURED_KINDS:
        return ""
    shown = [tuple(fault["paths"]) for fault in faults if fault["paths"]]
    if kind not in PAIRED_KINDS:
        shown = [(path,) for paths in shown for path in paths]
    of = {record.path: (record, split) for record, split in zip(audit.scan.dataset.records, audit.splits, strict=True)}
    figures = []
    for paths in shown[:_MOST_FIGURES]:
        films = "".join(film_image(audit.scan.dataset.root / path, path) for path in paths[:_MOST_BESIDE])
        names = []
        for path in paths[:_MOST_BESIDE]:
            record, split = of.get(path, (None, ""))
            filed = f" ({escape(record.finding)}, {split})" if record else ""
            names.append(f"{escape(path)}{filed}")
        if len(paths) > _MOST_BESIDE:
            names.append(f"and {len(paths) - _MOST_BESIDE} more")
        figures.append(f'<figure><div class="side">{films}</div><figcaption>{"<br>".join(names)}</figcaption></figure>')
    if len(shown) > _MOST_FIGURES:
        figures.append(f"<p>and {len(shown) - _MOST_FIGURES} more, in audit.json</p>")
    return f'<div class="films">{"".join(figures)}</div>'


# --- figures --------------------------------------------------------------------------------------------------------


def _trivial(audit: Audit) -> str:
    scores = audit.figures.get("trivial_models") or {}
    shown = [model for model in TRIVIAL_MODELS if (scores.get(model.name) or {}).get("cross_validation")]
    if not shown:
        return "<p>There are too few films to say: cross-validation needs several groups of each finding.</p>"
    severities = {fault.message: fault.severity for fault in audit.faults}
    chance = scores[shown[0].name]["cross_validation"]["chance"]
    has_test = any(scores[model.name]["test"] for model in shown)
    rows = []
    for model in shown:
        crossed, test = scores[model.name]["cross_validation"], scores[model.name]["test"]
        told = next((severity for message, severity in severities.items() if f"from {model.sees} alone" in message), "")
        rows.append(
            f'<tr class="{told}"><td>{seen_image(audit.traits[0].thumbnail, model.name)}</td>'
            f'<th scope="row">{escape(model.title)}<small>{escape(model.sees[0].upper() + model.sees[1:])}</small></th>'
            f"{_cell(crossed['accuracy'])}<td>{accuracy_scale(crossed)}</td><td>{_f1(crossed)}</td>"
            + (f"{_cell(test['accuracy'])}" if test else ("<td>–</td>" if has_test else ""))
            + "</tr>"
        )
    first = scores[shown[0].name]
    tested = (
        f'<th scope="col">Test part<br>n = {first["test"]["n"]}, chance {percent(first["test"]["chance"])}</th>'
        if has_test
        else ""
    )
    return (
        '<p class="lede">None of these simple models can read a lung. The further they are above chance, the less a '
        "good figure of any model on these films says about reading lungs.</p>"
        '<div class="scroll" role="region" tabindex="0" aria-label="Trivial models"><table class="wide seen"><caption>'
        "Per cent right, 95&nbsp;% intervals beneath. In the drawing the upright line is chance: "
        f"{percent(chance)}&nbsp;% are right if every film is given the commonest finding.</caption><thead><tr>"
        '<th scope="col">One film</th><th scope="col" style="text-align:left">What the model sees</th>'
        f'<th scope="col">Cross-validation<br>n = {first["cross_validation"]["n"]}</th>'
        f'<th scope="col">0 to 100</th><th scope="col">Macro-F1</th>{tested}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _traits(traits: Sequence[Mapping[str, Any]]) -> str:
    if not traits:
        return ""
    blocks = []
    for order, one in enumerate(traits):
        value, findings = one["cramers_v"], list(next(iter(one["table"].values())))
        totals = {name: sum(counts[name] for counts in one["table"].values()) for name in findings}
        rows = "".join(
            f'<tr><th scope="row">{escape(category)}</th>'
            + "".join(_share(counts[name], totals[name]) for name in findings)
            + "</tr>"
            for category, counts in one["table"].items()
        )
        heads = "".join(f'<th scope="col">{escape(name)}<br>n = {totals[name]}</th>' for name in findings)
        summary = f"{one['title']}: Cramér's V {value['value']:.2f} ({value['low']:.2f}–{value['high']:.2f})"
        blocks.append(
            f'<details class="part"{" open" if order == 0 else ""}><summary>{escape(summary)}</summary>'
            f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(one["title"], quote=True)}">'
            f'<table class="wide shares"><thead><tr><th scope="col">{escape(one["title"])}</th>{heads}</tr></thead>'
            f"<tbody>{rows}</tbody></table></div></details>"
        )
    return (
        '<p class="lede">Of each finding, the share of training films with each property; one film a group. In a sound '
        f"data set the columns look alike.</p>{''.join(blocks)}"
    )


def _ages(ages: Mapping[str, Any] | None) -> str:
    if not ages:
        return ""
    findings = list(ages["table"]["child"])
    totals = {name: ages["table"]["child"][name] + ages["table"]["adult"][name] for name in findings}
    rows = "".join(
        f'<tr><th scope="row">{words}</th>'
        + "".join(_share(ages["table"][group][name], totals[name]) for name in findings)
        + "</tr>"
        for group, words in (("child", "Children"), ("adult", "Adults"))
    )
    heads = "".join(f'<th scope="col">{escape(name)}<br>n = {totals[name]}</th>' for name in findings)
    return (
        f'<p class="lede">Of {ages["n"]} training films the age group is known, from DICOM, a column age, or the '
        f"public set they come from; of {ages['n_unknown']} it is not. Cramér's V {ages['cramers_v']:.2f}.</p>"
        '<div class="scroll" role="region" tabindex="0" aria-label="Age groups"><table class="wide shares"><thead><tr>'
        f'<th scope="col">Age group</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _films(audit: Audit) -> str:
    films = {name: counts for name, counts in audit.figures["films"].items() if any(counts.values())}
    rows = "".join(
        f'<tr><th scope="row">{escape(finding)}</th>'
        + "".join(f"<td>{counts[finding]}</td>" for counts in films.values())
        + "</tr>"
        for finding in audit.scan.dataset.findings
    )
    heads = "".join(f'<th scope="col">{name.capitalize()}</th>' for name in films)
    figures = audit.figures
    return (
        f'<p class="lede">{figures["num_films"]} films in {figures["num_groups"]} groups (twins and films of one '
        f"patient are one group); pairs of twins: {figures['num_twin_pairs']}.</p>"
        f'<div class="scroll"><table><thead><tr><th scope="col">Finding</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _terms() -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in _TERMS)
    return f'<dl class="terms">{rows}</dl>'


def _cell(interval: Mapping[str, float]) -> str:
    return f"<td>{percent(interval['value'])}<small>{range_text(interval)}</small></td>"


def _f1(score: Mapping[str, Any]) -> str:
    return f"{percent(score['macro_f1']['value'])}<small>{range_text(score['macro_f1'])}</small>"


def _share(count: int, total: int) -> str:
    share = count / total if total else 0.0
    return f'<td style="--share:{share:.3f}">{percent(share)} %<small>{count}</small></td>'
