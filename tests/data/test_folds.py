"""Folds that keep groups together."""

from __future__ import annotations

import numpy as np

from hilum.data.split import grouped_folds


def test_folds_never_part_a_group() -> None:
    rng = np.random.default_rng(0)
    truth, groups = rng.integers(3, size=90), rng.integers(20, size=90)
    folds = list(grouped_folds(truth, groups))
    assert len(folds) == 5
    np.testing.assert_array_equal(np.sum(folds, axis=0), 1)
    for held in folds:
        assert set(groups[held]).isdisjoint(groups[~held])


def test_few_groups_make_fewer_folds_and_one_makes_none() -> None:
    truth = np.arange(12) % 3
    assert len(list(grouped_folds(truth, np.arange(12) % 4))) == 4
    assert list(grouped_folds(truth, np.zeros(12, int))) == []
