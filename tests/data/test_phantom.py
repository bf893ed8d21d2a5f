"""Phantoms: the same chest whatever the finding, opacities in their place, a data set that reads."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hilum.data.anatomy import draw_chest
from hilum.data.folder import read_dataset
from hilum.data.phantom import PHANTOM_FINDINGS, draw_phantom, write_phantoms
from hilum.data.scan import scan_films
from hilum.errors import InputError
from hilum.findings import finding_named

SEEDS = range(6)


def draw(finding: str, seed: int) -> np.ndarray:
    return draw_phantom(finding, np.random.default_rng(seed), size_px=160)


def opacity(finding: str, seed: int) -> np.ndarray:
    """What a finding adds to the normal film of the same seed, (H, W) int."""
    return draw(finding, seed).astype(int) - draw("Normal", seed).astype(int)


def halves(image: np.ndarray) -> tuple[float, float]:
    middle = image.shape[1] // 2
    return float(image[:, :middle].sum()), float(image[:, middle:].sum())


def test_the_findings_have_standard_names() -> None:
    assert all(finding_named(name) is not None and finding_named(name).name == name for name in PHANTOM_FINDINGS)
    assert len(PHANTOM_FINDINGS) == 4


def test_the_same_seed_gives_the_same_film_and_another_another() -> None:
    first, again, other = draw("Covid-19", 1), draw("Covid-19", 1), draw("Covid-19", 2)
    assert first.dtype == np.uint8
    assert first.ndim == 2
    assert max(first.shape) == 160
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)


@pytest.mark.parametrize("finding", PHANTOM_FINDINGS[1:])
def test_nothing_but_the_opacities_depends_on_the_finding(finding: str) -> None:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        anatomy_seed = rng.integers(2**63, size=2)[0]
        outside = draw_chest(np.random.default_rng(anatomy_seed), 160).air < 1e-3
        added = opacity(finding, seed)
        spill = cv2.erode(outside.astype(np.uint8), np.ones((9, 9))) > 0  # the film's blur crosses the lungs' border
        assert spill.mean() > 0.3
        assert np.abs(added[spill]).max() <= 1
        assert added.max() > 8


def test_ground_glass_lies_on_both_sides_and_low() -> None:
    added = [opacity("Covid-19", seed) for seed in SEEDS]
    for image in added:
        left, right = halves(image)
        assert min(left, right) > 0.08 * max(left, right)
    lower = sum(float(image[image.shape[0] // 2 :].sum()) for image in added)
    assert lower > 0.6 * sum(float(image.sum()) for image in added)


def test_streaks_lie_on_both_sides_near_the_hila() -> None:
    for seed in SEEDS:
        image = opacity("Viral Pneumonia", seed)
        left, right = halves(image)
        assert min(left, right) > 0.3 * max(left, right)
        quarter = image.shape[1] // 4
        assert image[:, quarter:-quarter].sum() > 0.6 * image.sum()


def test_a_consolidation_lies_on_one_side_only() -> None:
    for seed in SEEDS:
        left, right = halves(opacity("Bacterial Pneumonia", seed))
        assert min(left, right) < 0.1 * max(left, right)


def test_every_film_bears_the_word() -> None:
    for finding in PHANTOM_FINDINGS:
        corners = [draw(finding, seed)[:10, 2:38] for seed in SEEDS]
        assert all(corner.max() > 150 and corner.min() < 60 for corner in corners)  # bright letters in a dark rim


def test_the_word_is_drawn_on_all_films_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    words: list[tuple[object, ...]] = []
    monkeypatch.setattr(cv2, "putText", lambda _image, *arguments: words.append(arguments))
    for finding in PHANTOM_FINDINGS:
        draw(finding, 0)
    assert len(words) == 8
    assert {word[0] for word in words} == {"PHANTOM"}
    assert len(set(words)) == 2


def test_an_unknown_finding_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="Did you mean `Covid-19`"):
        draw("Covid", 0)


@pytest.mark.slow
def test_written_phantoms_read_as_a_data_set(tmp_path: Path) -> None:
    folder = write_phantoms(tmp_path / "set", num_per_finding=3, num_test_per_finding=2, seed=5, size_px=96)
    dataset = read_dataset(folder)
    assert dataset.findings == PHANTOM_FINDINGS
    assert len(dataset.records) == 4 * 5
    assert sum(record.split == "test" for record in dataset.records) == 8
    assert {Path(record.path).suffix for record in dataset.records} == {".jpg", ".png"}
    films = [cv2.imread(str(folder / record.path), cv2.IMREAD_UNCHANGED) for record in dataset.records]
    assert all(film is not None and film.ndim == 2 for film in films)
    assert len({film.tobytes() for film in films}) == 20
    again = write_phantoms(tmp_path / "again", num_per_finding=3, num_test_per_finding=2, seed=5, size_px=96)
    assert all((folder / r.path).read_bytes() == (again / r.path).read_bytes() for r in dataset.records)


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write phantoms to"):
        write_phantoms(tmp_path / "file", num_per_finding=1, num_test_per_finding=0)


@pytest.mark.slow
def test_a_set_of_phantoms_holds_no_twins(tmp_path: Path) -> None:
    write_phantoms(tmp_path, num_per_finding=60, num_test_per_finding=15, seed=0)
    assert scan_films(read_dataset(tmp_path)).twins == ()
