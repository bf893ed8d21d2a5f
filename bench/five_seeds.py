"""The headline figures over five seeds: trains, then prints each figure's median and range as a Markdown table.

    HILUM_DATA=... python bench/five_seeds.py --out runs

Runs that are finished in the folder are read, not repeated; a run that was killed goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SEEDS = range(5)
SEED_SET, FOUR = "covid19-image-dataset", "four-class"
# folder of the run, data set, options of `hilum train`, seeds
RUNS = {
    "seed": (SEED_SET, [], SEEDS),
    "four": (FOUR, [], SEEDS),
    "plain": (SEED_SET, ["--backbone", "plain-cnn"], SEEDS),
    "folds": (SEED_SET, ["--folds", "5"], SEEDS[:1]),
}


def right(part: dict[str, Any]) -> int:
    """Return how many films of a part are right."""
    return round(part["accuracy"]["value"] * part["n"])


FIGURES: tuple[tuple[str, str, str, Callable[[dict[str, Any]], float]], ...] = (
    ("covid19-image-dataset, right of all 66", "seed", "{:.0f}", lambda m: right(m["test"])),
    ("the same, accuracy on the clean films", "seed", "{:.3f}", lambda m: m["test_clean"]["accuracy"]["value"]),
    (
        "the same, 5-fold grouped cross-validation, macro-F1",
        "folds",
        "{:.3f}",
        lambda m: m["cross_validation"]["macro_f1"]["value"],
    ),
    ("the same with plain-cnn, right of all 66", "plain", "{:.0f}", lambda m: right(m["test"])),
    (
        "the same with plain-cnn, accuracy on the clean films",
        "plain",
        "{:.3f}",
        lambda m: m["test_clean"]["accuracy"]["value"],
    ),
    ("four-class, right of the 40 test films", "four", "{:.0f}", lambda m: right(m["test"])),
)


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    out = parser.parse_args().out
    data = Path(os.environ["HILUM_DATA"])
    out.mkdir(parents=True, exist_ok=True)
    for name, (data_set, options, seeds) in RUNS.items():
        for seed in seeds:
            run = out / f"{name}-{seed}"
            if not (run / "metrics.json").exists():
                start = time.monotonic()
                command = [sys.executable, "-m", "hilum", "train", str(data / data_set), "--out", str(run)]
                subprocess.run([*command, "--seed", str(seed), *options], check=True)
                print(f"{run.name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    print("| what | median | each seed, from 0 on |\n|---|---|---|")
    for words, name, form, figure in FIGURES:
        values = [figure(json.loads((out / f"{name}-{seed}" / "metrics.json").read_text())) for seed in RUNS[name][2]]
        print(f"| {words} | {form.format(statistics.median(values))} | {', '.join(form.format(v) for v in values)} |")


if __name__ == "__main__":
    main()
