"""Measures hilum against a DenseNet-121 that is asked film by film, as TorchXRayVision's examples do it.

    python bench/densenet.py --model RUN/model.onnx FOLDER [--repeats 3] [--films 60]

A stand-in, not TorchXRayVision: the same architecture from keras.applications (224 px, one grey channel, 18 outputs,
random weights: speed does not depend on them), fed as its examples feed theirs, one film at a time: read in full with
Pillow, scaled to [-1024, 1024], cropped to a square, resized by scikit-image. Answers are not compared.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hilum.data.walk import film_paths
from hilum.run.classifier import Classifier
from hilum.run.stream import judge_films

SIZE_PX, NUM_OUTPUTS = 224, 18


def main() -> None:
    """Measure, and print films a second and the ratio."""
    parser = argparse.ArgumentParser(description="Times hilum against a DenseNet-121 asked film by film.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--films", type=int, default=60, metavar="N", help="at most so many of FOLDER")
    arguments = parser.parse_args()
    paths = list(film_paths([arguments.folder]))[: arguments.films]
    classifier, network = Classifier(arguments.model), densenet()
    ways: tuple[Callable[[], Any], Callable[[], Any]] = (
        lambda: [None for _ in judge_films(classifier, paths)],
        lambda: [network(prepared(path)) for path in paths],
    )
    times: tuple[list[float], list[float]] = ([], [])
    processor: tuple[list[float], list[float]] = ([], [])
    for repeat in range(-1, arguments.repeats):  # the first is not measured
        for who in (0, 1) if repeat % 2 == 0 else (1, 0):
            start, start_processor = time.perf_counter(), time.process_time()
            ways[who]()
            if repeat >= 0:
                times[who].append((time.perf_counter() - start) / len(paths))
                processor[who].append((time.process_time() - start_processor) / len(paths))
    print(f"{len(paths)} films, {os.cpu_count()} cores, medians of {arguments.repeats} repeats")
    for name, wall, used in zip(("hilum", "DenseNet-121"), times, processor, strict=True):
        median = statistics.median(wall)
        print(f"{name:14}{1 / median:8.1f} films/s{1000 * statistics.median(used):10.1f} ms of a core a film")
    for label, (mine, other) in (("films/s", times), ("processor time", processor)):
        ratios = [slow / fast for fast, slow in zip(mine, other, strict=True)]
        print(f"ratio by {label}: {statistics.median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})")


def densenet() -> Any:
    """Return the network as a function of one film (1, 224, 224, 1)."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    model = keras.applications.DenseNet121(
        weights=None, input_shape=(SIZE_PX, SIZE_PX, 1), classes=NUM_OUTPUTS, classifier_activation="sigmoid"
    )
    return tf.function(lambda film: model(film, training=False))


def prepared(path: Path) -> np.ndarray:
    """Return a film (1, 224, 224, 1) float32 in [-1024, 1024]."""
    from skimage.transform import resize

    pixels = np.asarray(Image.open(path).convert("L"), np.float32)
    side = min(pixels.shape)
    top, left = ((length - side) // 2 for length in pixels.shape)
    square = (2 * (pixels[top : top + side, left : left + side] / 255) - 1) * 1024
    small = resize(square, (SIZE_PX, SIZE_PX), mode="constant", preserve_range=True)
    return small[np.newaxis, ..., np.newaxis].astype(np.float32)


if __name__ == "__main__":
    main()
