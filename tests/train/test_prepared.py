"""A data set read once for training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hilum.console import Console
from hilum.data.phantom import write_phantoms
from hilum.errors import InconsistentDataset
from hilum.film.decode import read_film
from hilum.film.preprocess import Preprocessing, preprocess
from hilum.train.batches import packed_cover
from hilum.train.prepared import draw_validation, prepare_films

SMALL = Preprocessing(size_px=32)


@pytest.fixture
def phantoms(tmp_path: Path) -> Path:
    return write_phantoms(
        tmp_path / "films", num_per_finding=10, num_test_per_finding=1, seed=3, findings=("Normal", "Covid-19")
    )


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
