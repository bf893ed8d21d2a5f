"""The features of a search's films before any training, computed once for all trials that share them.

DIR/features/NAME.npy   (V, n, D); NAME tells backbone, weights, size, and the films in their order
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from hilum.files import replace_array
from hilum.train.config import RunConfig
from hilum.train.features import pooled_features
from hilum.train.networks import build_network
from hilum.train.prepared import PreparedFilms

__all__ = ["frozen_features"]


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
