"""Reads an ONNX file as bytes, before an engine sees it: refuses a graph that is not safe, and finds its metadata.

Only the fields that can hold a tensor are followed, in a loop: a hostile file could nest too deep for recursion.

Source: onnx.proto (ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto field numbers).
"""

from __future__ import annotations

from collections.abc import Iterator

from hilum.errors import ModelFileError

__all__ = ["BrokenMessageError", "metadata_text", "refuse_unsafe_graph"]

MAX_METADATA_BYTES = 16 * 1024 * 1024
MAX_NODES = 100_000

_LENGTH_DELIMITED = 2
# Message type -> field number -> message type of that field; only fields that can hold a tensor are read.
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
_REPEATING = (b"Loop", b"If", b"Scan", b"SequenceMap")  # operators that hold graphs and may run without an end
_MODEL_METADATA = 14


class BrokenMessageError(ValueError):
    """The bytes are not a well-formed protocol-buffer message."""


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the fields of a message: number and value (int, or a view of the bytes)."""
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise BrokenMessageError("a field has the number 0")
        if wire_type == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire_type == _LENGTH_DELIMITED:
            length, position = _varint(message, position)
        elif wire_type in (1, 5):
            length = 8 if wire_type == 1 else 4
        else:
            raise BrokenMessageError(f"unknown wire type {wire_type}")
        if position + length > end:
            raise BrokenMessageError(f"a field reaches {position + length - end} bytes past the end")
        yield number, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise BrokenMessageError("it ends inside a number")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise BrokenMessageError("a number is too long")


def refuse_unsafe_graph(data: memoryview) -> None:
    """Check every message of an ONNX file that can hold a tensor.

    Raises:
        ModelFileError: The graph is too large, refers to data outside the file, repeats or branches.
        BrokenMessageError: The bytes are no ONNX file.
    """
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
                    "The model file refers to data outside itself. A hilum model is one file.",
                    fix="Use it only if you made it; then export it with its weights inside.",
                )
            repeats |= _repeats(kind, number, value)
            if number in children and isinstance(value, memoryview):
                pending.append((children[number], value))
    if not has_graph:
        raise BrokenMessageError("it holds no graph")
    if repeats:
        raise ModelFileError(
            "The model file's graph holds a loop, a branch or a function. A model made by hilum has none.",
            fix="Give a model.onnx made by `hilum train`.",
        )


def _repeats(kind: str, number: int, value: int | memoryview) -> bool:
    """Return whether a field makes a graph repeat or branch."""
    return (
        (kind == "model" and number == _MODEL_FUNCTIONS)
        or (kind == "attribute" and number in _ATTRIBUTE_GRAPHS)
        or (kind == "node" and number == _NODE_OPERATOR and not isinstance(value, int) and bytes(value) in _REPEATING)
    )


def metadata_text(data: memoryview, key: str) -> str | None:
    """Return the metadata of an ONNX file under a key; None where there are none.

    Raises:
        ModelFileError: They are too large.
        BrokenMessageError: The bytes are no ONNX file, or the metadata no text.
    """
    for number, value in _fields(data):
        if number == _MODEL_METADATA and isinstance(value, memoryview):
            if len(value) > MAX_METADATA_BYTES:
                raise ModelFileError(
                    f"The model file's metadata are larger than {MAX_METADATA_BYTES // 2**20} MB.",
                    fix="Give a model.onnx made by `hilum train`.",
                )
            entry = {field: bytes(part) for field, part in _fields(value) if isinstance(part, memoryview)}
            if entry.get(1) == key.encode():
                try:
                    return entry.get(2, b"").decode()
                except UnicodeDecodeError as error:
                    raise BrokenMessageError("its metadata are not text") from error
    return None
