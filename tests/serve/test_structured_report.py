"""The structured report: what the answer says, in codes, numbers and words that other programs read back."""

from __future__ import annotations

import dataclasses
import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from hilum.film.dicom import read_elements
from hilum.run.answer import Answer, Reason
from hilum.run.modelfile import Metadata
from hilum.serve.structured_report import NOTICE, finding_code, structured_report

PROBABILITIES = {"Normal": 0.1234567, "Covid-19": 0.8, "Viral Pneumonia": 0.0765433}
YES, NO = Code("373066001", "SCT", "Yes"), Code("373067005", "SCT", "No")
WriteDicom = Callable[..., Path]


def answer(**changes: Any) -> Answer:
    values: dict[str, Any] = {
        "file": "film",
        "probabilities": PROBABILITIES,
        "set": ("Normal", "Covid-19"),
        "above_threshold": ("Covid-19",),
        "reasons": (),
        "model": {"name": "tiny", "sha256": "ab" * 32},
        "logits": np.zeros(3, np.float32),
        "activation": np.zeros((3, 4, 4), np.float32),
    }
    return Answer(**(values | changes))


@pytest.fixture
def film(tmp_path: Path, write_dicom: WriteDicom) -> Dataset:
    """The elements of a film."""
    return read_elements(write_dicom(tmp_path / "film.dcm").read_bytes())


def read_back(report: Dataset) -> Any:
    """Return a report written, read and understood by highdicom."""
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, report, enforce_file_format=True)
    return highdicom.sr.ComprehensiveSR.from_dataset(pydicom.dcmread(io.BytesIO(stream.getvalue())))


def texts(report: Any, meaning: str) -> list[str]:
    """Return the texts or code meanings under a concept name, anywhere in the tree."""
    found = highdicom.sr.utils.find_content_items(report.content[0], recursive=True)
    named = [item for item in found if item.name.meaning == meaning]
    return [item.value if item.value_type.value == "TEXT" else item.value.meaning for item in named]


def test_probabilities_set_and_thresholds_are_in_it(film: Dataset, tiny_metadata: Metadata) -> None:
    report = read_back(structured_report(film, answer(), tiny_metadata))
    groups = report.content.get_image_measurement_groups()
    assert [group.tracking_identifier for group in groups] == ["Covid-19", "Normal", "Viral Pneumonia"]
    for group in groups:
        name = group.tracking_identifier
        (measurement,) = group.get_measurements()
        assert measurement.name == Code("122157", "DCM", "Probability")
        assert measurement.unit == Code("{0:1}", "UCUM", "range 0 to 1")
        assert measurement.value == PROBABILITIES[name]
        said = {one.name.value: one.value for one in group.get_qualitative_evaluations()}
        assert said["conformal-set"] == (YES if name != "Viral Pneumonia" else NO)
        assert said["above-threshold"] == (YES if name == "Covid-19" else NO)
        assert group.finding_type == finding_code(name, tiny_metadata)
        assert group.source_images[0].referenced_sop_instance_uid == film.SOPInstanceUID


def test_its_words_say_the_answer_the_model_and_what_it_is_not(film: Dataset, tiny_metadata: Metadata) -> None:
    report = read_back(structured_report(film, answer(), tiny_metadata))
    (conclusion,) = texts(report, "Conclusion")
    assert conclusion == (
        "Covid-19 or Normal (undecided). Likeliest finding: Covid-19, probability 0.800. "
        "Also possible: Normal. "
        "The model is set to name the true finding for 90 of 100 films like those it learned from."
    )
    assert texts(report, "Comment") == [NOTICE]
    assert texts(report, "Likeliest finding") == ["Covid-19"]
    assert texts(report, "Device Observer Serial Number") == ["ab" * 32]
    assert texts(report, "Algorithm Version")[0] == "0.1.0"
    assert f"sha256={'ab' * 32}" in texts(report, "Algorithm Parameters")
    (sure,) = texts(read_back(structured_report(film, answer(set=()), tiny_metadata)), "Conclusion")
    assert sure == (
        "Likeliest finding: Covid-19, probability 0.800. The model holds no other finding possible. "
        "The model is set to name the true finding for 90 of 100 films like those it learned from."
    )


def test_a_reader_meets_the_conclusion_first_and_short_numbers_with_labels(
    film: Dataset, tiny_metadata: Metadata, tmp_path: Path, program: Callable[[str], str]
) -> None:
    structured_report(film, answer(), tiny_metadata).save_as(tmp_path / "report.dcm", enforce_file_format=True)
    root = pydicom.dcmread(tmp_path / "report.dcm")
    assert root.ContentSequence[0].ConceptNameCodeSequence[0].CodeMeaning == "Conclusion"
    dumped = subprocess.run([program("dsrdump"), "+Pl", tmp_path / "report.dcm"], capture_output=True, check=True)
    lines = [line.strip() for line in dumped.stdout.decode("latin-1").split("\n<CONTAINER:")[1].splitlines()]
    assert lines[1].startswith(
        '<contains TEXT:(,,"Conclusion")="Covid-19 or Normal (undecided). Likeliest finding: Covid-19'
    )
    numbers = [place for place, line in enumerate(lines) if line.startswith("<contains NUM:")]
    written = [lines[place].split('"')[3] for place in numbers]
    assert written == ["0.800", "0.123", "0.077"]
    assert [lines[place + 1].split('"')[3] for place in numbers] == [
        f"Probability of {name}" for name in ("Covid-19", "Normal", "Viral Pneumonia")
    ]
    report = read_back(root)
    assert texts(report, "Probabilities") == ["Covid-19 0.800, Normal 0.123, Viral Pneumonia 0.077"]


