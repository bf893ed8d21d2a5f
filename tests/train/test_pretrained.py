"""Films that the starting weights have seen."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hilum.data.fingerprint import training_hashes
from hilum.data.folder import read_dataset
from hilum.data.phantom import write_phantoms
from hilum.data.scan import Scan, scan_films
from hilum.train import prepared
from hilum.train.prepared import films_seen_before, unrecognised_words


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    write_phantoms(tmp_path, num_per_finding=4, num_test_per_finding=1, seed=9, findings=("Normal", "Covid-19"))
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
