"""Pictures inside JSON: the same heat map as a file's, a film to look at, a layer a finding."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from hilum.run.classifier import Classifier
from hilum.run.heatmap import heat, overlay
from hilum.serve.pictures import display_pictures, heatmap_picture


def opened(uri: str) -> Image.Image:
    """Return the picture in a data URI."""
    head, _, text = uri.partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_the_heat_map_is_the_one_that_predict_writes(
    tiny_classifier: Classifier, write_film: Callable[..., Path], tmp_path: Path
) -> None:
    for name in ("film.png", "film.jpg"):
        path = write_film(tmp_path / name, size_px=700)
        answer, data = tiny_classifier.predict(path), path.read_bytes()
        picture = opened(heatmap_picture(data, tiny_classifier.decode(data, name), answer, tiny_classifier.findings))
        evidence = answer.activation[tiny_classifier.findings.index(answer.likeliest)]
        expected = overlay(tiny_classifier.read_for_display(path), evidence)
        assert np.array_equal(np.asarray(picture.convert("RGB")), expected)


def test_a_viewer_gets_the_film_and_a_layer_for_each_finding(
    tiny_classifier: Classifier, write_film: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_film(tmp_path / "film.png", size_px=400)
    answer, data = tiny_classifier.predict(path), path.read_bytes()
    shown = display_pictures(data, tiny_classifier.decode(data, "film"), answer, tiny_classifier.findings)
    film = opened(shown["film"])
    assert film.mode == "L"
    assert film.size == (shown["width_px"], shown["height_px"]) == tiny_classifier.read(path).pixels.shape[::-1]
    assert (np.asarray(film).min(), np.asarray(film).max()) == (0, 255)
    assert tuple(shown["heat"]) == tiny_classifier.findings
    for name, evidence in zip(tiny_classifier.findings, answer.activation, strict=True):
        layer = opened(shown["heat"][name])
        assert max(layer.size) == 320
        colours = np.asarray(layer.convert("RGBA"))
        opacity = colours[..., 3]
        if evidence.max() > 0:  # the strongest evidence is bright
            assert colours[opacity > 200][:, :3].max(axis=1).min() > 200
        assert np.array_equal(opacity, (heat(evidence, layer.size[::-1]) * 255).astype(np.uint8))


def test_a_large_film_is_reduced_and_a_jpeg_is_not_shown_as_small_as_it_is_judged(
    tiny_classifier: Classifier, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1200, 3000), np.uint8)
    for suffix in (".png", ".jpg"):
        data = cv2.imencode(suffix, noise)[1].tobytes()
        radiograph = tiny_classifier.decode(data, "film")
        answer = tiny_classifier.predict(radiograph)
        shown = display_pictures(data, radiograph, answer, tiny_classifier.findings)
        assert (shown["width_px"], shown["height_px"]) == (1536, 614), suffix
        assert opened(shown["heat"]["Normal"]).size == (320, 128)
