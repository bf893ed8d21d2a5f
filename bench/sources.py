"""In-house figures beside those of sources held out: a sample of the pool, head only on frozen features.

HILUM_DATA=... python bench/sources.py --out runs/sources
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--films", type=int, default=80, help="films of each source and finding")
    options = parser.parse_args()
    pool = Path(os.environ["HILUM_DATA"]) / "pool"
    with (pool / "manifest.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    strata: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        if row["finding"] != "Other":
            strata[row["source"], row["finding"]].append(row)
    films = options.out / "films"
    films.mkdir(parents=True, exist_ok=True)
    for source in {row["source"] for row in rows}:
        if not (films / source).exists():
            (films / source).symlink_to(pool.resolve() / source)
    drawer = random.Random(0)
    with (films / "manifest.csv").open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, ("path", "finding", "patient", "source"), extrasaction="ignore")
        writer.writeheader()
        for _, chosen in sorted(strata.items()):
            writer.writerows(drawer.sample(chosen, min(options.films, len(chosen))))
    settings = options.out / "run.toml"
    settings.write_text("[fit]\nepochs = 0\n", encoding="utf-8")
    words = ["train", films / "manifest.csv", "--out", options.out / "run", "--config", settings, "--by-source"]
    subprocess.run([sys.executable, "-m", "hilum", *map(str, words)], check=True)


if __name__ == "__main__":
    main()
