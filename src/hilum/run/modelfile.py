"""The model file: one ONNX graph whose metadata (JSON under the key ``hilum``) is all that serving needs to know.

The file is walked as protocol-buffer bytes before any engine sees it: a file that is cut short, that is not hilum's,
that was made by a newer format, or whose tensors point outside the file, is refused with the reason.

Source: onnx.proto (ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto field numbers).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hilum.errors import ConfigError, ModelFileError
from hilum.figures import to_json
from hilum.film.decode import DECODER_VERSION
from hilum.film.preprocess import Preprocessing
from hilum.findings import name_fault
from hilum.run.models import file_of, shipped_model
from hilum.run.out_of_distribution import OutOfDistributionDetector
from hilum.text import printable

__all__ = ["FORMAT_VERSION", "METADATA_KEY", "Metadata", "ModelFile", "check_names", "check_texts", "read_model_file"]

# What the texts in a stranger's model file may hold: they are shown in terminals, pages and DICOM objects.

_OF_LINES = ("model_card",)  # may have more than one


def check_texts(values: Any, key: str = "") -> None:
    """Refuse texts with control or bidirectional characters, which could make a terminal or page show something else.

    Args:
        values: JSON values, their keys included.
        key: Where they stand, for the message.

    Raises:
        ValueError: A text holds such a character; the message names its place and not the text.
    """
    pending: list[tuple[str, Any]] = [(key, values)]
    while pending:
        place, value = pending.pop()
        if isinstance(value, str):
            if printable(value, lines=place in _OF_LINES) != value:
                raise ValueError(f"`{printable(place)}` holds control or bidirectional characters")
        elif isinstance(value, Mapping):
            pending += [(place, name) for name in value] + [(place or str(name), one) for name, one in value.items()]
        elif isinstance(value, list | tuple):
            pending += [(place, one) for one in value]


def check_names(names: Iterable[str]) -> None:
    """Refuse names of findings that nothing could show in full.

    Raises:
        ValueError: A name is empty, too long, or holds such a character.
    """
    for name in names:
        if fault := name_fault(name):
            raise ValueError(f"a finding's name {fault}")


FORMAT_VERSION = 2
METADATA_KEY = "hilum"
_ZIP, _KERAS_PART = b"PK\x03\x04", b"config.json"  # what a .keras file is, and holds
MAX_FILE_BYTES = 512 * 1024 * 1024
MAX_METADATA_BYTES = 16 * 1024 * 1024
MAX_NODES = 100_000

_LENGTH_DELIMITED = 2
# Message type -> field number -> message type of that field; only what can lead to a tensor is walked.
_PATHS_TO_TENSORS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14
_MODEL_FUNCTIONS = 25
_NODE_OPERATOR = 4
_ATTRIBUTE_GRAPHS = (6, 11)
_REPEATING = (b"Loop", b"If", b"Scan", b"SequenceMap")  # operators that hold graphs: how long they take nobody can tell
_MODEL_METADATA = 14


@dataclass(frozen=True)
class Metadata:
    """What a model file says of itself.

    Attributes:
        name: The model's name, as it is shown with every answer.
        findings: K standard names, in the order of the logits.
        preprocessing: How a film becomes the graph's input.
        temperature: Logits are divided by it before the softmax.
        operating_thresholds: Per finding, the probability from which it counts as present.
        conformal: Per finding, ``threshold`` (largest 1 - p with which it is in the set), ``n`` films behind it, and
            ``method`` "cross" where those are training films scored by a model that had not seen them; where findings
            share a threshold, ``shared`` names them and ``shared_n`` counts the films of them all.
        coverage: The share of films whose set holds the truth, that the conformal thresholds were made for.
        calibration: Which films temperature, thresholds and sets come from (``method``, ``n``), and the ``temperature``
            that was fitted, whether it was ``kept``, and the losses that decided.
        snomed_ct: Per finding, its SNOMED CT code where it has one.
        gate: Statistics of the films it knows, for refusing what is strange to it (see run/out_of_distribution.py);
            empty: no film is refused for that.
        training_data: Name, number of films and fingerprint of the films the model learned from.
        figures: The metrics measured through this file.
        precision: Arithmetic of the engine: ``f32``.
        agreement: Largest difference in logits between engine and Keras at sealing, and the number of films.
        ensemble: Of an ensemble, its method, its members and how it was calibrated; else empty.
        model_card: The model card, as Markdown.
        hilum_version: The version that made the file.
        decoder_version: The decoder that read the films on which the model was calibrated and judged.
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
    model_card: str = ""
    hilum_version: str = ""
    decoder_version: int = DECODER_VERSION
    format_version: int = FORMAT_VERSION

    @property
    def notice(self) -> str | None:
        """What people should know before they rely on the figures: an earlier hilum read the films; None where not."""
        if self.decoder_version == DECODER_VERSION:
            return None
        return (
            f"The figures and thresholds of the model `{self.name}` were measured with an earlier reading of films "
            f"(decoder {self.decoder_version}; this hilum has {DECODER_VERSION}), so answers may differ a little from "
            "them. `hilum evaluate` measures it anew."
        )

    def to_json(self) -> str:
        """Return the JSON that stands in the model file."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        values["preprocessing"] = self.preprocessing.to_dict()
        values["model_card"] = printable(self.model_card, lines=True)  # it may name files of the training data
        values["name"] = printable(self.name)
        values["training_data"] = {
            key: printable(value) if isinstance(value, str) else value for key, value in self.training_data.items()
        }
        return json.dumps(to_json(values), ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> Metadata:
        """Return the metadata that `to_json` wrote.

        Raises:
            ModelFileError: It is no such JSON, or of a newer format.
        """
        try:
            values = json.loads(text)
            check_texts(values)
            version = values["format_version"]
            if version > FORMAT_VERSION:
                raise ModelFileError(
                    f"The model file has format version {version}; this hilum reads up to {FORMAT_VERSION}.",
                    fix="Update hilum, as it was installed here.",
                )
            if version < FORMAT_VERSION and values.get("gate"):
                raise ModelFileError(
                    f"The model file has format version {version}, of an earlier hilum: what it says of films "
                    "that are unfamiliar is of another kind.",
                    fix="Train anew, or use the hilum version that made the file.",
                )
            decoder = values["decoder_version"]
            if isinstance(decoder, bool) or not isinstance(decoder, int) or decoder < 0:
                raise ValueError(f"the film decoder's version must be a whole number, received {decoder!r}")
            if decoder > DECODER_VERSION:
                raise ModelFileError(
                    f"The model was made with film decoder {decoder}; this hilum reads films with decoder "
                    f"{DECODER_VERSION}.",
                    fix="Update hilum, as it was installed here.",
                )
            if values["preprocessing"].get("lung_crop") is True:
                raise ModelFileError(
                    "The model was trained on films cropped to the lungs (`preprocessing.lung_crop`). This version of "
                    "hilum no longer crops films.",
                    fix="Use the version of hilum that made the file, or train the model again without `lung_crop`.",
                )
            values["preprocessing"] = Preprocessing.from_dict(values["preprocessing"])
            if not isinstance(values["findings"], list):
                raise TypeError("findings is no list")
            values["findings"] = tuple(values["findings"])
            metadata = Metadata(**values)
            _check_values(metadata)
        except (KeyError, TypeError, ValueError, AttributeError, ConfigError, RecursionError) as error:
            raise ModelFileError(f"The model file's metadata do not hold together: {error}.") from error
        return metadata


def _check_values(metadata: Metadata) -> None:
    """Raise ValueError where a value that serving reckons with is of no use; the rest is for people to read."""
    names, conformal = metadata.findings, metadata.conformal
    if not all(isinstance(name, str) for name in (*names, metadata.name, metadata.precision, metadata.model_card)):
        raise ValueError("a name is no text")
    check_names(names)
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"expected two findings or more, each once, received {list(names)}")
    if not (_is_number(metadata.temperature) and metadata.temperature > 0):
        raise ValueError(f"the temperature must be a positive number, received {metadata.temperature!r}")
    if not isinstance(metadata.operating_thresholds, dict) or not isinstance(conformal, dict):
        raise ValueError("thresholds are no table")
    limits = [*metadata.operating_thresholds.values(), *(limit["threshold"] for limit in conformal.values())]
    if not all(_is_number(limit) for limit in limits):
        raise ValueError("a threshold is no number")
    if not isinstance(metadata.gate, dict):
        raise ValueError("the gate's statistics are no table")
    if metadata.gate:
        OutOfDistributionDetector.from_dict(metadata.gate)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A model file that has been read and found sound.

    Attributes:
        path: Where it was read from.
        data: Its bytes.
        sha256: Their SHA-256, hexadecimal.
        metadata: What it says of itself.
    """

    path: Path
    data: bytes
    sha256: str
    metadata: Metadata


