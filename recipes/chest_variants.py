"""Which way of training holds on a source that was left out: the variants of the chest model's recipe, one by one.

    HILUM_DATA=... python recipes/chest_variants.py --films DIR/chest.csv --out DIR/variants --seed 0 --seed 1 --seed 2

Every variant is trained at 128 px without each source in turn (its twins and patients left out too), three epochs, and
asked about all films of that source. Where films are drawn by source, the last layer's constants are taken in three
ways: set right on the validation films; halfway, as a model ships; and as trained. What is finished is not repeated.
Six minutes of one core for each.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import json
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from sklearn.metrics import roc_auc_score

from hilum.console import TerminalConsole
from hilum.film.preprocess import Preprocessing
from hilum.judge.calibrate import fit_temperature
from hilum.run.answer import softmax
from hilum.train.config import RunConfig, read_config
from hilum.train.fit import TrainingFilms, compute_logits
from hilum.train.head import prior_shift
from hilum.train.prepared import PreparedFilms, draw_validation, prepare_films
from hilum.train.trial import fit_network

SIZE_PX, EPOCHS = 128, 3
CHEST = read_config(Path(__file__).parent / "chest_first.toml")
CONSTANTS = {"set right": 1.0, "halfway": 0.5, "as trained": 0.0}  # the share of the shift that is made
SHIPS = "halfway"
NO_VIEWS = {"lungs_only_probability": 0.0, "lungs_hidden_probability": 0.0}


def _config(*, fit: dict[str, Any] | None = None, augmentation: dict[str, Any] | None = None) -> RunConfig:
    return dataclasses.replace(
        CHEST,
        preprocessing=Preprocessing(size_px=SIZE_PX),
        fit=dataclasses.replace(CHEST.fit, **{"epochs": EPOCHS, **(fit or {})}),
        augmentation=dataclasses.replace(CHEST.augmentation, **(augmentation or {})),
    )


VARIANTS = {
    "chest": _config(),
    "no lung views": _config(augmentation=NO_VIEWS),
    "no lung views, no frame": _config(augmentation={**NO_VIEWS, "frame_probability": 0.0}),
    "lungs alone shown more often": _config(
        augmentation={"lungs_only_probability": 0.6, "lungs_hidden_probability": 0.2}
    ),
    "films drawn alike": _config(fit={"sampling": "films"}),
    "no average of weights": _config(fit={"ema_momentum": 0.0}),
    "upper part trained": _config(fit={"trainable_fraction": 0.6}),
    "head alone": _config(fit={"epochs": 0}),
}


def judge(prepared: PreparedFilms, held: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """Return the figures of held-out films (n,) int, most often those of one source."""
    names = list(prepared.findings)
    truth = prepared.films.labels[held]
    probabilities = softmax(logits)
    covid, normal = names.index("Covid-19"), names.index("Normal")
    figures: dict[str, float] = {"n": float(len(truth))}

    def area(positive: np.ndarray, scores: np.ndarray, name: str) -> None:
        if 0 < positive.sum() < len(positive):
            figures[name] = float(roc_auc_score(positive, scores))

    area(truth == covid, probabilities[:, covid], "Covid-19 against the rest")
    two = np.isin(truth, (covid, normal))
    area(truth[two] == covid, (logits[:, covid] - logits[:, normal])[two], "Covid-19 against Normal")
    area(truth != normal, -probabilities[:, normal], "any finding against Normal")
    kinds = [names.index("Viral Pneumonia"), names.index("Bacterial Pneumonia")]
    typed = np.isin(truth, kinds)
    area(truth[typed] == kinds[1], (logits[:, kinds[1]] - logits[:, kinds[0]])[typed], "bacterial against viral")
    origin = np.array([prepared.records[i].source for i in held])
    for first in sorted(set(origin[truth == covid])):  # two hospitals, neither of which the model has seen
        for second in sorted(set(origin[truth == normal]) - {first}):
            pair = ((truth == covid) & (origin == first)) | ((truth == normal) & (origin == second))
            name = f"Covid-19 of {first} against Normal of {second}"
            area(truth[pair] == covid, (logits[:, covid] - logits[:, normal])[pair], name)
    if (truth == normal).any():
        called = probabilities[truth == normal].argmax(axis=1) == covid
        figures["Normal called Covid-19"] = float(called.mean())
    return figures


def judge_constants(
    truth: np.ndarray, logits: np.ndarray, validation: tuple[np.ndarray, np.ndarray], names: tuple[str, ...]
) -> dict[str, float]:
    """Return what the likeliest findings of held-out films (n, K) are worth, every finding weighing the same.

    Args:
        truth: (n,) int.
        logits: (n, K), with some constants.
        validation: Logits and labels of the validation films, with the same constants, for the temperature.
        names: The findings.
    """
    probabilities = softmax(logits, fit_temperature(*validation))
    right, losses = probabilities.argmax(axis=1) == truth, -np.log(probabilities[np.arange(len(truth)), truth])
    shown = np.unique(truth)
    figures = {f"{names[k]} found": float(right[truth == k].mean()) for k in shown}
    figures["balanced accuracy"] = float(np.mean(list(figures.values())))
    figures["balanced cross-entropy"] = float(np.mean([losses[truth == k].mean() for k in shown]))
    if names.index("Normal") in shown:
        called = probabilities[truth == names.index("Normal")].argmax(axis=1) == names.index("Covid-19")
        figures["Normal called Covid-19"] = float(called.mean())
    return figures


def _withhold_shift(shifts: list[np.ndarray], *films: np.ndarray) -> np.ndarray:
    shifts.append(prior_shift(*films))
    return np.zeros_like(shifts[-1])


def _told(figures: dict[str, float]) -> str:
    return ", ".join(f"{key} {value:.3f}" for key, value in figures.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=Path, required=True, help="the manifest of chest_films.py")
    parser.add_argument("--out", type=Path, required=True, help="where figures and checkpoints go")
    parser.add_argument("--variant", action="append", choices=list(VARIANTS))
    parser.add_argument("--held", action="append", help="a source; several with + are held out together")
    parser.add_argument("--seed", action="append", type=int, help="one or more: a run for each (default: 0)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    @functools.cache
    def prepare(preprocessing: Preprocessing) -> PreparedFilms:
        return prepare_films(options.films, preprocessing, with_lungs=True, console=TerminalConsole())

    for name in options.held or ["radiography-db", "ieee8023+figure1", "nih-ozturk", "montgomery+shenzhen", "kermany"]:
        for variant, seed in itertools.product(options.variant or VARIANTS, options.seed or [0]):
            config = VARIANTS[variant]
            kept = options.out / f"{name} - {variant} - {seed}.json"
            if not kept.exists():
                prepared = prepare(config.preprocessing)
                names = prepared.findings
                held = np.isin([record.source for record in prepared.records], name.split("+"))
                test = np.array([record.split == "test" for record in prepared.records])
                rest = ~held & ~test & ~np.isin(prepared.scan.groups, prepared.scan.groups[held])
                validating = draw_validation(prepared, np.flatnonzero(rest), fraction=0.1, seed=seed)
                shifts: list[np.ndarray] = []
                with mock.patch("hilum.train.fit.prior_shift", functools.partial(_withhold_shift, shifts)):
                    network, _ = fit_network(
                        TrainingFilms(
                            prepared.training(rest & ~validating, without_sources=name.split("+")),
                            prepared.films.subset(np.flatnonzero(validating)),
                        ),
                        dataclasses.replace(config, seed=seed),
                        num_findings=len(prepared.findings),
                        checkpoint=kept.with_suffix(".npz"),
                    )
                known, asked = (prepared.films.subset(np.flatnonzero(chosen)) for chosen in (validating, held))
                before, logits = (compute_logits(network.model, films) for films in (known, asked))
                shift = shifts[-1] if shifts else np.zeros(len(names), np.float32)
                found: dict[str, Any] = judge(prepared, np.flatnonzero(held), logits + CONSTANTS[SHIPS] * shift)
                for way, share in CONSTANTS.items() if shifts else ():
                    more = share * shift
                    found[way] = judge_constants(asked.labels, logits + more, (before + more, known.labels), names)
                kept.write_text(json.dumps(found, indent=1), encoding="utf-8")
                kept.with_suffix(".npz").unlink()
            figures = json.loads(kept.read_text(encoding="utf-8"))
            ways = {way: figures.pop(way) for way in CONSTANTS if way in figures}
            num_films = figures.pop("n")
            print(f"without {name} ({num_films:.0f} films), {variant}, seed {seed}: {_told(figures)}", flush=True)
            for way, values in ways.items():
                print(f"  constants {way}: {_told(values)}", flush=True)


if __name__ == "__main__":
    main()
