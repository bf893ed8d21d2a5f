"""How often does `hilum drift` say that films differ: two halves of one source, and films of two sources?

    HILUM_DATA=... python bench/drift.py --cache answers.npz [--model M] [--draws N]

Of every source of the hospitals with at least 200 films that are neither refused by the gate nor unreadable, 100 films
stand for the evaluation and 100 for today, drawn anew each time. The answers are computed once.
"""

from __future__ import annotations

import argparse
import os
from itertools import combinations
from pathlib import Path

import numpy as np

from hilum.data.folder import read_dataset
from hilum.judge.drift import AnswerCounts, count_answers, measure_drift
from hilum.run.answer import Answer
from hilum.run.classifier import Classifier, judge_films
from hilum.run.modelfile import read_model_file

FILMS, MOST = 100, 600
Judged = dict[str, np.ndarray]


def judged(cache: Path, model: Path) -> Judged:
    """Return probabilities, sizes of sets, what is counted of the films, and their source; computed once."""
    if not cache.exists():
        dataset = read_dataset(Path(os.environ["HILUM_DATA"]) / "hospitals" / "manifest.csv")
        rng, chosen = np.random.default_rng(0), []
        for source in sorted({record.source or "" for record in dataset.records}):
            records = [record for record in dataset.records if record.source == source]
            chosen += [records[place] for place in rng.permutation(len(records))[:MOST]]
        answers = judge_films(Classifier(model), (dataset.root / record.path for record in chosen))
        kept = [(one, record.source) for one, record in zip(answers, chosen, strict=True) if isinstance(one, Answer)]
        np.savez(
            cache,
            probabilities=np.array([list(one.probabilities.values()) for one, _ in kept]),
            set_sizes=np.array([len(one.set) for one, _ in kept]),
            accepted=np.array([one.accepted for one, _ in kept]),
            outlier_scores=np.array([one.outlier_score for one, _ in kept], np.float64),
            exposures=np.array([one.exposure for one, _ in kept], np.float64),
            source=np.array([source for _, source in kept]),
        )
    return dict(np.load(cache))


def counted(films: Judged, places: np.ndarray, findings: tuple[str, ...]) -> AnswerCounts:
    traits = {name: films[name][places].tolist() for name in ("outlier_scores", "exposures")}
    answers = (films[name][places] for name in ("probabilities", "set_sizes", "accepted"))
    return count_answers(*answers, findings, **traits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=Path("chest"))
    parser.add_argument("--draws", type=int, default=100)
    arguments = parser.parse_args()
    films, findings = judged(arguments.cache, arguments.model), read_model_file(arguments.model).metadata.findings
    rng = np.random.default_rng(0)
    places = {name: np.flatnonzero(films["source"] == name) for name in np.unique(films["source"])}
    large = {name: one for name, one in places.items() if len(one) >= 2 * FILMS}

    def found(first: np.ndarray, second: np.ndarray | None = None) -> int:
        """Return how many draws are called different."""
        alarms = 0
        for draw in range(arguments.draws):
            some = rng.permutation(first)
            other = some[FILMS:] if second is None else rng.permutation(second)
            sides = [counted(films, one[:FILMS], findings) for one in (some, other)]
            alarms += bool(measure_drift(*sides, seed=draw).is_different)
        return alarms

    for name, one in large.items():
        print(f"{name:14} two halves: {found(one)} of {arguments.draws} different", flush=True)
    for name, other in combinations(large, 2):
        print(f"{name:14} {other:14} {found(large[name], large[other])} of {arguments.draws} different", flush=True)


if __name__ == "__main__":
    main()
