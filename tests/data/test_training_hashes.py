"""Training films are recognised by what the model file keeps of them; other films are not."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from hilum.data.fingerprint import (
    MAX_HASH_DISTANCE,
    Fingerprint,
    find_twins,
    fingerprint,
    joined_hashes,
    seen_films,
    training_hashes,
)
from hilum.data.folder import read_dataset
from hilum.data.scan import scan_films
from hilum.film.decode import decode


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
