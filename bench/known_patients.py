"""Write the patients that HILUM_DATA names for films of public sets: ``hilum data index --patients`` takes them.

    HILUM_DATA=... python bench/known_patients.py patients.csv

From the pool's manifest and the provenance of the seed set; a NIH file name begins with the patient's number.
"""

from __future__ import annotations

import csv
import gzip
import os
import re
import sys
from pathlib import Path

SETS = {
    "ieee8023": "ieee8023 covid-chestxray-dataset",
    "figure1": "Figure1 COVID-chestxray",
    "kermany": "Kermany chest_xray",
}


def main() -> None:
    """Write the table to the file named on the command line."""
    data = Path(os.environ["HILUM_DATA"])
    found: dict[tuple[str, str], str] = {}
    with (data / "pool" / "manifest.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if row["source"] == "ieee8023" and row["patient"]:
                found[SETS["ieee8023"], row["original_name"]] = row["patient"]
    with (data / "provenance" / "covid19-image-dataset.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if row["source"] in SETS and row["source_patient"]:
                found[SETS[row["source"]], row["source_file"]] = row["source_patient"]
    with gzip.open(data / "provenance" / "known-images.csv.gz", "rt", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if re.fullmatch(r"\d{8}_\d{3}\.png", row["file"]):
                found[row["set"], row["file"]] = f"nih:{row['file'][:8]}"
            if row["set"] == SETS["figure1"]:  # COVID-00003a, COVID-00003b: one patient
                found.setdefault((row["set"], row["file"]), f"fig1:{row['file'][:11]}")
    with Path(sys.argv[1]).open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(("set", "file", "patient"))
        writer.writerows((*film, patient) for film, patient in sorted(found.items()))
    print(f"{len(found)} films")


if __name__ == "__main__":
    main()
