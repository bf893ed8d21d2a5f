"""The model file: an ONNX graph with metadata (JSON under the key ``hilum``) that hold all that serving needs.

The bytes of the file are checked before the engine reads them. A file that is cut short, not made by hilum, of a newer
format, or with data outside the file is refused with the reason.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hilum.errors import ConfigError, ModelFileError
from hilum.figures import to_json
from hilum.film.decode import DECODER_VERSION
from hilum.film.preprocess import Preprocessing
from hilum.findings import name_fault
from hilum.run.models import file_of, shipped_model
from hilum.run.onnx_bytes import BrokenMessageError, metadata_text, refuse_unsafe_graph
from hilum.run.out_of_distribution import OutOfDistributionDetector
from hilum.text import printable

__all__ = ["FORMAT_VERSION", "METADATA_KEY", "Metadata", "ModelFile", "check_texts", "read_model_file"]

# --- texts in a model file of unknown origin: terminals, pages and DICOM objects show them ----------------------------

_OF_LINES = ("model_card",)  # may have several lines


def check_texts(values: Any) -> None:
    """Refuse texts with control or bidirectional characters, which could make a terminal or page show something else.

    Args:
        values: JSON values; their keys are checked too.

    Raises:
        ValueError: A text holds such a character. The message names its key, not the text.
    """
    pending: list[tuple[str, Any]] = [("", values)]
    while pending:
        place, value = pending.pop()
        if isinstance(value, str):
            if printable(value, lines=place in _OF_LINES) != value:
                raise ValueError(f"`{printable(place)}` holds control or bidirectional characters")
        elif isinstance(value, Mapping):
            pending += [(place, name) for name in value] + [(place or str(name), one) for name, one in value.items()]
        elif isinstance(value, list | tuple):
            pending += [(place, one) for one in value]


FORMAT_VERSION = 2
METADATA_KEY = "hilum"
_ZIP, _KERAS_PART = b"PK\x03\x04", b"config.json"  # signs of a .keras file
MAX_FILE_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class Metadata:
    """The metadata of a model file.

    Attributes:
        name: The model's name, shown with every answer.
        findings: K standard names, in the order of the logits.
        preprocessing: How a film becomes the graph's input.
        temperature: Logits are divided by it before the softmax.
        operating_thresholds: Finding to the probability from which it counts as present.
        conformal: Finding to ``threshold`` (largest 1 - p with which it is in the set), ``n`` films used for it, and
            ``method``: "cross" if these are training films scored by a model that had not seen them. Findings that
            share a threshold are listed in ``shared``; ``shared_n`` counts their films.
        coverage: The share of films whose set should hold the true finding.
        calibration: The films used for temperature, thresholds and sets (``method``, ``n``), the fitted
            ``temperature``, whether it was ``kept``, the losses that decided, and the distribution of the
            probabilities (``scores``).
        snomed_ct: Finding to its SNOMED CT code, if it has one.
        gate: Statistics of the out-of-distribution detector; empty if the model has none.
        training_data: Name, number and fingerprint of the training films.
        figures: The metrics measured with this file.
        precision: Arithmetic of the engine: ``f32``.
        agreement: Largest difference in logits between engine and Keras, and the number of films compared.
        ensemble: For an ensemble, its method, members and calibration; else empty.
        adaptation: Of an adapted model, its parent, the local films and the figures before and after; else empty.
        evaluation: How the model answered the films of its evaluation, counted in bins: ``part``, ``n``, ``counts``.
        model_card: The model card, as Markdown.
        hilum_version: The version that made the file.
        decoder_version: The decoder that read the films for calibration and testing.
        format_version: The version of this structure.
    """

    name: str
    findings: tuple[str, ...]
    preprocessing: Preprocessing
    temperature: float = 1.0
    operating_thresholds: Mapping[str, float] = field(default_factory=dict)
    conformal: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    coverage: float = 0.9
    calibration: Mapping[str, Any] = field(default_factory=dict)
    snomed_ct: Mapping[str, str] = field(default_factory=dict)
    gate: Mapping[str, Any] = field(default_factory=dict)
    training_data: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "f32"
    agreement: Mapping[str, Any] = field(default_factory=dict)
    ensemble: Mapping[str, Any] = field(default_factory=dict)
    adaptation: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    model_card: str = ""
    hilum_version: str = ""
    decoder_version: int = DECODER_VERSION
    format_version: int = FORMAT_VERSION

    @property
    def notice(self) -> str | None:
        """A warning if the model was measured with an earlier film decoder; else None."""
        if self.decoder_version == DECODER_VERSION:
            return None
        return (
            f"The figures and thresholds of the model `{self.name}` were measured with film decoder "
            f"{self.decoder_version}. This hilum has film decoder {DECODER_VERSION}, so answers may differ a little. "
            "Use `hilum evaluate` to measure the model again."
        )

    def to_json(self) -> str:
        """Return the JSON for the model file."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        values["preprocessing"] = self.preprocessing.to_dict()
        values["model_card"] = printable(self.model_card, lines=True)  # it may name files of the training data
        values["name"] = printable(self.name)
        values["training_data"] = {
            key: printable(value) if isinstance(value, str) else value for key, value in self.training_data.items()
        }
        return json.dumps(to_json(values), ensure_ascii=False)

    @staticmethod
    def from_json(text: str, *, without_gate: bool = False) -> Metadata:
        """Return the metadata that `to_json` wrote.

        Args:
            text: The JSON.
            without_gate: Leave out the statistics of the detector of unfamiliar films, which earlier formats have in
                another form.

        Raises:
            ModelFileError: The JSON is damaged, or of a format that this hilum does not read.
        """
        try:
            values = json.loads(text)
            check_texts(values)
            version = values["format_version"]
            values |= {"gate": {}} if without_gate else {}
            if version > FORMAT_VERSION:
                raise ModelFileError(
                    f"The model file has format version {version}; this hilum reads up to {FORMAT_VERSION}.",
                    fix="Update hilum.",
                )
            if version < FORMAT_VERSION and values.get("gate"):
                raise ModelFileError(
                    f"The model file has format version {version}, made by an earlier hilum. This hilum cannot use its "
                    "detector of unfamiliar films.",
                    fix="`hilum model upgrade` makes a file of today's format of it, without the detector.",
                )
            decoder = values["decoder_version"]
            if isinstance(decoder, bool) or not isinstance(decoder, int) or decoder < 0:
                raise ValueError(f"the film decoder's version must be a whole number, received {decoder!r}")
            if decoder > DECODER_VERSION:
                raise ModelFileError(
                    f"The model was made with film decoder {decoder}; this hilum reads films with decoder "
                    f"{DECODER_VERSION}.",
                    fix="Update hilum.",
                )
            if values["preprocessing"].get("lung_crop") is True:
                raise ModelFileError(
                    "The model was trained on films cropped to the lungs (`preprocessing.lung_crop`). This version of "
                    "hilum no longer crops films.",
                    fix="Use the version of hilum that made the file, or train the model again without `lung_crop`.",
                )
            values["preprocessing"] = Preprocessing.from_dict(values["preprocessing"])
            if not isinstance(values["findings"], list):
                raise TypeError("`findings` is not a list")
            values["findings"] = tuple(values["findings"])
            metadata = Metadata(**values)
            _check_values(metadata)
        except (KeyError, TypeError, ValueError, AttributeError, ConfigError, RecursionError) as error:
            raise ModelFileError(f"The model file's metadata cannot be used: {error}.") from error
        return metadata


