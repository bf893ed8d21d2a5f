"""What `hilum adapt` gains at hospitals that the chest model did not learn from, by the number of local films.

    HILUM_DATA=... python bench/adapt.py --cache features.npz

Films are drawn ten times, the same number of each finding; the accuracy is that of all other films of the hospital.
Beside it stands a head that is fitted on all films but those that it is judged on (five folds), on the same features,
and that knows the hospital's findings only. Last, normal films alone: how many of the others are answered otherwise.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hilum.data.folder import FilmRecord
from hilum.data.split import grouped_folds
from hilum.judge.predictions import judge_records
from hilum.run.classifier import Classifier
from hilum.train.correction import LocalFilms, losses
from hilum.train.correction_choice import choose_correction
from hilum.train.head import finding_weights, fit_linear

SIZES, DRAWS, MOST, NORMALS = (20, 50, 100), 10, 200, 30
HOSPITALS = {"siim": ("siim",), "nih-effusion and ricord": ("nih-effusion", "ricord")}
NAMES = {"Not Covid-19": "Normal"}
PENALTIES = (30.0, 100.0, 300.0, 1000.0)


def records() -> Iterator[FilmRecord]:
    """Yield up to MOST films of each source and finding, with the finding's name in the model."""
    root = Path(os.environ["HILUM_DATA"]) / "hospitals"
    with (root / "manifest.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    rng = np.random.default_rng(0)
    for source in sorted({name for names in HOSPITALS.values() for name in names}):
        for finding in ("Covid-19", "Normal", "Not Covid-19"):
            chosen = [row for row in rows if (row["source"], row["finding"]) == (source, finding)]
            for place in rng.permutation(len(chosen))[:MOST]:
                path = str(root / chosen[place]["path"])
                yield FilmRecord(path, NAMES.get(finding, finding), None, source=source)


def judged(cache: Path, model: Classifier) -> dict[str, np.ndarray]:
    """Return logits, features, truth and source of every film; computed once."""
    if not cache.exists():
        films = list(records())
        found = judge_records(model, Path(), films)
        features = np.stack([np.asarray(answer.features) for answer in found.answers])
        source = np.array([film.source for film in films])
        np.savez(cache, logits=found.logits, features=features, truth=found.truth, source=source)
    return dict(np.load(cache))


def part(films: LocalFilms, positions: np.ndarray) -> LocalFilms:
    return films.part(np.isin(np.arange(len(films.truth)), positions))


def right(logits: np.ndarray, films: LocalFilms) -> float:
    return float((logits.argmax(axis=1) == films.truth).mean())


def adapted(films: LocalFilms, temperature: float, size: int) -> tuple[float, float]:
    """Return accuracy and loss of the films left over: the means of the draws."""
    found = []
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        kinds = np.unique(films.truth)
        drawn = np.concatenate(
            [rng.permutation(np.flatnonzero(films.truth == kind))[: size // len(kinds)] for kind in kinds]
        )
        local, rest = part(films, drawn), part(films, np.setdiff1d(np.arange(len(films.truth)), drawn))
        correction = choose_correction(local, temperature).correction
        after = correction.logits(rest)
        sides = ((rest.logits, temperature), (after, correction.temperature))
        found.append(
            [one for logits, t in sides for one in (right(logits, rest), losses(logits / t, rest.truth).mean())]
        )
    return tuple(np.mean(found, axis=0).tolist())  # type: ignore[return-value]


def head_on_all(films: LocalFilms) -> float:
    """Return the accuracy of a head fitted on all other films, with the penalty that suits best."""
    kinds, labels = np.unique(films.truth, return_inverse=True)
    best = 0.0
    for penalty in PENALTIES:
        answers = np.zeros(len(labels))
        for held in grouped_folds(labels, films.groups):
            weights = finding_weights(labels[~held], len(kinds), "balanced")[labels[~held]]
            head = fit_linear(films.features[~held], labels[~held], weights, penalty=penalty)
            answers[held] = head.logits(films.features[held]).argmax(axis=1)
        best = max(best, float((answers == labels).mean()))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="where the features of the films are kept")
    parser.add_argument("--model", type=Path, default=Path("chest"))
    options = parser.parse_args()
    model = Classifier(options.model)
    temperature, found = model.metadata.temperature, judged(options.cache, model)
    print("| films | as shipped | " + " | ".join(f"{size} local films" for size in SIZES) + " | head on all others |")
    print("|---|" + "---|" * (len(SIZES) + 2))
    for name, sources in HOSPITALS.items():
        chosen = np.isin(found["source"], sources)
        logits, features = (found[key][chosen].astype(np.float64) for key in ("logits", "features"))
        films = LocalFilms(logits, features, found["truth"][chosen], np.arange(int(chosen.sum())))
        rows = [adapted(films, temperature, size) for size in SIZES]
        cells = [f"{row[2]:.3f} (loss {row[3]:.2f})" for row in rows]
        shipped = (
            f"{right(films.logits, films):.3f} (loss {losses(films.logits / temperature, films.truth).mean():.2f})"
        )
        print(
            f"| {name}, {len(films.truth)} | {shipped} | {' | '.join(cells)} | {head_on_all(films):.3f} |", flush=True
        )
        normal = part(films, np.flatnonzero(films.truth == model.findings.index("Normal")))
        alarms = []
        for draw in range(DRAWS):
            order = np.random.default_rng(draw).permutation(len(normal.truth))
            local, rest = part(normal, order[:NORMALS]), part(normal, order[NORMALS:])
            after = choose_correction(local, temperature).correction.logits(rest)
            alarms.append((1 - right(rest.logits, rest), 1 - right(after, rest)))
        before, now = np.mean(alarms, axis=0)
        print(f"| its normal films, {NORMALS} local: answered otherwise | {before:.3f} | {now:.3f} | | | |", flush=True)


if __name__ == "__main__":
    main()