def test_a_refused_film_has_reasons_and_no_probability(film: Dataset, tiny_metadata: Metadata) -> None:
    refused = answer(reasons=(Reason("lateral", "A lateral view."), Reason("constant", "No contrast.")))
    report = read_back(structured_report(film, refused, tiny_metadata))
    assert texts(report, "Reason for refusal") == ["lateral: A lateral view.", "constant: No contrast."]
    assert texts(report, "Film accepted for judging") == ["No", "No"]
    (group,) = report.content.get_image_measurement_groups()
    assert group.get_measurements() == []
    assert group.finding_type is None
    assert "Covid" not in str(report)
    assert texts(report, "Conclusion") == ["The film was not judged. A lateral view. No contrast."]
    assert texts(report, "Probabilities") == []


def test_it_lies_in_the_films_study_and_is_nobodys_verdict(film: Dataset, tiny_metadata: Metadata) -> None:
    report = structured_report(film, answer(), tiny_metadata)
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "AccessionNumber", "StudyDate"):
        assert report[keyword].value == film[keyword].value
    assert report.SeriesInstanceUID != film.SeriesInstanceUID
    assert (report.VerificationFlag, report.PreliminaryFlag, report.CompletionFlag) == (
        "UNVERIFIED",
        "PRELIMINARY",
        "COMPLETE",
    )
    again = structured_report(film, answer(), tiny_metadata)
    assert (again.SOPInstanceUID, again.SeriesInstanceUID) == (report.SOPInstanceUID, report.SeriesInstanceUID)


def test_codes_of_findings(tiny_metadata: Metadata) -> None:
    assert finding_code("Covid-19", tiny_metadata) == Code("840539006", "SCT", "COVID-19")
    own = finding_code("Pleural effusion", tiny_metadata)
    assert (own.scheme_designator, own.meaning) == ("99HILUM", "Pleural effusion")
    assert own.value != finding_code("Pneumothorax", tiny_metadata).value
    model = dataclasses.replace(tiny_metadata, snomed_ct={"Pleural effusion": "60046008"})
    assert finding_code("Pleural effusion", model) == Code("60046008", "SCT", "Pleural effusion")
    assert len(finding_code("x" * 200, tiny_metadata).meaning) == 64


def test_names_in_any_script(film: Dataset, tiny_metadata: Metadata) -> None:
    names = ("正常", "Lungenentzündung")
    metadata = dataclasses.replace(tiny_metadata, findings=names, name="Modell Ü")
    probabilities = {"正常": 0.25, "Lungenentzündung": 0.75}
    made = answer(probabilities=probabilities, set=names, above_threshold=())
    report = read_back(structured_report(film, made, metadata))
    assert texts(report, "Likeliest finding") == ["Lungenentzündung"]
    assert str(report.PatientName) == "SÉCRET^PATIENT"


@pytest.mark.parametrize("refused", [False, True])
def test_dciodvfy_finds_no_error(
    film: Dataset, tiny_metadata: Metadata, tmp_path: Path, program: Callable[[str], str], refused: bool
) -> None:
    made = answer(reasons=(Reason("lateral", "A lateral view."),) if refused else ())
    structured_report(film, made, tiny_metadata).save_as(tmp_path / "report.dcm", enforce_file_format=True)
    done = subprocess.run([program("dciodvfy"), tmp_path / "report.dcm"], capture_output=True, text=True, check=False)
    assert "ComprehensiveSR" in done.stderr
    assert "Error" not in done.stderr


def test_an_abnormal_film_with_none_of_the_findings_is_said_so(film: Dataset, tiny_metadata: Metadata) -> None:
    name = "Other abnormality"
    model = dataclasses.replace(tiny_metadata, findings=("Normal", "Covid-19", name))
    told = answer(probabilities={"Normal": 0.1, "Covid-19": 0.2, name: 0.7}, set=(name,), above_threshold=(name,))
    report = read_back(structured_report(film, told, model))
    (conclusion,) = texts(report, "Conclusion")
    assert conclusion.startswith(f"Abnormal, but none of the findings this model knows. Likeliest finding: {name},")
    assert texts(report, "Likeliest finding") == ["Imaging result abnormal"]
    assert finding_code(name, model) == Code("408574004", "SCT", "Imaging result abnormal")
