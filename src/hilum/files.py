"""Writing files in one step, so that no reader and no later run finds an incomplete file."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from hilum.errors import InputError

__all__ = ["make_folder", "replace_array", "replace_file", "replace_files", "replacing", "writing_into"]

_LONGEST_NAME = 200  # bytes; the temporary name is longer, and file systems allow 255


@contextmanager
def replacing(path: Path, *, wait: bool = True) -> Iterator[Path]:
    """Yield the path of a new temporary file. When the block ends without an error, it replaces the file at ``path``.

    After a full disk, Ctrl-C or SIGTERM the old file is unchanged and the temporary file is removed. A link is
    replaced, never followed.

    Args:
        path: The file; its folder must exist.
        wait: Wait until the content is safe on disk. Otherwise a power failure may lose the file.
    """
    prefix = f".{path.name}-" if len(os.fsencode(path.name)) <= _LONGEST_NAME else ".hilum-"  # hidden from film lists
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
    """Write a file in one step; see `replacing`.

    Args:
        path: The file; its folder must exist.
        content: Bytes, or text that is written as UTF-8. Bytes of file names that are not UTF-8 become escapes.
        wait: As in `replacing`.

    Raises:
        InputError: The disk is full or the folder cannot be written to. The old file is unchanged.
    """
    replace_files({path: content}, wait=wait)


def replace_files(contents: Mapping[Path, str | bytes], *, wait: bool = True) -> None:
    """Write several files. Each replaces the old one, in this order, only after all are written.

    Args:
        contents: Path to content.
        wait: As in `replacing`.

    Raises:
        InputError: As in `replace_file`. No file was changed.
    """
    path = Path()
    try:
        with ExitStack() as stack:
            for path in reversed(list(contents)):  # ExitStack closes the last one first
                content = contents[path]
                data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
                stack.enter_context(replacing(path, wait=wait)).write_bytes(data)
    except OSError as error:
        raise InputError(
            f"Cannot write `{path}`: {error.strerror}.",
            fix="Free some space or choose another folder. The old file is unchanged.",
        ) from error


@contextmanager
def writing_into(folder: Path, *, continues: bool = False) -> Iterator[None]:
    """Turn an error of the file system in this block into one that says what to do.

    Args:
        folder: The folder that the block writes into.
        continues: Whether the same command continues what was begun.

    Raises:
        InputError: In place of every OSError.
    """
    try:
        yield
    except OSError as error:
        fix = "Free some space or choose another folder."
        if continues:
            fix += " The same command then continues where it stopped."
        raise InputError(f"Cannot write into `{folder}`: {error.strerror or error}.", fix=fix) from error


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where it does not exist.

    Raises:
        InputError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        text = f"Cannot make the folder `{folder}`: {error.strerror}."
        raise InputError(text, fix="Choose another folder.") from error


def replace_array(path: Path, values: np.ndarray) -> None:
    """Write an array of numbers as .npy in one step; errors as in `replace_file`."""
    content = io.BytesIO()
    np.save(content, values, allow_pickle=False)
    replace_file(path, content.getvalue())
