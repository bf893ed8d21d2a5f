"""A film on its way into the spool: a hidden file that is there whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

__all__ = ["PARTIAL", "Arrival"]

PARTIAL = ".part-"  # how names of files begin that are not whole yet


class Arrival:
    """A film on its way in: a hidden file that is removed unless it is kept.

    Attributes:
        path: The file.
        num_bytes: How long the data set is so far.
    """

    def __init__(self, folder: Path) -> None:
        handle, name = tempfile.mkstemp(dir=folder, prefix=PARTIAL)
        self.path = Path(name)
        self.num_bytes = 0
        self._file = os.fdopen(handle, "wb")
        self._hash = hashlib.sha256()

    def begin(self, meta: bytes) -> None:
        """Write what stands before the data set, which is no part of the film's content."""
        self._file.write(meta)

    def write(self, data: bytes) -> None:
        """Write a piece of the data set."""
        self._file.write(data)
        self._hash.update(data)
        self.num_bytes += len(data)

    def flush(self) -> None:
        """Let others read what is written."""
        self._file.flush()

    def finish(self) -> str:
        """Wait until the film is on the disk, and return the hash of its data set."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._hash.hexdigest()

    def discard(self) -> None:
        """Remove the file where it was not kept."""
        with contextlib.suppress(OSError):  # a full disk: what waits to be written goes, too
            self._file.close()
        self.path.unlink(missing_ok=True)
