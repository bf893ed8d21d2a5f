"""Variants of a film get the answers that the same film gets when it is judged alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hilum.errors import UndecodableFilm
from hilum.judge.shortcuts.occlusion import judge_variants
from hilum.run.answer import softmax
from hilum.run.classifier import Classifier


def test_every_variant_is_judged_in_its_place(
    tiny_model: Path, tmp_path: Path, write_film: Callable[..., Path]
) -> None:
    classifier = Classifier(tiny_model)
    paths = [write_film(tmp_path / f"{number}.png", seed=number) for number in range(3)]
    shares: list[float] = []

    def make(position: int, radiograph: object) -> np.ndarray:
        film = classifier.preprocess(radiograph)  # type: ignore[arg-type]
        return np.stack([film * np.float32(1 - step / 40) for step in range(20)])

    logits = judge_variants(classifier, paths, make, done=shares.append)
    assert logits.shape == (3, 20, 3)  # more than go into the engine at once
    assert sum(shares) == pytest.approx(1)
    for position, path in enumerate(paths):
        alone = classifier.predict(path)
        np.testing.assert_allclose(softmax(logits[position, 0]), list(alone.probabilities.values()), atol=1e-5)
        dimmed = classifier.preprocess(classifier.read(path))[np.newaxis] * np.float32(1 - 19 / 40)
        expected = classifier.engine.run(dimmed).logits[0] / classifier.metadata.temperature
        np.testing.assert_allclose(logits[position, 19], expected, atol=1e-4)


def test_a_film_that_has_gone_is_an_error(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UndecodableFilm):
        judge_variants(Classifier(tiny_model), [tmp_path / "gone.png"], lambda _, film: np.zeros((1, 1, 32, 32)))
