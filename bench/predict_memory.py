"""Does `hilum predict` hold its memory? Peak resident memory for 300 films and for 30,000 links to the same films.

python bench/predict_memory.py --model RUN/model.onnx FOLDER [--few 300] [--many 30000] [--format csv]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hilum.data.walk import film_paths


def main() -> None:
    """Measure both, and print the ratio."""
    parser = argparse.ArgumentParser(description="Compares the memory for few films and for many links to them.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="real films")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--few", type=int, default=300, metavar="N")
    parser.add_argument("--many", type=int, default=30_000, metavar="N")
    parser.add_argument("--format", default="csv", help="of the answers: jsonl, csv, parquet or table")
    arguments = parser.parse_args()
    films = [path.resolve() for path in film_paths([arguments.folder])][: arguments.few]
    peaks = []
    for num_films in (len(films), arguments.many):  # the most of all children so far is the latter's, if it is more
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "films"
            folder.mkdir()
            for number in range(num_films):
                (folder / f"{number:06}{films[0].suffix}").symlink_to(films[number % len(films)])
            command = [sys.executable, "-m", "hilum", "predict", folder, "--model", arguments.model]
            command += ["--format", arguments.format, "--out", Path(scratch) / "answers"]
            start = time.perf_counter()
            if subprocess.run(command, check=False).returncode not in (0, 1):
                sys.exit("hilum predict failed.")
            seconds = time.perf_counter() - start
        peaks.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
        print(f"{num_films:>7,} films  {peaks[-1]:7.1f} MB  {num_films / seconds:6.1f} films/s", flush=True)
    print(f"ratio {peaks[1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
