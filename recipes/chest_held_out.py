"""What the chest model's recipe is worth at hospitals that it never saw: training without each hospital in turn.

    HILUM_DATA=... python recipes/chest_held_out.py --films DIR/chest.csv --out DIR/held [--held HOSPITAL] [--seed N]

Sources of the same hospitals are held out together (column `hospital` of the manifest). Every model is trained with
the augmentation and sampling of chest.toml, but from ImageNet (the start of the shipped model knows all hospitals), at
128 px for --epochs epochs. What it says of all films is kept in DIR/held; what is finished is not repeated.
chest_held_figures.py prints the figures.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
from pathlib import Path

import numpy as np

from hilum.console import TerminalConsole
from hilum.film.preprocess import Preprocessing
from hilum.train.batches import Films
from hilum.train.config import RunConfig
from hilum.train.config_file import read_config
from hilum.train.features import pooled_features
from hilum.train.fit import TrainingFilms
from hilum.train.networks import Network
from hilum.train.prepared import PreparedFilms, draw_validation, prepare_films
from hilum.train.trial import fit_network

HELD = ("bimcv", "nih", "ieee8023", "chowdhury-tb", "montgomery+shenzhen", "kermany")
CONFIG = read_config(Path(__file__).parent / "chest.toml")
LEARNING_RATE = 3e-4


def hospitals_of(films: Path) -> dict[str, str]:
    """Return the hospital of each film of the manifest, by its path."""
    with films.open(encoding="utf-8", newline="") as lines:
        return {row["path"]: row["hospital"] for row in csv.DictReader(lines)}


def train_without(
    prepared: PreparedFilms, held: np.ndarray, sources: set[str], config: RunConfig, checkpoint: Path
) -> tuple[Network, np.ndarray, np.ndarray]:
    """Return a network that saw no film held out (n,) bool, the films it learned from, and those it validated on."""
    test = np.array([record.split == "test" for record in prepared.records])
    rest = ~held & ~test & ~np.isin(prepared.scan.groups, prepared.scan.groups[held])
    validating = draw_validation(prepared, np.flatnonzero(rest), fraction=0.1, seed=config.seed)
    training = TrainingFilms(
        prepared.training(rest & ~validating, without_sources=sources),
        prepared.films.subset(np.flatnonzero(validating)),
    )
    network, _ = fit_network(training, config, num_findings=len(prepared.findings), checkpoint=checkpoint)
    return network, rest & ~validating, validating


def answers(network: Network, films: Films) -> dict[str, np.ndarray]:
    """Return features and logits of films; the head's last layer makes the logits of the features."""
    features = pooled_features(network, films.pixels)[0]  # (n, D)
    logits = network.head.get_layer("logits")(features)
    return {"features": features.astype(np.float16), "logits": np.asarray(logits)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=Path, required=True, help="the manifest of chest_films.py")
    parser.add_argument("--out", type=Path, required=True, help="where answers and checkpoints go")
    parser.add_argument("--held", action="append", help="a hospital; several with + are held out together")
    parser.add_argument("--seed", action="append", type=int, help="one or more: a model for each (default: 0)")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--size", type=int, default=128, help="pixels")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    prepared = prepare_films(
        options.films, Preprocessing(size_px=options.size), with_lungs=True, console=TerminalConsole()
    )
    by_path = hospitals_of(options.films)
    root = prepared.scan.dataset.root
    hospital = np.array([by_path[str(root / record.path)] for record in prepared.records])
    left_open = np.array([by_path[str(root / record.path)] for record in prepared.ambiguous.records])
    for seed in options.seed or [0]:
        config = dataclasses.replace(
            CONFIG,
            backbone="efficientnet-lite0",
            weights="imagenet",
            seed=seed,
            preprocessing=Preprocessing(size_px=options.size),
            fit=dataclasses.replace(CONFIG.fit, epochs=options.epochs, learning_rate=LEARNING_RATE),
        )
        for name in options.held or HELD:
            kept = options.out / f"{name} - {seed}.npz"
            if kept.exists():
                continue
            held = np.isin(hospital, name.split("+"))
            sources = {
                r.source for r, h in zip(prepared.ambiguous.records, left_open, strict=True) if h in name.split("+")
            }
            network, learned, validating = train_without(
                prepared, held, sources, config, kept.with_suffix(".checkpoint")
            )
            opened = {f"open_{key}": value for key, value in answers(network, prepared.ambiguous_films).items()}
            np.savez(
                kept.with_suffix(".partial.npz"),
                findings=np.array(prepared.findings),
                learned=learned,
                validating=validating,
                held=held,
                labels=prepared.films.labels,
                groups=prepared.scan.groups,
                hospital=hospital,
                source=np.array([record.source for record in prepared.records]),
                open_hospital=left_open,
                open_source=np.array([record.source for record in prepared.ambiguous.records]),
                open_kinds=np.array(["|".join(kinds) for kinds in prepared.ambiguous.kinds]),
                **answers(network, prepared.films),
                **opened,
            )
            kept.with_suffix(".partial.npz").replace(kept)
            kept.with_suffix(".checkpoint").unlink(missing_ok=True)
            print(f"{kept} is written.", flush=True)


if __name__ == "__main__":
    main()
