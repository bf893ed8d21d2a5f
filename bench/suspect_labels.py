"""Are wrong labels found? 5 % of the labels are swapped; the audit's rule looks for them in answers out of the fold.

    HILUM_DATA=... python bench/suspect_labels.py [--cache features.npz] [--seeds 5 6 7 8 9]

The answers are those of a logistic regression on ImageNet features, in five grouped folds, which learns from the wrong
labels too. A second table swaps nothing: of the Covid-19 films of radiography-db, whose label is that of a swab, how
many are suspect, by what SIIM's radiologists read in them? The rule and the penalty were chosen on the seeds 0 to 4.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from hilum.console import TerminalConsole
from hilum.judge.audit.suspects import suspect_labels
from hilum.run.answer import softmax
from hilum.train.config import RunConfig
from hilum.train.features import pooled_features
from hilum.train.head import finding_weights, fit_linear
from hilum.train.networks import build_network
from hilum.train.prepared import prepare_films

SWAPPED, FOLDS, PENALTY = 0.05, 5, 100.0
READINGS = ("Typical Appearance", "Indeterminate Appearance", "Atypical Appearance", "Negative for Pneumonia")
DRAWN = {
    ("kermany", "Normal"): 500,
    ("kermany", "Bacterial Pneumonia"): 500,
    ("radiography-db", "Normal"): 400,
    ("siim", "Covid-19"): 400,
    ("siim", "Normal"): 400,
}
ALL = 10**6
# name: how many films of each part
SETS: dict[str, dict[tuple[str, str], int]] = {
    "1,000 films of three findings and sources": {
        ("kermany", "Normal"): 250,
        ("kermany", "Bacterial Pneumonia"): 250,
        ("radiography-db", "Normal"): 250,
        ("radiography-db", "Typical Appearance"): 165,
        ("siim", "Covid-19"): 85,
    },
    "1,000 films of one hospital, normal or bacterial pneumonia": {
        ("kermany", "Normal"): 500,
        ("kermany", "Bacterial Pneumonia"): 500,
    },
    "800 films read by radiologists, Covid-19 or no pneumonia": {("siim", "Covid-19"): 400, ("siim", "Normal"): 400},
}
SWABS = {("radiography-db", reading): ALL for reading in READINGS} | {("radiography-db", "Normal"): 400}
READ: dict[str, dict[tuple[str, str], int]] = {
    "radiography-db alone": SWABS,
    "with 800 films that were read, of the same hospitals": SWABS
    | {("siim", "Covid-19"): 400, ("siim", "Normal"): 400},
}


@dataclass(frozen=True, eq=False)
class Bank:
    """The n films of all sets.

    Attributes:
        features: (n, D) float32.
        labels: (n,) text, the finding.
        parts: (n,) text, "source/finding"; of Covid-19 of radiography-db "source/reading".
        groups: (n,) int.
    """

    features: np.ndarray
    labels: np.ndarray
    parts: np.ndarray
    groups: np.ndarray


def listed_films(data: Path) -> list[dict[str, str]]:
    """Return path, finding and part of the films, drawn with one seed."""
    with (data / "provenance" / "siim-readings.csv").open(encoding="utf-8", newline="") as lines:
        readings = {Path(row["known"]).stem: row["siim_label"] for row in csv.DictReader(lines)}
    strata: dict[tuple[str, str], list[dict[str, str]]] = {}
    for folder in ("pool", "hospitals"):
        with (data / folder / "manifest.csv").open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                finding = row["finding"].replace("Not Covid-19", "Normal")
                part = finding
                if (row["source"], finding) == ("radiography-db", "Covid-19"):
                    part = readings.get(Path(row["path"]).stem, "")
                film = {"path": str(data / folder / row["path"]), "finding": finding, "patient": row["patient"]}
                strata.setdefault((row["source"], part), []).append(film)
    wanted = DRAWN | {("radiography-db", reading): ALL for reading in READINGS}
    films = []
    for (source, part), most in wanted.items():
        some = sorted(strata[source, part], key=lambda film: film["path"])
        chosen = random.Random(0).sample(some, min(most, len(some)))
        films += [{**film, "source": source, "part": f"{source}/{part}"} for film in chosen]
    return films


def read_bank(data: Path, cache: Path | None) -> Bank:
    """Return the films with their features, from the cache if it is there."""
    if cache is None or not cache.exists():
        films = listed_films(data.resolve())
        config = RunConfig()
        with tempfile.TemporaryDirectory() as work:
            listing = Path(work) / "films.csv"
            with listing.open("w", encoding="utf-8", newline="") as lines:
                writer = csv.DictWriter(lines, ("path", "finding", "patient", "source"), extrasaction="ignore")
                writer.writeheader()
                writer.writerows(films)
            prepared = prepare_films(listing, config.preprocessing, console=TerminalConsole())
        network = build_network(
            config.backbone, num_findings=2, size_px=config.preprocessing.size_px, weights="imagenet", dropout=0.0
        )
        part_of = {Path(film["path"]).name: film["part"] for film in films}
        bank = Bank(
            pooled_features(network, prepared.films.pixels)[0],
            np.array([record.finding for record in prepared.records]),
            np.array([part_of[Path(record.path).name] for record in prepared.records]),
            prepared.scan.groups,
        )
        if cache is None:
            return bank
        np.savez(cache, **vars(bank))
    return Bank(**np.load(cache))


def out_of_fold(bank: Bank, chosen: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Return the probabilities (m, K) of chosen films, each by a model that saw neither it nor its group."""
    features, groups, num_findings = bank.features[chosen], bank.groups[chosen], int(labels.max()) + 1
    probabilities = np.zeros((len(chosen), num_findings))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for taught, held in folds.split(features, labels, groups):
        weights = finding_weights(labels[taught], num_findings, "balanced")[labels[taught]]
        head = fit_linear(features[taught], labels[taught], weights, penalty=PENALTY)
        probabilities[held] = softmax(head.logits(features[held]))
    return probabilities


