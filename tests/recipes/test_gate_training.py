"""Training the gate's network: it learns, it is sealed only if the engine agrees, and what ships is such a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gate_training
from gate_training import build_gate, fit_gate, gate_probabilities, seal_gate
from hilum.errors import ModelFileError
from hilum.run.gate import KINDS, VIEW_PX, load_gate

LIMITS = {"least_chest": 0.7, "most_cut_off": 0.9}


def bars(num: int) -> tuple[np.ndarray, np.ndarray]:
    """Return views with a bright upper or lower half, called chest and turned by 180 degrees."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 2, num) * KINDS.index("rotated-180")
    views = rng.uniform(0, 0.3, (num, 1, VIEW_PX, VIEW_PX)).astype(np.float32)
    for view, kind in zip(views, kinds, strict=True):
        view[0, slice(0, 32) if kind == 0 else slice(32, 64)] += 0.6
    return views, kinds


@pytest.fixture(scope="module")
def trained() -> Any:
    return fit_gate(*bars(256), epochs=12, seed=0, batch_size=32)


@pytest.mark.slow
def test_the_network_tells_up_from_down(trained: Any) -> None:
    views, kinds = bars(64)
    found = gate_probabilities(trained, views)
    assert found.shape == (64, len(KINDS))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == kinds).mean() > 0.9


@pytest.mark.slow
def test_the_sealed_network_answers_alike_and_keeps_its_limits(trained: Any, tmp_path: Path) -> None:
    views, _ = bars(8)
    path = tmp_path / "gate.onnx"
    assert seal_gate(trained, views, path, **LIMITS) == path.stat().st_size
    network = load_gate(path.read_bytes(), "f32")
    assert (network.least_chest, network.most_cut_off) == (0.7, 0.9)
    found = np.array([network.probabilities(view) for view in views])
    np.testing.assert_allclose(found, gate_probabilities(trained, views), atol=1e-4)


@pytest.mark.slow
def test_nothing_is_sealed_where_the_engine_disagrees(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_training, "gate_probabilities", lambda _model, views: np.zeros((len(views), len(KINDS))))
    with pytest.raises(ModelFileError, match="Not sealed"):
        seal_gate(trained, bars(2)[0], tmp_path / "gate.onnx", **LIMITS)
    assert list(tmp_path.iterdir()) == []


def test_the_network_is_small() -> None:
    assert build_gate().count_params() < 75_000
