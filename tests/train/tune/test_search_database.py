"""The lock that the processes of a search share."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.errors import InputError
from hilum.train.tune import search_database
from hilum.train.tune.search_database import locked


def test_a_lock_is_held_by_one_and_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_database, "_PATIENCE_SECONDS", 0.05)
    with locked(tmp_path), pytest.raises(InputError, match="Another process uses"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass
    with pytest.raises(InputError, match="Cannot lock"), locked(tmp_path / "missing"):
        pass