def drawn(bank: Bank, parts: dict[tuple[str, str], int], seed: int) -> np.ndarray:
    """Return the positions of films drawn for a set."""
    drawer = np.random.default_rng(seed)
    return np.concatenate(
        [
            np.sort(drawer.permutation(np.flatnonzero(bank.parts == "/".join(part)))[:most])
            for part, most in parts.items()
        ]
    )


def swapped(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return labels of which 5 % are another one."""
    drawer, wrong = np.random.default_rng(seed + 1000), labels.copy()
    num_findings = int(labels.max()) + 1
    for film in drawer.choice(len(labels), round(SWAPPED * len(labels)), replace=False):
        wrong[film] = (labels[film] + drawer.integers(1, num_findings)) % num_findings
    return wrong


def suspects_of(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return which films are suspect, (m,) bool."""
    found = np.zeros(len(labels), dtype=bool)
    found[[film for film, _ in suspect_labels(np.eye(probabilities.shape[1], dtype=bool)[labels], probabilities)]] = (
        True
    )
    return found


def found_of_swapped(bank: Bank, parts: dict[tuple[str, str], int], seed: int) -> tuple[float, float, int]:
    """Return precision, recall and the number of suspects among films of which 5 % have a wrong label."""
    chosen = drawn(bank, parts, seed)
    truth = np.unique(bank.labels[chosen], return_inverse=True)[1]
    labels = swapped(truth, seed)
    found, wrong = suspects_of(labels, out_of_fold(bank, chosen, labels, seed)), labels != truth
    both = int((found & wrong).sum())
    return both / max(int(found.sum()), 1), both / int(wrong.sum()), int(found.sum())


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, help="a .npz that keeps the films' features")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5, 10)))
    given = parser.parse_args()
    bank = read_bank(Path(os.environ["HILUM_DATA"]), given.cache)
    print("| films, 5 % of the labels swapped | suspects | precision, median (range) | recall |\n|---|---|---|---|")
    for name, parts in SETS.items():
        rows = np.array([found_of_swapped(bank, parts, seed) for seed in given.seeds])
        low, middle, high = rows.min(axis=0), np.median(rows, axis=0), rows.max(axis=0)
        shares = [f"{middle[k]:.2f} ({low[k]:.2f}-{high[k]:.2f})" for k in (0, 1)]
        print(f"| {name} | {middle[2]:.0f} | {' | '.join(shares)} |")
    print(f"\n| Covid-19 films of radiography-db, suspect | {' | '.join(READINGS)} |\n|---|{'---|' * len(READINGS)}")
    for name, parts in READ.items():
        shares = []
        for seed in given.seeds:
            chosen = drawn(bank, parts, seed)
            labels = np.unique(bank.labels[chosen], return_inverse=True)[1]
            found = suspects_of(labels, out_of_fold(bank, chosen, labels, seed))
            read_as = bank.parts[chosen]
            shares.append([found[read_as == f"radiography-db/{reading}"].mean() for reading in READINGS])
        print(f"| {name} | {' | '.join(f'{100 * share:.0f} %' for share in np.median(shares, axis=0))} |")


if __name__ == "__main__":
    main()
