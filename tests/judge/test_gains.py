"""What an ensemble gains over a member is measured on the same films."""

from __future__ import annotations

import numpy as np

from hilum.judge.gains import paired_gain


def test_a_planted_gain_is_found_and_none_where_there_is_none() -> None:
    rng = np.random.default_rng(0)
    truth, groups = rng.integers(3, size=120), np.arange(120)
    right = np.eye(3)[truth]
    wrong = np.where(rng.random((120, 1)) < 0.3, np.roll(right, 1, axis=1), right)
    gain = paired_gain(truth, wrong, right, groups, name="a", seed=0)
    assert gain.right == (int((wrong.argmax(axis=1) == truth).sum()), 120)
    assert (gain.macro_f1.low or 0) > 0.1
    loss = paired_gain(truth, right, wrong, groups, name="a", seed=0)
    assert (loss.macro_f1.high or 0) < -0.1
    none = paired_gain(truth, wrong, wrong, groups, name="a", seed=0)
    assert none.macro_f1.value == 0
