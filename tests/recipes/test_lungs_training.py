"""Training the lung segmenter: it learns, it is sealed only if the engine agrees, and it comes out the same again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lungs_training
from hilum.errors import ModelFileError
from hilum.run.lungs import LUNGS_PX, load_lungs
from lungs_training import build_lungs, fit_lungs, lung_logits, seal_lungs

DEPTHS = (4, 8, 8, 8)


def squares(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a dark square on bright noise, and where it is."""
    view = rng.uniform(0.5, 1, (1, LUNGS_PX, LUNGS_PX)).astype(np.float32)
    mask = np.zeros_like(view)
    row, column = rng.integers(0, LUNGS_PX - 50, 2)
    mask[0, row : row + 50, column : column + 50] = 1
    return view * (1 - np.float32(0.6) * mask), mask


def fit(num_steps: int) -> Any:
    return fit_lungs(squares, num_steps=num_steps, seed=0, batch_size=8, depths=DEPTHS, rate=0.01)


@pytest.fixture(scope="module")
def trained() -> Any:
    return fit(50)


@pytest.mark.slow
def test_the_network_finds_what_it_was_shown(trained: Any) -> None:
    rng = np.random.default_rng(1)
    made = [squares(rng) for _ in range(8)]
    found = lung_logits(trained, np.stack([view for view, _ in made]))
    assert found.shape == (8, LUNGS_PX, LUNGS_PX)
    for logits, (_, mask) in zip(found, made, strict=True):
        assert 2 * ((logits > 0) & (mask[0] > 0)).sum() / ((logits > 0).sum() + mask.sum()) > 0.9


@pytest.mark.slow
def test_the_same_seed_gives_the_same_network() -> None:
    first, again = (fit(2).get_weights() for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.slow
def test_the_sealed_network_answers_alike_and_keeps_its_facts(trained: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    views = np.stack([squares(rng)[0] for _ in range(4)])
    path = tmp_path / "lungs.onnx"
    assert seal_lungs(trained, views, path, {"source": "squares"}) == path.stat().st_size
    assert path.stat().st_size < 3.2 * trained.count_params() + 20_000  # large weights in half precision
    network = load_lungs(path.read_bytes(), "f32")
    assert network.facts["source"] == "squares"
    found, expected = np.array([network.scores(view) for view in views]), lung_logits(trained, views)
    np.testing.assert_allclose(1 / (1 + np.exp(-found)), 1 / (1 + np.exp(-expected)), atol=5e-3)


@pytest.mark.slow
def test_nothing_is_sealed_where_the_engine_disagrees(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lungs_training, "lung_logits", lambda _model, views: np.full((len(views), 128, 128), 3.0))
    with pytest.raises(ModelFileError, match="Not sealed"):
        seal_lungs(trained, squares(np.random.default_rng(0))[0][np.newaxis], tmp_path / "lungs.onnx", {})
    assert list(tmp_path.iterdir()) == []


def test_the_network_is_small() -> None:
    assert build_lungs().count_params() < 600_000
