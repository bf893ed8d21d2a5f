"""Pooled features of films that are not augmented: what the head of a pretrained network is fitted on.

The trials of a search share them: they are computed once, before any training.

DIR/features/NAME.npy   (V, n, D); NAME says backbone, weights, size and, as a hash, the films in their order
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hilum.files import replace_array
from hilum.train.config import RunConfig
from hilum.train.networks import Network, build_network
from hilum.train.prepared import PreparedFilms

__all__ = ["HeadFeatures", "frozen_features", "pooled_features"]

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


def frozen_features(prepared: PreparedFilms, config: RunConfig, folder: Path) -> np.ndarray | None:
    """Return the pooled features (V, n, D) of a starting network, from a file where a process has left them.

    Two processes may compute the same at the same time; each replaces the file in one step.

    Args:
        prepared: n films, read with the preprocessing of the settings.
        config: The settings; where training flips films, their mirror images are the second view.
        folder: The folder of such files; made where it does not exist.

    Returns:
        The features; None where the network starts from random weights, whose head is not fitted first.
    """
    if config.weights == "none" or config.backbone == "plain-cnn":
        return None
    is_mirrored = config.augmentation.flip_probability > 0
    told = [repr(config.preprocessing), str(is_mirrored), *(one.file_sha256 for one in prepared.scan.fingerprints)]
    films = hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
    path = folder / f"{config.backbone}-{config.weights}-{config.preprocessing.size_px}-{films}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        network = build_network(
            config.backbone,
            num_findings=len(prepared.findings),
            size_px=config.preprocessing.size_px,
            weights=config.weights,
            dropout=0.0,
        )
        replace_array(path, pooled_features(network, prepared.films.pixels, mirrored=is_mirrored))
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
