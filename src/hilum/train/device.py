"""On which device a network trains, and in which numbers."""

from __future__ import annotations

import json
import os
import time
from functools import cache
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from hilum.console import count_of
from hilum.files import replace_file
from hilum.train.config import PRECISIONS, RunConfig
from hilum.train.networks import build_network

__all__ = ["device_words", "precision_of"]

_STEPS = 3
_MOST_FILMS = 16  # in a measured step


def precision_of(config: RunConfig, work: Path) -> str:
    """Return in which numbers a network is to train: ``float32`` or ``mixed_bfloat16``.

    Args:
        config: The settings. `auto` stands for what takes less time here.
        work: The folder that keeps what was measured, so that a training that continues does so in the same numbers.
    """
    times = _times(config, work)
    return min(times, key=times.__getitem__) if times else config.fit.precision


def device_words(config: RunConfig, work: Path) -> str:
    """Return one line that says which device trains, in which numbers and, where that was measured, why.

    Args:
        config: The settings.
        work: As of `precision_of`.
    """
    gpus, times = tf.config.list_physical_devices("GPU"), _times(config, work)
    if gpus:
        name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "")
        device = f"the GPU {name}".strip()
    else:
        device = count_of(_num_cores(), "CPU core")
    why = " against ".join(f"{times[name]:.3g} ms a film in {name}" for name in sorted(times, key=times.__getitem__))
    return f"Training on {device} in {precision_of(config, work)}{f': {why}' if why else ''}."


def _times(config: RunConfig, work: Path) -> dict[str, float]:
    """Return the milliseconds a film of each precision, measured once; nothing where the settings name a precision."""
    if config.fit.precision != "auto":
        return {}
    kept = work / "precision.json"
    if not kept.exists():
        measured = _measured(config.backbone, config.preprocessing.size_px, min(config.fit.batch_size, _MOST_FILMS))
        replace_file(kept, json.dumps(measured))
    return json.loads(kept.read_text(encoding="utf-8"))


@cache
def _measured(backbone: str, size_px: int, num_films: int) -> dict[str, float]:
    """Return the milliseconds a film of a training step of random films, for each precision: the quickest of a few."""
    films = np.random.default_rng(0).random((num_films, size_px, size_px, 1), np.float32)
    answers = np.eye(2, dtype=np.float32)[np.arange(num_films) % 2]
    times: dict[str, float] = {}
    for precision in PRECISIONS:
        network = build_network(
            backbone, num_findings=2, size_px=size_px, weights="none", dropout=0.0, precision=precision
        )
        network.model.compile(optimizer="adamw", loss=keras.losses.CategoricalCrossentropy(from_logits=True))
        network.model.train_on_batch(films, answers)  # traces the step
        times[precision] = min(_seconds(network.model, films, answers) for _ in range(_STEPS)) * 1000 / num_films
    keras.backend.clear_session()
    return times


def _seconds(model: keras.Model, films: np.ndarray, answers: np.ndarray) -> float:
    start = time.perf_counter()
    model.train_on_batch(films, answers)
    return time.perf_counter() - start


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
