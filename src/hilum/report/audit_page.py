"""The audit's page: what is wrong with a data set, on one page that can be read without having heard of hilum.

It says first whether the films may be trained on, then shows each kind of fault with what it means and what to do,
then the figures behind it. Pairs of films stand side by side; their number and size are bounded, so that the page of
thousands of films stays a few megabytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hilum.judge.audit.audit import Audit
from hilum.judge.audit.check import Check, Fault, Status
from hilum.judge.audit.trivial import TRIVIAL_MODELS
from hilum.judge.audit.trivial_scores import severity_of
from hilum.report.audit_pictures import accuracy_scale, film_image, seen_image
from hilum.report.audit_table import group_faults, verdict_words
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
        Section("checks", "What was checked", _checks(audit)),
        Section("trivial", "What can be told without reading the lungs", _trivial(audit)),
        Section("traits", "What goes with the finding", _traits(audit.data.figures.get("traits") or ())),
        Section("ages", "Children and adults", _ages(audit.data.figures.get("ages"))),
        Section("films", "Films", _films(audit)),
        Section("terms", "Terms", _terms()),
    ]
    return html_page(
        audit.data.scan.dataset.name, "hilum audit", _verdict(audit), sections, styles=("report.css", "audit.css")
    )


def _verdict(audit: Audit) -> str:
    count = {name: sum(fault.severity == name for fault in audit.faults) for name in _SEVERITIES}
    heading, remedy = verdict_words(audit.results)
    points = "".join(
        f"<li>{escape(check.title)}</li>" for severity, check, _ in group_faults(audit.results) if severity == "error"
    )
    figures = audit.data.figures
    parts = {name: sum(numbers.values()) for name, numbers in figures["films"].items()}
    said = ", ".join(f"{number} {name}" for name, number in parts.items() if number)
    tally = "".join(
        f"<span><b>{number}</b> {name}{'s' if number != 1 else ''}</span>" for name, number in count.items()
    )
    return (
        f'<section class="verdict{" bad" if count["error"] else ""}" aria-label="Verdict"><h2>{escape(heading)}</h2>'
        f"{f'<p>{escape(remedy)}</p>' if remedy else ''}"
        f"{f'<ul>{points}</ul>' if points else ''}"
        f'<p class="tally">{tally}<span class="lede">{figures["num_films"]} films read ({said}), '
        f"{figures['num_unreadable']} unreadable</span></p></section>"
    )


# --- faults ---------------------------------------------------------------------------------------------------------


def _found(audit: Audit) -> str:
    rows = []
    for severity, check, faults in group_faults(audit.results):
        messages = [fault.message for fault in faults]
        if len(faults) == 1 or check.shows == "pairs":
            said = f"<p>{escape(check.summary(messages))}</p>"
        else:
            shown = "".join(f"<li>{escape(message)}</li>" for message in messages[:_MOST_SAID])
            more = f"<li>and {len(messages) - _MOST_SAID} more</li>" if len(messages) > _MOST_SAID else ""
            said = f'<ul class="said">{shown}{more}</ul>'
        advice = " ".join(part for part in (check.meaning, check.remedy) if part)
        rows.append(
            f'<li class="{severity}"><span class="severity">{_SEVERITIES[severity]}</span>'
            f'<div><h3>{escape(check.title)}</h3>{said}<p class="lede">{escape(advice)}</p>'
            f"{_listing(check, faults)}{_pictures(audit, check, faults)}</div></li>"
        )
    if not rows:
        return "<p>Nothing.</p>"
    return f'<ul class="faults found">{"".join(rows)}</ul>'


def _listing(check: Check, faults: Sequence[Fault]) -> str:
    if check.shows == "pairs":
        lines = [" = ".join(fault.paths) for fault in faults if fault.paths]
    else:
        lines = [path for fault in faults for path in fault.paths]
    if not lines:
        return ""
    rows = "".join(f"<li>{escape(line)}</li>" for line in lines[:_MOST_LINES])
    if len(lines) > _MOST_LINES:
        rows += f"<li>and {len(lines) - _MOST_LINES} more, in audit.json</li>"
    noun = "case" if check.shows == "pairs" else "film"
    return f"<details><summary>{len(lines)} {noun}{'s' if len(lines) > 1 else ''}</summary><ul>{rows}</ul></details>"


def _pictures(audit: Audit, check: Check, faults: Sequence[Fault]) -> str:
    """Return the films of a kind of fault, those of a pair side by side."""
    if check.shows not in {"pairs", "films"}:
        return ""
    shown = [fault.paths for fault in faults if fault.paths]
    if check.shows == "films":
        shown = [(path,) for paths in shown for path in paths]
    of = {
        record.path: (record, split)
        for record, split in zip(audit.data.scan.dataset.records, audit.data.splits, strict=True)
    }
    figures = []
    for paths in shown[:_MOST_FIGURES]:
        films = "".join(film_image(audit.data.scan.dataset.root / path, path) for path in paths[:_MOST_BESIDE])
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


def _checks(audit: Audit) -> str:
    """Return which checks passed, and which could not be applied or were ignored, with the reason."""
    blocks = []
    passed = audit.results.of_status("passed")
    if passed:
        rows = "".join(f"<li>{escape(one.check.title)}</li>" for one in passed)
        blocks.append(f"<details><summary>{len(passed)} checks found nothing</summary><ul>{rows}</ul></details>")
    statuses: tuple[tuple[Status, str], ...] = (
        ("not_applicable", "Could not be applied"),
        ("ignored", "Ignored, as you asked"),
    )
    for status, words in statuses:
        rows = "".join(
            f"<li>{escape(one.check.title)}: {escape(one.why)}</li>" for one in audit.results.of_status(status)
        )
        if rows:
            blocks.append(f"<h3>{words}</h3><ul>{rows}</ul>")
    return "".join(blocks)


# --- figures --------------------------------------------------------------------------------------------------------


def _trivial(audit: Audit) -> str:
    scores = audit.data.figures.get("trivial_models") or {}
    shown = [model for model in TRIVIAL_MODELS if (scores.get(model.name) or {}).get("cross_validation")]
    if not shown:
        return "<p>There are too few films to say: cross-validation needs several groups of each finding.</p>"
    chance = scores[shown[0].name]["cross_validation"]["chance"]
    has_test = any(scores[model.name]["test"] for model in shown)
    rows = []
    for model in shown:
        crossed, test = scores[model.name]["cross_validation"], scores[model.name]["test"]
        told = severity_of(model.name, scores) or ""
        rows.append(
            f'<tr class="{told}"><td>{seen_image(audit.data.traits[0].thumbnail, model.name)}</td>'
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
    films = {name: counts for name, counts in audit.data.figures["films"].items() if any(counts.values())}
    rows = "".join(
        f'<tr><th scope="row">{escape(finding)}</th>'
        + "".join(f"<td>{counts[finding]}</td>" for counts in films.values())
        + "</tr>"
        for finding in audit.data.scan.dataset.findings
    )
    heads = "".join(f'<th scope="col">{name.capitalize()}</th>' for name in films)
    figures = audit.data.figures
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
