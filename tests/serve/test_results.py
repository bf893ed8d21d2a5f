"""From a film to its results: the answers are those of `hilum predict`."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest

from hilum.errors import UndecodableFilm, UnsupportedFilm
from hilum.run.classifier import Classifier
from hilum.serve.results import HEAT_MAP, REPORT, film_results, refusal_report

WriteDicom = Callable[..., Path]


def probabilities(report: bytes) -> dict[str, float]:
    """Return what a report says, read with nothing but pydicom."""
    found = {}
    root = pydicom.dcmread(io.BytesIO(report))
    for container in root.ContentSequence:
        for group in container.get("ContentSequence", []):
            names = [item.TextValue for item in group.get("ContentSequence", []) if _is(item, "112039")]
            values = [item.MeasuredValueSequence[0] for item in group.get("ContentSequence", []) if _is(item, "122157")]
            found |= {name: float(value.FloatingPointValue) for name, value in zip(names, values, strict=False)}
    return found


def _is(item: Any, code: str) -> bool:
    return bool(item.ConceptNameCodeSequence[0].CodeValue == code)


def test_the_answer_is_that_of_the_command_line(
    tmp_path: Path, write_dicom: WriteDicom, tiny_model: Path, command: Callable[..., Any]
) -> None:
    path = write_dicom(tmp_path / "film.dcm")
    results = film_results(Classifier(tiny_model), path).files
    assert sorted(results) == [HEAT_MAP, REPORT]
    line = json.loads(command("predict", "--model", tiny_model, path, "--format", "jsonl").out)
    assert probabilities(results[REPORT]) == pytest.approx(line["probabilities"], abs=1e-6)


@pytest.mark.slow
def test_real_films_have_the_answers_of_the_command_line(
    hilum_data: Path, tiny_model: Path, command: Callable[..., Any]
) -> None:
    films, num_judged = sorted((hilum_data / "dicom").glob("*.dcm")), 0
    classifier = Classifier(tiny_model)
    lines = command("predict", "--model", tiny_model, *films, "--format", "jsonl").out.splitlines()
    for film, line in zip(films, map(json.loads, lines), strict=True):
        if "error" in line:
            with pytest.raises((UnsupportedFilm, UndecodableFilm)):
                film_results(classifier, film)
            continue
        told = line["probabilities"] if line["accepted"] else {}  # a refused film's report holds none
        assert probabilities(film_results(classifier, film).files[REPORT]) == pytest.approx(told, abs=1e-6)
        num_judged += line["accepted"]
    assert num_judged == 4  # of the others one is a negative, two show no chest
    assert len(films) == 7


@pytest.mark.parametrize("elements", [{"ViewPosition": "LL"}, {"ViewPosition": "", "SeriesDescription": "Thorax lat"}])
def test_a_refused_film_gets_a_report_and_no_heat_map(
    elements: dict[str, str], tmp_path: Path, write_dicom: WriteDicom, tiny_model: Path, command: Callable[..., Any]
) -> None:
    path = write_dicom(tmp_path / "film.dcm", **elements)
    line = json.loads(command("predict", "--model", tiny_model, path, "--format", "jsonl").out)
    assert (line["accepted"], [reason["code"] for reason in line["reasons"]]) == (False, ["lateral"])
    results = film_results(Classifier(tiny_model), path).files
    assert list(results) == [REPORT]
    assert probabilities(results[REPORT]) == {}
    assert b"lateral" in results[REPORT]


def test_what_cannot_be_judged_is_an_error_that_names_no_patient(
    tmp_path: Path, write_dicom: WriteDicom, tiny_model: Path
) -> None:
    classifier = Classifier(tiny_model)
    for elements, kind in (
        ({"BodyPartExamined": "HIP"}, UnsupportedFilm),
        ({"StudyInstanceUID": None}, UnsupportedFilm),
        ({"PixelData": None}, UndecodableFilm),
    ):
        with pytest.raises(kind) as error:
            film_results(classifier, write_dicom(tmp_path / "film.dcm", **elements))
        assert "SECRET" not in str(error.value)


def test_judged_again_it_has_the_same_identifiers(tmp_path: Path, write_dicom: WriteDicom, tiny_model: Path) -> None:
    path, classifier = write_dicom(tmp_path / "film.dcm"), Classifier(tiny_model)
    first, second = (
        [pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID for data in film_results(classifier, path).files.values()]
        for _ in range(2)
    )
    assert first == second
    assert len(set(first)) == 2


def test_a_film_that_cannot_be_judged_gets_a_report_with_the_reason(
    tmp_path: Path, write_dicom: WriteDicom, tiny_model: Path
) -> None:
    classifier, path = Classifier(tiny_model), write_dicom(tmp_path / "0123456789abcdef.dcm", BodyPartExamined="HIP")
    with pytest.raises(UnsupportedFilm) as error:
        film_results(classifier, path)
    results = refusal_report(classifier, path, error.value)
    report = pydicom.dcmread(io.BytesIO(results[REPORT]))
    conclusion = report.ContentSequence[0].TextValue
    assert conclusion.startswith("The film was not judged. Cannot judge the film: ")
    assert "HIP" in conclusion
    assert "0123456789ab" not in conclusion
    assert report.StudyInstanceUID == pydicom.dcmread(path).StudyInstanceUID
    assert probabilities(results[REPORT]) == {}
    with pytest.raises(UnsupportedFilm, match="no valid Study Instance UID"):
        refusal_report(classifier, write_dicom(tmp_path / "film.dcm", StudyInstanceUID=None), error.value)
