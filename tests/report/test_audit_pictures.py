"""The audit's small pictures."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from hilum.report.audit_pictures import accuracy_scale, film_image, printable, seen_image


def pixels_in(html: str) -> np.ndarray:
    data = re.search(r'src="data:image/\w+;base64,([^"]+)"', html)
    assert data
    return cv2.imdecode(np.frombuffer(base64.b64decode(data[1]), np.uint8), cv2.IMREAD_UNCHANGED)


def test_a_film_becomes_a_small_picture(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    film = write_film(tmp_path / "a.png", size_px=400)
    html = film_image(film, '"quoted" & odd.png')
    assert max(pixels_in(html).shape) == 180
    assert len(html) < 20_000
    assert 'alt="Film &quot;quoted&quot; &amp; odd.png"' in html


def test_a_film_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    assert "cannot be read" in film_image(tmp_path / "gone.png", "gone.png")


def test_what_a_model_sees_is_shown_and_no_more() -> None:
    thumbnail = np.full((32, 32), 200, np.uint8)
    assert pixels_in(seen_image(thumbnail, "thumbnail_8")).shape == (8, 8)
    assert pixels_in(seen_image(thumbnail, "thumbnail_16")).shape == (16, 16)
    assert (pixels_in(seen_image(thumbnail, "center_blacked")) == 0).sum() == 26**2
    assert (pixels_in(seen_image(thumbnail, "border_only")) == 0).sum() == 30**2
    assert seen_image(thumbnail, "metadata") == ""


def test_chance_and_accuracy_stand_on_one_scale() -> None:
    drawn = accuracy_scale({"accuracy": {"value": 1.0, "low": 0.5, "high": 1.0}, "chance": 0.0})
    assert 'class="chance" x1="5"' in drawn
    assert 'cx="155"' in drawn
    assert 'class="range" x1="80" x2="155"' in drawn


def test_names_that_are_no_text_can_be_written() -> None:
    assert printable("a\udcff") == "a\\udcff"
