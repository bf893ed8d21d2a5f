"""The errors that hilum raises on purpose.

    HilumError
    ├── InputError (ValueError)        exit 2   HTTP 400   something given to hilum is wrong
    │   ├── UndecodableFilm            exit 1   HTTP 422   one film's bytes cannot be read
    │   ├── UnsupportedFilm            exit 1   HTTP 415   a format, size or kind that hilum does not read
    │   │   └── RefusedFilm            exit 1   HTTP 415   readable, but not a film that hilum may judge
    │   └── InconsistentDataset        exit 2   HTTP 400   a data folder or manifest is incomplete or contradictory
    ├── ConfigError (ValueError)       exit 2   HTTP 400   a setting is unknown or out of range
    ├── ModelFileError (RuntimeError)  exit 3   HTTP 500   the model file is broken, not hilum's, or too new
    └── MissingExtra (ImportError)     exit 4   HTTP 501   an optional dependency is not installed

A message says what happened, to which thing, what was expected and what was received; ``fix`` says what to do.
No message holds a patient's name or identifier.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, ClassVar

from hilum.extras import install_line
from hilum.text import printable

__all__ = [
    "ConfigError",
    "HilumError",
    "InconsistentDataset",
    "InputError",
    "MissingExtra",
    "ModelFileError",
    "RefusedFilm",
    "UndecodableFilm",
    "UnsupportedFilm",
    "nearest_name",
]


class HilumError(Exception):
    """The base class of all errors that hilum raises on purpose."""

    exit_code: ClassVar[int] = 2
    http_status: ClassVar[int] = 500
    dicom_status: ClassVar[int] = 0xC000  # "cannot understand", DICOM PS3.4 table B.2-1

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(printable(message))
        self.message = printable(message)  # it may quote names from outside
        self.fix = printable(fix)

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".rstrip()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.fix)  # pickle cannot pass keyword-only arguments

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the error: type, message, fix."""
        return {"type": type(self).__name__, "message": self.message, "fix": self.fix}


def _rebuild(kind: type[HilumError], message: str, fix: str) -> HilumError:
    return kind(message, fix=fix)


class InputError(HilumError, ValueError):
    """Something given to hilum is wrong."""

    http_status = 400


class UndecodableFilm(InputError):
    """The bytes of one film cannot be read: truncated, empty, or not an image."""

    exit_code = 1
    http_status = 422


class UnsupportedFilm(InputError):
    """hilum does not read this kind of file: PDF, an unusual sample size, a hip."""

    exit_code = 1
    http_status = 415
    dicom_status = 0xA900  # "data set does not match SOP class"


class RefusedFilm(UnsupportedFilm):
    """The film can be read, but hilum does not judge what it shows: a hip, a colour photo, a film series.

    In JSON it is an UnsupportedFilm with the key ``refused``.
    """

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the error, with ``refused``."""
        return super().to_dict() | {"type": UnsupportedFilm.__name__, "refused": True}


class InconsistentDataset(InputError):
    """A data folder or manifest cannot be used: missing, empty, contradictory, or with one finding only."""


class ConfigError(HilumError, ValueError):
    """A setting is unknown or out of range."""

    http_status = 400


class ModelFileError(HilumError, RuntimeError):
    """A model file is broken, not made by hilum, too new, or changed."""

    exit_code = 3


class MissingExtra(HilumError, ImportError):
    """An optional dependency is not installed.

    Args:
        feature: What the user asked for, as the subject of a sentence ("Training", "Parquet output").
        extra: The extra to install.
    """

    exit_code = 4
    http_status = 501

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the extra `{extra}`, which is not installed.",
            fix=f"Install it: {install_line(extra)}",
        )
        self.feature = feature
        self.extra = extra

    def __reduce__(self) -> tuple[Any, ...]:
        return MissingExtra, (self.feature, self.extra)


def nearest_name(unknown: str, known: Iterable[str]) -> str:
    """Return a suggestion for an unknown name, for use in a message.

    Example:
        >>> nearest_name("epoch", ["epochs", "seed"])
        'Did you mean `epochs`? Known: epochs, seed.'
    """
    names = list(known)
    close = difflib.get_close_matches(unknown.lower(), [name.lower() for name in names], n=1, cutoff=0.5)
    listing = f"Known: {', '.join(names)}."
    if not close:
        return listing
    match = next(name for name in names if name.lower() == close[0])
    return f"Did you mean `{match}`? {listing}"
