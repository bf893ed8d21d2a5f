"""Trials a minute of two Ray workers, one thread each, against one such worker; short searches that take turns.

    python bench/tune_workers.py --repeats 3

Each search is new and judges the same trials on drawn films. Its time is counted from the first trial that begins
to the last that ends, by the database, so that the start of Ray and the reading of films do not count.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import optuna

from hilum.data.phantom import write_phantoms

SETTINGS = 'backbone = "plain-cnn"\n[preprocessing]\nsize_px = 64\n[fit]\nepochs = {epochs}\n'


def trials_a_minute(folder: Path) -> float:
    """Return how many trials a search has judged a minute, between the first one's begin and the last one's end."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'search.db'}")
    trials = optuna.load_study(study_name="hilum", storage=storage).get_trials()
    storage.remove_session()
    storage.engine.dispose()
    ends = [one.datetime_complete for one in trials if one.datetime_complete]
    begins = [one.datetime_start for one in trials if one.datetime_start]
    return 60 * len(ends) / (max(ends) - min(begins)).total_seconds()


def main() -> None:
    """Search by turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    ratios, rates = [], {1: [], 2: []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        films = write_phantoms(
            folder / "films", num_per_finding=30, num_test_per_finding=2, findings=("Normal", "Covid-19"), size_px=96
        )
        (folder / "start.toml").write_text(SETTINGS.format(epochs=options.epochs), encoding="utf-8")
        for repeat in range(options.repeats):
            for num_workers in (1, 2) if repeat % 2 == 0 else (2, 1):
                out = folder / f"{num_workers}-{repeat}"
                command = [sys.executable, "-m", "hilum", "tune", str(films), "--out", str(out), "--folds", "2"]
                command += ["--config", str(folder / "start.toml"), "--trials", str(options.trials)]
                command += ["--cluster", "local", "--workers", str(num_workers)]
                subprocess.run(command, check=True, capture_output=True)
                rates[num_workers].append(trials_a_minute(out))
                print(f"{num_workers} workers: {rates[num_workers][-1]:.2f} trials a minute", file=sys.stderr)
            ratios.append(rates[2][-1] / rates[1][-1])
    print("| workers | trials a minute, median (lowest-highest) |\n|---|---|")
    for num_workers, found in rates.items():
        print(f"| {num_workers} | {statistics.median(found):.2f} ({min(found):.2f}-{max(found):.2f}) |")
    print(f"| ratio | {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) |")


if __name__ == "__main__":
    main()
