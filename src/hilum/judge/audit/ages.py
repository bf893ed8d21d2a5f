"""Children against adults: whether age alone shows the finding.

Some public sets hold children only. Where they give one class and adults another, a model learns age: shape of the
ribs, size of the heart, the hands that hold a child. Ages are taken from DICOM, from a manifest's column ``age``, and
from the table below where a film's source is one of its sets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from hilum.data.folder import FilmRecord
from hilum.judge.audit.associations import ERROR_V, MOST_P, WARNING_V, sources_of
from hilum.judge.audit.check import AuditData, Check, Fault, Films
from hilum.judge.audit.figures import AgeGroups
from hilum.judge.contingency import cramers_v

__all__ = ["CHECKS", "KNOWN_AGES", "KnownAge", "age_confound", "age_fault", "age_group_of"]

ADULT_YEARS = 18
_LEAST_FILMS = 20


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


def age_confound(films: Films) -> AgeGroups | None:
    """Return how far children against adults goes with the finding among the training films.

    Args:
        films: Those whose finding is stated; those of the test part are left out.

    Returns:
        The counts, or None where the age of next to no film is known.
    """
    scan, findings = films.scan, films.scan.dataset.findings
    table, unknown = np.zeros((2, len(findings)), np.int64), 0
    sources, sets = sources_of(scan.dataset.records), films.sets
    for row, (record, split) in enumerate(zip(scan.dataset.records, films.splits, strict=True)):
        if split == "test":
            continue
        name = (sets[row] if sets else None) or sources[row] or scan.dataset.name
        group = age_group_of(record, films.traits[row].age_years if films.traits else None, name)
        if group is None:
            unknown += 1
        else:
            table[("child", "adult").index(group), findings.index(record.finding)] += 1
    if table.sum() < _LEAST_FILMS:
        return None
    value, p = cramers_v(table)
    counts = {
        group: dict(zip(findings, line.tolist(), strict=True))
        for group, line in zip(("child", "adult"), table, strict=True)
    }
    return AgeGroups(int(table.sum()), p, counts, n_unknown=unknown, cramers_v=value)


def age_fault(ages: AgeGroups | None) -> Fault | None:
    """Return the fault that the age group shows the finding, where it does."""
    if ages is None or ages.p >= MOST_P or ages.cramers_v < WARNING_V:
        return None
    value, children, adults = ages.cramers_v, ages.table["child"], ages.table["adult"]
    shares = [_share(name, children[name], adults[name]) for name in children if children[name] + adults[name]]
    unknown = f" The age of {ages.n_unknown} more is not known." if ages.n_unknown else ""
    message = (
        f"The films of one finding are mostly of children, those of another mostly of adults: {'; '.join(shares)}. A "
        f"model may learn age, not disease (Cramér's V {value:.2f}, {ages.n} training films).{unknown}"
    )
    return Fault("age-confound", "error" if value >= ERROR_V else "warning", message, (), value)


def _share(finding: str, children: int, adults: int) -> str:
    if not children or not adults:
        return f"all {children + adults} {finding} films are of {'children' if children else 'adults'}"
    return f"{children} of {children + adults} {finding} films are of children"


def _needs_ages(data: AuditData) -> str:
    return "" if data.figures.ages else f"The age of fewer than {_LEAST_FILMS} training films is known."


CHECKS = (
    Check(
        code="age-confound",
        title="Age shows the finding",
        severity="error",
        meaning="One finding was taken from children, another from adults. A model may tell them apart by the bones.",
        remedy="Take each finding from the same age groups.",
        find=lambda data: age_fault(data.figures.ages),
        needs=(_needs_ages,),
    ),
)
