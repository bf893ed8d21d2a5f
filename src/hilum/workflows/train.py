"""A training run, from a data folder to a judged model file.

Each step is a function: read the films, split them, open the folder, audit, fit, cross-validate, judge, write. Every
step leaves its result in the run's folder, so that a run that was killed continues where it stood. What only such a
run needs is removed when the run is finished.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from hilum.console import Console
from hilum.data.run_tables import write_splits
from hilum.data.split import assign_folds, assign_splits
from hilum.figures import json_file_text
from hilum.files import replace_file, writing_into
from hilum.film.decode import DECODER_VERSION
from hilum.judge.audit.audit import Audit, audit_films, count_films
from hilum.judge.audit.check import AuditData, Fault
from hilum.judge.audit.suspects import judged_films
from hilum.judge.audit.traits import FilmTraits, TraitCollector
from hilum.judge.external import RunMetrics
from hilum.report.audit_table import verdict_words
from hilum.train.backbones import OWN
from hilum.train.calibration import set_cross_conformal
from hilum.train.config import RunConfig
from hilum.train.config_file import to_toml
from hilum.train.fit import NO_EXTENSIONS, Extensions
from hilum.train.prepared import PreparedFilms, films_seen_before, prepare_films, unrecognised_words
from hilum.train.run_folder import RUN_FOLDER, check_run
from hilum.train.run_networks import MODEL, NetworkPlan, RunNetworks
from hilum.train.tracking import check_log, tracked
from hilum.version import __version__
from hilum.workflows.held_out import HeldSource, cross_validate, hold_out_sources, judge_sources
from hilum.workflows.run_results import JudgedRun, judge_run, write_run

__all__ = [
    "ReadFilms",
    "Run",
    "Split",
    "audit_run",
    "open_run",
    "read_films",
    "split_films",
    "train_model",
]


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
            write_run(networks, split.splits, audit.faults, judged)
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
    return audit, judge_run(networks, split.splits, films.seen, crossed, sources).with_audit(audit)


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
