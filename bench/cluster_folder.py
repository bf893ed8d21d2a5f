"""What does `hilum predict --cluster local` cost beside plain `hilum predict`? Both as whole commands, in turns.

    python bench/cluster_folder.py --model RUN/model.onnx FOLDER [--films 5000] [--repeats 3]

The time of a core is that of all processes, also of those that Ray starts and leaves behind: they become children of
this program when their parent ends (Linux only), and are waited for.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

from hilum.data.walk import film_paths

_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description="Compares predict on a local Ray with predict without.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--model", default="chest")
    parser.add_argument("--films", type=int, default=5000, metavar="N", help="FOLDER is repeated to so many")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    found = [path.resolve() for path in film_paths([arguments.folder])]
    times: dict[str, list[tuple[float, float]]] = {"plain": [], "cluster": []}
    with tempfile.TemporaryDirectory() as scratch:
        films = Path(scratch) / "films.txt"
        films.write_text("".join(f"{path}\n" for path in islice(cycle(found), arguments.films)), encoding="utf-8")
        for repeat in range(arguments.repeats):
            for way in ("plain", "cluster") if repeat % 2 == 0 else ("cluster", "plain"):
                command = [sys.executable, "-m", "hilum", "predict", films, "--model", arguments.model]
                command += ["--format", "parquet", "--out", Path(scratch) / f"{way}-{repeat}"]
                command += ["--cluster", "local"] if way == "cluster" else []
                times[way].append(run(command))
                core, wall = times[way][-1]
                print(f"{way:8} {core:7.1f} s of a core  {wall:7.1f} s", flush=True)
    for place, what in enumerate(("time of a core", "time on the wall")):
        ratios = [c[place] / p[place] for c, p in zip(times["cluster"], times["plain"], strict=True)]
        print(f"cluster / plain, {what}: {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")


def run(command: list[str | Path]) -> tuple[float, float]:
    """Run a command; return the seconds of a core of it and of all that it starts, and those on the wall."""
    core, start = seconds_of_children(), time.perf_counter()
    if subprocess.run(command, check=False).returncode not in (0, 1):
        sys.exit("hilum predict failed.")
    wall = time.perf_counter() - start
    with contextlib.suppress(ChildProcessError):
        while True:  # until no process is left
            os.wait()
    return seconds_of_children() - core, wall


def seconds_of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    main()
