"""Logs as JSON, one object a line, for both doors. They hold no data of a patient and no text of a client."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from hilum.console import Console

__all__ = ["json_line", "json_log"]

_OWN = "hilum.serve"


def json_line(level: str, message: str, fields: Mapping[str, object]) -> str:
    """Return one line: the time, the level, the fields and the message."""
    now = datetime.now().astimezone().isoformat(timespec="milliseconds")
    return json.dumps({"time": now, "level": level, **fields, "message": message})


@contextmanager
def json_log(console: Console) -> Iterator[Console]:
    """Write the log of this process as JSON to a console, and yield one for messages, which become lines too.

    Requests are logged as well. Of a library's warning only the message is written, never a traceback.
    """
    handler, root, own = _Lines(console.say), logging.getLogger(), logging.getLogger(_OWN)
    before = own.level
    root.addHandler(handler)
    own.setLevel(logging.INFO)
    try:
        yield _Messages(console.say)
    finally:
        root.removeHandler(handler)
        own.setLevel(before)


class _Lines(logging.Handler):
    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(json_line(record.levelname, record.getMessage(), getattr(record, "fields", {})))


class _Messages(Console):
    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def say(self, text: str) -> None:
        self._say(json_line("INFO", text, {}))
