"""What equalising the histogram does to films of another source: an SVM on 16x16 thumbnails and the frozen backbone.

Trained on the train part of covid19-image-dataset; judged on films of the pool: children's Normal and Viral Pneumonia
of one source, adults' Covid-19 of another, 300 of each at most, none of them a test film of the set.

    HILUM_DATA=... python bench/equalize.py
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from hilum.data.folder import FilmRecord, read_dataset
from hilum.film.preprocess import Preprocessing
from hilum.train.batches import Films, load_films
from hilum.train.networks import build_network

FINDINGS = ("Normal", "Covid-19", "Viral Pneumonia")
OTHER_SOURCES = {("Normal", "kermany"), ("Covid-19", "ieee8023"), ("Viral Pneumonia", "kermany")}
MOST = 300


def read(root: Path, records: list[FilmRecord], *, equalize: bool) -> Films:
    """Return the films as a network sees them."""
    labels = np.array([FINDINGS.index(record.finding) for record in records])
    return load_films([root / record.path for record in records], labels, Preprocessing(equalize=equalize))


def thumbnails(films: Films) -> np.ndarray:
    """Return the films as rows of 16x16 grey values."""
    rows = [
        cv2.resize(film.astype(np.float32), (16, 16), interpolation=cv2.INTER_AREA).ravel() for film in films.pixels
    ]
    return np.array(rows)


def main() -> None:
    """Print accuracy on the other sources, without and with equalising."""
    data = Path(os.environ["HILUM_DATA"])
    seed, pool = read_dataset(data / "covid19-image-dataset"), read_dataset(data / "pool" / "manifest.csv")
    train = [record for record in seed.records if record.split == "train"]
    others: list[FilmRecord] = []
    for finding, source in sorted(OTHER_SOURCES):
        found = [record for record in pool.records if (record.finding, record.source) == (finding, source)]
        chosen = np.random.default_rng(0).permutation(len(found))[:MOST]
        others += [found[position] for position in chosen]
    backbone = build_network(
        "efficientnet-lite0", num_findings=3, size_px=224, weights="imagenet", dropout=0.0
    ).backbone
    for equalize in (False, True):
        known, strange = read(seed.root, train, equalize=equalize), read(pool.root, others, equalize=equalize)
        models = {
            "SVM on 16x16": (SVC(C=10.0), thumbnails),
            "frozen efficientnet-lite0": (
                LogisticRegression(C=0.03, max_iter=3000),
                lambda films: np.concatenate(
                    [
                        np.asarray(backbone.predict_on_batch(films.batch(slice(start, start + 32)))).mean(axis=(1, 2))
                        for start in range(0, len(films), 32)
                    ]
                ),
            ),
        }
        for name, (model, features) in models.items():
            fitted = make_pipeline(StandardScaler(), model).fit(features(known), known.labels)
            right = fitted.predict(features(strange)) == strange.labels
            each = ", ".join(f"{f} {right[strange.labels == i].mean():.2f}" for i, f in enumerate(FINDINGS))
            print(
                f"equalize={equalize!s:5} {name}: {right.mean():.3f} of {right.size} films right ({each})", flush=True
            )


if __name__ == "__main__":
    main()
