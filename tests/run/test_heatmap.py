"""Heat maps: evidence where it lies, none where there is none, and a name of its own for every film's picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from hilum.errors import InputError
from hilum.film.radiograph import Radiograph
from hilum.run.classifier import Classifier
from hilum.run.heatmap import Pictures, free_path, heat, is_own_picture, overlay, write_png


def film(height: int = 200, width: int = 300) -> Radiograph:
    ramp = np.linspace(0.2, 0.7, width, dtype=np.float32)
    return Radiograph(np.tile(ramp, (height, 1)), "png", (height, width), 8)


def spot(row: int, column: int, value: float = 3.0) -> np.ndarray:
    activation = np.full((4, 6), -1.0, np.float32)
    activation[row, column] = value
    return activation


def test_heat_is_hottest_where_the_evidence_is() -> None:
    warmth = heat(spot(1, 4), (200, 300))
    assert warmth.shape == (200, 300)
    assert warmth.min() >= 0
    assert warmth.max() == pytest.approx(1, abs=0.05)
    row, column = np.unravel_index(warmth.argmax(), warmth.shape)
    assert (row // 50, column // 50) == (1, 4)
    assert warmth[150:].max() < 0.05  # a smooth curve rings a little


def test_heat_does_not_depend_on_the_scale_of_the_evidence() -> None:
    np.testing.assert_allclose(heat(spot(1, 4, 3.0), (80, 90)), heat(spot(1, 4, 300.0), (80, 90)), atol=1e-6)


def test_evidence_against_a_finding_leaves_the_film_grey() -> None:
    assert heat(np.full((4, 4), -2.0), (50, 60)).max() == 0
    pixels = overlay(film(), np.full((4, 4), -2.0, np.float32))
    assert pixels.dtype == np.uint8
    assert (pixels[..., 0] == pixels[..., 1]).all()
    assert (pixels[..., 1] == pixels[..., 2]).all()
    assert (pixels[:, 5] < pixels[:, -5]).all()  # the ramp is still there


def test_overlay_colours_the_place_of_the_evidence_only() -> None:
    pixels = overlay(film(), spot(1, 4)).astype(int)
    colour = pixels.max(axis=2) - pixels.min(axis=2)
    assert colour[75, 225] > 50
    assert colour[150:, :100].max() == 0


@pytest.mark.parametrize(
    ("size_px", "expected"), [((200, 300), (200, 300)), ((2000, 3000), (683, 1024)), ((3, 9000), (1, 1024))]
)
def test_large_films_are_reduced_and_never_to_nothing(size_px: tuple[int, int], expected: tuple[int, int]) -> None:
    assert overlay(film(*size_px), spot(0, 0)).shape == (*expected, 3)


def test_a_film_of_one_grey_is_drawn() -> None:
    flat = Radiograph(np.full((70, 80), 0.5, np.float32), "png", (70, 80), 8)
    assert overlay(flat, spot(0, 0)).shape == (70, 80, 3)


def test_films_of_one_name_get_pictures_of_their_own(tmp_path: Path) -> None:
    taken: set[str] = set()
    names = [free_path(tmp_path, film, taken).name for film in ("a/x.png", "b/x.jpg", "c/x", "d/x-2.png", "y.dcm")]
    assert names == ["x.png", "x-2.png", "x-3.png", "x-2-2.png", "y.png"]


def test_many_films_of_one_stem_are_named_without_counting_up(tmp_path: Path) -> None:
    class Taken(set[str]):
        asked = 0

        def __contains__(self, name: object) -> bool:
            self.asked += 1
            return super().__contains__(name)

    taken = Taken()
    names = {free_path(tmp_path, f"{number}/IM000001.dcm", taken).name for number in range(4_000)}
    assert taken.asked < 4_000 * 30  # by counting up each time it would be 8 million
    assert len(names) == 4_000
    assert {"IM000001.png", "IM000001-2.png", "IM000001-4000.png"} <= names


def test_names_that_some_file_systems_take_for_one_are_told_apart(tmp_path: Path) -> None:
    taken = set[str]()
    films = ("A.png", "a.png", "x/A-2.png", "é.png", "e\u0301.png")
    names = [free_path(tmp_path, film, taken).name for film in films]
    assert names == ["A.png", "a-2.png", "A-2-2.png", "é.png", "e\u0301-2.png"]


def test_a_picture_says_whose_it_is_and_a_failure_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, pixels = tmp_path / "a.png", np.arange(20, dtype=np.uint8).reshape(4, 5)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    assert not is_own_picture(path)
    write_png(path, pixels)
    assert is_own_picture(path)
    assert (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) == pixels).all()
    with Image.open(path) as opened:
        assert opened.text == {"Software": "hilum"}  # type: ignore[attr-defined]
    before = path.read_bytes()
    write = Path.write_bytes
    monkeypatch.setattr(
        Path, "write_bytes", lambda one, data: write(one, data[:9]) and (_ for _ in ()).throw(OSError(28, "No space"))
    )
    with pytest.raises(InputError, match="No space"):
        write_png(path, pixels)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["a.png"]
    (tmp_path / "link.png").symlink_to(path)
    assert not is_own_picture(tmp_path / "link.png")


@pytest.mark.parametrize("name", ["a\nb:c\\d.png", "..", "", "Ärzte 1.png", "x" * 255, "é" * 127])
def test_a_picture_can_be_written_whatever_the_film_is_called(tmp_path: Path, name: str) -> None:
    path = free_path(tmp_path, name, set())
    assert path.parent == tmp_path
    assert path.suffix == ".png"
    write_png(path, np.zeros((4, 4), np.uint8))
    assert path.exists()


def test_a_name_that_is_no_text_gets_a_picture_too(tmp_path: Path) -> None:
    path = free_path(tmp_path, b"\xff\xfe.png".decode("utf-8", "surrogateescape"), set())
    write_png(path, np.zeros((4, 4), np.uint8))
    assert len(list(tmp_path.iterdir())) == 1


def test_pictures_are_written_red_green_blue(tmp_path: Path) -> None:
    pixels = np.zeros((5, 7, 3), np.uint8)
    pixels[..., 0] = 200
    write_png(tmp_path / "red.png", pixels)
    read = cv2.imread(str(tmp_path / "red.png"))
    assert read.shape == (5, 7, 3)
    assert tuple(read[0, 0]) == (0, 0, 200)  # OpenCV reads blue, green, red
    write_png(tmp_path / "grey.png", np.full((5, 7), 9, np.uint8))
    assert cv2.imread(str(tmp_path / "grey.png"), cv2.IMREAD_UNCHANGED).shape == (5, 7)


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Cannot write the picture"):
        write_png(tmp_path / "missing" / "a.png", np.zeros((4, 4), np.uint8))


# --- pictures beside the answers --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def classifier(tiny_model: Path) -> Classifier:
    return Classifier(tiny_model, num_threads=1)


def test_each_film_has_its_own_picture_also_after_a_kill(
    classifier: Classifier, tmp_path: Path, write_film: Callable[..., Path]
) -> None:
    films = [write_film(tmp_path / folder / "film.png", seed=seed) for seed, folder in enumerate("abc")]
    answers = [classifier.predict(film) for film in films]
    pictures = Pictures(classifier, tmp_path / "maps" / "deep")
    written = [pictures.write(answer) for answer in answers]
    assert [Path(one.heatmap or "").name for one in written] == ["film.png", "film-2.png", "film-3.png"]
    assert all(cv2.imread(str(one.heatmap)) is not None for one in written)
    again = Pictures(classifier, tmp_path / "maps" / "deep")
    for one in (written[0].to_dict(), {"file": "film.png", "error": {}}, written[1].to_dict()):
        again.pass_by(one)
    assert again.write(answers[2]).heatmap == written[2].heatmap


def test_none_where_none_are_asked_for(classifier: Classifier, tmp_path: Path, write_film: Callable[..., Path]) -> None:
    answer = classifier.predict(write_film(tmp_path / "film.png"))
    pictures = Pictures(classifier, None)
    pictures.pass_by(answer.to_dict())
    assert pictures.write(answer) is answer
    assert [path.name for path in tmp_path.iterdir()] == ["film.png"]


def test_masks_of_lungs_have_names_of_their_own_and_the_size_of_the_film(
    classifier: Classifier, tmp_path: Path, write_film: Callable[..., Path]
) -> None:
    films = [write_film(tmp_path / folder / "film.png", seed=seed) for seed, folder in enumerate("ab")]
    answers = [classifier.predict(film) for film in films]
    pictures = Pictures(classifier, None, tmp_path / "masks")
    assert pictures.write(answers[0]) is answers[0]
    again = Pictures(classifier, None, tmp_path / "masks")
    again.pass_by(answers[0].to_dict())
    again.write(answers[1])
    for name, film in zip(("film.png", "film-2.png"), films, strict=True):
        mask, seen = cv2.imread(str(tmp_path / "masks" / name), 0), cv2.imread(str(film), 0)
        assert mask is not None
        assert seen is not None
        assert mask.shape == seen.shape
        assert set(mask.ravel().tolist()) == {0, 255}
    with pytest.raises(InputError, match="Name two folders"):
        Pictures(classifier, tmp_path / "masks", tmp_path / "masks")
