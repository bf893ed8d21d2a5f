"""The C library is asked to give memory back or to hold it; where it cannot be asked nothing happens."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hilum.run.memory import hold_memory, keep_memory_flat


@pytest.mark.parametrize(("ask", "settings"), [(keep_memory_flat, {-1, -3, -8}), (hold_memory, {-1, -4, -8})])
def test_the_c_library_is_asked(ask: Callable[[], None], settings: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[int, int] = {}

    class Library:
        @staticmethod
        def mallopt(what: int, value: int) -> None:
            asked[what] = value

    monkeypatch.setattr("ctypes.CDLL", lambda _: Library)
    ask()
    assert set(asked) == settings
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())  # a library without it
    ask()
