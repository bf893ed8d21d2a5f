"""How near does `hilum predict` come to what its parts allow? Decoding, gate and engine apart, beside the whole.

    python bench/roofline.py --model RUN/model.onnx FOLDER [--repeats 5] [--threads N]

The parts share the cores, so at best their times add: 1 / (1/decode + 1/gate + 1/engine) films a second, the roofline.
All are timed in turns within one process, with the same threads. Processor time a film is printed too: it hardly
changes when other work takes cores away, films a second do.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from hilum.data.walk import film_paths
from hilum.run.classifier import Classifier, judge_films
from hilum.run.gate import refusals
from hilum.run.memory import keep_memory_flat


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description="Times the parts of predicting beside the whole.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--films", type=int, default=300, metavar="N", help="at most so many of FOLDER")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, metavar="N")
    arguments = parser.parse_args()
    keep_memory_flat()
    classifier = Classifier(arguments.model, num_threads=arguments.threads)
    paths = list(film_paths([arguments.folder]))[: arguments.films]
    radiographs = [classifier.read(path) for path in paths]
    inputs = [classifier.preprocess(radiograph)[np.newaxis] for radiograph in radiographs]
    num_threads = arguments.threads + 1  # as judge_films has it

    def over(work: Callable[[Any], Any], items: Iterable[Any]) -> None:
        with ThreadPoolExecutor(num_threads) as pool:
            for _ in pool.map(work, items):
                pass

    parts: dict[str, Callable[[], Any]] = {
        "decode, preprocess": lambda: over(lambda path: classifier.preprocess(classifier.read(path)), paths),
        "gate": lambda: over(refusals, radiographs),
        "engine": lambda: over(classifier.engine.run, inputs),
        "whole": lambda: [None for _ in judge_films(classifier, paths, num_threads=num_threads)],
    }
    wall: dict[str, list[float]] = {name: [] for name in parts}
    processor: dict[str, list[float]] = {name: [] for name in parts}
    parts["whole"]()  # once unmeasured: files are cached
    for repeat in range(arguments.repeats):
        order = list(parts) if repeat % 2 == 0 else list(parts)[::-1]
        for name in order:
            start, start_processor = time.perf_counter(), time.process_time()
            parts[name]()
            wall[name].append((time.perf_counter() - start) / len(paths))
            processor[name].append((time.process_time() - start_processor) / len(paths))
    print(f"{len(paths)} films, {arguments.threads} threads, medians of {arguments.repeats} repeats")
    print(f"{'':20}{'films/s':>9}{'ms of a core a film':>22}")
    for name in parts:
        print(f"{name:20}{1 / statistics.median(wall[name]):9.1f}{1000 * statistics.median(processor[name]):22.2f}")
    alone = [name for name in parts if name != "whole"]
    for label, times in (("films/s", wall), ("processor time", processor)):
        ratios = [sum(times[name][i] for name in alone) / times["whole"][i] for i in range(arguments.repeats)]
        lowest, highest = min(ratios), max(ratios)
        print(f"whole / roofline by {label}: {statistics.median(ratios):.2f} ({lowest:.2f}-{highest:.2f})")
    print(f"roofline {1 / sum(statistics.median(wall[name]) for name in alone):.1f} films/s")


if __name__ == "__main__":
    main()
