"""Labels that models contradict: the rule, whom it spares, and what a data set's audit says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hilum.console import Console
from hilum.data.fingerprint import training_hashes
from hilum.data.folder import Dataset, FilmRecord, read_dataset
from hilum.data.scan import Scan, scan_films
from hilum.judge.audit.check import AuditData, JudgedFilms, Outcome, run_checks
from hilum.judge.audit.suspects import CHECKS, judge_unseen, suspect_labels, trusted_findings
from hilum.run.classifier import Classifier

NAMES = ("Normal", "Covid-19", "Viral Pneumonia")


def answers(truth: np.ndarray, *, sure: float = 2.0, seed: int = 0) -> np.ndarray:
    """Return probabilities (n, 3) that favour the true finding."""
    drawn = np.random.default_rng(seed).normal(size=(len(truth), 3)) * 0.5 + sure * np.eye(3)[truth]
    return np.exp(drawn) / np.exp(drawn).sum(axis=1, keepdims=True)


def outcome(labels: list[str], probabilities: np.ndarray, *, num_seen: int = 0, findings: tuple = NAMES) -> Outcome:
    """Return what the check says of films with these labels."""
    records = tuple(FilmRecord(f"{number}.png", label, None) for number, label in enumerate(labels))
    scan = Scan(Dataset(Path(), "set", records), (None,) * len(records), (), np.arange(len(records)), ())
    judged = JudgedFilms("the model `m`", findings, probabilities, num_seen)
    return run_checks(AuditData(scan, ("train",) * len(records), judged=judged), CHECKS).outcomes[0]


def test_swapped_labels_are_found_the_most_contradicted_first() -> None:
    truth = np.arange(300) % 3
    labels = truth.copy()
    labels[:12] = (truth[:12] + 1) % 3
    probabilities = answers(truth, sure=8.0)
    found = suspect_labels(np.eye(3, dtype=bool)[labels], probabilities)
    assert set(range(12)) <= {film for film, _ in found}
    assert len(found) <= 15
    assert all(finding == truth[film] for film, finding in found if film < 12)
    margins = [probabilities[film, labels[film]] - probabilities[film].max() for film, _ in found]
    assert margins == sorted(margins)


def test_a_model_that_leans_to_one_finding_does_not_doubt_all_the_others() -> None:
    truth = np.repeat([0, 1], 50)
    logits = np.stack([np.where(truth == 0, 3.0, 0.0), np.where(truth == 1, 3.0, 0.0) + 2.5], axis=1)
    logits += np.random.default_rng(0).normal(size=logits.shape) * 0.3
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert (probabilities[:50, 1] > 0.3).mean() > 0.7  # a fixed limit would doubt many normal films
    assert suspect_labels(np.eye(2, dtype=bool)[truth], probabilities) == []


def test_an_ambiguous_label_is_suspect_only_if_none_of_its_findings_is_plausible() -> None:
    truth = np.arange(60) % 3
    named = np.eye(3, dtype=bool)[truth]
    probabilities = answers(truth, sure=4.0)
    named[0] = named[1] = (False, True, True)
    probabilities[:2] = [(0.99, 0.005, 0.005), (0.005, 0.99, 0.005)]
    assert [film for film, _ in suspect_labels(named, probabilities) if film < 2] == [0]


def test_findings_that_the_model_does_not_know_here_are_neither_doubted_nor_suggested() -> None:
    truth = np.arange(90) % 3
    probabilities = answers(np.where(truth == 2, 0, truth), sure=4.0)  # every third film is called normal
    named = np.eye(3, dtype=bool)[truth]
    assert trusted_findings(named, probabilities).tolist() == [True, True, False]
    assert all(truth[film] != 2 for film, _ in suspect_labels(named, probabilities))
    labels = [NAMES[k] for k in truth]
    labels[0], probabilities[0] = "Covid-19", (0.998, 0.001, 0.001)
    assert "Labels of Viral Pneumonia were not doubted" in outcome(labels, probabilities).faults[0].message
    few = trusted_findings(named[:12], answers(truth[:12], sure=9.0))  # four films each
    assert not few.any()


def test_the_fault_says_what_how_many_and_what_is_suggested() -> None:
    truth = np.arange(90) % 3
    labels = [NAMES[k] for k in truth]
    labels[0] = "Covid-19"
    probabilities = answers(truth, sure=6.0)
    probabilities[0] = (0.998, 0.001, 0.001)
    found = outcome(labels, probabilities, num_seen=4)
    (fault,) = found.faults
    assert (found.status, fault.severity, fault.paths, fault.figure) == ("failed", "warning", ("0.png",), 1)
    assert fault.message == (
        "1 of 90 labels may be wrong, by the answers of the model `m`: 1 labelled Covid-19 may be Normal. 4 films "
        "were left out: the model was trained on them."
    )
    assert fault.suggestions is not None
    assert fault.suggestions["0.png"].finding == "Normal"
    assert fault.suggestions["0.png"].probability > 0.9


def test_films_of_unknown_findings_and_films_that_were_not_judged_are_left_out() -> None:
    truth = np.arange(90) % 3
    labels = [NAMES[k] for k in truth]
    labels[0], labels[3], labels[6] = "Tuberculosis", "Covid-19|Tuberculosis", "Covid-19"
    probabilities = answers(truth, sure=6.0)
    probabilities[[0, 3, 6]] = (0.998, 0.001, 0.001)
    assert [fault.paths for fault in outcome(labels, probabilities).faults] == [("6.png",)]
    probabilities[6] = np.nan
    assert outcome(labels, probabilities).status == "passed"


def test_pneumonia_of_no_stated_type_contradicts_no_type_of_it() -> None:
    names = ("Normal", "Viral Pneumonia", "Bacterial Pneumonia")
    truth = np.arange(90) % 3
    labels = [names[k] if k == 0 else "Pneumonia (type not stated)" for k in truth]
    labels[:30] = [names[k] for k in truth[:30]]
    labels[30] = "Pneumonia (type not stated)"
    probabilities = answers(truth, sure=6.0)
    probabilities[30] = (0.998, 0.001, 0.001)
    (fault,) = outcome(labels, probabilities, findings=names).faults
    assert fault.paths == ("30.png",)


def test_without_answers_or_with_too_few_it_is_not_applied() -> None:
    assert outcome(list(NAMES), answers(np.arange(3)), num_seen=1).why == (
        "It takes two findings with at least 5 films each, of which at least half are answered with that finding by "
        "the model `m`. 3 films could be judged. 1 film was left out: the model was trained on it."
    )
    scan = Scan(Dataset(Path(), "set", ()), (), (), np.arange(0), ())
    without = run_checks(AuditData(scan, ()), CHECKS).outcomes[0]
    assert without.why.startswith("No model has judged the films.")


def test_films_that_the_model_was_trained_on_are_not_judged(
    tiny_model: Path, tiny_data: Path, tmp_path: Path, write_model: Callable[..., Path]
) -> None:
    scan = scan_films(read_dataset(tiny_data))
    learned = write_model(tmp_path / "m.onnx", training_data={"dhash256": training_hashes(scan.fingerprints[:20])})
    for model, num_seen in ((tiny_model, 0), (learned, 20)):
        judged = judge_unseen(Classifier(model), {}, scan, console=Console())
        assert judged.by == "the model `tiny`"
        assert judged.num_seen >= num_seen
        assert np.isnan(judged.probabilities[:num_seen]).all()
        assert not np.isnan(judged.probabilities).all()
    row = {"accepted": "true"} | dict.fromkeys((f"probability_{name}" for name in NAMES), "0.25")
    first, second = (record.path for record in scan.dataset.records[:2])
    crossed = {first: row, second: {**row, "accepted": "false"}, scan.dataset.records[-1].path: row}
    by_folds = judge_unseen(Classifier(learned), crossed, scan, console=Console())
    assert by_folds.by == "the model `tiny` and those of its folds"
    assert by_folds.num_seen == judged.num_seen - 2
    assert (by_folds.probabilities[0] == 0.25).all()
    assert np.isnan(by_folds.probabilities[1]).all()
    assert (by_folds.probabilities[-1] == judged.probabilities[-1]).all()  # this film was not trained on
