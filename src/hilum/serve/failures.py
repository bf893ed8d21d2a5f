"""Where a failure happened, told without its words."""

from __future__ import annotations

import traceback

__all__ = ["where_it_failed"]


def where_it_failed(error: BaseException) -> str:
    """Return an exception's class and the lines it passed through, for the log.

    Its message is left out: it may hold a file's name, and that a patient's.
    """
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} in {frame.name}" for frame in frames[-6:]]
    return f"{type(error).__name__} at {' > '.join(lines)}"
