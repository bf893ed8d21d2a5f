"""The gate: what is refused and why, and that usual films are not, however they were exposed and exported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hilum.data.phantom import PHANTOM_FINDINGS, draw_phantom, phantom_lungs
from hilum.errors import ModelFileError
from hilum.film.decode import read_film
from hilum.film.radiograph import Radiograph
from hilum.run.gate import KINDS, MIN_SIDE_PX, VIEW_PX, gate_view, least_side_px, load_gate, refusals, side_px_of

Change = Callable[[np.ndarray], np.ndarray]


def phantom(seed: int = 0, size_px: int = 128, finding: str = "Normal") -> np.ndarray:
    return draw_phantom(finding, np.random.default_rng(seed), size_px=size_px).astype(np.float32) / np.float32(255)


def film(pixels: np.ndarray | None = None, **changes: Any) -> Radiograph:
    pixels = phantom() if pixels is None else np.ascontiguousarray(np.clip(pixels, 0, 1), np.float32)
    facts = {"file_format": "png", "original_size_px": pixels.shape, "bit_depth": 8}
    return Radiograph(pixels, **{**facts, **changes})


def codes(radiograph: Radiograph) -> list[str]:
    return [reason.code for reason in refusals(radiograph)]


def test_a_usual_film_is_let_through() -> None:
    assert codes(film()) == []


# --- by rule ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", [None, "PA", "AP", ""])
def test_frontal_and_unknown_views_are_let_through(view: str | None) -> None:
    assert codes(film(view_position=view)) == []


@pytest.mark.parametrize(
    ("view", "said"),
    [*((view, "lateral view") for view in ("LATERAL", "LL", "rl")), *((view, "oblique") for view in ("LLO", "RLO"))]
    + [(view, "decubitus") for view in ("LLD", "RLD")],
)
def test_lateral_views_are_refused(view: str, said: str) -> None:
    (reason,) = refusals(film(view_position=view))
    assert reason.code == "lateral"
    assert said in reason.message


@pytest.mark.parametrize(
    ("size_px", "refused"), [((MIN_SIDE_PX, 500), False), ((MIN_SIDE_PX - 1, 500), True), ((500, 63), True)]
)
def test_the_size_in_the_file_counts_not_the_decoded_one(size_px: tuple[int, int], refused: bool) -> None:
    assert codes(film(original_size_px=size_px)) == (["too-small"] if refused else [])


def test_small_training_films_lower_the_size_and_a_few_strays_do_not() -> None:
    assert least_side_px([]) == least_side_px([500] * 10) == MIN_SIDE_PX
    assert least_side_px([28] * 90 + [500] * 10) == 28
    assert least_side_px([28] * 5 + [500] * 95) == MIN_SIDE_PX
    assert [side_px_of({"least_side_px": one}) for one in (28, 500, 0, "28")] == [28, *[MIN_SIDE_PX] * 3]
    assert side_px_of({}) == MIN_SIDE_PX
    small = film(original_size_px=(28, 28))
    assert refusals(small, side_px=28) == ()
    assert [reason.code for reason in refusals(small, side_px=29)] == ["too-small"]


def test_a_film_without_contrast_is_refused() -> None:
    noise = np.random.default_rng(0).normal(0, 0.005, (100, 100)).astype(np.float32)
    assert codes(film(0.5 + noise)) == ["constant"]
    assert codes(film(0.5 + 10 * noise)) == ["not-chest"]


@pytest.mark.parametrize("scale", [0.5, 0.1, 2**-4, 2**-8])
@pytest.mark.parametrize("offset", [0.0, 0.3, 1.0])
def test_where_in_its_range_a_file_puts_the_film_does_not_count(scale: float, offset: float) -> None:
    pixels = offset * (1 - scale) + scale * phantom()
    assert codes(film(pixels, bit_depth=16)) == []
    assert codes(film(pixels, bit_depth=8)) == (["constant"] if scale < 0.02 else [])


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("marked", [1, 8])  # pixels a side: one alone, and 0.4 % of the film
def test_a_pixel_or_a_mark_far_from_all_others_does_not_count(value: float, marked: int) -> None:
    pixels = (0.5 if value == 0 else 0.0) + phantom(size_px=128) / 32
    pixels[100 : 100 + marked, 20 : 20 + marked] = value
    assert codes(film(pixels, bit_depth=16)) == []


def test_films_that_take_a_part_of_their_range_are_judged(cases: Path) -> None:
    for folder in ("05-VOI-LUT-narrower-than-stated", "06-one-bright-mark"):
        films = {path.name: codes(read_film(path)) for path in sorted((cases / folder).iterdir()) if path.suffix}
        assert len(films) >= 3
        assert not any(films.values()), films


def test_all_reasons_are_told_in_sentences() -> None:
    reasons = refusals(film(np.zeros((10, 20), np.float32), view_position="LATERAL"))
    assert [reason.code for reason in reasons] == ["too-small", "lateral", "constant"]
    assert "20x10 pixels" in reasons[0].message
    assert all(reason.message.endswith(".") for reason in reasons)


# --- by look ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_px", [64, 96, 256])
def test_phantoms_are_let_through(size_px: int) -> None:
    films = [phantom(seed, size_px, finding) for seed in range(10) for finding in PHANTOM_FINDINGS]
    found = [codes(film(pixels, original_size_px=(256, 256))) for pixels in films]
    assert found.count([]) >= 0.97 * len(films)


def equalized(pixels: np.ndarray) -> np.ndarray:
    return cv2.equalizeHist(np.rint(pixels * 255).astype(np.uint8)).astype(np.float32) / np.float32(255)


@pytest.mark.parametrize(
    "change",
    [
        equalized,
        lambda x: x**0.6,
        lambda x: 0.3 + 0.4 * x,
        lambda x: cv2.copyMakeBorder(x, 12, 12, 12, 12, cv2.BORDER_CONSTANT, value=0.0),
        lambda x: x[:, ::-1],
    ],
)
def test_what_leaves_a_film_a_chest_film_is_let_through(change: Change) -> None:
    found = [codes(film(change(phantom(seed)))) for seed in range(20)]
    assert found.count([]) >= 19


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("rotated", lambda x: np.rot90(x, 1)),
        ("rotated", lambda x: np.rot90(x, 2)),
        ("rotated", lambda x: np.rot90(x, 3)),
        ("inverted", lambda x: 1 - x),
        ("cut-off", lambda x: x[:, : x.shape[1] // 2]),
        ("cut-off", lambda x: x[: x.shape[0] // 2]),
        ("overexposed", lambda x: (x - np.quantile(x, 0.85)) * 5),
        ("underexposed", lambda x: x / np.quantile(x, 0.15)),
    ],
)
def test_what_spoils_a_film_is_named(code: str, change: Change) -> None:
    found = [codes(film(change(phantom(seed, 192)))) for seed in range(20)]
    assert found.count([]) == 0
    assert found.count([code]) >= 16


def test_the_message_says_which_way_a_film_is_turned() -> None:
    (reason,) = refusals(film(np.rot90(phantom(), -1)))
    assert "90 degrees" in reason.message
    assert "top lies at the right" in reason.message
    (reason,) = refusals(film(np.rot90(phantom(), 1)))
    assert "top lies at the left" in reason.message


def test_a_film_without_two_lungs_is_refused_where_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = phantom(2, 192)
    lungs = np.flatnonzero(phantom_lungs(np.random.default_rng(2), size_px=192).any(axis=0))
    one_lung = pixels[:, : int(lungs[0] + lungs[-1]) // 2]
    assert codes(film(one_lung)) == ["cut-off"]
    monkeypatch.setattr("hilum.run.gate.GateNetwork.reason", lambda *_: None)  # takes everything for a chest film
    for picture in (one_lung, np.random.default_rng(0).random((90, 120))):
        (reason,) = refusals(film(picture))
        assert reason.code == "no-lungs"
        assert "Two lungs" in reason.message
    assert codes(film(pixels)) == []


@pytest.mark.parametrize(("chest", "found"), [(0.99, []), (0.97, ["no-lungs"])])
def test_only_a_film_of_an_unsure_chest_is_searched_for_lungs(
    chest: float, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    probabilities = np.full(len(KINDS), (1 - chest) / (len(KINDS) - 1))
    probabilities[0] = chest
    monkeypatch.setattr("hilum.run.gate.GateNetwork.probabilities", lambda *_: probabilities)
    assert codes(film(np.random.default_rng(0).random((90, 120)))) == found


def test_pictures_of_something_else_are_refused() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:200, 0:200].astype(np.float32) / 200
    page = np.full((300, 220), 255, np.uint8)
    for row in range(20, 300, 20):
        cv2.putText(page, "a page of plain text", (5, row), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 0, 1)
    pictures = [
        rng.random((200, 200)),
        x,
        np.hypot(x - 0.5, y - 0.5),
        ((x * 8).astype(int) + (y * 8).astype(int)) % 2,
        page / 255,
        (np.hypot((x - 0.5) / 0.4, (y - 0.5) / 0.3) < 1) * 0.7,
    ]
    assert [codes(film(picture)) for picture in pictures] == [["not-chest"]] * len(pictures)


def test_photographs_are_refused() -> None:
    images = pytest.importorskip("sklearn.datasets").load_sample_images().images
    assert [codes(film(image.mean(axis=2) / 255)) for image in images] == [["not-chest"]] * 2


def test_real_films_pass_and_other_pictures_do_not(hilum_data: Path) -> None:
    """A sample; bench/answers.py counts all. nih-ozturk and lung-masks had no part in the gate."""
    rng = np.random.default_rng(0)

    def refused(folder: Path, num: int) -> float:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return float(np.mean([bool(codes(read_film(paths[i]))) for i in rng.permutation(len(paths))[:num]]))

    for folder in ("pool/nih-ozturk", "lung-masks/images", "pool/kermany"):
        assert refused(hilum_data / folder, 60) <= 0.05, folder
    for kind in sorted((hilum_data / "not-chest").iterdir()):
        assert refused(kind, 40) >= 0.95, kind.name


def test_dicom_films_pass_but_the_one_that_is_a_negative(hilum_data: Path) -> None:
    for name in ("RG1_J2KI", "RG1_JLSN", "966_fixed", "rsna_CR_chest_PA_mono2_jpegbaseline"):
        assert codes(read_film(hilum_data / "dicom" / f"{name}.dcm")) == []
    assert codes(read_film(hilum_data / "dicom" / "xrv_fake_mono1_jpegbaseline.dcm")) == ["inverted"]


# --- the network ------------------------------------------------------------------------------------------------------


def test_the_view_does_not_depend_on_exposure() -> None:
    pixels = phantom(size_px=200)
    view = gate_view(pixels)
    assert (view.shape, view.dtype) == ((1, VIEW_PX, VIEW_PX), np.float32)
    assert (view.min(), view.max()) == (0, 1)
    np.testing.assert_allclose(gate_view(0.2 + 0.5 * pixels), view, atol=1e-5)
    assert np.isfinite(gate_view(np.zeros((70, 80), np.float32))).all()


def test_many_threads_get_the_same_answer() -> None:
    views = [gate_view(phantom(seed)) for seed in range(8)]
    network = load_gate()
    alone = [network.probabilities(view) for view in views]
    assert all(p.shape == (len(KINDS),) and p.sum() == pytest.approx(1) for p in alone)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(network.probabilities, views * 20))
    for position, found in enumerate(together):
        np.testing.assert_array_equal(found, alone[position % 8])


def test_a_broken_gate_says_so(tiny_model: Path) -> None:
    with pytest.raises(ModelFileError, match="gate"):
        load_gate(b"no network")
    with pytest.raises(ModelFileError, match="gate"):
        load_gate(tiny_model.read_bytes())


def test_the_gate_ships_and_is_small_and_is_not_loaded_by_an_import() -> None:
    import hilum.run

    assert (Path(hilum.run.__file__).parent / "gate.onnx").stat().st_size < 300_000
    code = "import hilum.run.gate as g, hilum; raise SystemExit(g.load_gate.cache_info().currsize)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
