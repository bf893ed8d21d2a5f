"""What does a film cost, part by part, and how near is the whole to the least that it could cost?

    python bench/floor.py --model RUN/model.onnx FOLDER [--films 300] [--repeats 5] [--keras RUN/model.keras]

The parts are those of `hilum predict --timings`, one film after the other. The floor is the least: bytes to grey
pixels, a JPEG at reduced scale, by the decoder alone; one resize; the bare network in batches of 8. It refuses nothing
and says nothing. With --keras, the loop that people usually write runs beside it (FOLDER then has class folders).
Everything is timed in turns within one process, so ratios hold on a busy machine too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino
import simplejpeg
from predict_folder import load_keras, run_keras

from hilum.data.walk import film_paths
from hilum.film.headers import JPEG_MAGIC, read_jpeg_header
from hilum.film.radiograph import reduction_factor
from hilum.run.classifier import Classifier, judge_films
from hilum.run.core import openvino_core
from hilum.run.memory import keep_memory_flat
from hilum.run.modelfile import read_model_file
from hilum.timings import Part, Timings

BATCH = 8


class Floor:
    """The least work that gives logits: see the head of this file."""

    def __init__(self, model: Path, threads: int) -> None:
        file = read_model_file(model)
        self.size_px = file.metadata.preprocessing.size_px
        self.decoded_px = file.metadata.preprocessing.decoded_px
        graph = openvino_core().read_model(file.data)
        graph.reshape({"film": [BATCH, 1, self.size_px, self.size_px]})
        settings = {"INFERENCE_PRECISION_HINT": file.metadata.precision, "INFERENCE_NUM_THREADS": threads}
        self.network = openvino_core().compile_model(graph, "CPU", settings | {"NUM_STREAMS": threads})

    def square(self, data: bytes) -> np.ndarray:
        """Return (S, S) uint8 from a JPEG or PNG file."""
        if data.startswith(JPEG_MAGIC):
            size_px = read_jpeg_header(data, "film").size_px
            factor = min(8, reduction_factor(size_px, self.decoded_px))
            height, width = (-(-side // factor) if factor > 1 else 0 for side in size_px)
            grey = simplejpeg.decode_jpeg(data, "GRAY", min_height=height, min_width=width, strict=False)[..., 0]
        else:
            grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        return cv2.resize(grey, (self.size_px, self.size_px), interpolation=cv2.INTER_AREA)

    def batch(self, paths: Sequence[Path]) -> np.ndarray:
        """Return the logits (8, K) of at most 8 films."""
        films = np.zeros((BATCH, 1, self.size_px, self.size_px), np.float32)
        for place, path in enumerate(paths):
            films[place, 0] = self.square(path.read_bytes())
        films /= 255
        request = self.network.create_infer_request()
        request.set_tensor("film", openvino.Tensor(films))
        request.start_async()
        request.wait()
        return np.array(request.get_tensor("logits").data)


def parts_of(classifier: Classifier, paths: Sequence[Path]) -> list[float]:
    """Return the milliseconds of a core a film of each `Part`, one film after the other."""
    timings = Timings()
    with timings.clocked():
        for _ in judge_films(classifier, paths, num_threads=1, timings=timings):
            pass
    return list(timings.result().core_ms.values())


def over(threads: int, work: Callable[[Any], Any], items: Iterable[Any]) -> None:
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, items):
            pass


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description="What a film costs, part by part, beside the least possible.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--keras", type=Path, help="the same network, RUN/model.keras")
    parser.add_argument("--films", type=int, default=300, metavar="N", help="at most so many, spread over FOLDER")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, metavar="N")
    arguments = parser.parse_args()
    keep_memory_flat()
    threads, every = arguments.threads, list(film_paths([arguments.folder]))
    paths = every if arguments.keras else every[:: max(1, len(every) // arguments.films)][: arguments.films]
    classifier, floor = Classifier(arguments.model, num_threads=threads), Floor(arguments.model, threads)
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    ways: dict[str, Callable[[], Any]] = {
        "whole": lambda: [None for _ in judge_films(classifier, paths, num_threads=threads + 1)],
        "floor": lambda: over(threads + 1, floor.batch, batches),
    }
    if arguments.keras:
        keras_model = load_keras(arguments.keras)
        ways["Keras loop"] = lambda: run_keras(keras_model, arguments.folder)
    parts, wall, core = [], {name: [] for name in ways}, {name: [] for name in ways}
    for way in ways.values():  # once unmeasured: files are cached, networks have their memory
        way()
    for _ in range(arguments.repeats):
        parts.append(parts_of(classifier, paths))
        for name, way in ways.items():
            start, start_core = time.perf_counter(), time.process_time()
            way()
            wall[name].append((time.perf_counter() - start) / len(paths))
            core[name].append(1000 * (time.process_time() - start_core) / len(paths))
    print(f"{len(paths)} films, {threads} threads, medians of {arguments.repeats}")
    print(f"{'':20}{'ms of a core a film':>22}{'films/s':>9}{'whole / it':>12}")
    for part, times in zip(Part, zip(*parts, strict=True), strict=True):
        print(f"{part:20}{statistics.median(times):22.2f}")
    for name in ways:
        share = statistics.median(mine / whole for mine, whole in zip(core[name], core["whole"], strict=True))
        print(f"{name:20}{statistics.median(core[name]):22.2f}{1 / statistics.median(wall[name]):9.1f}{share:12.2f}")
    print("whole / it: how fast predict is against it, by time of a core; 1 is as fast.")


if __name__ == "__main__":
    main()
