"""`hilum study augmentation`: which random changes of training films help, here and on films of other sources.

Every policy trains networks from the same first weights on the same folds. A pretrained network is fine-tuned for a few
epochs, and the weights of the last one are kept: what `hilum train` would keep is often the first stage, which hardly
any policy touches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hilum.console import Console, count_of
from hilum.errors import ConfigError
from hilum.judge.study.augmentation_verdict import choose_policy, flip_words
from hilum.judge.study.changes import change_of
from hilum.judge.study.faults import study_faults
from hilum.report.study_augmentation import augmentation_page
from hilum.train.batches import Films, epoch_batches
from hilum.train.config import RunConfig, default_config
from hilum.train.policies import mixed_batches
from hilum.train.prepared import prepare_films
from hilum.train.study.common import OutsideFilms, Study, prepare_outside
from hilum.train.study.policy_variants import POLICY_VARIANTS
from hilum.train.study.settings import StudySettings, chosen_names
from hilum.train.study.variants import VariantAnswers, cross_variant

__all__ = ["study_augmentation"]

_BACKBONES = ("plain-cnn", "efficientnet-lite0")
_FULL = "full"
_FINE_TUNING_RATE = 1e-4
_SHOWN = 5


def study_augmentation(
    data: Path,
    out: Path,
    settings: StudySettings,
    *,
    external: Path | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> dict[str, Any]:
    """Compare augmentation policies, and leave study.json and report.html in a folder.

    Args:
        data: The data set; its test part has no part in this.
        out: The study's folder; an unfinished study of the same films and settings is gone on with.
        settings: How thoroughly it looks.
        external: Films of other sources.
        overwrite: Whether an earlier study is replaced.
        console: Where messages and progress go.

    Returns:
        What study.json holds.

    Raises:
        InputError: The films or the folder cannot be used.
        ConfigError: A policy, backbone or number is not known or out of range.
    """
    names = chosen_names(settings.only, "augmentation")
    kept = {"none", *(_default_name(backbone) for backbone in settings.backbones or _BACKBONES)}
    names = tuple(one.name for one in POLICY_VARIANTS if one.name in names or one.name in kept)
    study = Study("augmentation", data, out, settings, external=external, overwrite=overwrite, console=console)
    configs = [_config(name, settings) for name in settings.backbones or _BACKBONES]
    console = study.console
    parts: dict[str, Any] = {}
    examples: dict[str, list[np.ndarray]] = {}
    opened = False
    for config in configs:
        prepared = prepare_films(data, config.preprocessing, console=console)
        outside = prepare_outside(external, prepared, config.preprocessing, console=console) if external else None
        if not opened:
            plan = {"policies": names, "backbones": [str(one) for one in configs]}
            study.open(prepared, outside, plan)
            opened = True
        answers: dict[str, VariantAnswers] = {}
        with console.bar(f"Training {config.backbone} with {len(names)} policies", len(names)) as done:
            for variant in POLICY_VARIANTS:
                if variant.name in names:
                    chosen = replace(config, augmentation=variant.augmentation)
                    answers[variant.name] = cross_variant(
                        study, prepared, outside, chosen, "policies", config.backbone, variant.name
                    )
                    done(1)
        parts[config.backbone] = _part(config, answers, prepared.findings, outside)
        examples = _examples(prepared.films, names)
    words = " ".join(part["verdict"]["words"] for part in parts.values())
    figures = {
        **study.facts(prepared, outside),
        "backbones": parts,
        "faults": [f"{name}: {fault}" for name, part in parts.items() for fault in part.pop("faults")],
        "remarks": [
            "The same first weights, folds and order of films for every policy; only the changes differ.",
            "Of a pretrained network the last epoch is kept, without a look at validation films.",
            "RandAugment and AugMix are drawn from this project's changes, MixUp, CutMix and RandomErasing are Keras' "
            "layers.",
        ],
        "verdict": {"words": words, "policies": {name: part["verdict"]["policy"] for name, part in parts.items()}},
    }
    study.finish(figures, augmentation_page(figures, examples))
    return figures


def _default_name(backbone: str) -> str:
    usual = default_config(backbone).augmentation
    return next(one.name for one in POLICY_VARIANTS if one.augmentation == usual)


def _config(backbone: str, settings: StudySettings) -> RunConfig:
    config = default_config(backbone)
    size_px = settings.sizes_px[0] if settings.sizes_px else config.preprocessing.size_px
    if len(settings.sizes_px) > 1:
        raise ConfigError("`study augmentation` takes one --size-px.", fix="Keep one of them.")
    fit = config.fit
    if config.weights == "imagenet":
        fit = replace(fit, keep="last", learning_rate=_FINE_TUNING_RATE, patience=fit.epochs)
    if settings.epochs is not None:
        fit = replace(fit, epochs=settings.epochs, patience=max(settings.epochs, 1))
    return replace(config, fit=fit, preprocessing=replace(config.preprocessing, size_px=size_px))


def _part(
    config: RunConfig, answers: dict[str, VariantAnswers], findings: tuple[str, ...], outside: OutsideFilms | None
) -> dict[str, Any]:
    rows, default = [], _default_name(config.backbone)
    for variant in POLICY_VARIANTS:
        if variant.name in answers:
            one = answers[variant.name]
            rows.append(
                {
                    "name": variant.name,
                    "title": variant.title,
                    "words": variant.words,
                    **one.figures(findings, outside),
                    "against_none": _changes(answers["none"], one, outside),
                    "against_default": _changes(answers[default], one, outside),
                }
            )
    verdict = choose_policy(config.backbone, rows, default)
    if {"no-flip", _FULL} <= set(answers):
        flip = _changes(answers["no-flip"], answers[_FULL], outside)
        told = [flip_words(flip["in_house"], "here")]
        if flip["external"]:
            told.append(flip_words(flip["external"], "on other sources"))
        verdict = {**verdict, "flip": flip, "words": " ".join((verdict["words"], *told))}
    start = "from ImageNet" if config.weights == "imagenet" else "from random weights"
    return {
        "how": f"{config.backbone} {start} at {config.preprocessing.size_px} px, "
        f"{count_of(config.fit.epochs, 'epoch')}, learning rate {config.fit.learning_rate:g}.",
        "policies": rows,
        "faults": study_faults(
            rows,
            {name: one.probabilities for name, one in answers.items()},
            {variant.name: variant.title for variant in POLICY_VARIANTS},
        ),
        "verdict": verdict,
    }


def _changes(first: VariantAnswers, second: VariantAnswers, outside: OutsideFilms | None) -> dict[str, Any]:
    if first is second:
        return {"in_house": None, "external": None}
    told: dict[str, Any] = {
        "in_house": change_of(first.truth, first.probabilities, second.probabilities, first.groups),
        "external": None,
    }
    if outside is not None and first.outside is not None and second.outside is not None:
        told["external"] = change_of(outside.films.labels, first.outside, second.outside, outside.groups)
    return told


def _examples(films: Films, names: Sequence[str]) -> dict[str, list[np.ndarray]]:
    """Return by title how each policy changes the first few films."""
    places = np.linspace(0, len(films) - 1, _SHOWN).astype(int)
    some = films.subset(places)
    targets = some.targets(int(films.labels.max()) + 1).astype(np.float32)
    examples = {}
    for variant in POLICY_VARIANTS:
        if variant.name in names:
            batches = epoch_batches(some, variant.augmentation, batch_size=_SHOWN, seed=0, epoch=0)
            known = ((shown, targets[positions]) for shown, positions, _ in batches)
            mixed = mixed_batches(known, variant.augmentation, seed=0, epoch=0)
            examples[variant.title] = [film[..., 0] for batch, _ in mixed for film in batch]
    return examples
