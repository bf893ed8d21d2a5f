"""Writing files so that a reader, or the next run, never meets half of one."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

import numpy as np

from hilum.errors import InputError

__all__ = ["replace_array", "replace_file"]


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file in one step: the old content stays until the new one is safe on disk.

    Args:
        path: The file; its folder must exist.
        content: Text is written as UTF-8; file names in it that are no text come out as escapes.

    Raises:
        InputError: The disk is full or the folder cannot be written to; the old file is untouched.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    try:
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(partial).chmod(0o644)
            Path(partial).replace(path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(
            f"Cannot write `{path}`: {error.strerror}.",
            fix="Free some space or choose another folder; nothing was lost.",
        ) from error


def replace_array(path: Path, values: np.ndarray) -> None:
    """Write an array as .npy in one step.

    Args:
        path: The file; its folder must exist.
        values: Of numbers.

    Raises:
        InputError: As replace_file.
    """
    content = io.BytesIO()
    np.save(content, values, allow_pickle=False)
    replace_file(path, content.getvalue())
