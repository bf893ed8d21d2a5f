"""The vocabulary of findings: standard names, names of folders, and SNOMED CT codes.

A folder may have any name. A name that is listed here becomes the standard name; any other name is kept.

Source of the codes: SNOMED CT, international edition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hilum.text import folded, printable

__all__ = [
    "FINDINGS",
    "LONGEST_NAME",
    "NORMAL",
    "OTHER_ABNORMALITY",
    "Finding",
    "common_kinds",
    "finding_named",
    "name_fault",
    "open_kinds",
    "said_as",
    "sorted_findings",
    "standard_name",
]

LONGEST_NAME = 64  # characters
NORMAL = "Normal"
OTHER_ABNORMALITY = "Other abnormality"  # abnormal, but none of the other findings of a data set or model


@dataclass(frozen=True)
class Finding:
    """One finding of a chest radiograph.

    Attributes:
        name: The standard name, used in every output.
        snomed_ct: The SNOMED CT concept identifier.
        meaning: The concept's name in SNOMED CT.
        aliases: Other folder names; compared without case, spaces and punctuation.
    """

    name: str
    snomed_ct: str
    meaning: str
    aliases: tuple[str, ...] = ()


FINDINGS: tuple[Finding, ...] = (
    Finding(
        NORMAL,
        "17621005",
        "Normal",
        ("Healthy", "No finding", "No findings", "Control", "Negative", "Normals"),
    ),
    Finding(
        "Covid-19",
        "840539006",
        "Disease caused by severe acute respiratory syndrome coronavirus 2",
        ("Covid", "Covid19", "SARS-CoV-2", "Corona", "Coronavirus", "Covid pneumonia", "Covid-19 pneumonia"),
    ),
    Finding(
        "Viral Pneumonia",
        "75570004",
        "Viral pneumonia",
        ("Viral", "Virus", "Pneumonia viral", "Pneumonia virus", "Virus pneumonia"),
    ),
    Finding(
        "Bacterial Pneumonia",
        "53084003",
        "Bacterial pneumonia",
        ("Bacterial", "Bacteria", "Pneumonia bacterial", "Pneumonia bacteria", "Bacteria pneumonia"),
    ),
    Finding(
        OTHER_ABNORMALITY,
        "408574004",
        "Imaging result abnormal",
        (
            *("Other", "Others", "Other abnormalities", "Other abnormal", "Other finding", "Other findings"),
            *("Other disease", "Other diseases", "Other lung disease", "Other lung diseases", "Other pathology"),
            *("Abnormal", "Abnormality", "Abnormal other"),
        ),
    ),
    Finding(
        "Pneumonia (type not stated)",
        "233604007",
        "Pneumonia",
        ("Pneumonia", "Pneumonia unspecified", "Pneumonia not stated"),
    ),
    Finding("Tuberculosis", "154283005", "Pulmonary tuberculosis", ("TB", "Pulmonary tuberculosis")),
)


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", folded(name))


_EITHER = "|"  # separates findings of which the film shows one
_ANY_PNEUMONIA = "Pneumonia (type not stated)"
_PNEUMONIAS = ("Covid-19", "Viral Pneumonia", "Bacterial Pneumonia")
_BY_KEY = {_key(alias): finding for finding in FINDINGS for alias in (finding.name, *finding.aliases)}
_ORDER = {finding.name: position for position, finding in enumerate(FINDINGS)}


def finding_named(name: str) -> Finding | None:
    """Return the finding for a folder's or column's name, or None. "TB-" means no tuberculosis and gives None."""
    if name.rstrip().endswith(("-", "\N{MINUS SIGN}")):
        return None
    return _BY_KEY.get(_key(name))


def standard_name(name: str) -> str:
    """Return the standard name for a folder's or column's name; an unknown name is returned unchanged.

    Example:
        >>> standard_name("COVID"), standard_name("No_finding"), standard_name("Pleural effusion")
        ('Covid-19', 'Normal', 'Pleural effusion')
        >>> standard_name("Other"), standard_name("Not Covid-19")  # the second says nothing of the lungs
        ('Other abnormality', 'Not Covid-19')
        >>> standard_name("bacterial | viral")  # one of the two, not known which
        'Viral Pneumonia|Bacterial Pneumonia'
    """
    if _EITHER in name:
        return _EITHER.join(sorted_findings(standard_name(part.strip()) for part in name.split(_EITHER)))
    finding = finding_named(name)
    return finding.name if finding else name


def said_as(name: str) -> str:
    """Return how people are told the answer that a film shows this finding and no other.

    Example:
        >>> said_as("Covid-19"), said_as("Other abnormality")
        ('Covid-19', 'abnormal, but none of the findings this model knows')
    """
    return "abnormal, but none of the findings this model knows" if name == OTHER_ABNORMALITY else name


def name_fault(name: str) -> str | None:
    """Return what is wrong with a finding's name, as the end of a sentence; None if it is valid.

    A DICOM code meaning has at most 64 characters (LO, PS3.5 6.2).
    """
    if not name.strip() or len(name) > LONGEST_NAME:
        return f"has {len(name)} characters; expected 1 to {LONGEST_NAME}"
    if any("\ud800" <= sign <= "\udfff" for sign in name):
        return "is not written in UTF-8"
    return "holds control or bidirectional characters" if printable(name) != name else None


def sorted_findings(names: Iterable[str]) -> tuple[str, ...]:
    """Return distinct names in the order used everywhere: first that of the vocabulary, then alphabetical."""
    return tuple(sorted(set(names), key=lambda name: (_ORDER.get(name, len(_ORDER)), name)))


def open_kinds(name: str, findings: Iterable[str]) -> tuple[str, ...]:
    """Return the possible findings of an ambiguous label; empty for a label that is not ambiguous.

    ``Viral Pneumonia|Bacterial Pneumonia`` is ambiguous. "Pneumonia (type not stated)" is ambiguous in a data set that
    also has viral and bacterial pneumonia; in others it is a finding of its own.

    Args:
        name: A standard name.
        findings: All findings of the data set.
    """
    if _EITHER in name:
        return tuple(name.split(_EITHER))
    names = set(findings)
    if name == _ANY_PNEUMONIA and {"Viral Pneumonia", "Bacterial Pneumonia"} <= names:
        return tuple(kind for kind in _PNEUMONIAS if kind in names)
    return ()


def common_kinds(names: Iterable[str], findings: Iterable[str]) -> tuple[str, ...]:
    """Return the findings that fit all given labels; empty if the labels contradict each other.

    Args:
        names: One or more standard names; they may be ambiguous.
        findings: All findings of the data set.
    """
    known = tuple(findings)
    kinds = [set(open_kinds(name, known) or (name,)) for name in names]
    return sorted_findings(set.intersection(*kinds))
