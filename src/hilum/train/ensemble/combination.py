"""How members' probabilities become the ensemble's logits: their average, or a stack.

The same arithmetic stands in the sealed graph (merge.py). Each member's probabilities are those at its own
temperature.

Sources:
    Wolpert 1992, Stacked generalization.
    Ting, Witten 1999, Issues in stacked generalization (probabilities rather than answers, regularisation).
    Aitchison 1982, The statistical analysis of compositional data (centred log-ratios).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hilum.data.split import grouped_folds
from hilum.errors import InconsistentDataset, MissingExtra

__all__ = ["METHODS", "Combination", "fit_stack", "stack_out_of_fold"]

METHODS = ("average", "stack")
LEAST_STACKED = 1e-4  # a stack's inputs stop there: one absurdly sure member must not outweigh all others
_PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1)  # inverse strengths, all of them strong

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Combination:
    """A way to combine M members that tell K findings apart.

    Attributes:
        method: One of `METHODS`.
        coefficients: Of a stack, (K, M, K): what each member's log-ratio of each finding adds to each logit.
        intercept: Of a stack, (K,).
        penalty: Of a stack, the inverse strength of its regularisation.
    """

    method: str
    coefficients: FloatArray | None = None
    intercept: FloatArray | None = None
    penalty: float | None = None

    def logits(self, probabilities: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> FloatArray:
        """Return the ensemble's logits (n, K).

        Args:
            probabilities: (M, n, K). A member without a say on a film is NaN there, and the others make up the mean;
                a stack needs all of them.
            weights: (M,) of the mean; equal where not given. A stack has its own.
        """
        values = np.asarray(probabilities, dtype=np.float64)
        if self.coefficients is not None:
            return np.einsum("mnj,kmj->nk", log_ratios(values), self.coefficients) + self.intercept
        shares = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
        present = np.isfinite(values)
        shares = shares[:, None, None] * present
        shares = shares / shares.sum(axis=0)  # (M, n, K)
        filled = np.clip(np.where(present, values, 1.0), 1e-30, 1)
        return np.log((shares * filled).sum(axis=0))


def log_ratios(probabilities: FloatArray) -> FloatArray:
    """Return (..., K) logarithms of probabilities without their mean: linear in a member's logits."""
    logs = np.log(np.clip(probabilities, LEAST_STACKED, 1))
    return logs - logs.mean(axis=-1, keepdims=True)


def fit_stack(probabilities: FloatArray, truth: np.ndarray, groups: np.ndarray, *, seed: int = 0) -> Combination:
    """Return a multinomial logistic regression on members' out-of-fold answers.

    The strength of its regularisation is chosen by grouped cross-validation of these films; all choices are strong,
    for a stack of 5 members and 3 findings has 48 parameters and often no more than 250 films.

    Args:
        probabilities: (M, n, K), each from a model that saw neither the film nor its group.
        truth: (n,) int, index of the true finding; every finding occurs.
        groups: (n,) int.
        seed: Of the folds.

    Raises:
        InconsistentDataset: A finding does not occur.
        MissingExtra: scikit-learn is not installed.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingExtra("A stack", "train") from error
    num_members, num_films, num_findings = probabilities.shape
    if len(np.unique(truth)) < num_findings:
        raise InconsistentDataset(
            f"Too few films to fit a stack: a fold has films of only {len(np.unique(truth))} of "
            f"{num_findings} findings.",
            fix="Use --method average, which fits nothing.",
        )
    inputs = log_ratios(probabilities).transpose(1, 0, 2).reshape(num_films, -1)  # (n, M*K)

    def fitted(penalty: float, chosen: np.ndarray) -> LogisticRegression:
        return LogisticRegression(C=penalty, max_iter=1000).fit(inputs[chosen], truth[chosen])

    folds = [held for held in grouped_folds(truth, groups, seed=seed) if len(np.unique(truth[~held])) == num_findings]

    def surprise(penalty: float) -> float:
        logs = [
            fitted(penalty, ~held).predict_log_proba(inputs[held])[np.arange(held.sum()), truth[held]] for held in folds
        ]
        return -float(np.concatenate(logs).mean()) if logs else penalty

    best = min(_PENALTIES, key=surprise)
    model = fitted(best, np.ones(num_films, dtype=bool))
    coefficients, intercept = model.coef_, model.intercept_
    if num_findings == 2:  # scikit-learn gives one row for two findings
        coefficients, intercept = np.vstack((-coefficients, coefficients)) / 2, np.r_[-intercept, intercept] / 2
    return Combination("stack", coefficients.reshape(num_findings, num_members, num_findings), intercept, best)


def stack_out_of_fold(probabilities: FloatArray, truth: np.ndarray, groups: np.ndarray, *, seed: int = 0) -> FloatArray:
    """Return the logits (n, K) of stacks, each fitted on the films of other folds than it answers.

    That is the figure of the stack itself: on the films it was fitted on it would flatter.
    """
    logits = np.full((probabilities.shape[1], probabilities.shape[2]), np.nan)
    for held in grouped_folds(truth, groups, seed=seed + 1):
        stack = fit_stack(probabilities[:, ~held], truth[~held], groups[~held], seed=seed)
        logits[held] = stack.logits(probabilities[:, held])
    return logits
