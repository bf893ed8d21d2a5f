"""Compiled networks: kept for the next process, never trusted when damaged, and missed by nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino
import pytest

from hilum.run import compiled
from hilum.run.engine import openvino_core

SETTINGS = {"INFERENCE_NUM_THREADS": 1}


@pytest.fixture
def data(tiny_model: Path) -> bytes:
    return tiny_model.read_bytes()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return compiled.cache_folder()


def logits(data: bytes, reads: list[int]) -> np.ndarray:
    def read() -> openvino.Model:
        reads.append(1)
        graph = openvino_core().read_model(data)
        graph.reshape({"film": [1, 1, 32, 32]})
        return graph

    network = compiled.compiled_network(openvino_core(), data, SETTINGS, read)
    film = np.random.default_rng(0).random((1, 1, 32, 32), dtype=np.float32)
    return np.array(network({"film": film})["logits"])


def test_a_network_is_compiled_once(data: bytes, folder: Path) -> None:
    reads: list[int] = []
    first, second = logits(data, reads), logits(data, reads)
    assert len(reads) == 1
    np.testing.assert_array_equal(first, second)
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("damage", [lambda kept: kept[:-1], lambda kept: kept[:99] + b"?" + kept[100:], lambda _: b""])
def test_a_damaged_one_is_not_trusted(damage: object, data: bytes, folder: Path) -> None:
    reads: list[int] = []
    expected = logits(data, reads)
    (kept,) = folder.iterdir()
    kept.write_bytes(damage(kept.read_bytes()))  # type: ignore[operator]
    np.testing.assert_array_equal(logits(data, reads), expected)
    np.testing.assert_array_equal(logits(data, reads), expected)
    assert len(reads) == 2


def test_a_folder_that_cannot_be_written_changes_nothing(data: bytes, folder: Path) -> None:
    folder.parent.parent.mkdir(exist_ok=True)
    folder.parent.write_text("a file in its place")
    reads: list[int] = []
    np.testing.assert_array_equal(logits(data, reads), logits(data, reads))
    assert len(reads) == 2


def test_the_oldest_are_removed(data: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_MOST_KEPT", 2)
    for version in ("1", "2", "3"):
        monkeypatch.setattr(openvino, "__version__", version)
        logits(data, [])
    assert len(list(folder.iterdir())) == 2
