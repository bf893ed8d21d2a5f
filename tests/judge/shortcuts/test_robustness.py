"""Damage grows with its strength, is what its name says, and a model is charged for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hilum.data.phantom import draw_phantom
from hilum.film.preprocess import Preprocessing, preprocess
from hilum.film.radiograph import Radiograph
from hilum.judge.metrics import Labels
from hilum.judge.shortcuts.occlusion import judge_variants
from hilum.judge.shortcuts.robustness import DAMAGES, damaged_films, score_damages
from hilum.run.answer import softmax
from hilum.run.classifier import Classifier

PLAIN = Preprocessing(size_px=160, window_percentiles=(0, 100), equalize=False)


@pytest.fixture(scope="module")
def radiograph() -> Radiograph:
    pixels = draw_phantom("Normal", np.random.default_rng(0), size_px=200).astype(np.float32) / 255
    pixels = 0.3 + 0.4 * pixels
    pixels[:4, :4], pixels[-4:, -4:] = 0, 1  # black and white stay, so that a stretched window undoes nothing
    return Radiograph(pixels.astype(np.float32), "png", pixels.shape, 8)


@pytest.fixture(scope="module")
def rows(radiograph: Radiograph) -> dict[str, np.ndarray]:
    """Damage to the difference of each strength from the undamaged film."""
    films = damaged_films(radiograph, PLAIN, 1)
    assert films.shape == (1 + sum(len(damage.strengths) for damage in DAMAGES), 1, 160, 160)
    found, at = {}, 1
    for damage in DAMAGES:
        found[damage.key] = np.abs(films[at : at + len(damage.strengths)] - films[0]).mean(axis=(1, 2, 3))
        at += len(damage.strengths)
    return found


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.key)
def test_damage_grows_with_its_distance_from_the_undamaged_film(damage: object, rows: dict[str, np.ndarray]) -> None:
    place, row = damage.place, rows[damage.key]  # type: ignore[attr-defined]
    for side in (row[:place][::-1], row[place:]):
        assert (np.diff(side) > -0.01).all(), row  # a film of 16 pixels is about as far off as one of 8
    assert row.min() > 0


def test_the_undamaged_film_is_the_film_but_for_the_reduction(radiograph: Radiograph) -> None:
    film = damaged_films(radiograph, PLAIN, 0)[0]
    assert np.abs(film - preprocess(radiograph, PLAIN)).mean() < 0.01


def test_equalising_undoes_gamma_and_mild_contrast(radiograph: Radiograph) -> None:
    films = damaged_films(radiograph, replace(PLAIN, equalize=True), 0)
    at, far = 1, {}
    for damage in DAMAGES:
        far[damage.key] = np.abs(films[at : at + len(damage.strengths)] - films[0]).mean(axis=(1, 2, 3))
        at += len(damage.strengths)
    assert far["gamma"][2] < 0.03 < far["noise"].max()
    assert far["contrast"][2] < 0.03


def test_the_same_seed_gives_the_same_noise(radiograph: Radiograph) -> None:
    one, same, other = (damaged_films(radiograph, PLAIN, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one[1] != other[1]).any()


def test_a_model_that_reads_one_corner_fails_when_the_film_is_turned(
    looking_model: Callable[..., Path], marked_films: Path, tmp_path: Path
) -> None:
    classifier = Classifier(looking_model(tmp_path / "m.onnx", ((0, 0),), 0.67))
    paths = sorted(marked_films.rglob("*.png"))
    truth = np.array([int(path.parent.name == "Covid-19") for path in paths])
    settings = classifier.metadata.preprocessing
    logits = judge_variants(classifier, paths, lambda at, film: damaged_films(film, settings, at))
    found = score_damages(softmax(logits), Labels(truth, np.arange(len(paths)), classifier.findings))
    assert found.undamaged.accuracy.value == 1
    assert [len(found.damages[damage.key].accuracy) for damage in DAMAGES] == [
        len(damage.strengths) for damage in DAMAGES
    ]
    turned = [one.value for one in found.damages["rotation"].accuracy]
    assert turned[0] > turned[-1] + 0.1
    assert found.damages["jpeg"].accuracy[0].value == 1
