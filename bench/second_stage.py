"""What training the backbone brings, and what fitting the head again on the trained features would bring.

Grouped cross-validation of a data set without its test part: every fold is judged by the head on frozen features, by
the trained backbone, and by a head that is fitted again on the trained features. With --elsewhere the same networks
judge films of other sources with the same findings.

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
from hilum.judge.calibrate import softmax
from hilum.train.batches import Films
from hilum.train.config import RunConfig, read_config
from hilum.train.features import pooled_features
from hilum.train.feed import FilmWeights
from hilum.train.fit import TrainingFilms, compute_logits
from hilum.train.head import fit_head, levelled_losses
from hilum.train.networks import Network
from hilum.train.prepared import draw_validation, prepare_films
from hilum.train.trial import draw_folds, fit_network

STAGES = ("head", "trained", "fitted again", "as kept")


def fit_again(network: Network, films: TrainingFilms, config: RunConfig) -> None:
    """Fit the head on the network's features of films as they are and mirrored."""
    train, held = films.train, films.validation
    weights = FilmWeights.of(train, config, network.head.output_shape[-1])
    taught = pooled_features(network, train.pixels, mirrored=True)  # (2, N, D)
    of_held = weights.by_finding[held.labels]
    head = fit_head(
        taught.reshape(-1, taught.shape[-1]),
        np.tile(train.labels, 2),
        np.tile(weights.in_head(), 2) / 2,
        pooled_features(network, held.pixels)[0],
        lambda logits: float(levelled_losses(logits, held.labels, of_held).mean()),
    )
    network.head.get_layer("logits").set_weights([head.kernel, head.intercepts])


def auroc(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the AUROC of each finding against the rest, averaged."""
    shown = softmax(logits)
    return float(np.mean([roc_auc_score(labels == k, shown[:, k]) for k in np.unique(labels)]))


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
    answers: dict[str, list[np.ndarray]] = {stage: [] for stage in STAGES}
    outside: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for fold in range(given.only or given.folds):
        rest = np.flatnonzero((folds >= 0) & (folds != fold))
        validating = draw_validation(prepared, rest, fraction=config.data.validation_fraction, seed=fold + 1)
        chosen = (folds >= 0) & (folds != fold) & ~validating
        films = TrainingFilms(prepared.training(chosen), prepared.films.subset(np.flatnonzero(validating)))
        held = prepared.films.subset(np.flatnonzero(folds == fold))
        truth.append(held.labels)
        losses: dict[str, float] = {}
        for stage in STAGES[:3]:
            if stage != "fitted again":
                fit = replace(config.fit, keep="last", **({"epochs": 0} if stage == "head" else {}))
                with tempfile.TemporaryDirectory() as work:
                    network, history = fit_network(
                        films,
                        replace(config, fit=fit, seed=fold + 1),
                        num_findings=len(prepared.findings),
                        checkpoint=Path(work) / "network.npz",
                    )
                losses[stage] = history[-1]["validation_loss"]
            else:
                fit_again(network, films, config)
            answers[stage].append(compute_logits(network.model, held))
            if others is not None:
                outside[stage].append(auroc(compute_logits(network.model, others), others.labels))
        best = min(losses, key=losses.__getitem__)
        answers["as kept"].append(answers[best][-1])
        outside["as kept"] += outside[best][-1:]
        print(f"fold {fold + 1}: validation losses {losses}, kept: {best}", flush=True)
    labels = np.concatenate(truth)
    for stage in STAGES:
        logits = np.concatenate(answers[stage])
        right, shown = int((logits.argmax(axis=1) == labels).sum()), logits.argmax(axis=1)
        print(
            f"{stage}: {right} of {len(labels)} right, macro-F1 {f1_score(labels, shown, average='macro'):.3f}, AUROC "
            f"{auroc(logits, labels):.4f}"
            + (f", elsewhere {np.mean(outside[stage]):.3f}" if others is not None else "")
        )


if __name__ == "__main__":
    main()
