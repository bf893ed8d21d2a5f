"""The audit's page: the verdict first, every fault with what it means, pairs side by side, nothing from outside."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from hilum.judge.audit.audit import Audit, audit_data, check_of
from hilum.report.audit_page import audit_page, film_jpeg, seen_png

from ..planted import tilt

PlantSet = Callable[..., Path]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory, plant_set: PlantSet) -> Audit:
    data = plant_set(tmp_path_factory.mktemp("faulty") / "a <set>", tilt, test=20)
    shutil.copy(data / "train/Normal/030.png", data / "test/Normal/copy.png")
    shutil.copy(data / "train/Normal/032.png", data / "train/Normal/<i>&.png")
    (data / "train/Normal/broken.png").write_bytes(b"")
    return audit_data(data)


@pytest.fixture(scope="module")
def page(faulty: Audit) -> str:
    return audit_page(faulty)


def test_the_verdict_comes_first(page: str) -> None:
    assert page.index(
        "serious problems in your data. The worst: A test film has a twin in the training part."
    ) < page.index('<h2 id="found-heading">')
    assert "81 films read" not in page  # 80 films, two copies, one unreadable
    assert "82 films read" in page
    assert "1 unreadable" in page


def test_every_fault_is_named_and_explained(faulty: Audit, page: str) -> None:
    kinds = {fault.kind for fault in faulty.faults}
    assert {"leak", "duplicate", "unreadable", "border-only", "center-blacked"} <= kinds
    from html import escape

    for kind in kinds:
        assert escape(check_of(kind).title) in page
        assert escape(check_of(kind).meaning) in page


def test_pairs_stand_side_by_side(page: str) -> None:
    figure = re.search(r'<figure><div class="side">(.*?)</figure>', page, re.S)
    assert figure
    assert figure[1].count("data:image/jpeg;base64,") == 2
    assert "test/Normal/copy.png (Normal, test)<br>train/Normal/030.png (Normal, train)" in figure[1]


def test_all_is_escaped_and_nothing_is_loaded(page: str) -> None:
    assert "a &lt;set&gt;" in page
    assert "<i>" not in page
    assert "&lt;i&gt;&amp;.png" in page
    assert "<script" not in page
    assert re.findall(r'(?:src|href)="(?!#|data:image/)', page) == []


def test_trivial_models_stand_in_a_table_beside_chance(page: str) -> None:
    table = page[page.index('id="trivial"') :]
    for words in ("16x16 pixels", "8x8 pixels", "Centre blacked out", "Outer frame", "The file, not the picture"):
        assert words in table
    assert re.search(r'<tr class="error"><td><img [^>]+></td>\s*<th scope="row">Outer frame', table)
    assert table.count('class="chance"') == 7


@pytest.mark.slow
def test_a_sound_set_is_told_so(tmp_path: Path, plant_set: PlantSet) -> None:
    page = audit_page(audit_data(plant_set(tmp_path / "set")))
    assert "Nothing was found that speaks against training on these films." in page
    assert "<p>Nothing.</p>" in page


@pytest.mark.slow
def test_pictures_are_bounded(tmp_path: Path, plant_set: PlantSet, monkeypatch: pytest.MonkeyPatch) -> None:
    data = plant_set(tmp_path / "set")
    for film in sorted((data / "Normal").iterdir())[:6]:
        shutil.copy(film, film.with_name(f"{film.stem}-again.png"))
    monkeypatch.setattr("hilum.report.audit_page._MOST_FIGURES", 4)
    page = audit_page(audit_data(data))
    assert page.count('class="side"') == 4
    assert "and 2 more, in audit.json" in page
    assert len(page) < 200_000


@pytest.mark.slow
def test_films_that_went_away_do_not_stop_the_page(tmp_path: Path, plant_set: PlantSet) -> None:
    data = plant_set(tmp_path / "set")
    first = sorted((data / "Normal").iterdir())[0]
    shutil.copy(first, first.with_name("again.png"))
    audit = audit_data(data)
    first.unlink()
    assert "cannot be read" in audit_page(audit)


# --- pictures -------------------------------------------------------------------------------------------------------


def pixels_in(data: bytes | None) -> np.ndarray:
    assert data
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def test_a_film_becomes_a_small_picture(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    data = film_jpeg(write_film(tmp_path / "a.png", size_px=400))
    assert max(pixels_in(data).shape) == 180
    assert data is not None
    assert len(data) < 15_000
    assert film_jpeg(tmp_path / "gone.png") is None


def test_what_a_model_sees_is_shown_and_no_more() -> None:
    thumbnail = np.full((32, 32), 200, np.uint8)
    assert pixels_in(seen_png(thumbnail, "thumbnail_8")).shape == (8, 8)
    assert pixels_in(seen_png(thumbnail, "thumbnail_16")).shape == (16, 16)
    assert (pixels_in(seen_png(thumbnail, "center_blacked")) == 0).sum() == 26**2
    assert (pixels_in(seen_png(thumbnail, "border_only")) == 0).sum() == 30**2
    assert seen_png(thumbnail, "metadata") is None
