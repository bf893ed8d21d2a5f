"""The C library is asked to give memory back; on systems where it cannot be asked nothing happens."""

from __future__ import annotations

import pytest

from hilum.run.memory import keep_memory_flat


def test_the_c_library_is_asked_to_give_memory_back(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[int, int] = {}

    class Library:
        @staticmethod
        def mallopt(what: int, value: int) -> None:
            asked[what] = value

    monkeypatch.setattr("ctypes.CDLL", lambda _: Library)
    keep_memory_flat()
    assert set(asked) == {-1, -3, -8}
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())  # a library without it
    keep_memory_flat()
