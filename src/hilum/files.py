"""Writing files so that a reader, or the next run, never meets half of one."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from hilum.errors import InputError

__all__ = ["replace_array", "replace_file", "replace_files", "replacing"]

_LONGEST_NAME = 200  # bytes; the name of the file under way is longer, and file systems allow 255


@contextmanager
def replacing(path: Path, *, wait: bool = True) -> Iterator[Path]:
    """Yield the path of a new, empty file beside another; it takes the other's name when all went well.

    The old content stays until the new one is whole. A full disk, Ctrl-C or SIGTERM leaves it as it was and no other
    file beside it. A link is replaced, never written through.

    Args:
        path: The file; its folder must exist.
        wait: Until the content is safe on disk. Without it a loss of power may cost the file, but never half of it.
    """
    prefix = f".{path.name}-" if len(os.fsencode(path.name)) <= _LONGEST_NAME else ".hilum-"  # walks pass over both
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix)
    partial = Path(name)
    try:
        os.close(handle)
        yield partial
        if wait:
            with partial.open("rb") as file:
                os.fsync(file.fileno())
        partial.chmod(0o644)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def replace_file(path: Path, content: str | bytes, *, wait: bool = True) -> None:
    """Write a file in one step: the old content stays until the new one is safe on disk.

    Args:
        path: The file; its folder must exist.
        content: Text is written as UTF-8; file names in it that are no text come out as escapes.
        wait: As `replacing`.

    Raises:
        InputError: The disk is full or the folder cannot be written to; the old file is untouched.
    """
    replace_files({path: content}, wait=wait)


def replace_files(contents: Mapping[Path, str | bytes], *, wait: bool = True) -> None:
    """Write files that belong together: none takes its name before all of them are whole.

    Args:
        contents: What each file will hold; names are taken in this order.
        wait: As `replacing`.

    Raises:
        InputError: As replace_file; no file was touched.
    """
    path = Path()
    try:
        with ExitStack() as stack:
            for path in reversed(list(contents)):  # the last that was opened is the first to take its name
                content = contents[path]
                data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
                stack.enter_context(replacing(path, wait=wait)).write_bytes(data)
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
