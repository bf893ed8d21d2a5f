"""The DICOM results of a film: a structured report and a heat map."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from highdicom.sc import SCImage
from PIL import Image, ImageDraw, ImageFont
from pydicom import dcmwrite
from pydicom.dataset import Dataset

from hilum.errors import HilumError
from hilum.film.decode import read_bytes
from hilum.film.dicom import pydicom_kept_quiet, read_elements
from hilum.film.radiograph import Radiograph
from hilum.run.answer import Answer, Reason
from hilum.run.classifier import Classifier
from hilum.run.heatmap import overlay
from hilum.run.modelfile import Metadata
from hilum.serve.arrival import content_key
from hilum.serve.structured_report import (
    MANUFACTURER,
    NOTICE,
    conclusion,
    copy_patient_and_study,
    derived_uid,
    evidence,
    refuse_unidentified,
    structured_report,
)
from hilum.version import __version__

__all__ = [
    "HEAT_MAP",
    "REPORT",
    "FilmResults",
    "captioned_heat_map",
    "film_results",
    "heat_map_capture",
    "refusal_report",
]

# --- heat map: DICOM PS3.3 A.8.1 (Secondary Capture Image), C.7.6.1 (General Image), C.8.6 ----------------------------

_SERIES_NUMBER = 9902
_LEAST_WIDTH_PX, _LONGEST_SIDE_PX = 640, 1024  # the caption needs the width
_COLOURS = cv2.COLORMAP_INFERNO
_PAPER, _INK, _SIGNAL = (0, 0, 0), (235, 235, 235), (255, 196, 0)


def heat_map_capture(
    film: Dataset, radiograph: Radiograph, answer: Answer, metadata: Metadata, *, content: str = ""
) -> Dataset:
    """Return the heat map of a film's likeliest finding.

    Args:
        film: The film's elements; study and patient are copied from it.
        radiograph: The decoded film.
        answer: Its answer; the film must be accepted.
        metadata: The model's metadata.
        content: The film's content key, for the identifiers of the capture.

    Returns:
        A Secondary Capture in the film's study, RGB, uncompressed, with the research notice in the picture.
    """
    uid, sha256 = str(film.SOPInstanceUID), answer.model["sha256"]
    evidence_of = answer.activation[metadata.findings.index(answer.likeliest)]
    capture = SCImage(
        pixel_array=captioned_heat_map(radiograph, evidence_of, answer, metadata),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),  # highdicom needs it; replaced below
        study_instance_uid=str(film.StudyInstanceUID),
        series_instance_uid=derived_uid(uid, content, sha256, "heat map series"),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=derived_uid(uid, content, sha256, "heat map"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=metadata.name[:64],
        software_versions=__version__,
        device_serial_number=sha256,
        series_description="hilum heat map: where, not why; research",
    )
    capture.BodyPartExamined = "CHEST"
    capture.ConversionType = "WSD"  # made on a workstation
    capture.ImageComments = f"{NOTICE} The heat map shows where, not why."
    capture.DerivationDescription = f"Class activation map of {answer.likeliest} over the film"
    source = Dataset()
    referred = evidence(film)
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = referred.SOPClassUID, referred.SOPInstanceUID
    capture.SourceImageSequence = [source]
    orientation = film.get("PatientOrientation") or []
    capture.PatientOrientation = list(orientation) if len(orientation) == 2 else []
    # hilum burns in no patient data, but the film may have some. Unless the film says NO, assume it.
    stated = str(film.get("BurnedInAnnotation") or "").upper()
    capture.BurnedInAnnotation = "NO" if stated == "NO" else "YES"
    capture.LossyImageCompression = "01" if str(film.get("LossyImageCompression") or "") == "01" else "00"
    copy_patient_and_study(film, capture, (metadata.name, answer.likeliest))
    return capture


def captioned_heat_map(
    radiograph: Radiograph, activation: np.ndarray, answer: Answer, metadata: Metadata
) -> np.ndarray:
    """Return the film with its heat map and a caption, (H, W, 3) uint8, red-green-blue.

    Args:
        radiograph: The decoded film.
        activation: (h, w) float32 of the likeliest finding.
        answer: The answer for the film.
        metadata: The model's metadata.
    """
    picture = overlay(radiograph, activation, max_side_px=_LONGEST_SIDE_PX)
    scale = max(1.0, _LEAST_WIDTH_PX / picture.shape[1])
    if scale > 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    width = picture.shape[1]
    font = ImageFont.load_default(size=width / 42)
    paragraphs = (
        (_SIGNAL, f"RESEARCH ONLY. {NOTICE}"),
        (_INK, conclusion(answer, metadata)),
        (_INK, f"hilum {__version__}, model {metadata.name}, {answer.model['sha256'][:12]}"),
        (_INK, f"Colour: evidence for {answer.likeliest}, from none to most. Where, not why."),
    )
    lines = [(ink, line) for ink, text in paragraphs for line in _wrapped(text, font, round(width * 0.97))]
    step = round(width / 42 * 1.35)
    band = Image.new("RGB", (width, step * (len(lines) + 2)), _PAPER)
    draw = ImageDraw.Draw(band)
    for number, (ink, line) in enumerate(lines):
        draw.text((step / 2, step / 2 + number * step), line, font=font, fill=ink)
    scale_of_colours = cv2.applyColorMap(np.linspace(0, 255, width - step).astype(np.uint8)[np.newaxis], _COLOURS)
    pixels = np.array(band)
    pixels[-step : -step // 2, step // 2 : step // 2 + width - step] = scale_of_colours[..., ::-1]
    return np.vstack([pixels, picture])


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width_px: int) -> list[str]:
    """Return a text in lines that fit a width."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width_px:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


