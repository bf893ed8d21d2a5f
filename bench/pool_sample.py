"""Writes the sample of the pool that studies judge on besides: at most 100 films of each source and finding.

    HILUM_DATA=... python bench/pool_sample.py --out sample.csv
    hilum study noise "$HILUM_DATA"/covid19-image-dataset --out noise --external sample.csv

Only findings of covid19-image-dataset, and none of the three films that are twins of its test films.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
from collections import defaultdict
from pathlib import Path

FINDINGS = ("Covid-19", "Normal", "Viral Pneumonia")
TWINS = {
    "radiography-db/Covid-19/COVID-1249.jpg",
    "radiography-db/Covid-19/COVID-342.jpg",
    "ieee8023/Covid-19/figure1-5e7c1b8d98c29ab001275405-98-later.jpg",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the manifest to write; its paths are absolute")
    parser.add_argument("--films", type=int, default=100, help="of each source and finding")
    options = parser.parse_args()
    pool = Path(os.environ["HILUM_DATA"]).resolve() / "pool"
    strata: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    with (pool / "manifest.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["finding"] in FINDINGS and row["path"] not in TWINS:
                strata[row["source"], row["finding"]].append({**row, "path": str(pool / row["path"])})
    drawer = random.Random(0)
    with options.out.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, ("path", "finding", "patient", "source"), extrasaction="ignore")
        writer.writeheader()
        for _, films in sorted(strata.items()):
            ordered = sorted(films, key=lambda row: row["path"])
            writer.writerows(drawer.sample(ordered, min(options.films, len(ordered))))


if __name__ == "__main__":
    main()
