"""claim.md: two reporting checklists with what the run's files say; the rest is marked for a person.

The items of the checklists, each in hilum's own words, are in templates/checklists.csv; what a run says of them is in
templates/claim.md.j2, one macro a fact.

Sources:
    Tejani et al. 2024, Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 update, Radiology:
    Artificial Intelligence 6(4):e240300; 44 items.
    Collins et al. 2024, TRIPOD+AI statement, BMJ 385:e078378; 27 items, several in parts.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from hilum.judge.calibration import calibration_words
from hilum.judge.external import RunMetrics
from hilum.judge.metrics import Confusion
from hilum.judge.parts import PARTS, headline_parts, judged_parts
from hilum.report.page import render
from hilum.report.run_page import OVERALL

__all__ = ["CLAIM", "TRIPOD_AI", "ClaimFacts", "Item", "claim_text"]


@dataclass(frozen=True)
class Item:
    """One item of a checklist.

    Attributes:
        number: As the checklist numbers it.
        topic: What it asks for.
        facts: Names of the facts of a run that answer it, in order: macros of claim.md.j2.
        person: What only a person can say; empty where the run says all.
    """

    number: str
    topic: str
    facts: tuple[str, ...] = ()
    person: str = ""


def _checklist(name: str) -> tuple[Item, ...]:
    text = files("hilum.report").joinpath("templates", "checklists.csv").read_text(encoding="utf-8")
    rows = (row for row in csv.DictReader(text.splitlines()) if row["checklist"] == name)
    return tuple(Item(row["number"], row["topic"], tuple(row["facts"].split()), row["person"]) for row in rows)


CLAIM, TRIPOD_AI = _checklist("CLAIM 2024"), _checklist("TRIPOD+AI")
FOR_A_PERSON = "*For a person to fill in*"
_SPLITS = ("train", "validation", "test")
_MOST_SLIPS = 6


@dataclass(frozen=True, eq=False)
class ClaimFacts:
    """All that a run knows of itself.

    Attributes:
        metadata: Of the model file.
        metrics: What metrics.json holds.
        settings: The run's settings, as config.toml holds them.
        audit: What audit.json holds.
        data_name: The data set's name.
        has_test: Whether the data set brought its test part.
        num_epochs: Epochs that were run; the head's own fit is none.
        versions: Names and versions of the software.
        kept: Which weights were kept, in a sentence; empty where it is not known.
    """

    metadata: Mapping[str, Any]
    metrics: RunMetrics
    settings: Mapping[str, Any]
    audit: Mapping[str, Any]
    data_name: str
    has_test: bool
    num_epochs: int
    versions: str
    kept: str = ""


def claim_text(facts: ClaimFacts) -> str:
    """Return claim.md: CLAIM 2024 and TRIPOD+AI, item by item."""
    judged = judged_parts(facts.metrics)
    headline = headline_parts(judged)
    kinds = Counter(fault["kind"] for fault in facts.audit["faults"])
    serious = Counter(fault["kind"] for fault in facts.audit["faults"] if fault["severity"] != "note")
    films = facts.audit["figures"]["films"]
    policy, changes = _augmentation(facts.settings["augmentation"])
    text = render(
        "claim.md.j2",
        person=Markup(FOR_A_PERSON),
        checklists={"CLAIM 2024": CLAIM, "TRIPOD+AI": TRIPOD_AI},
        **vars(facts),
        parts=PARTS,
        overall=OVERALL,
        headline=headline,
        judged=list(judged),
        right=judged[headline[0]].confusion.num_right if headline else 0,
        slips=_slips(judged[headline[0]].confusion) if headline else [],
        held_out={name: one for name, one in (facts.metrics.leave_one_source_out or {}).items() if one},
        kinds=kinds,
        serious_kinds=dict(sorted(serious.items())),
        counts={split: sum(films[split].values()) for split in _SPLITS},
        is_from_scratch=facts.settings["backbone"] == "plain-cnn" or facts.settings["weights"] == "none",
        policy=policy,
        changes=changes,
        calibration=calibration_words(facts.metadata["temperature"], facts.metadata.get("calibration") or {}),
    )
    return str(text)


def _augmentation(settings: Mapping[str, Any]) -> tuple[str, dict[str, float]]:
    """Return the policy, and the changes with their strengths that it uses."""
    policy = str(settings.get("policy", "changes"))
    unused = "policy_strength" if policy == "changes" else ""  # of the other policies
    changes = {
        name.replace("_", " "): value
        for name, value in settings.items()
        if isinstance(value, float) and value and name != unused
    }
    return policy, changes


def _slips(confusion: Confusion) -> list[tuple[int, str, str]]:
    """Return how many films of which finding were answered with which other, the most frequent mistakes first."""
    names = confusion.findings
    slips = [
        (count, names[row], names[column])
        for row, counts in enumerate(confusion.counts)
        for column, count in enumerate(counts)
        if row != column and count
    ]
    return sorted(slips, reverse=True)[:_MOST_SLIPS]
