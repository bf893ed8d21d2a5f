"""Combining: the plain means, and a stack that learns whom to trust and is not fooled by noise."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.errors import InconsistentDataset
from hilum.run.answer import softmax
from hilum.train.ensemble.combination import Combination, fit_stack, stack_out_of_fold


def members(num: int = 200, num_findings: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (3, n, K) and the truth (n,): one member is good, one guesses, one says the contrary."""
    rng = np.random.default_rng(0)
    truth = rng.integers(num_findings, size=num)
    good = rng.normal(size=(num, num_findings))
    good[np.arange(num), truth] += 3
    noise = rng.normal(size=(num, num_findings)) * 3
    contrary = rng.normal(size=(num, num_findings))
    contrary[np.arange(num), (truth + 1) % num_findings] += 3
    return np.stack([softmax(one) for one in (good, noise, contrary)]), truth


def test_the_average_is_the_mean_probability() -> None:
    probabilities, _ = members()
    logits = Combination("average").logits(probabilities)
    np.testing.assert_allclose(np.exp(logits), probabilities.mean(axis=0))


def test_a_member_without_a_say_leaves_it_to_the_others() -> None:
    probabilities, _ = members()
    silent = probabilities.copy()
    silent[1, :50] = np.nan
    found = Combination("average").logits(silent)
    np.testing.assert_allclose(found[:50], Combination("average").logits(probabilities[[0, 2], :50]))
    np.testing.assert_allclose(found[50:], Combination("average").logits(probabilities[:, 50:]))


def test_weights_count_members_more_than_once() -> None:
    probabilities, _ = members()
    twice = Combination("average").logits(probabilities[[0, 0, 1]])
    np.testing.assert_allclose(Combination("average").logits(probabilities[:2], [2, 1]), twice)


@pytest.mark.slow
@pytest.mark.parametrize("num_findings", [2, 3, 4])
def test_a_stack_learns_whom_to_trust(num_findings: int) -> None:
    probabilities, truth = members(num_findings=num_findings)
    groups = np.arange(len(truth))
    stack = fit_stack(probabilities, truth, groups)
    assert stack.coefficients is not None
    assert stack.coefficients.shape == (num_findings, 3, num_findings)
    own = np.einsum("kmk->m", stack.coefficients)
    assert own[0] > abs(own[1])
    assert own[2] < 0 or num_findings > 2
    logits = stack_out_of_fold(probabilities, truth, groups)
    assert np.isfinite(logits).all()
    right = (logits.argmax(axis=1) == truth).mean()
    average = (Combination("average").logits(probabilities).argmax(axis=1) == truth).mean()
    assert right > average + 0.1


def test_a_stack_of_noise_is_not_measured_on_what_it_learned() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(3), 20)
    probabilities = softmax(6 * rng.normal(size=(12, 60, 3)))
    inside = (fit_stack(probabilities, truth, np.arange(60)).logits(probabilities).argmax(axis=1) == truth).mean()
    outside = (stack_out_of_fold(probabilities, truth, np.arange(60)).argmax(axis=1) == truth).mean()
    assert inside > outside + 0.15
    assert outside < 0.55


def test_a_stack_without_a_film_of_a_finding_is_refused() -> None:
    probabilities, truth = members()
    some = truth != 2
    with pytest.raises(InconsistentDataset, match="Too few films"):
        fit_stack(probabilities[:, some], truth[some], np.arange(some.sum()))
