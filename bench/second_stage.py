"""What training the backbone brings: the fitted head on frozen features, the trained network, and weights between them.

Grouped cross-validation of a data set without its test part. *Halfway* is the mean of the weights before and after the
training. Of all stages, and of the first and the last, the one with the lowest validation loss is judged too. With
--elsewhere the same networks judge films of other sources with the same findings.

    python bench/second_stage.py "$HILUM_DATA"/four-class --folds 5
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.metrics import f1_score, roc_auc_score

from hilum.console import Console
from hilum.data.folder import read_dataset
from hilum.data.scan import typical_side
from hilum.judge.intervals import Interval, grouped_mean
from hilum.judge.paired import accuracy_difference
from hilum.run.answer import softmax
from hilum.train.batches import Films
from hilum.train.config_file import read_config
from hilum.train.feed import FilmWeights
from hilum.train.fit import TrainingFilms
from hilum.train.head import levelled_losses
from hilum.train.networks import compute_logits
from hilum.train.prepared import draw_validation, prepare_films
from hilum.train.trial import draw_folds, fit_network

SHARES = {"head": 0.0, "halfway": 0.5, "three quarters": 0.75, "trained": 1.0}  # of the way from the head
CHOICES = {"best of head and trained": ("head", "trained"), "best of all": tuple(SHARES)}


def loss_of(logits: np.ndarray, films: Films, weights: FilmWeights) -> float:
    """Return the validation films' loss, by which stages are compared."""
    of_films = weights.by_finding[films.labels]
    return float(np.average(levelled_losses(logits, films.labels, of_films), weights=of_films))


def auroc(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the AUROC of each finding against the rest, averaged."""
    shown = softmax(logits)
    return float(np.mean([roc_auc_score(labels == k, shown[:, k]) for k in np.unique(labels)]))


def interval_words(found: Interval) -> str:
    """Return a difference with its 95 % interval."""
    return f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--only", type=int, help="judge so many of the folds")
    parser.add_argument("--elsewhere", type=Path)
    parser.add_argument("--set", dest="words", action="append", default=[], metavar="SECTION.KEY=VALUE")
    given = parser.parse_args()
    config = read_config(None, None, given.words, film_px=lambda: typical_side(read_dataset(given.data)))
    prepared = prepare_films(given.data, config.preprocessing, console=Console())
    folds = draw_folds(prepared, num_folds=given.folds, seed=0)
    others: Films | None = None
    if given.elsewhere:
        found = prepare_films(given.elsewhere, config.preprocessing, console=Console())
        others = found.films.relabelled([found.findings.index(name) for name in prepared.findings])
    truth: list[np.ndarray] = []
    groups: list[np.ndarray] = []
    answers: dict[str, list[np.ndarray]] = {stage: [] for stage in (*SHARES, *CHOICES)}
    outside: dict[str, list[float]] = {stage: [] for stage in (*SHARES, *CHOICES)}
    for fold in range(given.only or given.folds):
        rest = np.flatnonzero((folds >= 0) & (folds != fold))
        validating = draw_validation(prepared, rest, fraction=config.data.validation_fraction, seed=fold + 1)
        chosen = (folds >= 0) & (folds != fold) & ~validating
        films = TrainingFilms(prepared.training(chosen), prepared.films.subset(np.flatnonzero(validating)))
        held = prepared.films.subset(np.flatnonzero(folds == fold))
        truth.append(held.labels)
        groups.append(prepared.scan.groups[folds == fold])
        ends = []
        for epochs in (0, config.fit.epochs):
            with tempfile.TemporaryDirectory() as work:
                network, _ = fit_network(
                    films,
                    replace(config, fit=replace(config.fit, keep="last", epochs=epochs), seed=fold + 1),
                    num_findings=len(prepared.findings),
                    checkpoint=Path(work) / "network.npz",
                )
            ends.append(network.model.get_weights())
        losses: dict[str, float] = {}
        for stage, share in SHARES.items():
            network.model.set_weights([(1 - share) * one + share * two for one, two in zip(*ends, strict=True)])
            answers[stage].append(compute_logits(network.model, held))
            if others is not None:
                outside[stage].append(auroc(compute_logits(network.model, others), others.labels))
            weights = FilmWeights.of(films.train, config, len(prepared.findings))
            losses[stage] = loss_of(compute_logits(network.model, films.validation), films.validation, weights)
        for choice, stages in CHOICES.items():
            best = min(stages, key=losses.__getitem__)
            answers[choice].append(answers[best][-1])
            outside[choice] += outside[best][-1:]
        print(f"fold {fold + 1}: validation losses {losses}", flush=True)
    labels, of_groups = np.concatenate(truth), np.concatenate(groups)
    every = np.ones(len(labels))
    first = np.concatenate(answers["head"])
    for stage in (*SHARES, *CHOICES):
        logits = np.concatenate(answers[stage])
        shown = logits.argmax(axis=1)
        right = accuracy_difference(first.argmax(axis=1) == labels, shown == labels, of_groups)
        losses_of = [levelled_losses(one, labels, every) for one in (first, logits)]
        lower = grouped_mean(losses_of[0] - losses_of[1], of_groups, limits=(-np.inf, np.inf))
        print(
            f"{stage}: {int((shown == labels).sum())} of {len(labels)} right, macro-F1 "
            f"{f1_score(labels, shown, average='macro'):.3f}, AUROC {auroc(logits, labels):.4f}, loss "
            f"{losses_of[1].mean():.3f}; against the head: accuracy {interval_words(right)}, loss lower by "
            f"{interval_words(lower)}"
            + (f"; elsewhere AUROC {np.mean(outside[stage]):.3f}" if others is not None else "")
        )


if __name__ == "__main__":
    main()
