"""What the texts in a stranger's model file may hold: they are shown in terminals, pages and DICOM objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hilum.findings import name_fault
from hilum.text import printable

__all__ = ["check_names", "check_texts"]

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
