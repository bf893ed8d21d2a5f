"""The films that the shipped chest model learns from, as one manifest: sources, corrected findings, what is held out.

    HILUM_DATA=... python recipes/chest_films.py --out films.csv

Learned from: pool (four sources), hospitals (eight sources), the train parts of covid19-image-dataset and four-class,
and the films of lung-masks. Films of the seed sets carry the source that they came from, and the finding that this
source gives them. The Covid-19 films of radiography-db carry what they show (chest_readings.py). No film of a test
part of the seed sets is in, nor any film of its group: a twin, or a film of the same patient.

A finding such as `Viral Pneumonia|Bacterial Pneumonia` says that it is one of these. The pneumonias of NIH's hospital
are older than Covid-19, but of no stated type, and most of these films show other diseases as well.

`hospital` says which sources are of the same hospitals: they are held out together.
"""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path

import numpy as np
from chest_readings import finding_by_reading

from hilum.data.folder import Dataset, FilmRecord
from hilum.data.scan import Scan, scan_films

OTHER = "Other abnormality"
EARLIER_PNEUMONIA = f"Viral Pneumonia|Bacterial Pneumonia|{OTHER}"  # before Covid-19, of no stated type
ANY_PNEUMONIA = "Covid-19|Viral Pneumonia|Bacterial Pneumonia"
FINDING_AT_SOURCE = {
    "COVID-19": "Covid-19",
    "COVID-19, ARDS": "Covid-19",
    "Normal": "Normal",
    "No finding": "Normal",
    "No Finding": "Normal",
    "Viral Pneumonia": "Viral Pneumonia",
    "SARS": "Viral Pneumonia",
    "Bacterial Pneumonia": "Bacterial Pneumonia",
    "Streptococcus": "Bacterial Pneumonia",
    "Pneumonia": ANY_PNEUMONIA,
    "Pneumocystis": OTHER,
    "Lipoid": OTHER,
}
IN_HOSPITALS = {  # findings of hospitals/manifest.csv that have another name here
    "Not Covid-19": "Normal",  # SIIM's radiologists read these films as negative for pneumonia
    "Tuberculosis": OTHER,
    "Pneumonia (type not stated)": EARLIER_PNEUMONIA,
    "Viral Pneumonia|Bacterial Pneumonia": EARLIER_PNEUMONIA,
}
HOSPITALS = {  # sources of the same hospitals
    "siim": "bimcv",
    "ricord": "bimcv",
    "figure1": "ieee8023",
    **dict.fromkeys(("nih-ozturk", "nih-bbox", "nih-sample", "nih-canon", "nih-effusion", "rsna-unb"), "nih"),
}
SOURCES = {"Kermany chest_xray": "kermany"}  # the provenance's name and the pool's
HELD_FRACTION = 0.12  # of the groups of each source and finding: figures by source are taken on these
COLUMNS = ("path", "finding", "split", "patient", "source", "group", "hospital")


