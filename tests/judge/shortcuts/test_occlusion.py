"""A planted shortcut is found, and a model without one is not accused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hilum.data.phantom import draw_phantom
from hilum.errors import UndecodableFilm
from hilum.film.preprocess import Preprocessing, preprocess
from hilum.film.radiograph import Radiograph
from hilum.judge.intervals import Interval
from hilum.judge.metrics import Labels
from hilum.judge.shortcuts.occlusion import (
    CUES,
    chance_of,
    cue_films,
    judge_variants,
    lung_cover,
    score_cues,
    share_in_border,
    without_shift,
)
from hilum.run.answer import softmax
from hilum.run.classifier import Classifier
from hilum.run.lungs import lung_mask

CORNER = ((0, 0),)
LUNGS = tuple((row, column) for row in (2, 3, 4) for column in (2, 5))
KEYS = [cue.key for cue in CUES]


def phantom(seed: int = 0) -> Radiograph:
    pixels = draw_phantom("Normal", np.random.default_rng(seed), size_px=128).astype(np.float32) / 255
    return Radiograph(pixels, "png", pixels.shape, 8)


def scores(model: Path, films: Path) -> dict:
    classifier = Classifier(model)
    paths = sorted(films.rglob("*.png"))
    truth = np.array([int(path.parent.name == "Covid-19") for path in paths])
    logits = judge_variants(classifier, paths, lambda _, film: cue_films(film, classifier.metadata.preprocessing))
    return score_cues(logits, Labels(truth, np.arange(len(paths)), classifier.findings))


def test_a_model_that_reads_a_marker_keeps_its_score_without_lungs(
    looking_model: Callable[..., Path], marked_films: Path, tmp_path: Path
) -> None:
    found = scores(looking_model(tmp_path / "m.onnx", CORNER, 0.67), marked_films)
    for key in ("whole", "lungs_hidden", "border_only", "lungs_blackened"):
        assert found[key].accuracy.value == 1, key
    assert found["border_only"].excess.value == 0
    assert found["thumbnail_16"].accuracy.value > 0.8
    for key in ("lungs_only", "centre_only"):
        assert found[key].accuracy.value == 0.5, key
        assert found[key].auroc_macro.value == 0.5, key


def test_the_whole_film_is_shown_as_it_is_served_and_lungs_are_hidden_under_their_cover() -> None:
    film, settings = phantom(), Preprocessing(size_px=64)
    shown = dict(zip(KEYS, cue_films(film, settings)[:, 0], strict=True))
    assert np.array_equal(shown["whole"], preprocess(film, settings)[0])
    hidden = (shown["lungs_hidden"] != shown["whole"]).mean()
    assert hidden == pytest.approx(lung_cover(film).mean(), abs=0.03)
    assert 0 < share_in_border(film) < 0.2


def test_a_model_that_reads_the_lungs_loses_it(
    looking_model: Callable[..., Path], marked_films: Path, tmp_path: Path
) -> None:
    found = scores(looking_model(tmp_path / "m.onnx", LUNGS, 0.3), marked_films)
    for key in ("whole", "lungs_only", "centre_only"):
        assert found[key].accuracy.value == 1, key
    for key in ("border_only", "border_only_blackened"):
        assert found[key].accuracy.value == 0.5, key
    assert found["lungs_hidden"].accuracy.value < 0.8
    excess = found["border_only"].excess
    assert excess.value == 0.5
    assert 0 < excess.low < 0.5 < excess.high < 1


def test_a_shift_that_all_films_share_hides_no_shortcut() -> None:
    """Thrown off by the grey, a model answers all films alike; its border tells them apart none the less."""
    truth = np.arange(40) % 2
    logits = np.zeros((40, len(CUES), 2))
    logits[:, :, 1] = np.where(truth == 1, 2.0, -2.0)[:, np.newaxis]
    logits[:, KEYS.index("border_only"), 1] -= 9
    found = score_cues(logits, Labels(truth, np.arange(40), ("Normal", "Covid-19")))["border_only"]
    assert found.as_answered.accuracy.value == found.as_answered.excess.value == 0.5
    assert found.auroc_macro.value == found.accuracy.value == 1
    assert found.excess.value == 0
    assert found.excess.low < 0 < found.excess.high


def test_a_finding_that_no_film_shows_has_no_part_in_it() -> None:
    """The whole films look like a finding that the set does not hold: answers are wrong, the ranking is not."""
    rng = np.random.default_rng(0)
    truth = np.arange(40) % 2
    logits = rng.normal(0, 1, (40, len(CUES), 3))
    logits[:, 0, 1] += 4 * truth
    logits[:, KEYS.index("border_only"), 1] += 1.5 * truth
    without = score_cues(logits[:, :, :2], Labels(truth, np.arange(40), ("Normal", "Covid-19")))
    logits[:, 0, 2] += 9
    found = score_cues(logits, Labels(truth, np.arange(40), ("Normal", "Covid-19", "Viral Pneumonia")))
    for key in ("whole", "border_only"):
        for figure in ("accuracy", "auroc_macro", "excess", "auroc_excess"):
            assert getattr(found[key], figure) == getattr(without[key], figure), (key, figure)
    assert found["whole"].as_answered.accuracy.value < 0.2
    lead = found["border_only"].auroc_excess
    gap = found["whole"].auroc_macro.value - found["border_only"].auroc_macro.value
    assert lead.value == pytest.approx(gap)
    assert lead.low < lead.value < lead.high


def test_films_of_one_finding_rank_nothing() -> None:
    logits = np.random.default_rng(0).normal(size=(10, len(CUES), 2))
    found = score_cues(logits, Labels(np.zeros(10, int), np.arange(10), ("Normal", "Covid-19")))["border_only"]
    assert found.auroc_excess == Interval()
    assert found.auroc_macro.value is None


def test_what_is_hidden_is_hidden_and_what_is_shown_is_as_it_was() -> None:
    radiograph, preprocessing = phantom(), Preprocessing(size_px=100)
    films = dict(zip(KEYS, cue_films(radiograph, preprocessing), strict=True))
    whole = films["whole"]
    np.testing.assert_array_equal(whole, preprocess(radiograph, preprocessing))
    for one, other in (("lungs_hidden", "lungs_only"), ("border_only", "centre_only")):
        hidden = films[one] != whole
        assert hidden.any()
        assert (films[one][hidden] == 0.5).all()
        np.testing.assert_array_equal(np.where(films[one] == whole, films[one], films[other]), whole)
    hidden = films["border_only"][0] == 0.5
    assert hidden[12, 50] and hidden[50, 12] and hidden[88, 88]
    assert (films["border_only"][0][:9] == whole[0][:9]).all()
    assert np.unique(films["thumbnail_8"][0].round(2)).size > 8  # equalised anew, not flat
    assert (films["lungs_blackened"] != films["lungs_hidden"]).any()
    assert films["whole"].dtype == np.float32
    assert all(film.min() >= 0 and film.max() <= 1 for film in films.values())


def test_the_cover_holds_the_lungs_and_what_lies_between_their_edges() -> None:
    radiograph = phantom(3)
    lungs = lung_mask(radiograph)
    dense = radiograph.pixels.copy()
    rows, columns = np.nonzero(lungs[:, : lungs.shape[1] // 2])
    row, column = int(np.median(rows)), int(np.median(columns))
    dense[row - 6 : row + 6, column - 6 : column + 6] = 0.95  # a consolidation
    cover = lung_cover(Radiograph(dense, "png", dense.shape, 8))
    assert cover[row - 6 : row + 6, column - 6 : column + 6].all()
    assert (cover & lungs).sum() > 0.97 * lungs.sum()
    assert cover.mean() < 2 * lungs.mean()
    assert 0 <= share_in_border(radiograph) < 0.3


def test_removing_the_shift_keeps_what_tells_films_apart() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(40, 2, 3))
    logits[:, 1] = logits[:, 0] + np.array([9.0, -4.0, 1.0]) + rng.normal(size=(40, 1))
    shifted = without_shift(logits)
    np.testing.assert_allclose(shifted[:, 0], shifted[:, 1], atol=1e-9)
    np.testing.assert_array_equal(shifted[:, 0].argmax(1), logits[:, 0].argmax(1))
    assert (logits[:, 1].argmax(1) == 0).all()


def test_chance_is_the_most_frequent_finding() -> None:
    assert chance_of(np.array([0, 0, 0, 2]), 3).accuracy == 0.75
    assert chance_of(np.array([0, 0, 0, 2]), 3).balanced_accuracy == pytest.approx(0.5)


# --- variants of a film get the answers that the same film gets when it is judged alone -------------------------------


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
