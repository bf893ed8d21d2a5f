"""The node's log: one line an event, with its time, level, association and study, and no word about a patient.

Studies and films are named by a keyed hash of their identifiers: whoever reads the log can follow a study through it,
but cannot find out which one it is, not even with the identifier at hand. The key lies in the spool.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime

from hilum.serve.limits import where_it_failed

__all__ = ["About", "NodeLog", "libraries_kept_quiet"]

_LIBRARIES = ("pydicom", "pynetdicom", "highdicom")


@dataclass(frozen=True)
class About:
    """What a line of the log is about.

    Attributes:
        association: The running number of the association that a film came by; None where there is none.
        study: What stands for the study.
        film: What stands for the film; its files' names in the spool begin with it.
    """

    association: int | None = None
    study: str = ""
    film: str = ""

    def __str__(self) -> str:
        words = (f"{field.name} {value}" for field in fields(self) if (value := getattr(self, field.name)))
        return ", ".join(words)


_NOTHING = About()


class NodeLog:
    """Writes what happens in a node.

    Args:
        say: Shows one line.
        as_json: One JSON object a line, for programs; else plain text.
    """

    def __init__(self, say: Callable[[str], None], *, as_json: bool = False) -> None:
        self._say = say
        self._as_json = as_json

    def info(self, text: str, about: About = _NOTHING) -> None:
        """Note what went as it should."""
        self._write("INFO", text, about)

    def warning(self, text: str, about: About = _NOTHING) -> None:
        """Note what somebody may have to look at: a film or a peer that was refused, an archive that is away."""
        self._write("WARNING", text, about)

    def error(self, text: str, about: About = _NOTHING) -> None:
        """Note what keeps the node from its work."""
        self._write("ERROR", text, about)

    def _write(self, level: str, text: str, about: About) -> None:
        now = datetime.now().astimezone().isoformat(timespec="milliseconds")
        if self._as_json:
            ids = {name: value or None for name, value in asdict(about).items()}
            self._say(json.dumps({"time": now, "level": level, **ids, "message": text}))
            return
        what = str(about)
        self._say(f"{now} {level:<7} {what}{': ' if what else ''}{text}")


@contextmanager
def libraries_kept_quiet(log: NodeLog) -> Iterator[None]:
    """Keep what DICOM libraries say out of the process's output: their words hold values of elements.

    For a process that is a node and nothing else: warnings belong to the process. Of an exception that ends a thread
    its class and place are logged, without its message.
    """

    def ended(failure: threading.ExceptHookArgs) -> None:
        if failure.exc_value is not None:
            log.error(f"A thread has ended: {where_it_failed(failure.exc_value)}.")

    levels = {name: logging.getLogger(name).level for name in _LIBRARIES}
    hook = threading.excepthook
    with warnings.catch_warnings():
        if not sys.warnoptions:  # else somebody wants to see them
            warnings.simplefilter("ignore")
        threading.excepthook = ended
        for name in _LIBRARIES:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            threading.excepthook = hook
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
