"""The logs of the server and of the node, as text or as JSON: no data of a patient and no text of a client.

In the log of a node, studies and films appear as keyed hashes of their identifiers. A reader can follow a study through
the log, but cannot find out which study it is. The key is in the spool.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime

from hilum.console import Console

__all__ = ["About", "NodeLog", "json_line", "json_log", "libraries_kept_quiet", "where_it_failed"]

_OWN = "hilum.serve"
_LIBRARIES = ("pydicom", "pynetdicom", "highdicom", "dicomweb_client", "urllib3")


def where_it_failed(error: BaseException) -> str:
    """Return the class and the code lines of an exception, for the log.

    The message is left out: it may hold a file name, and this may hold a patient's name.
    """
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} in {frame.name}" for frame in frames[-6:]]
    return f"{type(error).__name__} at {' > '.join(lines)}"


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


# --- the node ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class About:
    """The subject of a line of the log.

    Attributes:
        association: The running number of the association, or None.
        study: The hash of the study.
        film: The hash of the film; names of its files in the spool begin with it.
    """

    association: int | None = None
    study: str = ""
    film: str = ""

    def __str__(self) -> str:
        words = (f"{field.name} {value}" for field in fields(self) if (value := getattr(self, field.name)))
        return ", ".join(words)


_NOTHING = About()


class NodeLog:
    """Writes the log of a node.

    Args:
        say: Shows one line.
        as_json: Write each line as a JSON object instead of plain text.
    """

    EVENTS = ("received", "not_accepted", "judged", "quarantined", "sent")

    def __init__(self, say: Callable[[str], None], *, as_json: bool = False) -> None:
        self._say = say
        self._as_json = as_json
        self._counting = threading.Lock()
        self._counts = dict.fromkeys(self.EVENTS, 0)

    @property
    def counts(self) -> dict[str, int]:
        """How often each event happened since the start."""
        with self._counting:
            return dict(self._counts)

    def count(self, event: str) -> None:
        """Count one of EVENTS."""
        with self._counting:
            self._counts[event] += 1

    def info(self, text: str, about: About = _NOTHING) -> None:
        """Log a normal event."""
        self._write("INFO", text, about)

    def warning(self, text: str, about: About = _NOTHING) -> None:
        """Log an event that may need attention: a refused film or peer, an archive that cannot be reached."""
        self._write("WARNING", text, about)

    def error(self, text: str, about: About = _NOTHING) -> None:
        """Log an event that stops the node from working."""
        self._write("ERROR", text, about)

    def _write(self, level: str, text: str, about: About) -> None:
        if self._as_json:
            self._say(json_line(level, text, {name: value or None for name, value in asdict(about).items()}))
            return
        now = datetime.now().astimezone().isoformat(timespec="milliseconds")
        what = str(about)
        self._say(f"{now} {level:<7} {what}{': ' if what else ''}{text}")


@contextmanager
def libraries_kept_quiet(log: NodeLog) -> Iterator[None]:
    """Silence the DICOM libraries, because their messages hold values of elements. It changes the whole process.

    If an exception ends a thread, its class and place are logged, but not its message.
    """

    def ended(failure: threading.ExceptHookArgs) -> None:
        if failure.exc_value is not None:
            log.error(f"A thread has ended: {where_it_failed(failure.exc_value)}.")

    levels = {name: logging.getLogger(name).level for name in _LIBRARIES}
    hook = threading.excepthook
    with warnings.catch_warnings():
        if not sys.warnoptions:  # the user has not asked for warnings
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
