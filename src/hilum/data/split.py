"""Splits a data set into parts and folds; twins and films of one patient form a group and stay together.

A test part that the data set states is kept, even if it leaks; clean_test then returns its clean films.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from hilum.data.folder import Dataset
from hilum.errors import ConfigError, InconsistentDataset
from hilum.findings import open_kinds, sorted_findings

__all__ = [
    "assign_folds",
    "assign_splits",
    "check_counts",
    "clean_test",
    "grouped_folds",
]

_NUM_ATTEMPTS = 10  # draws for each number of folds


def assign_splits(
    dataset: Dataset,
    groups: np.ndarray,
    *,
    validation_fraction: float = 0.15,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> tuple[str, ...]:
    """Return the split of each film: parts of the data set are kept, missing ones are drawn, grouped and stratified.

    A missing test or validation part is drawn from train. No group crosses between parts that are drawn. A group may
    cross between train and a test part of the data set; clean_test returns the films without such a leak.

    Args:
        dataset: The n films.
        groups: (n,) int, from group_films.
        validation_fraction: Share of the train films for validation, above 0 and at most 0.5.
        test_fraction: Share of all films for the test, above 0 and at most 0.5; unused if a test part is given.
        seed: The same seed gives the same split on every machine.

    Returns:
        For each film "train", "validation" or "test".

    Raises:
        InconsistentDataset: A finding has too few groups.
        ConfigError: A fraction is out of range.
    """
    for name, fraction in (("validation_fraction", validation_fraction), ("test_fraction", test_fraction)):
        if not 0 < fraction <= 0.5:
            raise ConfigError(
                f"{name} is {fraction}; expected more than 0 and at most 0.5.", fix="A usual value is 0.2."
            )
    _check_lengths(dataset, groups)
    splits = np.array([record.split or "train" for record in dataset.records], dtype=object)
    labels = _labels(dataset)
    draws = [
        (part, fraction)
        for part, fraction in (("test", test_fraction), ("validation", validation_fraction))
        if part not in splits
    ]
    for position, (part, fraction) in enumerate(draws):
        given = groups[splits == "validation"] if part == "test" else groups[:0]
        pool = np.flatnonzero((splits == "train") & ~np.isin(groups, given))
        num_parts = len(draws) - position + 1  # this part, the parts that follow, and train
        _check_group_counts(dataset, labels[pool], groups[pool], num_parts)
        held = _hold_out(labels[pool], groups[pool], fraction, num_parts, np.random.default_rng([seed, position]))
        splits[pool[held]] = part
    _check_parts(dataset, splits)
    return tuple(str(split) for split in splits)


def check_counts(dataset: Dataset, *, num_parts: int | None = None) -> None:
    """Check before films are read that each finding has enough films; assign_splits checks again with groups.

    Args:
        dataset: The data set of read_dataset.
        num_parts: The number of parts for its training films; by default those that assign_splits draws.

    Raises:
        InconsistentDataset: A finding has fewer films than parts.
    """
    names = dataset.findings
    records = tuple(record for record in dataset.records if not open_kinds(record.finding, names))
    stated = dataclasses.replace(dataset, records=records)
    drawn = {"test", "validation"} - {record.split for record in records}
    labels = _labels(stated)[[record.split in ("train", None) for record in records]]
    _check_group_counts(stated, labels, np.arange(len(labels)), num_parts or len(drawn) + 1)


def assign_folds(
    dataset: Dataset, splits: Sequence[str], groups: np.ndarray, *, num_folds: int = 5, seed: int = 0
) -> np.ndarray:
    """Return the cross-validation fold of each film in train and validation, grouped and stratified.

    Args:
        dataset: The n films.
        splits: The split of each film, from assign_splits.
        groups: (n,) int, from group_films.
        num_folds: Number of folds, at least 2.
        seed: The same seed gives the same folds on every machine.

    Returns:
        (n,) int64: 0 to num_folds - 1, and -1 for the films of the test part.

    Raises:
        InconsistentDataset: A finding has too few groups.
        ConfigError: num_folds is below 2.
    """
    if num_folds < 2:
        raise ConfigError(f"The number of folds is {num_folds}; expected at least 2.", fix="A usual value is 5.")
    _check_lengths(dataset, groups)
    pool = np.flatnonzero(np.asarray(splits, dtype=object) != "test")
    labels = _labels(dataset)[pool]
    _check_group_counts(dataset, labels, groups[pool], 2)
    if num_folds > min(len(np.unique(groups[pool])), np.bincount(labels).max()):
        raise InconsistentDataset(
            f"The data set `{dataset.root}` is too small for {num_folds} folds: {len(pool)} films in "
            f"{len(np.unique(groups[pool]))} groups, {np.bincount(labels).max()} films of the commonest finding.",
            fix="Use fewer folds.",
        )
    rng = np.random.default_rng([seed, num_folds])
    folds = np.full(len(dataset.records), -1, dtype=np.int64)
    for _ in range(_NUM_ATTEMPTS):
        drawn = _stratified_folds(labels, groups[pool], num_folds, seed=int(rng.integers(2**31)))
        if all(_holds_all(labels[drawn != fold], labels) and np.any(drawn == fold) for fold in range(num_folds)):
            folds[pool] = drawn
            return folds
    raise InconsistentDataset(
        f"Cannot make {num_folds} folds of `{dataset.root}`: in each attempt, a fold had no film or all films of one "
        "finding.",
        fix="Use fewer folds, or add films of the rarest finding.",
    )


def grouped_folds(truth: np.ndarray, groups: np.ndarray, *, seed: int = 0) -> Iterator[npt.NDArray[np.bool_]]:
    """Yield the held-out films, (n,) bool, of each of 5 grouped and stratified folds; fewer if groups are few."""
    most = min(5, len(np.unique(groups)), int(np.bincount(truth).max(initial=0)))
    if most < 2:
        return
    folds = _stratified_folds(truth, groups, most, seed=seed)
    for fold in range(most):
        yield folds == fold


def clean_test(splits: Sequence[str], groups: np.ndarray) -> np.ndarray:
    """Return which films are clean test films, (n,) bool: no film of their group is in train or validation."""
    is_test = np.asarray(splits, dtype=object) == "test"
    return is_test & ~np.isin(groups, groups[~is_test])


# --- drawing --------------------------------------------------------------------------------------------------------


def _stratified_folds(labels: np.ndarray, groups: np.ndarray, num_folds: int, *, seed: int) -> np.ndarray:
    """Return a fold for each film, (n,) int64: groups stay whole, and every fold has the findings in like shares.

    The groups come in random order, those of most unequal findings first. Each goes to the fold after which the shares
    of the findings differ least between the folds; of equally good folds to the one with the fewest films. The folds
    are those of scikit-learn's StratifiedGroupKFold.
    """
    _, label_of, label_counts = np.unique(labels, return_inverse=True, return_counts=True)
    group_names, group_of = np.unique(groups, return_inverse=True)
    per_group = np.zeros((len(group_names), len(label_counts)))
    np.add.at(per_group, (group_of, label_of), 1)
    order = np.arange(len(group_names))
    np.random.RandomState(seed).shuffle(order)
    order = order[np.argsort(-np.std(per_group[order], axis=1), kind="stable")]
    per_fold, fold_of_group = np.zeros((num_folds, len(label_counts))), np.zeros(len(group_names), dtype=np.int64)
    for group in order:
        tried = per_fold + np.eye(num_folds)[:, :, np.newaxis] * per_group[group]  # (fold it goes to, fold, label)
        spread = np.std(tried / label_counts, axis=1).mean(axis=1)
        sizes = per_fold.sum(axis=1)
        best = 0
        for fold in range(1, num_folds):
            is_as_good = np.isclose(spread[fold], spread[best]) and sizes[fold] < sizes[best]
            best = fold if spread[fold] < spread[best] or is_as_good else best
        per_fold[best] += per_group[group]
        fold_of_group[group] = best
    return fold_of_group[group_of]


def _hold_out(
    labels: np.ndarray, groups: np.ndarray, fraction: float, num_parts: int, rng: np.random.Generator
) -> np.ndarray:
    """Return which films to hold out, (n,) bool: about ``fraction`` of each finding, with each on both sides."""
    most = int(min(len(np.unique(groups)), np.bincount(labels).max()))
    share = Fraction(fraction).limit_denominator(max(2, min(20, most)))
    share = share if share > 0 else Fraction(1, max(2, min(20, most)))
    targets = np.bincount(labels) * fraction
    for num_folds in range(share.denominator, 1, -1):
        num_held = max(1, round(fraction * num_folds))
        best, best_distance = None, np.inf
        for _ in range(_NUM_ATTEMPTS):
            folds = _stratified_folds(labels, groups, num_folds, seed=int(rng.integers(2**31)))
            for first in range(num_folds):
                held = (folds - first) % num_folds < num_held
                if not _holds_all(labels[held], labels) or not _leaves(labels, groups, held, num_parts - 1):
                    continue
                counts = np.bincount(labels[held], minlength=len(targets))
                distance = float(np.max(np.abs(counts - targets) / np.maximum(targets, 1)))
                if distance < best_distance:
                    best, best_distance = held, distance
            if best_distance < 0.1:
                break
        if best is not None:
            return best
    raise InconsistentDataset(
        f"Cannot split {len(labels)} films in {len(np.unique(groups))} groups so that every part has every finding. "
        "Twins and films of one patient must stay together.",
        fix="Add films of the rarest finding.",
    )


def _holds_all(some: np.ndarray, labels: np.ndarray) -> bool:
    return len(np.unique(some)) == len(np.unique(labels))


def _leaves(labels: np.ndarray, groups: np.ndarray, held: np.ndarray, num_groups: int) -> bool:
    """Return whether every finding keeps at least num_groups groups that are not held out."""
    return all(len(np.unique(groups[~held & (labels == label)])) >= num_groups for label in np.unique(labels))


# --- checks ---------------------------------------------------------------------------------------------------------


def _labels(dataset: Dataset) -> np.ndarray:
    positions = {finding: position for position, finding in enumerate(dataset.findings)}
    return np.array([positions[record.finding] for record in dataset.records], dtype=np.int64)


def _check_lengths(dataset: Dataset, groups: np.ndarray) -> None:
    if len(groups) != len(dataset.records):
        raise ValueError(f"Expected one group a film: {len(dataset.records)} films, {len(groups)} groups.")


def _check_group_counts(dataset: Dataset, labels: np.ndarray, groups: np.ndarray, num_parts: int) -> None:
    """Raise InconsistentDataset for a finding with fewer groups than parts, or where there are no films."""
    if not len(labels):
        raise InconsistentDataset(
            f"The data set `{dataset.root}` has no films to train on.", fix="Put class folders into its train/ folder."
        )
    for label in np.unique(labels):
        num_films = int(np.sum(labels == label))
        num_groups = len(np.unique(groups[labels == label]))
        if num_groups < num_parts:
            twins = f" ({num_films} with twins and films of one patient)" if num_films > num_groups else ""
            raise InconsistentDataset(
                f"The finding `{dataset.findings[label]}` of `{dataset.root}` has {num_groups} "
                f"film{'s' if num_groups > 1 else ''} to divide{twins}; expected at least {num_parts}, one per part.",
                fix="Add films, or remove the finding.",
            )


def _check_parts(dataset: Dataset, splits: np.ndarray) -> None:
    learnt = {record.finding for record, split in zip(dataset.records, splits, strict=True) if split == "train"}
    validated = {record.finding for record, split in zip(dataset.records, splits, strict=True) if split == "validation"}
    if learnt != validated:
        lacking = sorted_findings(learnt ^ validated)[0]
        part = "validation" if lacking in learnt else "train"
        raise InconsistentDataset(
            f"The {part} part of `{dataset.root}` has no film with the finding `{lacking}`.",
            fix="Add such films, or remove the validation part, so that hilum draws one from train.",
        )
