"""Thresholds that refuse few films and leave every set as it was."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.judge.calibrate import conformal_thresholds
from hilum.judge.calibration import REFUSED_FRACTION, sparing_thresholds
from hilum.run.answer import conformal_limits, conformal_sets, reached, softmax

FINDINGS = ("Normal", "Covid-19", "Viral Pneumonia")


def films(num: int, shift: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return calibrated probabilities and the truth."""
    rng = np.random.default_rng(seed)
    truth = np.arange(num) % 3
    features = rng.normal(size=(num, 3))
    features[np.arange(num), truth] += shift
    return softmax(features * shift), truth


def test_few_films_like_those_behind_the_thresholds_fit_no_finding() -> None:
    probabilities, truth = films(3000, 3.0, 0)
    plain = conformal_thresholds(probabilities[:1500], truth[:1500], FINDINGS)
    spared = sparing_thresholds(plain, probabilities[:1500], truth[:1500], FINDINGS)
    refused = [
        (~reached(probabilities[1500:], conformal_limits(one, FINDINGS)).any(axis=1)).mean() for one in (plain, spared)
    ]
    assert refused[0] > 0.06
    assert refused[1] < REFUSED_FRACTION + 0.01


@settings(max_examples=60, deadline=None)
@given(st.integers(6, 200), st.floats(0.5, 4), st.integers(0, 99))
def test_every_set_stays_as_it_was(num: int, shift: float, seed: int) -> None:
    probabilities, truth = films(num, shift, seed)
    plain = conformal_thresholds(probabilities, truth, FINDINGS)
    spared = sparing_thresholds(plain, probabilities, truth, FINDINGS)
    new, _ = films(300, shift, seed + 1000)
    before, after = (conformal_limits(one, FINDINGS) for one in (plain, spared))
    assert (after >= before).all()
    assert np.array_equal(conformal_sets(new, before), conformal_sets(new, after))


def test_what_else_a_limit_says_stays() -> None:
    probabilities, truth = films(60, 2.0, 0)
    limits = {name: {"threshold": 0.6, "n": 20, "method": "cross", "folds": 5} for name in FINDINGS}
    assert sparing_thresholds(limits, probabilities, truth, FINDINGS) == limits
    low = {name: {**limit, "threshold": 0.01} for name, limit in limits.items()}
    spared = sparing_thresholds(low, probabilities, truth, FINDINGS)
    assert all(0.01 < limit["threshold"] <= 0.5 for limit in spared.values())
    assert all(limit["folds"] == 5 for limit in spared.values())
