"""`hilum study`: variants of one thing, compared on the same films and folds, with a verdict by rule.

One engine for every kind: it reads the films and those of other sources, draws the folds, fits each variant or takes
frozen features, and leaves study.json and report.html. What is computed is kept in `.work`; a killed study continues
from there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from hilum.console import Console, count_of
from hilum.errors import ConfigError, HilumError
from hilum.figures import json_file_text
from hilum.files import replace_file
from hilum.film.denoise import LEAST_NOISE
from hilum.film.preprocess import Preprocessing
from hilum.judge.image_quality import DOSES
from hilum.judge.study import (
    AugmentationResult,
    BackbonesResult,
    Changes,
    FilmCounts,
    NetworkRow,
    NoiseResult,
    PolicyGroup,
    PolicyRow,
    StudyFigures,
    StudyResult,
    change_of,
    figures_of_answers,
    study_faults,
)
from hilum.judge.study_verdict import (
    AGAIN,
    STAYS,
    choose,
    flip_words,
    judge_methods,
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
from hilum.train.prepared import prepare_films
from hilum.train.study_fit import StudyFilms, VariantAnswers, cross_variant, measure_cost, prepare_outside
from hilum.train.study_variants import STUDY_FOLDER, StudyRequest, Variant, check_study, variants_of
from hilum.train.trial import draw_folds
from hilum.version import __version__
from hilum.workflows.study_noise import NoiseStudy

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
    study = _Study(request, console or Console())
    compare = {"noise": _noise, "augmentation": _augmentation, "backbones": _backbones}[request.kind]
    with study.console.bar(f"Comparing {count_of(len(study.variants), 'variant')}", len(study.variants)) as done:
        result, examples = compare(study, done)
    replace_file(request.out / "report.html", study_page(result, examples))
    replace_file(request.out / "study.json", json_file_text(result))
    STUDY_FOLDER.finish(request.out)
    return result


class _Study:
    """A study under way: its films, as its variants want them, and their answers."""

    def __init__(self, request: StudyRequest, console: Console) -> None:
        self.request, self.console, self.variants = request, console, variants_of(request)
        self.work = request.out / ".work"
        self._read: tuple[Preprocessing, StudyFilms] | None = None
        self._outside: tuple[np.ndarray, np.ndarray] | None = None  # labels and groups, alike at every size

    def films(self, preprocessing: Preprocessing) -> StudyFilms:
        """Return the films read with a preprocessing; the folder is begun when the first ones are read."""
        if self._read is None or self._read[0] != preprocessing:
            prepared = prepare_films(self.request.data, preprocessing, console=self.console)
            folds = draw_folds(prepared, num_folds=self.request.folds, seed=0)
            external, outside = self.request.external, None
            if external is not None:
                outside = prepare_outside(external, prepared, preprocessing, console=self.console)
            films = StudyFilms(prepared, folds, outside)
            if self._read is None:
                self._begin(films)
                self._outside = (outside.films.labels, outside.groups) if outside else None
            self._read = preprocessing, films
        return self._read[1]

    def _begin(self, films: StudyFilms) -> None:
        prints = zip(films.prepared.scan.fingerprints, films.prepared.records, strict=True)
        hashes = sorted(f"{one.file_sha256} {record.path} {record.split}" for one, record in prints)
        digest = hashlib.sha256("\n".join(hashes).encode("utf-8", "surrogateescape"))
        if films.outside is not None:
            digest.update(films.outside.films.pixels.tobytes())
        identity = {
            "study": self.request.kind,
            "films": digest.hexdigest(),
            "folds": self.request.folds,
            "variants": [repr(variant) for variant in self.variants],
            "hilum": __version__,
        }
        if STUDY_FOLDER.begin(self.request.out, identity, overwrite=self.request.overwrite):
            self.console.say(f"Continuing the unfinished study in {self.request.out}.")

    def answers(self, variant: Variant) -> VariantAnswers:
        """Return a variant's answers; folds that an earlier try has finished are not repeated."""
        films = self.films(variant.config.preprocessing)
        return cross_variant(films, variant.config, self.work / variant.config.backbone / variant.name)

    def cost(self, config: RunConfig) -> dict[str, float]:
        """Return what a network costs, as `measure_cost` has it."""
        films = self.films(config.preprocessing)
        path = self.work / f"cost-{config.backbone}-{config.preprocessing.size_px}.json"
        if not path.exists():
            replace_file(path, json.dumps(measure_cost(config, films.prepared, self.work)))
        return dict(json.loads(path.read_text(encoding="utf-8")))

    def change(self, first: VariantAnswers, second: VariantAnswers) -> Changes:
        """Return the changes from a first variant's answers to a second's; none from answers to themselves."""
        if first is second:
            return Changes()
        other = None
        if self._outside is not None and first.outside is not None and second.outside is not None:
            other = change_of(self._outside[0], first.outside, second.outside, self._outside[1])
        return Changes(change_of(first.truth, first.probabilities, second.probabilities, first.groups), other)

    def figures(self, variant: Variant, answers: VariantAnswers) -> tuple[StudyFigures, StudyFigures | None]:
        """Return a variant's figures on the study's films and on those of other sources."""
        films, other = self.films(variant.config.preprocessing), None
        if films.outside is not None and answers.outside is not None:
            outside = films.outside
            other = figures_of_answers(outside.films.labels, answers.outside, outside.groups, outside.findings)
        here = figures_of_answers(answers.truth, answers.probabilities, answers.groups, films.prepared.findings)
        return here, other

    def facts(self) -> dict[str, object]:
        """Return what every study.json holds."""
        films = self.films(self.variants[-1].config.preprocessing)
        prepared, used, outside = films.prepared, films.folds >= 0, films.outside
        data = _counts(
            prepared.scan.dataset.name, prepared.films.labels[used], prepared.scan.groups[used], prepared.findings
        )
        other = None
        if outside is not None:
            other = _counts(outside.name, outside.films.labels, outside.groups, outside.findings)
            other = replace(other, left_out=dict(outside.left_out))
        return {
            "study": self.request.kind,
            "hilum": __version__,
            "data": data,
            "external": other,
            "folds": self.request.folds,
        }


