"""Compiled networks: kept for the next process, never trusted when damaged, and missed by nobody."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino
import pytest

from hilum.run import compiled
from hilum.run.core import openvino_core

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


_TWO_THAT_WRITE = """
import sys
from pathlib import Path
import numpy as np
from hilum.run import compiled
from hilum.run.core import openvino_core
data, expected, compiled._MOST_KEPT = Path(sys.argv[1]).read_bytes(), None, 2
for turn in range(30):
    def read():
        graph = openvino_core().read_model(data)
        graph.reshape({"film": [1, 1, 32, 32]})
        return graph
    # three networks, but room for two, so each turn reads, writes and removes what the other process has
    network = compiled.compiled_network(openvino_core(), data, {"INFERENCE_NUM_THREADS": 1 + turn % 3}, read)
    logits = network({"film": np.full((1, 1, 32, 32), 0.5, np.float32)})["logits"]
    expected = logits if expected is None else expected
    np.testing.assert_allclose(logits, expected, atol=1e-5)
print(*expected[0])
"""


def test_two_processes_that_write_at_once_disturb_nobody(tiny_model: Path, folder: Path) -> None:
    command = [sys.executable, "-c", _TWO_THAT_WRITE, tiny_model]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    (first, said), (second, also_said) = (one.communicate() for one in both)
    assert said + also_said == ""
    assert first == second != ""
    kept = list(folder.iterdir())
    assert len(kept) <= 3  # one may have been added while the other process counted
    assert all(path.suffix == ".network" and compiled._kept(path) for path in kept)


_NO_ROOM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
from hilum.cli import main
sys.argv[1:] = ["predict", *sys.argv[1:]]
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit of file sizes")
def test_a_full_disk_costs_no_answer(
    tiny_model: Path, tmp_path: Path, folder: Path, write_film: Callable[..., Path]
) -> None:
    film = write_film(tmp_path / "film.png")
    command = [sys.executable, "-c", _NO_ROOM, film, "--model", tiny_model, "--format", "jsonl"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert '"probabilities"' in done.stdout
    assert done.stderr == "Judging 1 film\n"
    assert list(folder.iterdir()) == []
