"""The vocabulary of findings: standard names, their order, their codes."""

from __future__ import annotations

import pytest
from pydicom.sr.codedict import codes

from hilum.findings import FINDINGS, OTHER_ABNORMALITY, finding_named, sorted_findings, standard_name


@pytest.mark.parametrize(
    "name", ["Other", "OTHERS", "other_abnormality", "Abnormal", "Abnormal (other)", "Other disease"]
)
def test_folders_of_everything_else_get_one_name(name: str) -> None:
    assert standard_name(name) == OTHER_ABNORMALITY


@pytest.mark.parametrize(
    "name", ["Not Covid-19", "Non-Covid", "Not normal", "Normal", "No finding", "Other pneumonia", "Lung opacity"]
)
def test_names_that_say_something_else_are_not_among_them(name: str) -> None:
    assert standard_name(name) != OTHER_ABNORMALITY


def test_everything_else_comes_after_the_kinds_of_pneumonia() -> None:
    names = ["Effusion", "Tuberculosis", OTHER_ABNORMALITY, "Bacterial Pneumonia", "Normal"]
    assert sorted_findings(names) == ("Normal", "Bacterial Pneumonia", OTHER_ABNORMALITY, "Tuberculosis", "Effusion")


def test_its_code_is_the_one_that_dicom_lists() -> None:
    listed = codes.SCT.ImagingResultAbnormal
    finding = finding_named(OTHER_ABNORMALITY)
    assert finding is not None
    assert (finding.snomed_ct, finding.meaning) == (listed.value, listed.meaning)


def test_a_name_belongs_to_one_finding_only() -> None:
    for finding in FINDINGS:
        for name in (finding.name, *finding.aliases):
            assert standard_name(name) == finding.name
