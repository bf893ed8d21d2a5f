"""What the Covid-19 films of radiography-db show, by readings of radiologists and by a reader that learned from such.

The label of such a film is a swab's. Where radiologists read it "Negative for Pneumonia", the film shows nothing that a
classifier could learn. The rule, fixed before any figure of a source held out was seen:

- read "Typical Appearance": Covid-19; "Negative for Pneumonia": left out;
- read "Indeterminate" or "Atypical Appearance": some pneumonia, of which kind is left open;
- not read: a linear reader on frozen ImageNet features, which learned from SIIM's own 2,500 films only, says typical or
  negative. Where it says negative, the film is left open between Covid-19 and Normal.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from hilum.data.folder import FilmRecord
from hilum.film.preprocess import Preprocessing
from hilum.train.batches import load_films
from hilum.train.features import pooled_features
from hilum.train.head import fit_linear
from hilum.train.networks import build_network

__all__ = ["OPEN", "finding_by_reading"]

OPEN = "Covid-19|Normal"
_PNEUMONIA = "Covid-19|Viral Pneumonia|Bacterial Pneumonia"
_BY_READING = {
    "Typical Appearance": "Covid-19",
    "Negative for Pneumonia": "",
    "Indeterminate Appearance": _PNEUMONIA,
    "Atypical Appearance": _PNEUMONIA,
}
_SIZE_PX, _PENALTY = 160, 1000.0


def finding_by_reading(data: Path, records: list[FilmRecord], teachers: list[FilmRecord]) -> list[FilmRecord]:
    """Return the Covid-19 films of radiography-db with what they show; films that show nothing are left out.

    Args:
        data: HILUM_DATA.
        records: The films.
        teachers: SIIM's films, Covid-19 (typical) and Normal (negative).
    """
    with (data / "provenance" / "siim-readings.csv").open(encoding="utf-8", newline="") as lines:
        readings = {Path(row["known"]).stem: row["siim_label"] for row in csv.DictReader(lines)}
    unread = [record for record in records if Path(record.path).stem not in readings]
    negative = dict(zip((record.path for record in unread), _read_as_negative(unread, teachers), strict=True))
    kept = []
    for record in records:
        reading = readings.get(Path(record.path).stem)
        finding = _BY_READING[reading] if reading else OPEN if negative[record.path] else "Covid-19"
        if finding:
            kept.append(FilmRecord(record.path, finding, record.split, record.patient, record.source))
    return kept


def _read_as_negative(records: list[FilmRecord], teachers: list[FilmRecord]) -> np.ndarray:
    """Return which films (n,) the reader calls negative."""
    typical = np.array([record.finding == "Covid-19" for record in teachers], dtype=int)
    network = build_network("efficientnet-lite0", num_findings=2, size_px=_SIZE_PX, weights="imagenet", dropout=0.0)
    paths = [Path(record.path) for record in (*teachers, *records)]
    films = load_films(paths, np.zeros(len(paths), int), Preprocessing(size_px=_SIZE_PX))
    features = pooled_features(network, films.pixels)[0]  # (n, D)
    head = fit_linear(features[: len(teachers)], typical, np.ones(len(teachers)), penalty=_PENALTY)
    logits = head.logits(features[len(teachers) :])
    return logits[:, 0] > logits[:, 1]
