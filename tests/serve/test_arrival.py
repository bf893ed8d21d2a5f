"""A film on its way in: whole or not there."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hilum.serve.spool import PARTIAL, Arrival


def test_what_is_written_is_counted_and_hashed_without_what_stands_before_it(tmp_path: Path) -> None:
    arrival = Arrival(tmp_path)
    assert arrival.path.name.startswith(PARTIAL)
    assert arrival.path.stat().st_mode & 0o077 == 0
    arrival.begin(b"meta")
    arrival.write(b"fi")
    arrival.write(b"lm")
    arrival.flush()
    assert arrival.path.read_bytes() == b"metafilm"
    assert arrival.num_bytes == 4
    assert arrival.finish() == hashlib.sha256(b"film").hexdigest()
    arrival.path.rename(tmp_path / "kept")
    arrival.discard()  # of a film that was kept nothing is removed
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_what_is_not_kept_is_removed_and_that_twice(tmp_path: Path) -> None:
    arrival = Arrival(tmp_path)
    arrival.write(b"film")
    arrival.discard()
    arrival.discard()
    assert list(tmp_path.iterdir()) == []
