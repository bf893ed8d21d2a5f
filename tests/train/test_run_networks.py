"""The networks of a run: each sealed under its name, finished ones not repeated."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from hilum.console import Console
from hilum.data.fingerprint import joined_hashes, training_hashes
from hilum.data.phantom import write_phantoms
from hilum.errors import InconsistentDataset
from hilum.run.heatmap import is_own_picture
from hilum.train import run_networks
from hilum.train.config import RunConfig
from hilum.train.config_file import read_config
from hilum.train.prepared import PreparedFilms, prepare_films
from hilum.train.run_networks import MODEL, NetworkPlan, RunNetworks


@pytest.fixture(scope="module")
def config(tiny_toml: Path) -> RunConfig:
    return read_config(tiny_toml)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, config: RunConfig) -> PreparedFilms:
    folder = write_phantoms(
        tmp_path_factory.mktemp("films") / "set", num_per_finding=10, num_test_per_finding=1, seed=1, size_px=96
    )
    return prepare_films(folder, config.preprocessing, console=Console())


@pytest.fixture
def networks(tmp_path: Path, config: RunConfig, prepared: PreparedFilms) -> RunNetworks:
    (tmp_path / "run" / ".work").mkdir(parents=True)
    return RunNetworks(prepared, config, tmp_path / "run", Console())


def test_a_file_knows_the_films_behind_its_starting_weights_too(
    networks: RunNetworks, monkeypatch: pytest.MonkeyPatch
) -> None:
    prints = networks.prepared.scan.fingerprints
    learned = np.arange(len(prints)) < 12
    learned[::2] = False
    plan = NetworkPlan(MODEL, learned, np.zeros_like(learned), networks.prepared.findings)
    own = training_hashes([prints[i] for i in np.flatnonzero(learned)])
    earlier = training_hashes(prints[-3:])
    metadata = networks._metadata(plan)
    assert metadata.training_data["dhash256"] == own
    monkeypatch.setattr(run_networks, "hashes_behind", lambda weights: earlier)
    networks = dataclasses.replace(networks, config=dataclasses.replace(networks.config, coverage=0.8))
    metadata = networks._metadata(plan)
    assert metadata.coverage == 0.8
    assert metadata.training_data["dhash256"] == joined_hashes(own, earlier) != own


@pytest.mark.slow
def test_the_first_batch_of_the_model_is_drawn_once(networks: RunNetworks) -> None:
    films = networks.prepared.films
    plan = NetworkPlan(MODEL, np.ones(len(films), bool), np.zeros(len(films), bool), networks.prepared.findings)
    networks._draw_first_batch(films, plan)
    first = (networks.out / "batches.png").read_bytes()
    assert is_own_picture(networks.out / "batches.png")
    (networks.out / "batches.png").unlink()
    networks._draw_first_batch(films, plan)
    assert (networks.out / "batches.png").read_bytes() == first
    (networks.out / "batches.png").write_bytes(b"of an earlier attempt")
    networks._draw_first_batch(films, plan)
    assert (networks.out / "batches.png").read_bytes() == b"of an earlier attempt"

    (networks.out / "batches.png").unlink()
    head_alone = dataclasses.replace(networks.config, fit=dataclasses.replace(networks.config.fit, epochs=0))
    dataclasses.replace(networks, config=head_alone)._draw_first_batch(films, plan)
    assert not (networks.out / "batches.png").exists()  # nothing trains on batches


def test_a_network_is_fitted_once_and_distinguishes_the_findings_of_its_plan(
    networks: RunNetworks, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = networks.prepared.scan.dataset.records
    findings = networks.prepared.findings[:2]
    known = np.array([record.finding in findings and record.split == "train" for record in records])
    validation = networks.draw_validation(np.flatnonzero(known), 0)
    assert 0 < validation.sum() < known.sum()
    assert not (validation & ~known).any()
    plan = NetworkPlan("fold-1", known & ~validation, validation, findings, seed_shift=1)
    classifier = networks.fit(plan)
    assert classifier.findings == findings
    assert (networks.out / "folds" / "fold-1.onnx").exists()
    assert not (networks.out / "model.keras").exists()
    assert not (networks.out / "batches.png").exists()  # it shows the model's films
    history = networks.history("fold-1")
    assert {row["stage"] for row in history} == {"start", "backbone"}

    monkeypatch.setattr(run_networks, "fit_network", None)
    again = networks.fit(plan)
    answers = networks.judge(classifier, known)
    assert np.array_equal(answers.logits, networks.judge(again, known).logits)
    everything = np.ones(len(records), dtype=bool)
    assert len(networks.judge(again, everything, known_only=False).records) == len(records)
    with pytest.raises(InconsistentDataset):
        networks.judge(again, everything)
    assert networks.history("fold-1") == history
