"""`hilum study backbones`: what networks of different kinds, sizes and starts reach, and what they cost.

Every network is cross-fitted on the same folds: frozen (a head on ImageNet features), fine-tuned from ImageNet, and
from random weights. Weights that are not on this computer are not fetched: such a row says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from hilum.console import Console, count_of
from hilum.errors import ConfigError, HilumError
from hilum.film.preprocess import Preprocessing
from hilum.judge.study.backbone_verdict import choose_backbone, mark_frontier, may_be_chosen
from hilum.judge.study.changes import change_of
from hilum.judge.study.faults import study_faults
from hilum.report.study_backbones import backbone_page
from hilum.run.engine import Engine
from hilum.run.modelfile import Metadata, read_model_file
from hilum.train.backbones import weights_at_hand
from hilum.train.config import RunConfig, default_config
from hilum.train.networks import build_network
from hilum.train.prepared import PreparedFilms, prepare_films
from hilum.train.seal import seal
from hilum.train.study.common import Study, prepare_outside
from hilum.train.study.settings import StudySettings, chosen_names
from hilum.train.study.variants import VariantAnswers, cross_variant

__all__ = ["study_backbones"]

_BACKBONES = ("plain-cnn", "efficientnet-lite0", "MobileNetV2", "DenseNet121")
_SIZES_PX = (160, 224, 320)
_SCRATCH_RATE = 1e-3
_FINE_TUNING_RATE = 1e-4
_EPOCHS = {"fine-tuned": 6, "from scratch": 30}
_TIMED_FILMS = 24
_CHECKED_FILMS = 4


@dataclass(frozen=True)
class _Way:
    """One network to judge."""

    backbone: str
    size_px: int
    start: str

    @property
    def name(self) -> str:
        return f"{self.backbone}-{self.size_px}-{self.start.replace(' ', '-')}"

    @property
    def title(self) -> str:
        return f"{self.backbone} at {self.size_px} px, {self.start}"

    @property
    def pretrained(self) -> bool:
        return self.start != "from scratch"


def study_backbones(
    data: Path,
    out: Path,
    settings: StudySettings,
    *,
    external: Path | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> dict[str, Any]:
    """Compare networks, and leave study.json and report.html in a folder.

    Args:
        data: The data set; its test part has no part in this.
        out: The study's folder; an unfinished study of the same films and settings is gone on with.
        settings: How thoroughly it looks; ``only`` names starts (frozen, fine-tuned, from scratch).
        external: Films of other sources.
        overwrite: Whether an earlier study is replaced.
        console: Where messages and progress go.

    Returns:
        What study.json holds.

    Raises:
        InputError: The films or the folder cannot be used.
        ConfigError: A name or number is not known or out of range.
    """
    starts = chosen_names(settings.only, "backbones")
    sizes, backbones = settings.sizes_px or _SIZES_PX, settings.backbones or _BACKBONES
    study = Study("backbones", data, out, settings, external=external, overwrite=overwrite, console=console)
    console = study.console
    ways = [_Way(*one) for one in _ways(backbones, sizes, starts)]
    rows: list[dict[str, Any]] = []
    answers: dict[str, VariantAnswers] = {}
    opened = False
    with console.bar(f"Training {count_of(len(ways), 'network')}", len(ways)) as done:
        for size_px in sizes:
            preprocessing = Preprocessing(size_px=size_px)
            prepared = prepare_films(data, preprocessing, console=console)
            outside = prepare_outside(external, prepared, preprocessing, console=console) if external else None
            if not opened:
                study.open(prepared, outside, {"ways": [way.name for way in ways]})
                opened = True
            for way in (one for one in ways if one.size_px == size_px):
                row: dict[str, Any] = {
                    "name": way.name,
                    "backbone": way.backbone,
                    "size_px": size_px,
                    "start": way.start,
                }
                try:
                    if way.pretrained and not weights_at_hand(way.backbone):
                        raise ConfigError(f"The ImageNet weights of {way.backbone} are not on this computer.")
                    one = cross_variant(study, prepared, outside, _config(way, settings), "networks", way.name)
                    cost = study.remembered(
                        lambda way=way, prepared=prepared: _cost(way, prepared, study.work),  # type: ignore[misc]
                        "cost",
                        f"{way.backbone}-{size_px}",
                    )
                    answers[way.name] = one
                    row |= {**one.figures(prepared.findings, outside), **cost, "reason": ""}
                except HilumError as error:
                    row["reason"] = error.message
                    console.say(f"{way.name}: {error.message}")
                rows.append(row)
                done(1)
    mark_frontier(rows)
    judged = [row for row in rows if not row["reason"]]
    if not judged:
        raise ConfigError("None of the networks could be trained.", fix=f"The first because: {rows[0]['reason']}")
    best = answers[max([row for row in judged if may_be_chosen(row)] or judged, key=_leading)["name"]]
    for row in judged:
        one = answers[row["name"]]
        first, second = (best.probabilities, one.probabilities)
        row["against_best"] = None if one is best else change_of(one.truth, first, second, one.groups)
        row["against_best_external"] = None
        if outside is not None and best.outside is not None and one.outside is not None and one is not best:
            row["against_best_external"] = change_of(outside.films.labels, best.outside, one.outside, outside.groups)
    figures = {
        **study.facts(prepared, outside),
        "networks": rows,
        "faults": study_faults(
            judged, {name: one.probabilities for name, one in answers.items()}, {one.name: one.title for one in ways}
        ),
        "remarks": [
            "Frozen: a logistic regression on ImageNet features. Fine-tuned: the upper three fifths of the layers "
            f"follow, the last epoch is kept. Epochs: {_epochs_words(settings)}.",
            "Milliseconds of one core a film are the sealed file's in the runtime, preprocessing not counted.",
            "Settings are the same for all networks and not tuned for any: a network that another setting would suit "
            "better is judged too low.",
        ],
        "verdict": choose_backbone(rows, external=outside is not None),
    }
    study.finish(figures, backbone_page(figures))
    return figures


def _ways(
    backbones: tuple[str, ...], sizes: tuple[int, ...], starts: tuple[str, ...]
) -> Iterator[tuple[str, int, str]]:
    for size_px in sizes:
        for backbone in backbones:
            for start in starts:
                if start == "from scratch" or backbone != "plain-cnn":
                    yield backbone, size_px, start


def _config(way: _Way, settings: StudySettings) -> RunConfig:
    config = default_config("efficientnet-lite0")
    epochs = 0 if way.start == "frozen" else settings.epochs if settings.epochs is not None else _EPOCHS[way.start]
    rate = _SCRATCH_RATE if way.start == "from scratch" else _FINE_TUNING_RATE
    fit = replace(config.fit, epochs=epochs, learning_rate=rate, patience=max(epochs, 1), keep="last")
    if not way.pretrained:
        fit = replace(fit, keep="best", trainable_fraction=1.0)
    return replace(
        config,
        backbone=way.backbone,
        weights="imagenet" if way.pretrained else "none",
        preprocessing=Preprocessing(size_px=way.size_px),
        fit=fit,
    )


def _cost(way: _Way, prepared: PreparedFilms, folder: Path) -> dict[str, Any]:
    """Return the size of the model file, and the time of one core that a film takes in the runtime."""
    keras.backend.clear_session()
    network = build_network(
        way.backbone, num_findings=len(prepared.findings), size_px=way.size_px, weights="none", dropout=0.0
    )
    films = prepared.films.batch(np.arange(min(_TIMED_FILMS, len(prepared.films)))).transpose(0, 3, 1, 2)
    path = folder / "timed.onnx"
    metadata = Metadata("timed", prepared.findings, Preprocessing(size_px=way.size_px))
    seal(network, films[:_CHECKED_FILMS], metadata, path)
    engine = Engine(read_model_file(path), num_threads=1)
    seconds = []
    for film in films:
        began = time.process_time()
        engine.run(film[np.newaxis])
        seconds.append(time.process_time() - began)
    megabytes = path.stat().st_size / 1e6
    path.unlink()
    return {"megabytes": megabytes, "milliseconds": 1000 * float(np.median(seconds))}


def _leading(row: dict[str, Any]) -> float:
    part = row["external"] or row["in_house"]
    return float(part["auroc"]["value"] or 0.0)


def _epochs_words(settings: StudySettings) -> str:
    if settings.epochs is not None:
        return f"{settings.epochs} for both"
    return f"{_EPOCHS['fine-tuned']} fine-tuned, {_EPOCHS['from scratch']} from scratch"
