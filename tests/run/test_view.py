"""What a network sees of a film: all of it, or the lungs and a margin; and every door sees the same part."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from hilum.data.phantom import draw_phantom
from hilum.errors import ModelFileError
from hilum.film.decode import decode, read_film
from hilum.film.preprocess import Preprocessing, preprocess
from hilum.film.radiograph import Radiograph
from hilum.run import view
from hilum.run.classifier import Classifier
from hilum.run.heatmap import heat, overlay
from hilum.run.modelfile import Metadata
from hilum.run.models import SEGMENTER
from hilum.run.view import WHOLE, part_seen, pixels_of, seen_film, view_of

CROPPED = Preprocessing(size_px=32, lung_crop=True)


@pytest.fixture
def film(tmp_path: Path, write_film: Callable[..., Path]) -> Radiograph:
    return read_film(write_film(tmp_path / "film.png", size_px=256))


def test_without_a_crop_the_whole_film_is_seen(film: Radiograph) -> None:
    assert part_seen(film, Preprocessing()) == WHOLE
    assert seen_film(film, Preprocessing()) is film
    assert np.array_equal(view_of(film, Preprocessing()), preprocess(film, Preprocessing()))


@pytest.mark.parametrize("side_px", [300, 601, 602, 1003])
def test_a_film_is_seen_alike_as_jpeg_and_without_loss(side_px: int) -> None:
    """A JPEG is reduced as it is decoded, the same film in full when it is preprocessed; both come out alike."""
    settings, rng = Preprocessing(size_px=64), np.random.default_rng(0)
    pixels = draw_phantom("Covid-19", rng, size_px=side_px)
    noisy = np.clip(pixels + rng.normal(0, 6, pixels.shape), 0, 255).astype(np.uint8)
    jpeg = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    in_full = decode(jpeg)
    reduced = decode(jpeg, min_side_px=settings.decoded_px)
    assert reduced.pixels.size < 0.3 * in_full.pixels.size
    difference = np.abs(view_of(reduced, settings) - view_of(in_full, settings)).mean()
    assert difference < 0.004
    close = decode(jpeg, min_side_px=settings.size_px)  # no more pixels than are shown
    assert np.abs(view_of(close, settings) - view_of(in_full, settings)).mean() > 5 * difference


def test_the_part_holds_the_lungs_and_a_margin(monkeypatch: pytest.MonkeyPatch, film: Radiograph) -> None:
    scores = np.full((128, 128), -9, np.float32)
    scores[32:64, 32:52] = scores[48:96, 76:124] = 3
    asked: list[str] = []

    def found(_: Radiograph, precision: str) -> np.ndarray:
        asked.append(precision)
        return scores

    monkeypatch.setattr(view, "lung_scores", found)
    assert part_seen(film, CROPPED) == pytest.approx((0.2, 0.8, 0.2, 1.0))
    assert asked == ["f32"]  # bf16 would give other parts on other machines
    scores[48:96, 76:124] = -1  # white: found less surely than the other, and not to be cut off
    assert part_seen(film, CROPPED) == pytest.approx((0.2, 0.8, 0.2, 1.0))
    scores[48:60, 90:110] = 3  # only its apex is found surely
    assert part_seen(film, CROPPED) == pytest.approx((0.2, 0.8, 0.2, 1.0))
    scores[48:96, 76:124] = -9
    assert part_seen(film, CROPPED) == WHOLE  # one lung alone
    scores[44:48, 32:52] = -9
    assert part_seen(film, CROPPED) == WHOLE  # one lung in two parts
    scores[48:96, 76:124] = -1
    scores[48:64, 32:52] = -9
    assert part_seen(film, CROPPED) == pytest.approx((0.2, 0.8, 0.2, 1.0))


def test_a_film_on_which_no_lungs_are_found_is_seen_in_full(film: Radiograph) -> None:
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
    assert (pixels[20, 20:100] == pixels[20, 20]).all()  # the frame
    assert (pixels[20:80, 99] == pixels[20, 20]).all()
    assert (pixels[21, 21] != pixels[20, 20]).any()


def test_a_model_that_crops_answers_from_the_lungs_and_says_what_it_saw(
    tmp_path: Path, write_film: Callable[..., Path], write_model: Callable[..., Path]
) -> None:
    path = write_film(tmp_path / "film.jpg", size_px=400, finding="Covid-19")
    cropped = {"preprocessing": CROPPED.to_dict(), "lung_segmenter": SEGMENTER}
    classifier = Classifier(write_model(tmp_path / "model.onnx", **cropped))
    whole = Classifier(write_model(tmp_path / "whole.onnx"))
    answer, radiograph = classifier.predict(path), classifier.read(path)
    assert answer.part == part_seen(radiograph, CROPPED) != WHOLE
    assert whole.predict(path).part == WHOLE
    assert np.array_equal(classifier.preprocess(radiograph), view_of(radiograph, CROPPED))
    logits = classifier.engine.run(view_of(radiograph, CROPPED)[np.newaxis]).logits[0]
    np.testing.assert_array_equal(answer.logits, logits)
    assert not np.array_equal(answer.logits, whole.predict(path).logits)
    assert answer.to_dict()["part"] == list(answer.part)
    assert "part" not in whole.predict(path).to_dict()


def test_a_model_of_another_segmenter_is_refused(tmp_path: Path, write_model: Callable[..., Path]) -> None:
    for other in ({}, {"lung_segmenter": "0123456789abcdef"}):
        with pytest.raises(ModelFileError, match="another lung segmenter"):
            Classifier(write_model(tmp_path / "model.onnx", preprocessing=CROPPED.to_dict(), **other))


def test_the_segmenter_travels_with_the_metadata(tiny_metadata: Metadata) -> None:
    cropped = dataclasses.replace(tiny_metadata, preprocessing=CROPPED)
    assert json.loads(cropped.to_json())["lung_segmenter"] == SEGMENTER
    assert Metadata.from_json(cropped.to_json()).preprocessing == CROPPED
    assert "lung_segmenter" not in json.loads(tiny_metadata.to_json())