def _counts(name: str, labels: np.ndarray, groups: np.ndarray, findings: tuple[str, ...]) -> FilmCounts:
    counts = np.bincount(labels, minlength=len(findings)).tolist()
    return FilmCounts(name, len(labels), len(np.unique(groups)), dict(zip(findings, counts, strict=True)))


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


# --- the three kinds ------------------------------------------------------------------------------------------------


def _noise(study: _Study, done: Callable[[float], None]) -> tuple[StudyResult, list[Picture]]:
    config = study.variants[0].config
    noise = NoiseStudy(study.films(config.preprocessing), study.variants, study.work)
    rows = []
    for variant in study.variants:
        rows.append(noise.row(variant))
        done(1)
    judged, verdict = judge_methods(rows, noise.share_noisy)
    result = NoiseResult(
        **study.facts(),  # type: ignore[arg-type]
        verdict=verdict,
        remarks=[
            f"The classifier is a logistic regression on the frozen features of {config.backbone} at "
            f"{config.preprocessing.size_px} px, the first stage of training.",
            "Noise is added at the network's size: counted quanta and electronics, more in dense parts. The noise of a "
            "real detector is also blurred when the film is reduced.",
            "Only methods that need no more than OpenCV and NumPy can become the setting preprocessing.denoise, as a "
            "model file is served wherever hilum runs. Wavelets and total variation are here for comparison.",
            "CLAHE changes contrast. It is shown beside the others and cannot be chosen.",
        ],
        backbone=config.backbone,
        size_px=config.preprocessing.size_px,
        doses=dict(DOSES),
        noise=noise.noise_figures(),
        share_noisy=noise.share_noisy,
        least_noise=LEAST_NOISE,
        methods=judged,
        noise_in_training=noise.trained_on_noise(),
    )
    return result, noise.pictures()


def _augmentation(study: _Study, done: Callable[[float], None]) -> tuple[StudyResult, list[Picture]]:
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


def _policy_group(study: _Study, variants: list[Variant], answers: Mapping[str, VariantAnswers]) -> PolicyGroup:
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
    if choice.chosen and not choice.is_reference:
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


def _backbones(study: _Study, done: Callable[[float], None]) -> tuple[StudyResult, list[Picture]]:
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


def _network_row(study: _Study, variant: Variant, answers: dict[str, VariantAnswers]) -> NetworkRow:
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
