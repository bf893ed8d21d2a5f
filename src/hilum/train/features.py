"""Pooled features of films that are not augmented: what the head of a pretrained network is fitted on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hilum.train.networks import Network

__all__ = ["HeadFeatures", "pooled_features"]

_BATCH = 64


@dataclass(frozen=True, eq=False)
class HeadFeatures:
    """The features that one head is fitted on.

    Attributes:
        train: (V, N, D) of the films to learn from whose finding is stated, in V views: as they are and, where the
            augmentation flips films, as their mirror images.
        validation: (n, D) of the validation films, as they are.
    """

    train: np.ndarray
    validation: np.ndarray


def pooled_features(
    network: Network, pixels: np.ndarray, *, mirrored: bool = False, step: Callable[[], object] = lambda: None
) -> np.ndarray:
    """Return the pooled features (V, N, D) of films in one view, or in two.

    Args:
        network: The network; its backbone computes them as it is now.
        pixels: (N, S, S) in [0, 1].
        mirrored: Whether the films' mirror images are the second view.
        step: Called after every batch.
    """
    pool = network.head.get_layer("features")
    views = [pixels, pixels[:, :, ::-1]] if mirrored else [pixels]
    found = []
    for view in views:
        parts = []
        for start in range(0, len(view), _BATCH):
            batch = view[start : start + _BATCH, ..., np.newaxis].astype(np.float32)
            parts.append(np.asarray(pool(network.backbone.predict_on_batch(batch))))
            step()
        found.append(np.concatenate(parts))
    return np.stack(found)  # (V, N, D)
