"""Fingerprints know the same picture again, tell different ones apart, and stay fast."""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from hilum.data.fingerprint import (
    MAX_HASH_DISTANCE,
    Fingerprint,
    find_twins,
    fingerprint,
    joined_hashes,
    seen_films,
    training_hashes,
)
from hilum.data.folder import Dataset, read_dataset
from hilum.data.phantom import PHANTOM_FINDINGS, draw_phantom
from hilum.data.scan import scan_films
from hilum.film.decode import decode
from hilum.film.radiograph import Radiograph


def take(pixels: np.ndarray, data: bytes = b"") -> Fingerprint:
    radiograph = Radiograph(pixels.astype(np.float32) / np.float32(255), "png", pixels.shape, 8)
    return fingerprint(data or pixels.tobytes(), radiograph)


def film(seed: int, finding: str = "Normal") -> np.ndarray:
    return draw_phantom(finding, np.random.default_rng(seed), size_px=320)


def read_all(dataset: Dataset) -> list[Fingerprint]:
    found = []
    for record in dataset.records:
        data = (dataset.root / record.path).read_bytes()
        found.append(fingerprint(data, decode(data, name=record.path, min_side_px=256)))
    return found


def test_the_hash_is_the_one_of_the_public_index() -> None:
    pixels = film(0)
    grey = Image.fromarray(pixels).convert("L").resize((17, 16), Image.Resampling.LANCZOS)
    small = np.asarray(grey).astype(int)
    bits = "".join("1" if small[y, x + 1] > small[y, x] else "0" for y in range(16) for x in range(16))
    one = take(pixels, b"the file")
    assert "".join(f"{int(word):016x}" for word in one.dhash256) == f"{int(bits, 2):064x}"
    assert one.dhash256.dtype == np.uint64
    assert one.dhash256.shape == (4,)
    assert one.file_sha256 == hashlib.sha256(b"the file").hexdigest()
    assert one.thumbnail.shape == (64, 64)
    assert one.thumbnail.dtype == np.uint8


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "recompressed": lambda p: cv2.imdecode(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], 0),
    "half the size": lambda p: cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "less contrast": lambda p: (p * 0.6 + 50).astype(np.uint8),
    "other gamma": lambda p: (255 * (p / 255.0) ** 1.4).astype(np.uint8),
    "a letter": lambda p: cv2.putText(p.copy(), "R", (30, 70), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 255, 3),
    "equalised": lambda p: cv2.createCLAHE(2.0, (8, 8)).apply(p),
    "mirrored": lambda p: p[:, ::-1],
    "a corner left": lambda p: p[round(0.1 * len(p)) :, : -round(0.1 * p.shape[1])],
    "cut all round": lambda p: p[round(0.05 * len(p)) : -round(0.05 * len(p)), 10:-10],
    "mirrored and cut": lambda p: p[15:, ::-1][:, 12:],
    "a margin": lambda p: cv2.copyMakeBorder(p, 14, 14, 14, 14, cv2.BORDER_CONSTANT, value=0),
}
LIKENESS = {
    "mirrored": "mirrored",
    "mirrored and cut": "mirrored",
    "a corner left": "cropped",
    "cut all round": "cropped",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_a_twin(change: str) -> None:
    pixels = film(3)
    (twin,) = find_twins([take(film(4)), take(pixels), take(np.ascontiguousarray(CHANGES[change](pixels)), b"other")])
    assert (twin.first, twin.second, twin.exact) == (1, 2, False)
    assert 0.85 < twin.correlation <= 1
    if change != "a margin":
        assert twin.likeness == LIKENESS.get(change, "near")


def test_same_file_and_same_pixels_are_exact_twins() -> None:
    pixels = film(5)
    twins = find_twins([take(pixels, b"png"), take(film(6)), take(pixels, b"png"), take(pixels, b"another container")])
    assert [(twin.first, twin.second, twin.exact) for twin in twins] == [(0, 2, True), (0, 3, True), (2, 3, True)]
    assert all(twin.dhash_distance == 0 and twin.correlation == 1.0 for twin in twins)
    assert all(twin.likeness == "identical" for twin in twins)


def test_every_copy_of_both_sides_of_a_near_pair_is_reported() -> None:
    pixels = film(7)
    near = CHANGES["recompressed"](pixels)
    twins = find_twins([take(pixels, b"a"), take(near, b"b"), take(pixels, b"c")])
    assert [(twin.first, twin.second, twin.exact) for twin in twins] == [(0, 1, False), (0, 2, True), (1, 2, False)]


def test_different_phantoms_are_no_twins() -> None:
    prints = [take(film(seed, finding)) for seed in range(8) for finding in PHANTOM_FINDINGS[:1]]
    assert find_twins(prints) == []
    assert find_twins([]) == []
    assert find_twins(prints[:1]) == []


def test_the_shading_that_all_chests_share_makes_no_twins() -> None:
    rng = np.random.default_rng(0)
    shading = 100 + 90 * np.sin(np.linspace(0, np.pi, 64))[:, None] * np.cos(np.linspace(-1, 1, 64))[None]
    words = np.zeros(4, dtype=np.uint64)
    one, other = ((shading + rng.normal(0, 6, (64, 64))).astype(np.uint8) for _ in range(2))
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.93
    assert find_twins([Fingerprint("a", words, one), Fingerprint("b", words, other)]) == []


def test_films_without_detail_resemble_only_their_copies() -> None:
    black, grey = np.zeros((64, 64), np.uint8), np.full((64, 64), 90, np.uint8)
    twins = find_twins([take(black), take(grey), take(black, b"again")])
    assert [(twin.first, twin.second, twin.exact) for twin in twins] == [(0, 2, True)]


def test_a_thousand_copies_do_not_make_a_million_pairs() -> None:
    assert len(find_twins([take(np.zeros((32, 32), np.uint8))] * 1000)) == 999


def drawn(rng: np.random.Generator) -> np.ndarray:
    """Return a picture of random detail, coarse and fine: cheaper than a phantom."""
    sizes = (6, 12, 24, 48)
    layers = [cv2.resize(rng.standard_normal((n, n)), (96, 96), interpolation=cv2.INTER_CUBIC) for n in sizes]
    return np.clip(128 + 14 * np.sum(layers, axis=0), 0, 255).astype(np.uint8)


def print_of(picture: np.ndarray, name: str, rng: np.random.Generator) -> Fingerprint:
    words = rng.integers(0, 2**64, 4, dtype=np.uint64)
    return Fingerprint(name, words, cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA))


