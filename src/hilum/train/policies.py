"""Named augmentation policies: the single changes of augment.py, drawn otherwise or followed by a mix of films.

``changes`` applies every change with its own strength. ``randaugment`` applies two of them, drawn at random, and
``augmix`` mixes chains of them; both are made of this project's changes, since Keras' own layers compute every change
of a batch and throw all but two away, and AugMix there is not repeatable by its seed. ``mixup``, ``cutmix`` and
``erasing`` are Keras' layers, behind ``changes``.

Whatever is drawn is drawn from seed, epoch and film (or batch): the same after a resume.

Sources:
    Cubuk, Zoph, Shlens, Le 2020, RandAugment: practical automated data augmentation with a reduced search space.
    Hendrycks et al. 2020, AugMix: a simple data processing method to improve robustness and uncertainty (without its
    consistency loss).
    Zhang, Cisse, Dauphin, Lopez-Paz 2018, mixup: beyond empirical risk minimization.
    Yun et al. 2019, CutMix: regularization strategy to train strong classifiers with localizable features.
    Zhong, Zheng, Kang, Li, Yang 2020, Random erasing data augmentation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from threading import Lock
from typing import Any

import keras
import numpy as np

from hilum.train.augment import STRONGEST, Augmentation, augment, no_changes

__all__ = ["change_film", "mixed_batch"]

_NUM_DRAWN = 2
_NUM_CHAINS = 3
_LONGEST_CHAIN = 3
_MIXING = ("mixup", "cutmix", "erasing")
_SEED_SPACE = 2**31
_ONE_AT_A_TIME = Lock()


def change_film(
    film: np.ndarray, policy: Augmentation, rng: np.random.Generator, *, own_px: int | None = None
) -> np.ndarray:
    """Return a randomly changed copy of one film, by the policy's name.

    Args:
        film: (S, S) float32 in [0, 1].
        policy: The policy.
        rng: One for this film and epoch.
        own_px: As for `augment`.

    Returns:
        (S, S) float32 in [0, 1].
    """
    if policy.policy == "randaugment":
        changed = _flipped(film, policy, rng)
        for change in rng.choice(list(STRONGEST), _NUM_DRAWN, replace=False):
            changed = augment(changed, _single(str(change), policy.policy_strength), rng, own_px=own_px)
        return changed
    if policy.policy == "augmix":
        start = _flipped(film, policy, rng)
        shares = rng.dirichlet(np.ones(_NUM_CHAINS))
        mixed = np.zeros_like(start)
        for share in shares:
            chain = start
            for change in rng.choice(list(STRONGEST), int(rng.integers(1, _LONGEST_CHAIN + 1))):
                chain = augment(chain, _single(str(change), policy.policy_strength), rng, own_px=own_px)
            mixed += np.float32(share) * chain
        kept = np.float32(rng.beta(1.0, 1.0))
        return np.asarray(kept * start + (1 - kept) * mixed, np.float32)
    return augment(film, policy, rng, own_px=own_px)


def mixed_batch(
    films: np.ndarray, targets: np.ndarray, policy: Augmentation, *, drawn: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return a batch and what is known of each film, mixed or erased where the policy says so.

    Args:
        films: (n, S, S, 1) float32 in [0, 1].
        targets: (n, K) float32, what is known of them: see the loss in objective.py.
        policy: The policy.
        drawn: Whole numbers that decide what is drawn.

    Returns:
        Both as before; of mixed films shares that sum to 1, where a film of several possible findings has equal ones.
    """
    if policy.policy not in _MIXING or policy.policy_strength <= 0:
        return films, targets
    shares = targets / targets.sum(axis=1, keepdims=True)
    number = int(np.random.default_rng(drawn).integers(_SEED_SPACE))
    with _ONE_AT_A_TIME:  # batches are made by several threads, and each layer has one generator
        layer = _layer(policy.policy, policy.policy_strength)
        layer.generator.state.assign(np.array([number, 0], layer.generator.state.dtype))
        mixed = layer({"images": films, "labels": shares}, training=True)
    return np.clip(np.asarray(mixed["images"]), 0.0, 1.0, dtype=np.float32), np.asarray(mixed["labels"], np.float32)


def _flipped(film: np.ndarray, policy: Augmentation, rng: np.random.Generator) -> np.ndarray:
    return film[:, ::-1].copy() if rng.random() < policy.flip_probability else film.copy()


@cache
def _single(change: str, strength: float) -> Augmentation:
    return replace(no_changes(), **{change: STRONGEST[change] * strength})  # type: ignore[arg-type]


@cache
def _layer(name: str, strength: float) -> Any:
    makers: dict[str, Callable[[], Any]] = {
        "mixup": lambda: keras.layers.MixUp(alpha=0.4 * strength, seed=0),
        "cutmix": lambda: keras.layers.CutMix(factor=strength, seed=0),
        "erasing": lambda: keras.layers.RandomErasing(
            factor=strength, scale=(0.02, 0.2), fill_value=0.5, value_range=(0, 1), seed=0
        ),
    }
    return makers[name]()
