"""The audit on the terminal: one sentence of verdict, what was found, and which checks passed or were not applied."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Sequence

from hilum.judge.audit.audit import check_of
from hilum.judge.audit.check import SEVERITIES, Check, CheckResults, Fault, Outcome
from hilum.text import printable

__all__ = ["audit_table", "group_faults", "summary_of", "verdict_words"]

_WIDTH = 180  # characters, where the output is no terminal
_LEAST_WIDTH = 60
_UNBROKEN = "\ue000"  # stands for a no-break space while rich breaks lines; rich would break there


def verdict_words(results: CheckResults) -> tuple[str, str]:
    """Return the verdict on a data set, a sentence or two, and what to do next."""
    groups = group_faults(results)
    worst = [(check, faults) for severity, check, faults in groups if severity == "error"]
    if worst:
        check, faults = worst[0]
        count = sum(len(faults) for _, faults in worst)
        found = f"Found {count:,} serious problem{'s' if count > 1 else ''} in your data. "
        said = check.summary([fault.message for fault in faults])
        return f"{found}{'The worst' if count > 1 else 'It is'}: {said}", check.remedy
    warned = [(check, faults) for severity, check, faults in groups if severity == "warning"]
    if warned:
        count = sum(len(faults) for _, faults in warned)
        words = f"{count:,} warning{'s' if count > 1 else ''}"
        return f"You can train on these films, but read the {words} first.", warned[0][0].remedy
    return "Nothing was found that speaks against training on these films.", ""


def group_faults(results: CheckResults) -> list[tuple[str, Check, list[Fault]]]:
    """Return (severity, check, faults) for each check at each severity: errors first, then in the order of checks."""
    return [
        (severity, outcome.check, faults)
        for severity in SEVERITIES
        for outcome in results.outcomes
        if (faults := [fault for fault in outcome.faults if fault.severity == severity])
    ]


def summary_of(kind: str, messages: Sequence[str]) -> str:
    """Return one line for the faults of one kind."""
    return check_of(kind).summary(messages)


def audit_table(results: CheckResults, *, width: int | None = None) -> str:
    """Return what the audit found, to fit the terminal: the verdict, then kind, severity, number of films and message.

    How the data set was read follows in whole sentences, and then what passed and what could not be checked.

    Args:
        results: What came of the checks.
        width: In characters; the terminal's by default.
    """
    columns = max(width or shutil.get_terminal_size((_WIDTH, 24)).columns, _LEAST_WIDTH)
    groups = group_faults(results)
    verdict, remedy = verdict_words(results)
    lines = [verdict, *([f"What to do: {remedy}"] if remedy else [])]
    if shown := [one for one in groups if one[1].shows != "sentences"]:
        lines += ["", *_table(shown, columns), ""]
    lines += [fault.message for _, check, faults in groups if check.shows == "sentences" for fault in faults]
    lines += _coverage(results)
    return "".join(f"{printable(line)}\n" for line in lines)


def _table(groups: Iterable[tuple[str, Check, list[Fault]]], columns: int) -> list[str]:
    import rich.console
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, width=columns)
    table.add_column("kind", no_wrap=True)
    table.add_column("severity", no_wrap=True)
    table.add_column("films", justify="right", no_wrap=True)
    table.add_column("message", overflow="fold", ratio=1)
    for severity, check, faults in groups:
        message = printable(check.summary([fault.message for fault in faults])).replace("\u00a0", _UNBROKEN)
        table.add_row(check.code, severity, _num_films(check.code, faults), Text(message))
    text = io.StringIO()
    rich.console.Console(file=text, width=columns, color_system=None).print(table)
    return [line.rstrip().replace(_UNBROKEN, "\u00a0") for line in text.getvalue().splitlines() if line.strip()]


def _num_films(kind: str, faults: Sequence[Fault]) -> str:
    """Return how many films faults are about: of a leak the test films, else all that are named; none is a dash."""
    if kind == "leak":
        paths = {fault.paths[0] for fault in faults if fault.paths}
    else:
        paths = {path for fault in faults for path in fault.paths}
    return str(len(paths)) if paths else "–"


def _coverage(results: CheckResults) -> list[str]:
    """Return which checks passed, and which were not applied or ignored, with the reason."""
    lines = []
    if passed := results.of_status("passed"):
        lines.append(f"Passed: {', '.join(one.check.code for one in passed)}.")
    for heading, outcomes in (
        ("Not checked", results.of_status("not_applicable")),
        ("Ignored", results.of_status("ignored")),
    ):
        reasons: dict[str, list[Outcome]] = {}
        for one in outcomes:
            reasons.setdefault(one.why, []).append(one)
        lines += [f"{heading}: {', '.join(one.check.code for one in some)}. {why}" for why, some in reasons.items()]
    return lines
