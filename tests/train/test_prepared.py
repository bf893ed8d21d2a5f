"""A data set read once for training."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hilum.console import Console
from hilum.data.fingerprint import training_hashes
from hilum.data.folder import read_dataset
from hilum.data.phantom import write_phantoms
from hilum.data.scan import Scan, scan_films
from hilum.errors import InconsistentDataset
from hilum.film.decode import read_film
from hilum.film.preprocess import Preprocessing, preprocess
from hilum.train import prepared
from hilum.train.batches import packed_cover
from hilum.train.prepared import draw_validation, films_seen_before, prepare_films, unrecognised_words

SMALL = Preprocessing(size_px=32)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantoms(
        tmp_path_factory.mktemp("drawn") / "films",
        num_per_finding=10,
        num_test_per_finding=1,
        seed=3,
        findings=("Normal", "Covid-19"),
        size_px=128,
    )


@pytest.fixture
def phantoms(drawn: Path, tmp_path: Path) -> Path:
    return shutil.copytree(drawn, tmp_path / "films")


def test_films_stand_beside_their_records(phantoms: Path) -> None:
    broken = phantoms / "train" / "Normal" / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    said: list[str] = []
    console = Console()
    console.say = said.append  # type: ignore[method-assign]
    seen: list[int] = []
    prepared = prepare_films(phantoms, SMALL, console=console, make_look=lambda n: lambda *_: seen.append(n))
    assert [line for line in said if "broken.png" in line]
    assert seen == [23] * 22
    assert len(prepared.records) == len(prepared.films) == 22
    for position in (0, 9, 21):
        record = prepared.records[position]
        film = preprocess(read_film(phantoms / record.path, min_side_px=SMALL.decoded_px), SMALL)[0]
        assert np.array_equal(prepared.films.pixels[position], film.astype(np.float16))
        assert prepared.findings[prepared.films.labels[position]] == record.finding


def test_a_finding_without_a_readable_film_is_named(phantoms: Path) -> None:
    for path in (phantoms / "train" / "Normal").iterdir():
        path.write_bytes(b"no film")
    for path in (phantoms / "test" / "Normal").iterdir():
        path.write_bytes(b"no film")
    with pytest.raises(InconsistentDataset, match=r"No film .* with the finding `Normal` can be read"):
        prepare_films(phantoms, SMALL)


def test_validation_is_drawn_from_the_rest_only(phantoms: Path) -> None:
    prepared = prepare_films(phantoms, SMALL)
    rest = np.flatnonzero([record.split == "train" for record in prepared.records])[2:]
    chosen = draw_validation(prepared, rest, fraction=0.25, seed=1)
    assert set(np.flatnonzero(chosen)) < set(rest.tolist())
    assert 2 <= chosen.sum() <= 8
    assert set(prepared.films.labels[chosen]) == {0, 1}
    assert not set(prepared.scan.groups[chosen]) & set(prepared.scan.groups[rest[~chosen[rest]]])


def test_covers_lie_over_the_lungs_of_their_films(phantoms: Path) -> None:
    prepared = prepare_films(phantoms, SMALL, with_lungs=True)
    assert prepared.films.covers is not None
    for position in (0, 9, 21):
        film = read_film(phantoms / prepared.records[position].path, min_side_px=SMALL.decoded_px)
        assert np.array_equal(prepared.films.covers[position], packed_cover(film))


# --- films that the starting weights have seen ------------------------------------------------------------------------


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    write_phantoms(
        tmp_path, num_per_finding=4, num_test_per_finding=1, seed=9, findings=("Normal", "Covid-19"), size_px=96
    )
    return scan_films(read_dataset(tmp_path))


def test_only_films_of_the_weights_and_their_groups_count(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    told = SimpleNamespace(
        metadata=SimpleNamespace(training_data={"dhash256": training_hashes([scan.fingerprints[i] for i in (1, 6)])})
    )
    monkeypatch.setattr(prepared, "read_model_file", lambda path: told)
    groups = np.arange(10)
    assert np.flatnonzero(films_seen_before("chest", scan.fingerprints, groups)).tolist() == [1, 6]
    groups[3] = 1
    assert np.flatnonzero(films_seen_before("chest", scan.fingerprints, groups)).tolist() == [1, 3, 6]
    for weights in ("imagenet", "none"):
        assert not films_seen_before(weights, scan.fingerprints, groups).any()


def test_films_too_small_to_be_recognised_are_counted_and_said() -> None:
    sizes = [(28, 28), (63, 500), (64, 64), (1000, 800)]
    assert unrecognised_words("chest", sizes).startswith("2 of 4 films are smaller than 64 px: hilum cannot tell ")
    assert unrecognised_words("chest", sizes[2:]) == unrecognised_words("imagenet", sizes) == ""
