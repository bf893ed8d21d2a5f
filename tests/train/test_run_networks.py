"""The networks of a run: each sealed under its name, finished ones not repeated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hilum.console import Console
from hilum.data.fingerprint import joined_hashes, training_hashes
from hilum.data.phantom import write_phantoms
from hilum.errors import InconsistentDataset
from hilum.train import run_networks as parts
from hilum.train.config import RunConfig, read_config
from hilum.train.prepared import prepare_films
from hilum.train.run_networks import WORK, FoldTrainer


@pytest.fixture
def config(tiny_toml: Path) -> RunConfig:
    return read_config(tiny_toml)


@pytest.fixture
def trainer(tmp_path: Path, config: RunConfig) -> FoldTrainer:
    write_phantoms(tmp_path / "set", num_per_finding=10, num_test_per_finding=1, seed=1)
    prepared = prepare_films(tmp_path / "set", config.preprocessing, console=Console())
    (tmp_path / "run" / WORK).mkdir(parents=True)
    return FoldTrainer(prepared, config, tmp_path / "run", Console())


def test_a_file_knows_the_films_behind_its_starting_weights_too(
    trainer: FoldTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prints = trainer.prepared.scan.fingerprints
    learned = np.arange(len(prints)) < 12
    learned[::2] = False
    nothing = np.zeros_like(learned)
    own = training_hashes([prints[i] for i in np.flatnonzero(learned)])
    earlier = training_hashes(prints[-3:])
    metadata = trainer._metadata(learned, trainer.prepared.findings, nothing)
    assert metadata.training_data["dhash256"] == own
    monkeypatch.setattr(parts, "hashes_behind", lambda weights: earlier)
    metadata = trainer._metadata(learned, trainer.prepared.findings, nothing)
    assert metadata.training_data["dhash256"] == joined_hashes(own, earlier) != own


def test_a_part_is_fitted_once_and_tells_the_findings_that_it_is_given(
    trainer: FoldTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = trainer.prepared.scan.dataset.records
    findings = trainer.prepared.findings[:2]
    known = np.array([record.finding in findings and record.split == "train" for record in records])
    validation = trainer.draw_validation(np.flatnonzero(known), 0)
    assert 0 < validation.sum() < known.sum()
    assert not (validation & ~known).any()
    classifier = trainer.fit("fold-1", known & ~validation, validation, seed_shift=1, findings=findings)
    assert classifier.findings == findings
    assert (trainer.out / "folds" / "fold-1.onnx").exists()
    assert not (trainer.out / "model.keras").exists()
    history = trainer.history("fold-1")
    assert {row["stage"] for row in history} == {"start", "backbone"}

    monkeypatch.setattr(parts, "fit_network", None)
    again = trainer.fit("fold-1", known & ~validation, validation, seed_shift=1, findings=findings)
    answers = trainer.judge(classifier, known)
    assert np.array_equal(answers.logits, trainer.judge(again, known).logits)
    everything = np.ones(len(records), dtype=bool)
    assert len(trainer.judge(again, everything, known_only=False).records) == len(records)
    with pytest.raises(InconsistentDataset):
        trainer.judge(again, everything)
    assert trainer.history("fold-1") == history
