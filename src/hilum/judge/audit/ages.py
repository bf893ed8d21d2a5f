"""Children against adults: whether age alone tells the finding.

Some public sets hold children only. Where they give one class and adults another, a model learns age: shape of the
ribs, size of the heart, the hands that hold a child. Ages are taken from DICOM, from a manifest's column ``age``, and
from the table below where a film's source is one of its sets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hilum.data.folder import FilmRecord
from hilum.data.scan import Scan
from hilum.judge.audit.associations import cramers_v, sources_of
from hilum.judge.audit.fault import Fault
from hilum.judge.audit.traits import FilmTraits

__all__ = ["KNOWN_AGES", "KnownAge", "age_confound", "age_faults", "age_group_of"]

ADULT_YEARS = 18
ERROR_V, WARNING_V = 0.8, 0.3
_LEAST_FILMS = 20
_MOST_P = 0.001


@dataclass(frozen=True)
class KnownAge:
    """What is known of the ages in a public set.

    Attributes:
        words: What its name holds, as a regular expression, lower case.
        findings: The findings it is known of; of all where empty.
        group: "child" or "adult".
        source: Who says so.
    """

    words: str
    findings: tuple[str, ...]
    group: str
    source: str


_PNEUMONIAS = ("Viral Pneumonia", "Bacterial Pneumonia")
KNOWN_AGES: tuple[KnownAge, ...] = (  # the first that fits counts
    KnownAge(
        "kermany|chest_xray$|pneumoniamnist|guangzhou|labeled-chest-x-ray",
        (),
        "child",
        "Kermany 2018, Cell 172: children of one to five years, Guangzhou Women and Children's Medical Center",
    ),
    KnownAge("vindr-?pcxr|pediatric|paediatric", (), "child", "Pham 2022, VinDr-PCXR: under ten years"),
    KnownAge("covid-?19-image-dataset", ("Normal", *_PNEUMONIAS), "child", "its Normal and Viral films are Kermany's"),
    KnownAge("covid-?19-image-dataset", ("Covid-19",), "adult", "its Covid-19 films are from publications on adults"),
    KnownAge(
        "radiography.?(db|database)",
        _PNEUMONIAS,
        "child",
        "Chowdhury 2020, IEEE Access 8: its viral pneumonia films are Kermany's",
    ),
    KnownAge("radiography.?(db|database)", ("Covid-19",), "adult", "collected from publications on adults"),
    KnownAge(
        "^(?!.*ozturk).*(ieee8023|covid-chestxray|figure1|covid-cxnet)",
        (),
        "adult",
        "Cohen 2020: published cases, nearly all of adults",
    ),
    KnownAge("ozturk", ("Covid-19",), "adult", "Ozturk 2020: its Covid-19 films are Cohen's"),
    KnownAge("montgomery|shenzhen", (), "adult", "Jaeger 2014: screening for tuberculosis, few under 18 years"),
)


def age_group_of(record: FilmRecord, age_years: float | None, set_name: str | None) -> str | None:
    """Return "child" or "adult", or None where nothing says it.

    Args:
        record: The film, with the manifest's age.
        age_years: As DICOM has it.
        set_name: The public set it comes from, or what stands for its name.
    """
    years = record.age_years if record.age_years is not None else age_years
    if years is not None:
        return "child" if years < ADULT_YEARS else "adult"
    named = (set_name or "").lower()
    for known in KNOWN_AGES:
        if re.search(known.words, named) and (not known.findings or record.finding in known.findings):
            return known.group
    return None


def age_confound(
    scan: Scan, splits: Sequence[str], traits: Sequence[FilmTraits], sets: Sequence[str | None] = ()
) -> dict[str, Any] | None:
    """Return how far children against adults goes with the finding among the training films.

    Args:
        scan: The films.
        splits: The split of each; those of the test part are left out.
        traits: Of each; may be empty.
        sets: The public set each film was recognised as, where that is known.

    Returns:
        {"n", "n_unknown", "cramers_v", "p", "table": {"child" and "adult": {finding: n}}}, or None where the age of
        next to no film is known.
    """
    findings = scan.dataset.findings
    table, unknown = np.zeros((2, len(findings)), np.int64), 0
    sources = sources_of(scan.dataset.records)
    for row, (record, split) in enumerate(zip(scan.dataset.records, splits, strict=True)):
        if split == "test":
            continue
        name = (sets[row] if sets else None) or sources[row] or scan.dataset.name
        group = age_group_of(record, traits[row].age_years if traits else None, name)
        if group is None:
            unknown += 1
        else:
            table[("child", "adult").index(group), findings.index(record.finding)] += 1
    if table.sum() < _LEAST_FILMS:
        return None
    value, p = cramers_v(table)
    return {
        "n": int(table.sum()),
        "n_unknown": unknown,
        "cramers_v": value,
        "p": p,
        "table": {
            group: dict(zip(findings, line.tolist(), strict=True))
            for group, line in zip(("child", "adult"), table, strict=True)
        },
    }


def age_faults(figures: dict[str, Any] | None) -> list[Fault]:
    """Return the fault that age tells the finding, where it does."""
    if figures is None or figures["p"] >= _MOST_P or figures["cramers_v"] < WARNING_V:
        return []
    value, children, adults = figures["cramers_v"], figures["table"]["child"], figures["table"]["adult"]
    told = [
        f"{name} {children[name]} children and {adults[name]} adults"
        for name in children
        if children[name] + adults[name]
    ]
    message = (
        f"Age tells the finding (Cramér's V {value:.2f}): {'; '.join(told)}. The age group of {figures['n']} training "
        f"films is known, of {figures['n_unknown']} it is not."
    )
    return [Fault("age-confound", "error" if value >= ERROR_V else "warning", message, (), value)]
