"""Local films: what is left out, and what is said of findings with few films."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hilum.console import Console
from hilum.errors import InconsistentDataset
from hilum.run.classifier import Classifier
from hilum.workflows.local_films import few_notes, read_local, source_notes, trained_films


def test_unknown_findings_and_the_test_part_are_left_out(
    tiny_model: Path, tiny_data: Path, write_film: Callable[..., Path], tmp_path: Path
) -> None:
    data = tmp_path / "films"
    data.symlink_to(tiny_data)
    classifier = Classifier(tiny_model)
    local = read_local(classifier, tiny_data, (), Console())
    assert (len(local.scan.dataset.records), local.left_out.test, local.left_out.unknown) == (36, 15, 0)
    assert not trained_films(classifier, local.scan).any()
    assert few_notes(local.scan, classifier.findings) == []
    assert source_notes(local.scan, ()) == []
    some = local.scan.part(np.arange(15))
    assert any("Fewer than 10 films" in note for note in few_notes(some, classifier.findings))
    for seed in range(6):
        write_film(tmp_path / "odd" / "Effusion" / f"{seed}.png", seed=seed)
        write_film(tmp_path / "odd" / "Normal" / f"{seed}.png", seed=50 + seed)
    with pytest.raises(InconsistentDataset, match=r"6 films of .*does not know their findings \(Effusion\): 6 films"):
        read_local(classifier, tmp_path / "odd", (), Console())
