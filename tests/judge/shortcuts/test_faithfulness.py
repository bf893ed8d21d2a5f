"""Heat inside the lungs is counted right; deletion and insertion tell a true map from a false one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from hilum.data.phantom import draw_phantom
from hilum.film.radiograph import Radiograph
from hilum.judge.metrics import Labels
from hilum.judge.shortcuts.faithfulness import FRACTIONS, order_films, score_mass, score_orders, share_in_lungs
from hilum.run.classifier import Classifier
from hilum.run.lungs import lung_mask


@pytest.fixture(scope="module")
def radiograph() -> Radiograph:
    pixels = draw_phantom("Normal", np.random.default_rng(1), size_px=128).astype(np.float32) / 255
    return Radiograph(pixels, "png", pixels.shape, 8)


def test_maps_inside_outside_and_even(radiograph: Radiograph) -> None:
    lungs = lung_mask(radiograph).astype(np.float32)
    inner = cv2.erode(lungs, np.ones((9, 9)))
    outer = 1 - cv2.dilate(lungs, np.ones((9, 9)))
    area = float(lungs.mean())
    assert share_in_lungs(radiograph, inner) == (1.0, pytest.approx(area))
    assert share_in_lungs(radiograph, outer)[0] == 0.0
    assert share_in_lungs(radiograph, np.ones((7, 7), np.float32))[0] == pytest.approx(area)
    assert np.isnan(share_in_lungs(radiograph, np.full((7, 7), -1, np.float32))[0])


def test_mass_is_told_by_answer_and_by_finding() -> None:
    shares = np.array([[0.8, 0.3], [0.6, 0.3], [0.1, 0.2], [np.nan, 0.2]])
    found = score_mass(shares, np.array([0, 1, 0, 0]), Labels(np.array([0, 1, 1, 0]), np.arange(4), ("A", "B")))
    assert found.all.n == 3
    assert found.all.in_lungs.value == pytest.approx(0.5)
    assert found.right.in_lungs.value == pytest.approx(0.7)
    assert found.wrong.excess.value == pytest.approx(-0.1)
    assert found.per_finding["A"].n == 2
    assert found.per_finding["A"].even.value == pytest.approx(0.25)
    assert found.per_finding["B"].in_lungs.value == pytest.approx(0.6)


def test_a_true_map_beats_chance_and_centre_and_a_false_one_does_not(
    looking_model: Callable[..., Path], marked_films: Path, tmp_path: Path
) -> None:
    classifier = Classifier(looking_model(tmp_path / "m.onnx", ((0, 0),), 0.67))
    paths = sorted((marked_films / "Covid-19").iterdir())
    true, false = [], []
    for seed, path in enumerate(paths):
        film = classifier.preprocess(classifier.read(path))
        activation = classifier.predict(path).activation[1]
        for curves, shown in ((true, activation), (false, -activation)):
            curves.append(order_films(classifier.engine, film, shown, 1, temperature=1.0, seed=seed))
    found = score_orders(np.stack(true), np.arange(len(paths)))
    for kind in ("deletion", "insertion"):
        for baseline in ("centre", "random"):
            assert getattr(found, kind).gain[baseline].low > 0, (kind, baseline)
        curve = getattr(found, kind).curves["heatmap"]
        assert len(curve) == len(FRACTIONS) == 13
        assert getattr(found, kind).area["heatmap"].value == pytest.approx(np.trapezoid(curve, FRACTIONS))
    assert found.deletion.curves["heatmap"][0] == found.insertion.curves["random"][-1]  # the whole film
    assert found.deletion.curves["heatmap"][1] < 0.1
    assert found.insertion.curves["heatmap"][1] > 0.9
    wrong = score_orders(np.stack(false), np.arange(len(paths)))
    assert wrong.deletion.gain["random"].high < 0
    assert wrong.insertion.gain["random"].high < 0


def test_the_same_seed_gives_the_same_curves(tiny_model: Path, tmp_path: Path, write_film: Callable[..., Path]) -> None:
    classifier = Classifier(tiny_model)
    answer = classifier.predict(write_film(tmp_path / "a.png"))
    film = classifier.preprocess(classifier.read(tmp_path / "a.png"))
    one, same, other = (
        order_films(classifier.engine, film, answer.activation[0], 0, temperature=1.5, seed=seed) for seed in (0, 0, 1)
    )
    assert one.shape == (2, 3, 13)
    np.testing.assert_allclose(one, same)
    assert (one[:, 2] != other[:, 2]).any()
    np.testing.assert_allclose(one[:, :2], other[:, :2], atol=0.05)
