"""Thresholds for one place: from local films, and as shipped where there are none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hilum.judge.adaptation import covered_films, local_calibration
from hilum.run.answer import softmax
from hilum.run.modelfile import Metadata


def answers(num: int, findings: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = np.arange(num) % findings
    return softmax(rng.normal(size=(num, 3)) + 2 * np.eye(3)[truth]), truth, np.arange(num) % 5


def test_a_finding_without_a_film_keeps_its_limit_and_bounds_its_alarms(tiny_metadata: Metadata) -> None:
    probabilities, truth, folds = answers(80, findings=2)
    made = local_calibration(probabilities, truth, folds, tiny_metadata, 1.5, least=10)
    lacking = tiny_metadata.findings[2]
    assert made.conformal[lacking] == tiny_metadata.conformal[lacking]
    assert made.conformal[tiny_metadata.findings[0]]["n"] == 40
    low = dataclasses.replace(tiny_metadata, operating_thresholds={lacking: 0.01})
    threshold = local_calibration(probabilities, truth, folds, low, 1.5, least=10).operating_thresholds[lacking]
    assert (probabilities[:, 2] >= threshold).mean() <= 0.1
    high = dataclasses.replace(tiny_metadata, operating_thresholds={lacking: 0.99})
    assert local_calibration(probabilities, truth, folds, high, 1.5, least=10).operating_thresholds[lacking] == 0.99


def test_findings_with_few_films_keep_their_operating_threshold(tiny_metadata: Metadata) -> None:
    probabilities, truth, folds = answers(90)
    few = (truth < 2) | (np.cumsum(truth == 2) <= 5)
    made = local_calibration(probabilities[few], truth[few], folds[few], tiny_metadata, 1.0, least=10)
    shipped = tiny_metadata.operating_thresholds
    same = [made.operating_thresholds[name] == shipped[name] for name in tiny_metadata.findings]
    assert same == [False, False, True]
    alone = local_calibration(
        probabilities[truth == 0], truth[truth == 0], folds[truth == 0], tiny_metadata, 1.0, least=10
    )
    assert alone.operating_thresholds["Normal"] == shipped["Normal"]


def test_coverage_is_that_of_limits_from_other_folds(tiny_metadata: Metadata) -> None:
    probabilities, truth, folds = answers(600)
    covered, size = covered_films(probabilities, truth, folds, tiny_metadata)
    assert covered.value == pytest.approx(tiny_metadata.coverage, abs=0.04)
    assert 1 <= size <= 3
    assert covered_films(probabilities, truth, folds % 2, tiny_metadata)[0].value is not None  # one fold is left