def _check_values(metadata: Metadata) -> None:
    """Raise ValueError if serving cannot use a value."""
    names, conformal = metadata.findings, metadata.conformal
    if not all(isinstance(name, str) for name in (*names, metadata.name, metadata.precision, metadata.model_card)):
        raise ValueError("a name is not a text")
    for name in names:
        if fault := name_fault(name):
            raise ValueError(f"a finding's name {fault}")
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"expected two findings or more, each once, received {list(names)}")
    if not (_is_number(metadata.temperature) and metadata.temperature > 0):
        raise ValueError(f"the temperature must be a positive number, received {metadata.temperature!r}")
    if not isinstance(metadata.operating_thresholds, dict) or not isinstance(conformal, dict):
        raise ValueError("the thresholds are not a table")
    limits = [*metadata.operating_thresholds.values(), *(limit["threshold"] for limit in conformal.values())]
    if not all(_is_number(limit) for limit in limits):
        raise ValueError("a threshold is not a number")
    if metadata.evaluation and not _are_counts(metadata.evaluation):
        raise ValueError("the counts under `evaluation` are damaged")
    if not isinstance(metadata.gate, dict):
        raise ValueError("the statistics under `gate` are not a table")
    if metadata.gate:
        OutOfDistributionDetector.from_dict(metadata.gate)


def _are_counts(values: Any) -> bool:
    """Return whether values are counts of answers: ``n``, and numbers of films a bin; of some films less is known."""
    counts = values["counts"].values()
    are_numbers = all(isinstance(one, int) and one >= 0 for bins in counts for one in bins)
    return isinstance(values["n"], int) and are_numbers and max(map(sum, counts), default=0) == values["n"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A model file that was read and checked; ``sha256`` is hexadecimal."""

    path: Path
    data: bytes
    sha256: str
    metadata: Metadata


def read_model_file(path: Path, *, without_gate: bool = False) -> ModelFile:
    """Read a model file and check it before the engine does.

    Args:
        path: The file, the folder of a run that holds it, or the name of a model that ships with hilum.
        without_gate: As in `Metadata.from_json`.

    Raises:
        ModelFileError: The file cannot be read, is damaged, too large or too new, was not made by hilum, has data
            outside itself, or is not the file that shipped under its name.
    """
    shipped = shipped_model(path)
    path = shipped.path if shipped else file_of(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ModelFileError(f"The model file `{path}` is larger than {MAX_FILE_BYTES // 2**20} MB.")
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileError(
            f"Cannot read the model file `{path}`: {error.strerror}.", fix="Give the path of a model.onnx."
        ) from error
    sha256 = hashlib.sha256(data).hexdigest()
    if shipped and sha256 != shipped.sha256:
        raise ModelFileError(
            f"The file `{path}` of the model `{shipped.name}` was changed: its SHA-256 is another than shipped.",
            fix="Install hilum again, or give the path of a model file.",
        )
    if data.startswith(_ZIP) and _KERAS_PART in data:
        beside = path.with_name("model.onnx")
        raise ModelFileError(
            f"`{path}` is a Keras model, which is only for further training. hilum needs the model.onnx of that run.",
            fix=f"Give `{beside}`." if beside.is_file() else "Give the model.onnx that was made with it.",
        )
    try:
        refuse_unsafe_graph(memoryview(data))
        text = metadata_text(memoryview(data), METADATA_KEY)
    except BrokenMessageError as error:
        raise ModelFileError(
            f"`{path}` is not an ONNX file, or it is cut short ({error}).", fix="Copy it again, or give another file."
        ) from error
    if text is None:
        raise ModelFileError(
            f"`{path}` is an ONNX file, but no model file of hilum: it has no metadata under `{METADATA_KEY}`.",
            fix="Give a model.onnx made by `hilum train`. Graphs of `hilum model export` are for other programs.",
        )
    return ModelFile(path, data, sha256, Metadata.from_json(text, without_gate=without_gate))
