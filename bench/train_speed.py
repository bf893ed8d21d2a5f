"""Films a second in fine-tuning: hilum against a plain Keras `fit` of the same network on the same class folders.

    python bench/train_speed.py "$HILUM_DATA"/covid19-image-dataset/train [--repeats 3] [--epochs 2]

Keras reads the folder by `image_dataset_from_directory`, and changes films by its own layers (flip, rotation, zoom,
shift, contrast, brightness). Both run in processes of their own, in turns. The first epoch, in which TensorFlow
compiles, does not count. Reading the films once, before the first epoch, is part of hilum's time: it is shared out over
the epochs that the default schedule has.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WAYS = ("hilum", "keras")


def by_hilum(folder: Path, num_epochs: int) -> float:
    """Return films a second."""
    import keras
    import numpy as np

    from hilum.console import Console
    from hilum.train.config import default_config
    from hilum.train.fit import Extensions, TrainingFilms
    from hilum.train.prepared import prepare_films
    from hilum.train.trial import fit_network

    config = default_config()
    start = time.perf_counter()
    prepared = prepare_films(folder, config.preprocessing, console=Console())
    reading = time.perf_counter() - start
    films, ends = prepared.films, list[float]()
    usual = config.fit.num_epochs(len(films))

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            ends.append(time.perf_counter())

        def on_train_end(self, logs: object = None) -> None:
            ends.append(time.perf_counter())

    config = dataclasses.replace(config, fit=dataclasses.replace(config.fit, epochs=num_epochs + 1, steps=10**6))
    with tempfile.TemporaryDirectory() as work:
        fit_network(
            TrainingFilms(films, films.subset(np.arange(16))),
            config,
            num_findings=len(prepared.findings),
            checkpoint=Path(work) / "network.npz",
            extensions=Extensions(callbacks=lambda: [Clock()]),
        )
    return len(films) / ((ends[-1] - ends[1]) / num_epochs + reading / usual)


def by_keras(folder: Path, num_epochs: int) -> float:
    """Return films a second."""
    import keras
    import tensorflow as tf
    from keras import layers

    from hilum.train.config import default_config
    from hilum.train.networks import build_network, freeze_below

    config = default_config()
    films = keras.utils.image_dataset_from_directory(
        folder,
        label_mode="categorical",
        color_mode="grayscale",
        batch_size=config.fit.batch_size,
        image_size=(config.preprocessing.size_px,) * 2,
        seed=0,
    )
    changes = keras.Sequential(
        [
            layers.Rescaling(1 / 255),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.03),
            layers.RandomZoom(0.1),
            layers.RandomTranslation(0.05, 0.05),
            layers.RandomContrast(0.2, value_range=(0, 1)),
            layers.RandomBrightness(0.1, value_range=(0, 1)),
        ]
    )
    num_films = len(films.file_paths)
    changed = films.map(lambda x, y: (changes(x, training=True), y), num_parallel_calls=tf.data.AUTOTUNE)
    network = build_network(
        config.backbone,
        num_findings=len(films.class_names),
        size_px=config.preprocessing.size_px,
        weights="imagenet",
        dropout=0.0,
    )
    freeze_below(network.backbone, config.fit.trainable_fraction)
    network.model.compile(keras.optimizers.AdamW(1e-4), keras.losses.CategoricalCrossentropy(from_logits=True))
    network.model.fit(changed.prefetch(tf.data.AUTOTUNE), epochs=1, verbose=0)
    start = time.perf_counter()
    network.model.fit(changed.prefetch(tf.data.AUTOTUNE), epochs=num_epochs, verbose=0)
    return num_films * num_epochs / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="class folders")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--measure", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        way = by_hilum if options.measure == "hilum" else by_keras
        print(json.dumps(way(options.folder, options.epochs)))
        return
    speeds: dict[str, list[float]] = {way: [] for way in WAYS}
    for repeat in range(options.repeats):
        for way in WAYS if repeat % 2 else reversed(WAYS):
            command = [sys.executable, __file__, *sys.argv[1:], "--measure", way]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            speeds[way].append(json.loads(done.stdout.splitlines()[-1]))
    for way, found in speeds.items():
        print(f"{way}: {statistics.median(found):.1f} films a second ({min(found):.1f} to {max(found):.1f})")
    ratios = [one / other for one, other in zip(speeds["hilum"], speeds["keras"], strict=True)]
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
