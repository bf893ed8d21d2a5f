"""How large the films of a data set are; the rest of a scan is tested with patients, labels and twins."""

from __future__ import annotations

from pathlib import Path

from hilum.data.folder import read_dataset
from hilum.data.phantom import write_phantoms
from hilum.data.scan import typical_side


def test_the_typical_side_is_that_of_the_films_that_can_be_read(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "films", num_per_finding=4, num_test_per_finding=0, seed=0, size_px=96)
    dataset = read_dataset(tmp_path / "films")
    assert 72 <= (typical_side(dataset) or 0) <= 96  # phantoms are not square
    for record in dataset.records:
        (dataset.root / record.path).write_bytes(b"no film")
    assert typical_side(dataset) is None
