"""Measures `hilum predict` against the usual Keras script: one folder, one network, one run, medians of the repeats.

    python bench/predict_folder.py --model RUN/model.onnx --keras RUN/model.keras FOLDER [--repeats 5]

See bench/README.md for what is inside the two times.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

KERAS_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")
BATCH_SIZE = 32
KERAS_ALONE = "--the-keras-script"


def main() -> None:
    """Measure, and print the table."""
    arguments = parse_arguments()
    if arguments.the_keras_script:
        run_keras(load_keras(arguments.keras), arguments.folder)
        return
    num_films = check_folder(arguments.folder)
    with tempfile.TemporaryDirectory() as scratch:
        times = measure(arguments, Path(scratch) / "answers.csv")
    print_table(times, num_films=num_films, repeats=arguments.repeats)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Times `hilum predict` against the usual Keras script.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a folder with one sub-folder a finding")
    parser.add_argument("--model", type=Path, help="the sealed model, RUN/model.onnx")
    parser.add_argument("--keras", type=Path, required=True, help="the same network, RUN/model.keras")
    parser.add_argument("--repeats", type=int, default=5, help="how often each is timed (default 5)")
    parser.add_argument(KERAS_ALONE, action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.model is None and not arguments.the_keras_script:
        parser.error("--model is needed")
    if arguments.repeats < 1:
        parser.error(f"--repeats must be 1 or more; received {arguments.repeats}")
    return arguments


def check_folder(folder: Path) -> int:
    """Return how many films both read; end where Keras would leave out some of them."""
    from hilum.data.walk import film_paths

    films = list(film_paths([folder]))
    at_hand = [path for path in films if path.suffix.lower() in KERAS_SUFFIXES and path.parent.parent == folder]
    if not films or len(at_hand) != len(films):
        sys.exit(
            f"Keras reads {len(at_hand)} of the {len(films)} films in `{folder}`; expected all of them. It wants one "
            f"sub-folder a finding, and files ending in {', '.join(KERAS_SUFFIXES)}."
        )
    return len(films)


def load_keras(path: Path) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    return keras.saving.load_model(path, compile=False)


def run_keras(model: Any, folder: Path) -> Any:
    """Return the probabilities (N, K) as the usual script has them: dataset from the folder, scaled, predict."""
    import keras

    dataset = keras.utils.image_dataset_from_directory(
        folder,
        batch_size=BATCH_SIZE,
        image_size=tuple(model.input_shape[1:3]),
        color_mode="grayscale",
        shuffle=False,
        verbose=False,
    )
    dataset = dataset.map(lambda films, _: films / 255.0)
    return keras.ops.softmax(model.predict(dataset, verbose=0))


def run_hilum(classifier: Any, folder: Path, out: Path) -> None:
    """Write the answers for a folder as `predict_films` does, with a model that is loaded."""
    from hilum.data.walk import film_paths
    from hilum.run.classifier import judge_films
    from hilum.run.writing import open_writer

    with out.open("w", encoding="utf-8", newline="") as stream:
        writer = open_writer("csv", stream, out, classifier.findings)
        for answer in judge_films(classifier, film_paths([folder])):
            writer.write(answer.to_dict())
        writer.close()


def measure(arguments: argparse.Namespace, out: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Return the seconds of hilum and of Keras for each way of measuring, a pair a repeat."""
    from hilum.run.classifier import Classifier
    from hilum.workflows.predict import PredictOptions, predict_films

    classifier, model = Classifier(arguments.model), load_keras(arguments.keras)
    hilum_command = [
        *(sys.executable, "-m", "hilum", "predict", str(arguments.folder), "--overwrite"),
        *("--model", str(arguments.model), "--format", "csv", "--out", str(out)),
    ]
    keras_command = [*(sys.executable, __file__, str(arguments.folder), "--keras", str(arguments.keras), KERAS_ALONE)]
    ways: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "model loaded": (
            lambda: run_hilum(classifier, arguments.folder, out),
            lambda: run_keras(model, arguments.folder),
        ),
        "and to load it": (
            lambda: predict_films([arguments.folder], PredictOptions(arguments.model, "csv", out, overwrite=True)),
            lambda: run_keras(load_keras(arguments.keras), arguments.folder),
        ),
        "fresh process": (lambda: run_command(hilum_command), lambda: run_command(keras_command)),
    }
    times: dict[str, tuple[list[float], list[float]]] = {way: ([], []) for way in ways}
    for hilum_way, keras_way in list(ways.values())[:1]:  # once unmeasured: Keras traces its function, files are cached
        hilum_way()
        keras_way()
    for repeat in range(arguments.repeats):
        for way, pair in ways.items():
            order = (0, 1) if repeat % 2 == 0 else (1, 0)  # neither is always the second
            for who in order:
                times[way][who].append(seconds(pair[who]))
    return times


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def run_command(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"`{' '.join(command)}` ended with {done.returncode}:\n{done.stderr}")


def print_table(times: dict[str, tuple[list[float], list[float]]], *, num_films: int, repeats: int) -> None:
    print(f"{num_films} films, {os.cpu_count()} cores, medians of {repeats} repeats, films a second")
    print(f"{'':14}{'hilum':>8}{'Keras':>8}{'ratio':>8}{'lowest':>9}{'highest':>9}")
    for way, (hilum, keras_) in times.items():
        ratios = [slow / fast for fast, slow in zip(hilum, keras_, strict=True)]
        print(
            f"{way:14}{num_films / statistics.median(hilum):8.1f}{num_films / statistics.median(keras_):8.1f}"
            f"{statistics.median(ratios):8.2f}{min(ratios):9.2f}{max(ratios):9.2f}"
        )


if __name__ == "__main__":
    main()
