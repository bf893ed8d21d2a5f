"""From a film to its results: judged as `hilum predict` judges it, answered as DICOM objects of its study."""

from __future__ import annotations

import io
from pathlib import Path

from pydicom import dcmwrite
from pydicom.dataset import Dataset

from hilum.film.decode import read_bytes
from hilum.film.dicom import pydicom_kept_quiet, read_elements
from hilum.run.classifier import Classifier
from hilum.serve.capture import heat_map_capture
from hilum.serve.content import content_key
from hilum.serve.origin import refuse_unidentified
from hilum.serve.structured_report import structured_report

__all__ = ["HEAT_MAP", "REPORT", "film_results"]

REPORT, HEAT_MAP = "report.dcm", "heatmap.dcm"


def film_results(classifier: Classifier, path: Path) -> dict[str, bytes]:
    """Judge a DICOM film and return its results as files.

    Args:
        classifier: The model.
        path: The film's file; messages call it by the first 12 letters of its name.

    Returns:
        REPORT, a structured report, and HEAT_MAP, a secondary capture; of a refused film only the report, with the
        reasons.

    Raises:
        UndecodableFilm, UnsupportedFilm: The film cannot be judged; the message names no patient.
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
    return results


def _file(result: Dataset) -> bytes:
    stream = io.BytesIO()
    dcmwrite(stream, result, enforce_file_format=True)
    return stream.getvalue()