REPORT, HEAT_MAP = "report.dcm", "heatmap.dcm"


@dataclass(frozen=True, eq=False)
class FilmResults:
    """What is made of one film.

    Attributes:
        answer: The answer.
        files: REPORT (a structured report) and HEAT_MAP (a secondary capture); of a refused film only the report.
    """

    answer: Answer
    files: Mapping[str, bytes]


def film_results(classifier: Classifier, path: Path) -> FilmResults:
    """Judge a DICOM film and return its answer and its results as files.

    Args:
        classifier: The model.
        path: The film's file; messages name it by the first 12 letters.

    Raises:
        UndecodableFilm, UnsupportedFilm: The film cannot be judged. The message does not name the patient.
    """
    data, name = read_bytes(path), path.stem[:12]
    radiograph = classifier.decode(data, name)
    film = read_elements(data, name=name)
    refuse_unidentified(film, name)
    answer, content = classifier.predict(radiograph), content_key(data)
    with pydicom_kept_quiet():
        results = {REPORT: _file(structured_report(film, answer, classifier.metadata, content=content))}
        if answer.accepted:
            capture = heat_map_capture(film, radiograph, answer, classifier.metadata, content=content)
            results[HEAT_MAP] = _file(capture)
    return FilmResults(answer, results)


def refusal_report(classifier: Classifier, path: Path, error: HilumError) -> dict[str, bytes]:
    """Return the report (REPORT) that says why a film cannot be judged: another body part, damaged data.

    Args:
        classifier: The model that did not judge it.
        path: The film's file.
        error: Why it cannot be judged.

    Raises:
        UndecodableFilm, UnsupportedFilm: The film's header cannot be read, or names no study to file a report in.
    """
    data, name = read_bytes(path), path.stem[:12]
    film = read_elements(data, name=name)
    refuse_unidentified(film, name)
    reason = Reason(
        error.to_dict()["type"], str(error).replace(f"film `{name}`", "film").replace(f"`{name}`", "the film")
    )
    nothing = np.empty(0, np.float32)
    answer = Answer(name, {}, (), (), (reason,), classifier.identity, nothing, nothing)
    with pydicom_kept_quiet():
        return {REPORT: _file(structured_report(film, answer, classifier.metadata, content=content_key(data)))}


def _file(result: Dataset) -> bytes:
    stream = io.BytesIO()
    dcmwrite(stream, result, enforce_file_format=True)
    return stream.getvalue()
