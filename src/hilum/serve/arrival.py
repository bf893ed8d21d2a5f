"""A film on its way in: its bytes are written and hashed as they arrive, the data set apart from what precedes it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

__all__ = ["PARTIAL", "Arrival", "content_key", "data_set_start"]

PARTIAL = ".part-"  # prefix of incomplete files


class Arrival:
    """An arriving film: a hidden file in `incoming` that is removed unless it is kept.

    Attributes:
        path: The file.
        num_bytes: Length of the data set so far.
    """

    def __init__(self, folder: Path) -> None:
        handle, name = tempfile.mkstemp(dir=folder, prefix=PARTIAL)
        self.path = Path(name)
        self.num_bytes = 0
        self._file = os.fdopen(handle, "wb")
        self._hash = hashlib.sha256()

    def begin(self, meta: bytes) -> None:
        """Write the part before the data set, which is not hashed."""
        self._file.write(meta)

    def write(self, data: bytes) -> None:
        """Write a piece of the data set."""
        self._file.write(data)
        self._hash.update(data)
        self.num_bytes += len(data)

    def write_file(self, data: bytes) -> None:
        """Write a whole DICOM file."""
        start = data_set_start(data)
        self.begin(data[:start])
        self.write(data[start:])

    def flush(self) -> None:
        """Make the written bytes visible to readers."""
        self._file.flush()

    def finish(self) -> str:
        """Write the film to the disk and return the hash of its data set."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._hash.hexdigest()

    def discard(self) -> None:
        """Remove the file if it was not kept."""
        with contextlib.suppress(OSError):  # closing writes the buffer, which fails on a full disk
            self._file.close()
        self.path.unlink(missing_ok=True)


def data_set_start(data: bytes) -> int:
    """Return where the data set of a DICOM file starts, after preamble and file meta information (PS3.10 7.1).

    The part before it names the program that wrote the file. 0 if there is no such part.
    """
    if data[128:140] != b"DICM\x02\x00\x00\x00UL\x04\x00":
        return 0
    return min(144 + int.from_bytes(data[140:144], "little"), len(data))


def content_key(data: bytes) -> str:
    """Return the SHA-256 of the data set of a DICOM file."""
    return hashlib.sha256(memoryview(data)[data_set_start(data) :]).hexdigest()