def read_model_file(path: Path) -> ModelFile:
    """Read a model file and check it before any engine does.

    Args:
        path: The file, the folder of a run that holds it, or the name of a model that ships with hilum.

    Raises:
        ModelFileError: It cannot be read, is cut short, is no ONNX file or not hilum's, is too new or too large,
            points at data outside itself, or is not the file that shipped under its name.
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
    if shipped and hashlib.sha256(data).hexdigest() != shipped.sha256:
        raise ModelFileError(
            f"The file of the model `{shipped.name}`, `{path}`, is not the one that hilum shipped: another hash.",
            fix="Install hilum anew, or give a model file by its path.",
        )
    if data.startswith(_ZIP) and _KERAS_PART in data:
        beside = path.with_name("model.onnx")
        raise ModelFileError(
            f"`{path}` is a Keras model, for going on training; hilum answers with the model.onnx of its run.",
            fix=f"Give `{beside}`." if beside.is_file() else "Give the model.onnx that lay beside it.",
        )
    try:
        _refuse_unsafe_graph(memoryview(data))
        text = _metadata_text(memoryview(data))
    except _BrokenMessage as error:
        raise ModelFileError(
            f"`{path}` is no ONNX file, or it is cut short ({error}).", fix="Copy the file anew, or give another."
        ) from error
    if text is None:
        raise ModelFileError(
            f"`{path}` is an ONNX file, but not one of hilum's: it holds no metadata under `{METADATA_KEY}`.",
            fix="Give a model.onnx made by `hilum train`.",
        )
    return ModelFile(path, data, hashlib.sha256(data).hexdigest(), Metadata.from_json(text))


class _BrokenMessage(ValueError):
    """The bytes are no well-formed protocol-buffer message."""


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the fields of a message: number and value (int, or a view of the bytes)."""
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise _BrokenMessage("a field has the number 0")
        if wire_type == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire_type == _LENGTH_DELIMITED:
            length, position = _varint(message, position)
        elif wire_type in (1, 5):
            length = 8 if wire_type == 1 else 4
        else:
            raise _BrokenMessage(f"unknown wire type {wire_type}")
        if position + length > end:
            raise _BrokenMessage(f"a field reaches {position + length - end} bytes past the end")
        yield number, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise _BrokenMessage("it ends inside a number")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _BrokenMessage("a number is too long")