def test_planted_twins_and_no_others_are_found_among_many() -> None:
    rng = np.random.default_rng(0)
    pictures = [drawn(rng) for _ in range(700)]  # enough to be whitened and kept in cells
    prints = [print_of(picture, str(number), rng) for number, picture in enumerate(pictures)]
    copies = [np.ascontiguousarray(pictures[number][5:, ::-1][:, 4:]) for number in range(0, 700, 35)]
    prints += [print_of(copy, f"copy {number}", rng) for number, copy in enumerate(copies)]
    found = {(twin.first, twin.second, twin.likeness) for twin in find_twins(prints)}
    assert found == {(number, 700 + number // 35, "mirrored") for number in range(0, 700, 35)}


@pytest.mark.parametrize("cut_first", [False, True])
def test_a_tenth_off_each_side_is_found_whichever_film_comes_first(cut_first: bool) -> None:
    rng = np.random.default_rng(2)
    pictures = [drawn(rng) for _ in range(40)]
    cut = np.ascontiguousarray(pictures[7][9:-9, 9:-9])
    films = [cut, *pictures] if cut_first else [*pictures, cut]
    twins = find_twins([print_of(one, str(number), rng) for number, one in enumerate(films)])
    assert [(twin.first, twin.second) for twin in twins] == [(0, 8) if cut_first else (7, 40)]


@pytest.mark.parametrize("cut_first", [False, True])
def test_among_many_too_the_cut_film_may_come_first(cut_first: bool) -> None:
    rng = np.random.default_rng(3)
    pictures = [drawn(rng) for _ in range(600)]
    cuts = [np.ascontiguousarray(pictures[number][8:-8, ::-1][:, 8:-8]) for number in range(0, 600, 60)]
    films = [*cuts, *pictures] if cut_first else [*pictures, *cuts]
    twins = {
        (twin.first, twin.second) for twin in find_twins([print_of(one, str(i), rng) for i, one in enumerate(films)])
    }
    expected = {(i, 10 + 60 * i) if cut_first else (60 * i, 600 + i) for i in range(10)}
    assert twins == expected


@pytest.mark.slow
def test_many_near_copies_of_one_film_do_not_make_all_pairs() -> None:
    rng = np.random.default_rng(1)
    picture = drawn(rng).astype(int)
    noisy = [np.clip(picture + rng.integers(-2, 3, picture.shape), 0, 255).astype(np.uint8) for _ in range(200)]
    twins = find_twins([print_of(one, str(number), rng) for number, one in enumerate(noisy)])
    assert len(twins) <= 200 * 20
    assert {film for twin in twins for film in (twin.first, twin.second)} == set(range(200))


@pytest.mark.slow
def test_the_twins_of_the_real_seed_set_are_found(hilum_data: Path) -> None:
    dataset = read_dataset(hilum_data / "covid19-image-dataset")
    prints = read_all(dataset)
    with_twin: dict[str, bool] = {}
    for twin in find_twins(prints):
        ends = [dataset.records[twin.first], dataset.records[twin.second]]
        if {end.split for end in ends} == {"train", "test"}:
            path = next(end.path for end in ends if end.split == "test")
            with_twin[path] = with_twin.get(path, False) or twin.exact
    assert (len(with_twin), sum(with_twin.values())) == (9, 6)
    assert all(path.startswith("test/Covid/") for path in with_twin)

    # Every pair of one source film is found, and no pair of two patients is called a twin.
    with (hilum_data / "provenance" / "covid19-image-dataset.csv").open() as lines:
        origin = {row["path"]: row for row in csv.DictReader(lines)}
    for twin in find_twins(prints):
        first, second = (origin[dataset.records[end].path] for end in (twin.first, twin.second))
        same_file = first["source_file"] == second["source_file"]
        assert same_file or first["source_patient"] == second["source_patient"] or twin.correlation > 0.99


@pytest.mark.slow
def test_a_real_pool_has_few_twins_and_one_of_the_seed_test_part(hilum_data: Path) -> None:
    pool = read_dataset(hilum_data / "pool" / "manifest.csv")
    seed = read_dataset(hilum_data / "covid19-image-dataset")
    tests = Dataset(seed.root, seed.name, tuple(record for record in seed.records if record.split == "test"))
    sample = Dataset(pool.root, pool.name, tuple(record for record in pool.records if record.source == "ieee8023"))
    num_pool = len(sample.records)
    twins = find_twins(read_all(sample) + read_all(tests))
    (leak,) = [twin for twin in twins if twin.first < num_pool <= twin.second]  # a crop, which the hash did not see
    assert sample.records[leak.first].path.endswith("figure1-5e7c1b8d98c29ab001275405-98-later.jpg")
    assert tests.records[leak.second - num_pool].path == "test/Covid/COVID-00003b.jpg"
    within = [twin for twin in twins if twin.second < num_pool]
    assert 5 <= len(within) <= 30


# --- training films are recognised by what the model file keeps of them; other films are not --------------------------


def printed(data: bytes) -> Fingerprint:
    return fingerprint(data, decode(data, name="film"))


def test_copies_are_seen_and_other_films_are_not(tmp_path: Path, write_film: Callable[..., Path]) -> None:
    films = [write_film(tmp_path / f"{seed}.png", seed=seed, size_px=128) for seed in range(8)]
    smaller = cv2.resize(cv2.imread(str(films[2]), cv2.IMREAD_GRAYSCALE), (96, 96), interpolation=cv2.INTER_AREA)
    twin = cv2.imencode(".jpg", smaller)[1].tobytes()
    trained = [printed(film.read_bytes()) for film in films[:4]]
    judged = [printed(films[1].read_bytes()), printed(twin), *(printed(film.read_bytes()) for film in films[4:])]
    imprint = training_hashes(trained)
    assert imprint == training_hashes(trained[::-1])
    assert len(base64.b64decode(imprint)) == 4 * 32
    seen = seen_films(judged, imprint)
    assert seen is not None
    assert seen.tolist() == [True, True, False, False, False, False]


def test_films_of_the_starting_weights_are_kept_beside_those_of_the_run(
    tmp_path: Path, write_film: Callable[..., Path]
) -> None:
    prints = [printed(write_film(tmp_path / f"{seed}.png", seed=seed, size_px=128).read_bytes()) for seed in range(5)]
    joined = joined_hashes(training_hashes(prints[:3]), training_hashes(prints[2:4]))
    assert joined == training_hashes(prints[:4])
    assert joined_hashes(joined, None) == joined_hashes(joined, "no imprint") == joined


def test_the_limit_is_kept_to_the_bit() -> None:
    words = np.array([1, 2, 3, 2**64 - 1], dtype=np.uint64)
    for flipped, expected in ((MAX_HASH_DISTANCE, True), (MAX_HASH_DISTANCE + 1, False)):
        other = words.copy()
        other[3] ^= np.uint64(2**flipped - 1)
        seen = seen_films(
            [Fingerprint("", other, np.zeros((32, 32), np.uint8))],
            training_hashes([Fingerprint("", words, np.zeros((32, 32), np.uint8))]),
        )
        assert seen is not None
        assert seen.tolist() == [expected]


@pytest.mark.parametrize("imprint", [None, "", 7, "no base64!", "AAAA"])
def test_what_is_no_imprint_tells_nothing(imprint: object) -> None:
    assert seen_films([], imprint) is None


def test_no_film_has_been_seen_or_left_an_imprint() -> None:
    one = Fingerprint("", np.zeros(4, np.uint64), np.zeros((32, 32), np.uint8))
    assert seen_films([], training_hashes([one])).shape == (0,)  # type: ignore[union-attr]
    assert training_hashes([]) == ""


@pytest.mark.slow
def test_real_test_films_with_a_twin_in_train_are_seen(hilum_data: Path) -> None:
    scan = scan_films(read_dataset(hilum_data / "covid19-image-dataset"))
    is_test = np.array([record.split == "test" for record in scan.dataset.records])
    train = [one for one, test in zip(scan.fingerprints, is_test, strict=True) if not test]
    seen = seen_films(
        [one for one, test in zip(scan.fingerprints, is_test, strict=True) if test], training_hashes(train)
    )
    leaked = {
        p for t in find_twins(scan.fingerprints) for p in (t.first, t.second) if is_test[t.first] != is_test[t.second]
    }
    expected = [position in leaked for position in np.flatnonzero(is_test)]
    assert seen is not None
    assert seen.tolist() == expected
    assert sum(expected) == 9
