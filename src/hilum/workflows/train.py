"""A training run, from a data folder to a judged model file.

Each step is a function: read the films, split them, open the folder, audit, fit, cross-validate, judge, write. Every
step leaves its result in the run's folder, so that a run that was killed continues where it stood. What only such a
run needs is removed when the run is finished.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from hilum.console import Console, count_of
from hilum.data.split import assign_folds, assign_splits, clean_test, write_splits
from hilum.figures import json_file_text, to_json
from hilum.files import replace_file, writing_into
from hilum.film.decode import DECODER_VERSION
from hilum.judge.audit.audit import Audit, audit_films, count_films
from hilum.judge.audit.check import AuditData, Fault
from hilum.judge.audit.suspects import judged_films
from hilum.judge.audit.traits import FilmTraits, TraitCollector
from hilum.judge.calibration import calibration_words
from hilum.judge.drift import evaluation_of
from hilum.judge.external.sources import RunMetrics
from hilum.judge.history import count_epochs, kept_words
from hilum.judge.intervals import Interval
from hilum.judge.predictions import LabelledPredictions, figures_of
from hilum.judge.shortcuts.lungs_hidden import score_lungs_hidden
from hilum.judge.shortcuts.measure import ProbedFilms
from hilum.judge.verdict import judge_figures
from hilum.report.audit_table import verdict_words
from hilum.report.card import model_card_text
from hilum.report.claim import ClaimFacts, claim_text
from hilum.report.external import patient_sections, sources_section
from hilum.report.predictions import answers_section, predictions_csv, scored_of, sets_fact, worst_mistakes
from hilum.report.run_page import ReportData, report_page
from hilum.run.classifier import Classifier
from hilum.run.modelfile import Metadata
from hilum.text import write_csv
from hilum.train.backbones import OWN
from hilum.train.calibration import set_cross_conformal
from hilum.train.config import RunConfig, to_toml
from hilum.train.fit import NO_EXTENSIONS, Extensions
from hilum.train.graph_file import write_metadata
from hilum.train.prepared import PreparedFilms, films_seen_before, prepare_films, unrecognised_words
from hilum.train.run_folder import RUN_FOLDER, check_run
from hilum.train.run_networks import MODEL, NetworkPlan, RunNetworks
from hilum.train.tracking import check_log, tracked
from hilum.version import __version__
from hilum.workflows.held_out import (
    CrossValidated,
    HeldSource,
    JudgedSource,
    cross_validate,
    hold_out_sources,
    judge_sources,
)

__all__ = [
    "JudgedRun",
    "ReadFilms",
    "Run",
    "Split",
    "audit_run",
    "history_csv",
    "judge_run",
    "open_run",
    "read_films",
    "split_films",
    "train_model",
    "write_run",
]

_STARTS = {"imagenet": "ImageNet weights", "chest": "weights of the chest model", "none": "from scratch"}
_HISTORY_COLUMNS = ("stage", "epoch", "loss", "validation_loss", "validation_accuracy", "learning_rate", "kept")


@dataclass(frozen=True, eq=False)
class ReadFilms:
    """The films of a run, each read once.

    Attributes:
        prepared: Their records, fingerprints, groups and pixels; n films with one stated finding.
        traits: What the audit compares of each film.
        seen: (n,) bool, the films that the starting weights have learned from; no figure may count them.
    """

    prepared: PreparedFilms
    traits: tuple[FilmTraits, ...]
    seen: np.ndarray


@dataclass(frozen=True, eq=False)
class Split:
    """Which films are learned from and which are held out.

    Attributes:
        splits: (n,) text, ``train``, ``validation`` or ``test``.
        folds: (n,) int, the fold of cross-validation of each film; -1 where it is in none.
        sources: The sources to be held out one by one.
    """

    splits: np.ndarray
    folds: np.ndarray
    sources: Sequence[HeldSource]


@dataclass(frozen=True, eq=False)
class JudgedRun:
    """What the sealed networks of a run say of films that they did not learn from.

    Attributes:
        classifier: The sealed model.
        predictions: Those on the films of test, test_clean, validation and, where there are folds, cross_validation.
        sources: Those on the films of each source held out.
        metrics: The figures of all of it.
    """

    classifier: Classifier
    predictions: Mapping[str, LabelledPredictions]
    sources: Sequence[LabelledPredictions]
    metrics: RunMetrics

    def with_audit(self, audit: Audit) -> JudgedRun:
        """Return the run with the verdict on its figures, for which the audit counts."""
        metrics = dataclasses.replace(self.metrics, thumbnail=audit.data.figures.thumbnail)
        return dataclasses.replace(
            self, metrics=dataclasses.replace(metrics, verdict=judge_figures(metrics, audit.faults))
        )


@dataclass(frozen=True, eq=False)
class Run:
    """A finished training run.

    Attributes:
        folder: Where its files are.
        metrics: What metrics.json holds.
        faults: What the audit found.
        num_unread: Films that could not be read and were left out.
    """

    folder: Path
    metrics: RunMetrics
    faults: tuple[Fault, ...]
    num_unread: int


def train_model(
    data: Path,
    out: Path,
    config: RunConfig,
    *,
    overwrite: bool = False,
    console: Console | None = None,
    extensions: Extensions = NO_EXTENSIONS,
) -> Run:
    """Train a model on a data set and leave everything about it in a folder.

    Args:
        data: A folder of class folders, one with train/ and test/ of such, or a CSV manifest.
        out: The run's folder. An unfinished run with the same films and settings is continued.
        config: The settings.
        overwrite: Whether an earlier run in that folder, finished or not, is replaced.
        console: Where messages and progress go; nowhere by default.
        extensions: Callbacks, an augmentation or a backbone of the user; a backbone takes the place of the settings'.
            Who is told of the run.

    Returns:
        The finished run.

    Raises:
        InputError: The data set cannot be used, the folder holds something else, or the disk is full.
        ConfigError: A setting cannot be met.
        ModelFileError: The engine and Keras disagree, so nothing was sealed.
        MissingExtra: The extra `track` is not installed.
    """
    console = console or Console()
    check_log(extensions.log)
    if extensions.backbone:
        config = dataclasses.replace(config, backbone=OWN)
    with writing_into(out, continues=True):
        check_run(data, out, config, overwrite=overwrite)
        films = read_films(data, config, console)
        split = split_films(films, config)
        if open_run(out, films.prepared, split, config, overwrite=overwrite, extensions=extensions):
            console.say(f"Continuing the unfinished run in {out}.")
        audit = audit_run(out, films, split, config, console)
        with tracked(extensions.log, out, config) as tracker:
            networks = RunNetworks(films.prepared, config, out, console, extensions, tracker)
            audit, judged = _trained(networks, films, split, audit)
            write_run(networks, split, audit.faults, judged)
        RUN_FOLDER.finish(out)
    return Run(out, judged.metrics, audit.faults, films.prepared.scan.num_unread)


def _trained(networks: RunNetworks, films: ReadFilms, split: Split, audit: Audit) -> tuple[Audit, JudgedRun]:
    """Fit and judge the networks of a run. The answers of folds may tell the audit more."""
    out, findings = networks.out, films.prepared.findings
    networks.fit(NetworkPlan(MODEL, split.splits == "train", split.splits == "validation", findings))
    crossed = cross_validate(networks, split.folds, films.seen)
    sources = judge_sources(networks, split.sources)
    if crossed:
        fold_of = dict(zip((one.path for one in films.prepared.records), split.folds.tolist(), strict=True))
        set_cross_conformal(out / "model.onnx", crossed.predictions, fold_of)
        num_seen = int((films.seen & (split.folds >= 0)).sum())
        answers = judged_films(audit.data.scan, crossed.predictions, "the models of the folds", num_seen=num_seen)
        audit = audit.with_answers(answers)
        replace_file(out / "audit.json", json_file_text(audit.contents()))
    return audit, judge_run(networks, split, films.seen, crossed, sources).with_audit(audit)


def read_films(data: Path, config: RunConfig, console: Console) -> ReadFilms:
    """Return the films of a data set, read once for training and for the audit."""
    collectors: list[TraitCollector] = []

    def make_collector(num_films: int) -> TraitCollector:
        collectors.append(TraitCollector(num_films))
        return collectors[0]

    prepared = prepare_films(
        data,
        config.preprocessing,
        with_lungs=config.augmentation.needs_lungs,
        console=console,
        make_look=make_collector,
    )
    scan = prepared.scan
    seen = films_seen_before(config.weights, scan.fingerprints, scan.groups)
    traits = collectors[0].of(scan, prepared.positions)
    if words := unrecognised_words(config.weights, [one.size_px for one in traits]):
        console.say(words)
    return ReadFilms(prepared, traits, seen)


def split_films(films: ReadFilms, config: RunConfig) -> Split:
    """Return which films are learned from and which are held out; the seed decides it.

    Raises:
        InconsistentDataset: A finding has too few groups, or no source can be held out.
    """
    scan = films.prepared.scan
    splits = assign_splits(
        scan.dataset,
        scan.groups,
        validation_fraction=config.data.validation_fraction,
        test_fraction=config.data.test_fraction,
        seed=config.seed,
    )
    folds = np.full(len(splits), -1)
    if config.folds:
        folds = assign_folds(scan.dataset, splits, scan.groups, num_folds=config.folds, seed=config.seed)
    sources = hold_out_sources(films.prepared.records, splits, scan.groups, seen=films.seen) if config.by_source else []
    return Split(np.array(splits), folds, sources)


def open_run(
    out: Path,
    prepared: PreparedFilms,
    split: Split,
    config: RunConfig,
    *,
    overwrite: bool,
    extensions: Extensions = NO_EXTENSIONS,
) -> bool:
    """Start the run's folder with its settings and split, or continue the unfinished run in it.

    Returns:
        Whether an unfinished run is continued.

    Raises:
        InputError: The folder holds an unfinished run of other films or settings.
    """
    scan, ambiguous = prepared.scan, prepared.ambiguous
    prints, records = (*scan.fingerprints, *ambiguous.fingerprints), (*prepared.records, *ambiguous.records)
    hashes = sorted(f"{p.file_sha256} {r.path}" for p, r in zip(prints, records, strict=True))
    identity = {
        "config": to_toml(config),
        "films": hashlib.sha256("\n".join(hashes).encode("utf-8", "surrogateescape")).hexdigest(),
        "hilum": __version__,
        "decoder": DECODER_VERSION,
    }
    if extensions.backbone:
        weights = hashlib.sha256()
        keras.utils.set_random_seed(config.seed)  # as for every network of the run
        for weight in extensions.backbone().get_weights():
            weights.update(np.asarray(weight).tobytes())
        identity["backbone"] = weights.hexdigest()
    is_continued = RUN_FOLDER.begin(out, identity, overwrite=overwrite)
    replace_file(out / "config.toml", to_toml(config))
    write_splits(out / "splits.csv", prepared.records, split.splits.tolist(), scan.groups)
    return is_continued


def audit_run(out: Path, films: ReadFilms, split: Split, config: RunConfig, console: Console) -> Audit:
    """Write audit.json and return the audit of the data set.

    What is wrong with a data set does not depend on which films a seed draws: the data set's own parts are audited.
    """
    scan = films.prepared.scan
    given = tuple(record.split or "train" for record in films.prepared.records)
    seen = films.seen if config.weights == "chest" else None
    with console.bar("Checking whether the finding can be guessed without seeing the lungs", 1.0) as done:
        audit = audit_films(AuditData(scan, given, films.traits, seen=seen), done=done)
    audit = audit.with_films(count_films(scan, split.splits.tolist()))
    replace_file(out / "audit.json", json_file_text(audit.contents()))
    console.say(f"{verdict_words(audit.results)[0]} Details: {out / 'audit.json'}")
    return audit


def judge_run(
    networks: RunNetworks,
    split: Split,
    seen: np.ndarray,
    crossed: CrossValidated | None,
    sources: Sequence[JudgedSource],
) -> JudgedRun:
    """Return what the sealed model says of the test and validation films, with all figures of the run.

    Args:
        networks: The run's networks.
        split: The parts of the films.
        seen: (n,) bool, the films that the starting weights have learned from; no test figure counts them.
        crossed: The films of the folds, where there are any.
        sources: The sources held out.
    """
    prepared, seed = networks.prepared, networks.config.seed
    classifier, groups = Classifier(networks.out / "model.onnx"), prepared.scan.groups
    tested, validated = (split.splits == "test") & ~seen, split.splits == "validation"
    clean = clean_test(prepared.records, split.splits.tolist(), groups) & ~seen
    test = networks.judge(classifier, tested, label=f"Judging {count_of(int(tested.sum()), 'test film')}")
    predictions = {
        "test": test,
        "test_clean": test.part(clean[tested]),
        "validation": networks.judge(classifier, validated),
    }
    chosen = {"test": tested, "test_clean": clean, "validation": validated}
    kept = "test_clean" if clean.any() else "test"
    probed = ProbedFilms(prepared.scan.dataset.root, predictions[kept], groups[chosen[kept]], part=kept)
    figures = {name: figures_of(one, groups[chosen[name]], classifier, seed=seed) for name, one in predictions.items()}
    metrics = RunMetrics(
        figures["test"],
        figures["test_clean"],
        figures["validation"],
        cross_validation=crossed.figures if crossed else None,
        leave_one_source_out={one.source: one.figures for one in sources} if sources else None,
        left_out_sources={one.source: one.facts for one in sources} if sources else None,
        lungs_hidden=_lungs_hidden(networks, classifier, probed),
        subgroups=probed.patient_groups(),
    )
    if crossed:
        predictions["cross_validation"] = crossed.predictions
    return JudgedRun(classifier, predictions, [one.predictions for one in sources if one.predictions], metrics)


def _lungs_hidden(networks: RunNetworks, classifier: Classifier, films: ProbedFilms) -> Interval | None:
    """Return what the model gets right of films that it has judged with the lungs hidden; None where there is none."""
    if not len(films.groups):
        return None
    with networks.console.bar("Judging test films again with the lungs hidden", 1.0) as done:
        return score_lungs_hidden(classifier, films, done=done)


def write_run(networks: RunNetworks, split: Split, faults: Sequence[Fault], judged: JudgedRun) -> None:
    """Write every result of a run, and put the figures and the model card into the model file."""
    out, scan, metrics = networks.out, networks.prepared.scan, judged.metrics
    history, metadata = networks.history(MODEL), judged.classifier.metadata
    facts = _facts(networks, split, metadata)
    plain = json.loads(metadata.to_json())
    card = model_card_text(metadata=plain, metrics=metrics, facts=facts, faults=faults)
    kept = {name: judged.predictions[name] for name in ("test", "validation")}
    metadata = dataclasses.replace(
        metadata, figures=to_json(metrics), evaluation=evaluation_of(**kept), model_card=card
    )
    write_metadata(out / "model.onnx", metadata)
    claim = ClaimFacts(
        metadata=plain,
        metrics=metrics,
        settings=dataclasses.asdict(networks.config),
        audit=json.loads((out / "audit.json").read_text(encoding="utf-8")),
        data_name=scan.dataset.name,
        has_test=scan.dataset.has_test,
        num_epochs=count_epochs(history),
        kept=kept_words(history),
        software=f"{dict(facts)['Versions']}, Python {platform.python_version()}, numpy {np.__version__}",
    )
    listed = [(name, one) for name, one in judged.predictions.items() if name != "test_clean"]
    section, batch = sources_section(metrics), out / "batches.png"
    page = ReportData(
        title=f"{networks.config.backbone} on {scan.dataset.name}",
        findings=networks.prepared.findings,
        metrics=metrics,
        parts={name: scored_of(one) for name, one in judged.predictions.items()},
        history=history,
        first_batch_png=batch.read_bytes() if batch.exists() else b"",
        mistakes=worst_mistakes(judged.predictions["test"], judged.classifier, scan.dataset.root),
        facts=facts,
        faults=faults,
        sections=[
            *patient_sections(metrics.subgroups),
            *([section] if section else []),
            answers_section(judged.predictions, metadata),
        ],
    )
    replace_file(out / "model-card.md", card)
    replace_file(out / "claim.md", claim_text(claim))
    replace_file(out / "history.csv", history_csv(history))
    sources = [("leave_one_source_out", one) for one in judged.sources]
    replace_file(out / "predictions.csv", predictions_csv([*listed, *sources]))
    replace_file(out / "report.html", report_page(page))
    networks.tracker.end(metrics, faults)
    replace_file(out / "metrics.json", json_file_text(metrics))  # last: it says that the run is finished


def history_csv(history: Sequence[Mapping[str, Any]]) -> str:
    """Return history.csv: one line for what stood before the first epoch, and one for each epoch."""
    text = io.StringIO()
    rows = [{**row, "kept": str(bool(row.get("kept"))).lower()} for row in history]
    write_csv(text, _HISTORY_COLUMNS, [[row.get(name) for name in _HISTORY_COLUMNS] for row in rows])
    return text.getvalue()


def _facts(networks: RunNetworks, split: Split, metadata: Metadata) -> list[tuple[str, str]]:
    """Return what was trained, as (name, value) pairs for the report and the model card."""
    config, agreement = networks.config, metadata.agreement
    counts = {name: int((split.splits == name).sum()) for name in ("train", "validation", "test")}
    num_groups = len(np.unique(networks.prepared.scan.groups))
    return [
        ("Backbone", f"{config.backbone}, {_STARTS[config.weights]}"),
        ("Films", ", ".join(f"{count} {name}" for name, count in counts.items())),
        ("Groups", f"{num_groups}: twins and films of one patient stay together"),
        ("Input", f"{config.preprocessing.size_px} x {config.preprocessing.size_px} pixels, grey"),
        ("Seed", str(config.seed)),
        ("Kept", kept_words(networks.history(MODEL)).removeprefix("Kept: ")),
        ("Temperature", calibration_words(metadata.temperature, metadata.calibration).removeprefix("temperature ")),
        ("Conformal sets", sets_fact(metadata)),
        (
            "Engine against Keras",
            f"at most {agreement['largest_difference']:.1e} apart in logits on {agreement['n']} films",
        ),
        ("Versions", f"hilum {__version__}, Keras {keras.__version__} on {keras.backend.backend()}"),
    ]
