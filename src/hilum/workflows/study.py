"""`hilum study`: variants of one thing, compared on the same films and folds, with a verdict by rule.

Each kind of study is a function that takes the variants' figures from `Study` and returns what study.json holds, and
pictures for report.html.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from hilum.console import Console, count_of
from hilum.errors import ConfigError, HilumError
from hilum.figures import json_file_text
from hilum.files import replace_file
from hilum.judge.study import flip_words, study_faults
from hilum.judge.study_result import (
    AugmentationResult,
    BackbonesResult,
    NetworkRow,
    PolicyGroup,
    PolicyRow,
    StudyResult,
)
from hilum.judge.study_verdict import (
    AGAIN,
    STAYS,
    choose,
    mark_frontier,
    network_candidate,
    policy_candidate,
    verdict_of,
)
from hilum.report.study import Picture, study_page
from hilum.train.backbones import weights_at_hand
from hilum.train.batches import Films, changed_batch
from hilum.train.config import RunConfig, default_config
from hilum.train.policies import mixed_batch
from hilum.train.study_fit import VariantAnswers
from hilum.train.study_variants import STUDY_FOLDER, StudyRequest, Variant, check_study
from hilum.workflows.study_noise import study_noise
from hilum.workflows.study_run import Study

__all__ = ["run_study"]

_SHOWN = 5  # films after each policy


def run_study(request: StudyRequest, *, console: Console | None = None) -> StudyResult:
    """Compare the variants of a study, and leave study.json and report.html in its folder.

    Args:
        request: What is compared, on which films.
        console: Where messages and progress go.

    Returns:
        What study.json holds.

    Raises:
        InputError: The films or the folder cannot be used.
        ConfigError: A network is not known, or none could be trained.
        MissingExtra: A study of noise needs the extra `study`.
    """
    check_study(request)
    study = Study(request, console or Console())
    compare = {"noise": study_noise, "augmentation": _augmentation, "backbones": _backbones}[request.kind]
    with study.console.bar(f"Comparing {count_of(len(study.variants), 'variant')}", len(study.variants)) as done:
        result, examples = compare(study, done)
    replace_file(request.out / "report.html", study_page(result, examples))
    replace_file(request.out / "study.json", json_file_text(result))
    STUDY_FOLDER.finish(request.out)
    return result


def _train_line(config: RunConfig) -> str:
    """Return the command that trains with settings."""
    usual, words = default_config(config.backbone), [f"--backbone {config.backbone}"]
    if config.weights != usual.weights:
        words.append(f"--weights {config.weights}")
    for section in ("preprocessing", "fit", "augmentation"):
        one, other = getattr(config, section), getattr(usual, section)
        names = [each.name for each in dataclasses.fields(one) if getattr(one, each.name) != getattr(other, each.name)]
        words += [f"--set {section}.{name}={getattr(one, name)}" for name in names]
    return f"Train with it: hilum train DATA --out RUN {' '.join(words)}"


def _augmentation(study: Study, done: Callable[[float], None]) -> tuple[StudyResult, list[Picture]]:
    groups: dict[str, PolicyGroup] = {}
    faults: list[str] = []
    examples: list[Picture] = []
    for backbone in dict.fromkeys(variant.config.backbone for variant in study.variants):
        variants = [variant for variant in study.variants if variant.config.backbone == backbone]
        answers = {}
        for variant in variants:
            answers[variant.name] = study.answers(variant)
            done(1)
        groups[backbone] = _policy_group(study, variants, answers)
        faults += [f"{backbone}: {fault}" for fault in _faults(variants, answers)]
        examples = _policy_examples(study.films(variants[0].config.preprocessing).prepared.films, variants)
    verdicts = {name: group.verdict for name, group in groups.items()}
    result = AugmentationResult(
        **study.facts(),  # type: ignore[arg-type]
        backbones=groups,
        faults=faults,
        verdict=verdict_of(
            " ".join(f"{name}: {one['headline']}" for name, one in verdicts.items()),
            " ".join(f"{name}: {one['more']}" for name, one in verdicts.items() if one["more"]),
            " ".join(dict.fromkeys(str(one["next"]) for one in verdicts.values())),
            policies={name: one["policy"] for name, one in verdicts.items()},
        ),
        remarks=[
            "Every policy has the same first weights, folds and order of films; only the changes differ.",
            "Of a pretrained network the last epoch is kept, whatever the validation films say.",
            "RandAugment and AugMix draw from hilum's own changes. MixUp, CutMix and RandomErasing are Keras' layers.",
        ],
    )
    return result, examples


def _policy_group(study: Study, variants: list[Variant], answers: Mapping[str, VariantAnswers]) -> PolicyGroup:
    default = next(variant for variant in variants if variant.is_default)
    rows = []
    for variant in variants:
        one = answers[variant.name]
        here, other = study.figures(variant, one)
        rows.append(
            PolicyRow(
                name=variant.name,
                title=variant.title,
                words=variant.words,
                in_house=here,
                external=other,
                **_effort(one),  # type: ignore[arg-type]
                against_none=study.change(answers["none"], one),
                against_default=study.change(answers[default.name], one),
            )
        )
    candidates = {row.name: policy_candidate(row) for row in rows}
    reference = candidates.pop(default.name)
    choice = choose("augmentation", reference, list(candidates.values()))
    more, then, flip = "", AGAIN if choice.chosen is None else STAYS, {}
    if choice.chosen not in (None, default.name):
        chosen = next(variant for variant in variants if variant.name == choice.chosen)
        usual = default_config(default.config.backbone)
        then = _train_line(replace(usual, augmentation=chosen.config.augmentation))
    if {"no-flip", "full"} <= set(answers):
        flip = {"flip": (changes := study.change(answers["no-flip"], answers["full"]))}
        places = (("here", changes.in_house), ("on other sources", changes.external))
        more = " ".join(flip_words(change, where) for where, change in places if change)
    config = default.config
    start = "from ImageNet" if config.weights == "imagenet" else "from random weights"
    return PolicyGroup(
        how=f"{config.backbone} {start} at {config.preprocessing.size_px} px, "
        f"{count_of(config.fit.epochs, 'epoch')}, learning rate {config.fit.learning_rate:g}.",
        policies=rows,
        verdict=verdict_of(choice.words, more, then, policy=choice.chosen, **flip),
    )


def _policy_examples(films: Films, variants: list[Variant]) -> list[Picture]:
    """Return how each policy changes the same few films."""
    some = films.subset(np.linspace(0, len(films) - 1, _SHOWN).astype(int))
    targets = some.targets(int(films.labels.max()) + 1).astype(np.float32)
    examples = []
    for variant in variants:
        policy = variant.config.augmentation
        changed, _ = changed_batch(some, np.arange(len(some)), policy, drawn=(0,))
        mixed, _ = mixed_batch(changed, targets, policy, drawn=(0,))
        examples += [Picture(variant.title, film[..., 0]) for film in mixed]
    return examples


def _backbones(study: Study, done: Callable[[float], None]) -> tuple[StudyResult, list[Picture]]:
    rows: list[NetworkRow] = []
    answers: dict[str, VariantAnswers] = {}
    for variant in study.variants:
        rows.append(_network_row(study, variant, answers))
        done(1)
    judged = [row for row in rows if not row.reason]
    if not judged:
        raise ConfigError("None of the networks could be trained.", fix=f"The first because: {rows[0].reason}")
    proven = [row for row in judged if row.is_proven] or judged
    leading = max(proven, key=lambda row: row.auroc.value or 0.0)
    variants = {variant.name: variant for variant in study.variants}
    best = mark_frontier(rows)
    for at, row in enumerate(rows):
        if not row.reason:
            changes = study.change(answers[leading.name], answers[row.name])
            rows[at] = replace(row, against_best=changes.in_house, against_best_external=changes.external)
        rows[at] = replace(rows[at], best=best[at])
    judged = [row for row in rows if not row.reason]
    leading = next(row for row in judged if row.name == leading.name)
    others = [network_candidate(row, leading) for row in judged if row is not leading]
    choice = choose("backbones", network_candidate(leading, leading), others)
    more = ""
    if len(judged) < len(rows):
        more = f"{len(rows) - len(judged)} of {len(rows)} networks were not judged; the table says why."
    then = _train_line(variants[choice.chosen].config) if choice.chosen else AGAIN
    epochs = {one.start: one.config.fit.epochs for one in study.variants if one.start != "frozen"}
    return BackbonesResult(
        **study.facts(),  # type: ignore[arg-type]
        networks=rows,
        faults=_faults([variants[row.name] for row in judged], answers),
        verdict=verdict_of(choice.words, more, then, network=choice.chosen, leading=leading.name),
        remarks=[
            "Frozen: a logistic regression on ImageNet features. Fine-tuned: the upper three fifths of the layers "
            "learn too, and the last epoch is kept.",
            *(f"{count_of(number, 'epoch')} {start}." for start, number in epochs.items()),
            "Milliseconds of one core a film are the model file's in the runtime, without preprocessing.",
            "All networks have the same settings, tuned for none of them. A network that needs other settings is "
            "judged too low.",
        ],
    ), []


def _network_row(study: Study, variant: Variant, answers: dict[str, VariantAnswers]) -> NetworkRow:
    """Return a network's figures and cost, or the reason why it has none; its answers are added to the others'."""
    config = variant.config
    row = NetworkRow(
        name=variant.name,
        title=variant.title,
        backbone=config.backbone,
        size_px=config.preprocessing.size_px,
        start=variant.start,
    )
    try:
        if config.weights == "imagenet" and not weights_at_hand(config.backbone):
            raise ConfigError(f"The ImageNet weights of {config.backbone} are not on this computer.")
        one, cost = study.answers(variant), study.cost(config)
    except HilumError as error:
        study.console.say(f"{variant.name}: {error.message}")
        return replace(row, reason=error.message)
    answers[variant.name] = one
    here, other = study.figures(variant, one)
    return replace(row, in_house=here, external=other, **_effort(one), **cost)  # type: ignore[arg-type]


def _effort(answers: VariantAnswers) -> dict[str, float | int]:
    return {
        "minutes": answers.minutes,
        "num_weights": answers.num_weights,
        "kept_random": answers.kept_random,
    }


def _faults(variants: list[Variant], answers: Mapping[str, VariantAnswers]) -> list[str]:
    return study_faults(
        {variant.name: variant.title for variant in variants},
        {name: one.kept_random for name, one in answers.items()},
        {name: one.probabilities for name, one in answers.items()},
    )
