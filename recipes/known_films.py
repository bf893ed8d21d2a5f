"""Makes the index by which films of public sets are recognised: src/hilum/data/known-films.npz.

    HILUM_DATA=... python recipes/known_films.py --out src/hilum/data/known-films.npz

Fingerprints, findings and files come from HILUM_DATA/provenance/known-images.csv.gz. Patients come from there too, from
the pool's manifest and from the provenance of the seed set; a NIH file name begins with the patient's number.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

__all__ = ["read_patients", "write_index"]

SETS = {
    "ieee8023": "ieee8023 covid-chestxray-dataset",
    "figure1": "Figure1 COVID-chestxray",
    "kermany": "Kermany chest_xray",
}


def read_patients(data: Path) -> dict[tuple[str, str], str]:
    """Return {(set, file): patient} of the films of public sets whose patient HILUM_DATA names."""
    found: dict[tuple[str, str], str] = {}
    with (data / "pool" / "manifest.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if row["source"] == "ieee8023" and row["patient"]:
                found[SETS["ieee8023"], row["original_name"]] = row["patient"]
    with (data / "provenance" / "covid19-image-dataset.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if row["source"] in SETS and row["source_patient"]:
                found[SETS[row["source"]], row["source_file"]] = row["source_patient"]
    for row in _known_images(data):
        if re.fullmatch(r"\d{8}_\d{3}\.png", row["file"]):
            found[row["set"], row["file"]] = f"nih:{row['file'][:8]}"
        if row["set"] == SETS["figure1"]:  # COVID-00003a, COVID-00003b: one patient
            found.setdefault((row["set"], row["file"]), f"fig1:{row['file'][:11]}")
    return found


def write_index(films: Iterable[Mapping[str, str]], patients: Mapping[tuple[str, str], str], out: Path) -> int:
    """Write the index and return the number of films; the same films give the same contents.

    Args:
        films: set, file, finding, patient, gray_sha256_16 and dhash256 of each; the hashes are those of
            `hilum.data.fingerprint.Fingerprint`, in 16 and 64 hex digits.
        patients: {(set, file): patient} of films whose patient is empty.
        out: The .npz file.
    """
    rows = list(films)
    sets, findings = (sorted({row[name] for row in rows}) for name in ("set", "finding"))
    with out.open("wb") as stream:  # given a path, numpy would add .npz to it
        np.savez_compressed(
            stream,
            words=np.array(
                [[int(row["dhash256"][at : at + 16], 16) for at in (0, 16, 32, 48)] for row in rows], np.uint64
            ),
            grey=np.array([int(row["gray_sha256_16"], 16) for row in rows], np.uint64),
            set=np.array([sets.index(row["set"]) for row in rows], np.uint8),
            finding=np.array([findings.index(row["finding"]) for row in rows], np.uint8),
            sets=_packed(sets),
            findings=_packed(findings),
            files=_packed([row["file"] for row in rows]),
            patients=_packed([row["patient"] or patients.get((row["set"], row["file"]), "") for row in rows]),
        )
    return len(rows)


def _packed(texts: Sequence[str]) -> np.ndarray:
    return np.frombuffer("\n".join(texts).encode(), dtype=np.uint8)


def _known_images(data: Path) -> list[dict[str, str]]:
    with gzip.open(data / "provenance" / "known-images.csv.gz", "rt", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def main() -> None:
    """Write the index to the file named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the index, .npz")
    data, out = Path(os.environ["HILUM_DATA"]), parser.parse_args().out
    print(f"{write_index(_known_images(data), read_patients(data), out)} films in {out}")


if __name__ == "__main__":
    main()