def _refuse_unsafe_graph(data: memoryview) -> None:
    """Walk every message that can hold a tensor; a loop rather than recursion, so that no file nests too deep."""
    pending: list[tuple[str, memoryview]] = [("model", data)]
    num_nodes, has_graph, repeats = 0, False, False
    while pending:
        kind, message = pending.pop()
        num_nodes += kind == "node"
        has_graph |= kind == "graph"
        if num_nodes > MAX_NODES:
            raise ModelFileError(f"The model file's graph has more than {MAX_NODES} nodes.")
        children = _PATHS_TO_TENSORS.get(kind, {})
        for number, value in _fields(message):
            if kind == "tensor" and (
                number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and value != 0)
            ):
                raise ModelFileError(
                    "The model file points at data outside itself; a hilum model is one file.",
                    fix="Do not use it unless you made it; export it with its weights inside.",
                )
            repeats |= _repeats(kind, number, value)
            if number in children and isinstance(value, memoryview):
                pending.append((children[number], value))
    if not has_graph:
        raise _BrokenMessage("it holds no graph")
    if repeats:
        raise ModelFileError(
            "The model file's graph holds a loop, a branch or a function; hilum's graphs have none.",
            fix="Do not use it unless you made it; give a model.onnx made by `hilum train`.",
        )


def _repeats(kind: str, number: int, value: int | memoryview) -> bool:
    """Return whether a field makes a graph repeat or branch."""
    return (
        (kind == "model" and number == _MODEL_FUNCTIONS)
        or (kind == "attribute" and number in _ATTRIBUTE_GRAPHS)
        or (kind == "node" and number == _NODE_OPERATOR and not isinstance(value, int) and bytes(value) in _REPEATING)
    )


def _metadata_text(data: memoryview) -> str | None:
    for number, value in _fields(data):
        if number == _MODEL_METADATA and isinstance(value, memoryview):
            if len(value) > MAX_METADATA_BYTES:
                raise ModelFileError(
                    f"The model file's metadata are larger than {MAX_METADATA_BYTES // 2**20} MB.",
                    fix="Do not use it unless you made it; give a model.onnx made by `hilum train`.",
                )
            entry = {key: bytes(part) for key, part in _fields(value) if isinstance(part, memoryview)}
            if entry.get(1) == METADATA_KEY.encode():
                try:
                    return entry.get(2, b"").decode()
                except UnicodeDecodeError as error:
                    raise _BrokenMessage("its metadata are no text") from error
    return None
