"""What tells a film's content from another's: its data set, whichever program wrote the file around it."""

from __future__ import annotations

import hashlib

__all__ = ["content_key", "data_set_start"]


def data_set_start(data: bytes) -> int:
    """Return where the data set of a DICOM file starts: behind the preamble and the file meta information (PS3.10 7.1).

    What stands before it names the program that wrote the file, and is no part of the film. 0 where there is none.
    """
    if data[128:140] != b"DICM\x02\x00\x00\x00UL\x04\x00":
        return 0
    return min(144 + int.from_bytes(data[140:144], "little"), len(data))


def content_key(data: bytes) -> str:
    """Return what tells the content of a DICOM file from others: a hash of its data set."""
    return hashlib.sha256(memoryview(data)[data_set_start(data) :]).hexdigest()
