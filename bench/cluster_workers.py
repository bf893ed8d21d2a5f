"""Do two workers of a local Ray judge faster than one? Short runs in turns, each worker with one thread.

    python bench/cluster_workers.py --model RUN/model.onnx FOLDER [--repeats 4]

One Ray runs all the time. Of each run the time between its first shard and its last is taken, so that starting workers
and loading the model do not count, and films a second are those of the shards in between. Runs take turns, as other
work on the machine slows both.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import hilum
from hilum.data.filmlist import FilmList
from hilum.data.walk import film_paths
from hilum.run import cluster
from hilum.run.modelfile import read_model_file
from hilum.run.ray_cluster import LOCAL, Cluster, connect, load_ray


def main() -> None:
    """Measure, and print films a second and the ratio."""
    parser = argparse.ArgumentParser(description="Compares two local Ray workers with one.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--films", type=int, default=256, metavar="N", help="of one run; FOLDER is repeated to so many")
    parser.add_argument("--shard", type=int, default=16, metavar="N", help="films of a shard")
    arguments = parser.parse_args()
    found = [path.resolve() for path in film_paths([arguments.folder])]
    films = FilmList(islice(cycle(found), arguments.films))
    place = Cluster(LOCAL, 2)
    ray = load_ray(place)
    connect(ray, place)
    speeds: dict[int, list[float]] = {1: [], 2: []}
    try:
        for repeat in range(arguments.repeats):
            for num_workers in (1, 2) if repeat % 2 == 0 else (2, 1):
                speed = run(ray, films, arguments, num_workers)
                speeds[num_workers].append(speed)
                print(f"{num_workers} worker(s): {speed:.1f} films/s", flush=True)
    finally:
        ray.shutdown()
    ratios = [two / one for one, two in zip(speeds[1], speeds[2], strict=True)]
    print(f"{arguments.films} films a run, {arguments.repeats} repeats, medians")
    print(f"one {statistics.median(speeds[1]):.1f}, two {statistics.median(speeds[2]):.1f} films/s")
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")


def run(ray: Any, films: FilmList, arguments: argparse.Namespace, num_workers: int) -> float:
    """Return films a second of one run."""
    num_shards = -(-films.num_films // arguments.shard)
    shards = cluster._shards(films, arguments.shard, set(range(num_shards)))
    with tempfile.TemporaryDirectory() as out:
        task = {
            "model": str(arguments.model.absolute()),
            "sha256": read_model_file(arguments.model).sha256,
            "out": out,
            "hilum": hilum.__version__,
            "folder": str(Path.cwd()),
        }
        done: list[tuple[float, int]] = []
        for judged in cluster._results(ray, shards, task, num_workers):
            if judged.error:
                raise SystemExit(judged.error)
            done.append((time.perf_counter(), judged.num_films))
    return sum(number for _, number in done[1:]) / (done[-1][0] - done[0][0])


if __name__ == "__main__":
    main()