def pool_films(data: Path) -> list[FilmRecord]:
    """Return the films of the pool that have a finding to learn."""
    records = []
    with (data / "pool" / "manifest.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            finding = row["finding"]
            if row["source"] == "nih-ozturk" and finding.startswith("Pneumonia"):
                finding = EARLIER_PNEUMONIA
            if finding == "Other":
                finding = FINDING_AT_SOURCE.get(row["source_finding"], "")
            if finding:
                path = str(data / "pool" / row["path"])
                records.append(FilmRecord(path, finding, None, row["patient"] or None, row["source"]))
    return records


def hospital_films(data: Path) -> list[FilmRecord]:
    """Return the films of hospitals/."""
    with (data / "hospitals" / "manifest.csv").open(encoding="utf-8", newline="") as lines:
        return [
            FilmRecord(
                str(data / "hospitals" / row["path"]),
                IN_HOSPITALS.get(row["finding"], row["finding"]),
                None,
                row["patient"] or None,
                row["source"],
            )
            for row in csv.DictReader(lines)
        ]


def hospital(source: str, finding: str) -> str:
    """Return the name that the sources of the same hospitals share; radiography-db's findings come from two."""
    if source == "radiography-db":
        return "nih" if finding == "Normal" else "bimcv"
    return HOSPITALS.get(source, source)


def seed_films(data: Path, part: str) -> list[FilmRecord]:
    """Return the films of one part of covid19-image-dataset with the findings and patients of their sources."""
    records = []
    with (data / "provenance" / "covid19-image-dataset.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            finding = FINDING_AT_SOURCE.get(row["source_finding"], "") if row["matched"] == "1" else ""
            if row["path"].startswith(part) and (finding or part == "test"):
                path = str(data / "covid19-image-dataset" / row["path"])
                patient = row["source_patient"] or None
                source = SOURCES.get(row["source"], row["source"])
                records.append(FilmRecord(path, finding or "Covid-19", part, patient, source))
    return records


def four_class_films(data: Path, part: str) -> list[FilmRecord]:
    """Return the films of one part of four-class, by the two sources that it was made from."""
    root = data / "four-class" / part
    return [
        FilmRecord(str(path), folder.name, part, None, "ieee8023" if folder.name == "Covid-19" else "kermany")
        for folder in sorted(root.iterdir())
        for path in sorted(folder.iterdir())
    ]


def lung_mask_films(data: Path) -> list[FilmRecord]:
    """Return the films of Montgomery and Shenzhen: normal, or with tuberculosis."""
    sources = {"MCUCXR": "montgomery", "CHNCXR": "shenzhen"}
    return [
        FilmRecord(
            str(path), "Normal" if path.stem.endswith("_0") else OTHER, None, None, sources[path.name.partition("_")[0]]
        )
        for path in sorted((data / "lung-masks" / "images").iterdir())
    ]


def learned_films(data: Path) -> list[FilmRecord]:
    """Return all films that may be learned from, each with what it shows."""
    pool, hospitals = pool_films(data), hospital_films(data)
    swabbed = [record for record in pool if record.source == "radiography-db" and record.finding == "Covid-19"]
    siim = [record for record in hospitals if record.source == "siim"]
    kept = [record for record in pool if record not in set(swabbed)] + finding_by_reading(data, swabbed, siim)
    return [*kept, *hospitals, *seed_films(data, "train"), *four_class_films(data, "train"), *lung_mask_films(data)]


def gather(data: Path) -> tuple[Scan, list[str]]:
    """Return all films read once, and the part of each; only those of train and test (held out) are for a model."""
    given = [record for part in ("test",) for record in (*seed_films(data, part), *four_class_films(data, part))]
    records = [*given, *learned_films(data)]
    scan = scan_films(Dataset(Path("/"), "chest", tuple(sorted(records, key=lambda record: record.path))))
    barred = {
        group
        for record, group in zip(scan.dataset.records, scan.groups.tolist(), strict=True)
        if any(record.path == test.path for test in given)
    }
    paths = {record.path for record in given}
    parts = [
        "seed-test" if record.path in paths else "barred" if group in barred else "train"
        for record, group in zip(scan.dataset.records, scan.groups.tolist(), strict=True)
    ]
    for twin in scan.twins:  # a film that two sets hold is learned from once
        if parts[twin.first] == parts[twin.second] == "train":
            parts[twin.second] = "twin"
    rng = np.random.default_rng(0)
    strata: dict[tuple[str | None, str], list[int]] = {}
    for position, (record, part) in enumerate(zip(scan.dataset.records, parts, strict=True)):
        if part == "train":
            strata.setdefault((record.source, record.finding), []).append(position)
    held: set[int] = set()
    for _, positions in sorted(strata.items(), key=lambda item: (str(item[0][0]), item[0][1])):
        groups = sorted({int(scan.groups[i]) for i in positions})
        held |= set(rng.permutation(groups)[: round(len(groups) * HELD_FRACTION)].tolist())
    parts = [
        "test" if part == "train" and int(group) in held else part
        for part, group in zip(parts, scan.groups, strict=True)
    ]
    return scan, parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the manifest to write")
    options = parser.parse_args()
    scan, parts = gather(Path(os.environ["HILUM_DATA"]).resolve())
    with options.out.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(COLUMNS)
        for record, part, group in zip(scan.dataset.records, parts, scan.groups, strict=True):
            if part in ("train", "test"):
                place = hospital(record.source or "", record.finding)
                writer.writerow(
                    (record.path, record.finding, part, record.patient or "", record.source, int(group), place)
                )


if __name__ == "__main__":
    main()
