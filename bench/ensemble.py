"""An ensemble in one file against its members one after the other: the same answers, and how much faster.

    python bench/ensemble.py --model ENSEMBLE/model.onnx --member RUN-0/model.onnx --member RUN-1/model.onnx ... FOLDER

For an ensemble made with --method average and without --mirror, its members named in its own order. Prints how far its
answers are from the mean of the members' answers worked out by hand, how far each member inside the graph is from the
member alone (members of another size_px get their films reduced inside the graph), and films a second of both.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from hilum.data.walk import film_paths
from hilum.run.answer import Answer, softmax
from hilum.run.classifier import Classifier, judge_films


def probabilities(classifier: Classifier, paths: list[Path]) -> tuple[np.ndarray, np.ndarray, float]:
    """Return probabilities (n, K), before and after the file's own temperature, and the seconds it took."""
    start = time.perf_counter()
    answers = list(judge_films(classifier, paths))
    seconds = time.perf_counter() - start
    if not all(isinstance(answer, Answer) for answer in answers):
        raise SystemExit("A film cannot be read; take it out.")
    logits = np.array([answer.logits for answer in answers])
    return softmax(logits), softmax(logits, classifier.metadata.temperature), seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="the ensemble's model.onnx")
    parser.add_argument("--member", type=Path, action="append", required=True, help="a member's model.onnx")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    paths = list(film_paths([options.folder]))
    ensemble, members = Classifier(options.model), [Classifier(path) for path in options.member]

    combined = probabilities(ensemble, paths)[0]  # unmeasured: fills the file cache
    alone = np.array([probabilities(member, paths)[1] for member in members])  # (M, n, K)
    films = (ensemble.preprocess(ensemble.read(path)) for path in paths)
    inside = np.concatenate([ensemble.engine.run(film[np.newaxis]).members for film in films]).transpose(1, 0, 2)
    print(f"{len(paths)} films, {len(members)} members\n")
    print("| member | size_px | largest difference | mean | other answers |\n|---|---|---|---|---|")
    for path, member, one, other in zip(options.member, members, alone, inside, strict=True):
        apart, changed = np.abs(one - other), int((one.argmax(axis=1) != other.argmax(axis=1)).sum())
        size = member.metadata.preprocessing.size_px
        print(f"| {path.parent.name} | {size} | {apart.max():.1e} | {apart.mean():.1e} | {changed} |")
    by_hand = np.abs(alone.mean(axis=0) - combined).max()
    print(f"| the mean of the members | | {by_hand:.1e} | | |\n")

    rows = []
    for repeat in range(options.repeats):
        turns = [lambda: probabilities(ensemble, paths)[2], lambda: sum(probabilities(m, paths)[2] for m in members)]
        order = (0, 1) if repeat % 2 == 0 else (1, 0)
        seconds = {which: turns[which]() for which in order}
        rows.append((seconds[0], seconds[1]))
    one, many = (statistics.median(row[which] for row in rows) for which in (0, 1))
    ratios = sorted(row[1] / row[0] for row in rows)
    print(
        f"Films a second: in one file {len(paths) / one:.1f}, one after the other {len(paths) / many:.1f}; "
        f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
    )


if __name__ == "__main__":
    main()
