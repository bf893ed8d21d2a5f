"""Figures as frozen dataclasses, and the one place that turns them into JSON and back.

A figure crosses rooms as a dataclass whose fields have the names and the order of the keys in the JSON files. Three
rules hold for every file: what is undefined (NaN, infinite) is null; numpy's numbers and arrays become Python's; a
field made by `left_out_if_none` has no key where it is None.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

__all__ = ["from_json", "json_file_text", "left_out_if_none", "to_json"]

_LEFT_OUT = "left out if none"
T = TypeVar("T")


def left_out_if_none() -> Any:
    """Return the default of a dataclass's field that is None by default, and that has no key in JSON where it is."""
    return dataclasses.field(default=None, metadata={_LEFT_OUT: True})


def to_json(value: Any) -> Any:
    """Return a value as JSON can hold it: dictionaries, lists, text, numbers, true, false and null.

    Args:
        value: Dataclasses, mappings, sequences, arrays and plain values, nested as they like.

    Example:
        >>> to_json({"value": np.float32(0.5), "counts": np.array([1, 2]), "low": math.nan})
        {'value': 0.5, 'counts': [1, 2], 'low': None}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {field.name: to_json(one) for field, one in fields if one is not None or _LEFT_OUT not in field.metadata}
    if isinstance(value, Mapping):
        return {str(key): to_json(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return to_json(value.tolist())
    if isinstance(value, list | tuple):
        return [to_json(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def json_file_text(value: Any) -> str:
    """Return the content of a JSON file with a value, as every command writes it."""
    return json.dumps(to_json(value), ensure_ascii=False, indent=1) + "\n"


def from_json(kind: type[T], value: Mapping[str, Any]) -> T:
    """Return a dataclass from the JSON that `to_json` made of it; keys that it does not know are passed over.

    Args:
        kind: The dataclass. Its fields may be dataclasses, mappings, tuples and lists of them, or None.
        value: The JSON object.

    Raises:
        ValueError: The object lacks a key, or a value has another shape.
    """
    try:
        return typing.cast(T, _read(kind, value))
    except (AttributeError, TypeError) as error:
        raise ValueError(f"Expected {kind.__name__}: {error}") from error


def _read(hint: Any, value: Any) -> Any:
    """Return a JSON value as a type hint wants it."""
    if value is None:
        return None
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _read(next(one for one in arguments if one is not type(None)), value)
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        names = [field.name for field in dataclasses.fields(hint) if field.name in value]
        return hint(**{name: _read(hints[name], value[name]) for name in names})  # type: ignore[operator]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _read(arguments[1], one) for key, one in value.items()}
    if origin is tuple:
        return tuple(_read(arguments[0], one) for one in value)
    return value
