"""The secondary capture: the heat map as predicted, a caption that says what it is, the film's study."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from hilum.film.dicom import read_elements
from hilum.film.radiograph import Radiograph
from hilum.run.answer import Answer
from hilum.run.classifier import Classifier
from hilum.run.heatmap import overlay
from hilum.serve.results import captioned_heat_map, heat_map_capture

WriteDicom = Callable[..., Path]
Judged = tuple[Dataset, Radiograph, Answer, Classifier]


@pytest.fixture
def judged(tmp_path: Path, write_dicom: WriteDicom, tiny_model: Path) -> Judged:
    """A film, decoded, its answer, and who gave it."""
    path = write_dicom(tmp_path / "film.dcm", size_px=900, BurnedInAnnotation="NO", LossyImageCompression="01")
    classifier = Classifier(tiny_model)
    radiograph = classifier.read(path)
    return read_elements(path.read_bytes()), radiograph, classifier.predict(radiograph), classifier


def test_the_picture_is_the_heat_map_below_its_caption(judged: Judged) -> None:
    _, radiograph, answer, classifier = judged
    evidence = answer.activation[classifier.findings.index(answer.likeliest)]
    plain = overlay(radiograph, evidence, max_side_px=1024)
    assert plain.shape[1] >= 640
    picture = captioned_heat_map(radiograph, evidence, answer, classifier.metadata)
    height = plain.shape[0]
    np.testing.assert_array_equal(picture[-height:], plain)
    caption = picture[:-height]
    assert caption.shape[0] < height / 3
    amber = (caption[..., 0] > 200) & (caption[..., 1] > 150) & (caption[..., 2] < 60)
    assert amber.sum() > 200  # the research notice
    other = {**answer.probabilities, answer.likeliest: 0.5}
    changed = captioned_heat_map(
        radiograph, evidence, Answer(**{**vars(answer), "probabilities": other}), classifier.metadata
    )
    assert (changed[:-height] != caption).any()  # the caption says the probability


def test_a_small_film_is_enlarged_so_that_the_caption_can_be_read(judged: Judged) -> None:
    _, _, answer, classifier = judged
    small = Radiograph(np.random.default_rng(0).random((80, 60), np.float32), "dicom", (80, 60), 12)
    picture = captioned_heat_map(small, answer.activation[0], answer, classifier.metadata)
    assert picture.shape[1] == 640
    assert picture.dtype == np.uint8


def test_what_the_object_says_of_itself(judged: Judged) -> None:
    film, radiograph, answer, classifier = judged
    capture = heat_map_capture(film, radiograph, answer, classifier.metadata)
    assert capture.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "StudyDate"):
        assert capture[keyword].value == film[keyword].value
    assert capture.SourceImageSequence[0].ReferencedSOPInstanceUID == film.SOPInstanceUID
    assert capture.PatientOrientation == ["L", "F"]
    assert (capture.BurnedInAnnotation, capture.LossyImageCompression) == ("NO", "01")
    assert "not a medical device" in capture.ImageComments
    assert "where, not why" in capture.ImageComments
    assert answer.likeliest in capture.DerivationDescription
    assert capture.ImageType[0] == "DERIVED"
    assert capture.pixel_array.shape[2] == 3
    again = heat_map_capture(film, radiograph, answer, classifier.metadata)
    assert (again.SOPInstanceUID, again.SeriesInstanceUID) == (capture.SOPInstanceUID, capture.SeriesInstanceUID)


def test_a_film_that_may_have_a_name_burnt_in_makes_a_capture_that_may(judged: Judged) -> None:
    film, *rest, classifier = judged
    del film.BurnedInAnnotation
    del film.PatientOrientation
    capture = heat_map_capture(film, *rest, classifier.metadata)
    assert capture.BurnedInAnnotation == "YES"
    assert not capture.PatientOrientation


def test_dciodvfy_finds_no_error(judged: Judged, tmp_path: Path, program: Callable[[str], str]) -> None:
    film, *rest, classifier = judged
    path = tmp_path / "capture.dcm"
    heat_map_capture(film, *rest, classifier.metadata).save_as(path, enforce_file_format=True)
    done = subprocess.run([program("dciodvfy"), path], capture_output=True, text=True, check=False)
    assert "SCImage" in done.stderr
    assert "Error" not in done.stderr
    assert pydicom.dcmread(path).pixel_array.dtype == np.uint8
