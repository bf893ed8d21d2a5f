"""What a network sees of a film: all of it, or the lungs and a margin; and every door sees the same part."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hilum.film.decode import read_film
from hilum.film.preprocess import Preprocessing, preprocess
from hilum.film.radiograph import Radiograph
from hilum.run import view
from hilum.run.classifier import Classifier
from hilum.run.heatmap import heat, overlay
from hilum.run.view import WHOLE, part_seen, pixels_of, seen_film, view_of

CROPPED = Preprocessing(size_px=32, lung_crop=True)


@pytest.fixture
def film(tmp_path: Path, write_film: Callable[..., Path]) -> Radiograph:
    return read_film(write_film(tmp_path / "film.png", size_px=256))


def test_without_a_crop_the_whole_film_is_seen(film: Radiograph) -> None:
    assert part_seen(film, Preprocessing()) == WHOLE
    assert seen_film(film, Preprocessing()) is film
    assert np.array_equal(view_of(film, Preprocessing()), preprocess(film, Preprocessing()))


def test_the_part_holds_the_lungs_and_a_margin(monkeypatch: pytest.MonkeyPatch, film: Radiograph) -> None:
    mask = np.zeros((100, 200), bool)
    mask[20:60, 40:80] = mask[30:70, 120:196] = True
    monkeypatch.setattr(view, "lung_mask", lambda _: mask)
    assert part_seen(film, CROPPED) == pytest.approx((0.15, 0.75, 0.15, 1.0))


def test_a_film_on_which_no_lung_is_found_is_seen_in_full(film: Radiograph) -> None:
    blank = dataclasses.replace(film, pixels=np.full((90, 80), 0.4, np.float32))
    assert part_seen(blank, CROPPED) == WHOLE
    assert view_of(blank, CROPPED).shape == (1, 32, 32)


def test_the_network_sees_the_cut_film(film: Radiograph) -> None:
    top, bottom, left, right = part_seen(film, CROPPED)
    assert 0 < top < 0.3
    assert 0.6 < bottom < 1
    assert 0 < left < 0.3
    assert 0.7 < right < 1
    rows, columns = pixels_of((top, bottom, left, right), film.pixels.shape)
    seen = seen_film(film, CROPPED)
    assert np.array_equal(seen.pixels, film.pixels[rows, columns])
    assert seen.original_size_px == film.original_size_px
    assert np.array_equal(view_of(film, CROPPED), preprocess(seen, CROPPED))


def test_a_part_has_at_least_one_pixel() -> None:
    rows, columns = pixels_of((0.5, 0.51, 0.99, 1.0), (3, 4))
    assert np.zeros((3, 4))[rows, columns].shape == (1, 1)


def test_heat_lies_in_the_part_that_was_seen() -> None:
    warmth = heat(np.ones((4, 4), np.float32), (100, 200), (0.2, 0.8, 0.1, 0.5))
    inside = np.zeros((100, 200), bool)
    inside[20:80, 20:100] = True
    assert (warmth > 0).tolist() == inside.tolist()
    pixels = overlay(
        Radiograph(np.full((100, 200), 0.5, np.float32), "png", (100, 200), 8),
        np.ones((4, 4), np.float32),
        part=(0.2, 0.8, 0.1, 0.5),
    )
    assert ((pixels != pixels[0, 0]).any(axis=2) == inside).all()


def test_a_model_that_crops_answers_from_the_lungs_and_says_what_it_saw(
    tmp_path: Path, write_film: Callable[..., Path], write_model: Callable[..., Path]
) -> None:
    path = write_film(tmp_path / "film.jpg", size_px=400, finding="Covid-19")
    classifier = Classifier(write_model(tmp_path / "model.onnx", preprocessing=CROPPED.to_dict()))
    whole = Classifier(write_model(tmp_path / "whole.onnx"))
    answer, radiograph = classifier.predict(path), classifier.read(path)
    assert answer.part == part_seen(radiograph, CROPPED) != WHOLE
    assert whole.predict(path).part == WHOLE
    assert np.array_equal(classifier.preprocess(radiograph), view_of(radiograph, CROPPED))
    logits = classifier.engine.run(view_of(radiograph, CROPPED)[np.newaxis]).logits[0]
    np.testing.assert_array_equal(answer.logits, logits)
    assert not np.array_equal(answer.logits, whole.predict(path).logits)
