"""The curves agree with scikit-learn."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from hilum.judge.curves import precision_recall_curve, roc_curve


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 60), st.integers(0, 10**6))
def test_curves_agree_with_scikit_learn(num_films: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    positive, scores = rng.integers(0, 2, num_films) == 1, rng.uniform(size=num_films).round(2)
    if not 0 < positive.sum() < num_films:
        assert roc_curve(positive, scores)[0].size == 0
        return
    alarms, hits = roc_curve(positive, scores)
    expected = reference.roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(alarms, expected[0])
    np.testing.assert_allclose(hits, expected[1])
    recall, precision = precision_recall_curve(positive, scores)
    expected_precision, expected_recall, _ = reference.precision_recall_curve(positive, scores)
    np.testing.assert_allclose(recall, expected_recall[-2::-1])
    np.testing.assert_allclose(precision, expected_precision[-2::-1])
