"""A training run from data folder to judged model file: scan, split, fit, seal, calibrate, judge, report.

Every step leaves its result in the run's folder, so that a run that was killed goes on where it stood. What only a
resume needs is removed when the run is finished.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from hilum.console import Console, count_of
from hilum.data.sources import hold_out_sources
from hilum.data.split import assign_folds, assign_splits, clean_test, write_splits
from hilum.errors import HilumError, InputError
from hilum.figures import json_file_text
from hilum.files import replace_file
from hilum.film.decode import DECODER_VERSION
from hilum.judge.audit.audit import audit_films, count_films
from hilum.judge.audit.check import AuditData, Fault
from hilum.judge.audit.traits import TraitCollector
from hilum.judge.calibration import calibration_words
from hilum.judge.history import count_epochs, kept_words
from hilum.judge.metrics import Performance, performance
from hilum.judge.predictions import LabelledPredictions, figures_of
from hilum.report.answers import answers_section, sets_fact
from hilum.report.audit_table import verdict_words
from hilum.report.card import model_card_text
from hilum.report.claim import ClaimFacts, claim_text
from hilum.report.external import sources_section
from hilum.report.predictions import predictions_csv, scored_of, worst_mistakes
from hilum.report.run_page import ReportData, report_page
from hilum.run.classifier import Classifier
from hilum.run.modelfile import Metadata
from hilum.train.calibration import set_cross_conformal
from hilum.train.config import RunConfig, to_toml
from hilum.train.prepared import prepare_films
from hilum.train.pretrained import films_seen_before
from hilum.train.run_folder import check_run, history_csv, remove_run
from hilum.train.run_networks import WORK, FoldTrainer
from hilum.train.seal import write_metadata
from hilum.version import __version__
from hilum.workflows.held_out import judge_held_out

__all__ = ["Run", "train_model"]

_STARTS = {"imagenet": "ImageNet weights", "chest": "weights of the chest model", "none": "from scratch"}


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
    metrics: dict[str, Any]
    faults: tuple[Fault, ...]
    num_unread: int


def train_model(
    data: Path, out: Path, config: RunConfig, *, overwrite: bool = False, console: Console | None = None
) -> Run:
    """Train a model on a data set and leave everything about it in a folder.

    Args:
        data: A folder of class folders, one with train/ and test/ of such, or a CSV manifest.
        out: The run's folder. An unfinished run with the same films and settings is gone on with.
        config: The settings.
        overwrite: Whether an earlier run in that folder, finished or not, is replaced.
        console: Where messages and progress go; nowhere by default.

    Returns:
        The finished run.

    Raises:
        InputError: The data set cannot be used, the folder holds something else, or the disk is full.
        ConfigError: A setting cannot be met.
        ModelFileError: Engine and Keras disagree, so nothing was sealed.
    """
    try:
        return _Training(data, out, config, overwrite, console or Console()).run()
    except OSError as error:
        if isinstance(error, HilumError):
            raise
        raise InputError(
            f"Cannot write into `{out}`: {error.strerror or error}.",
            fix="Free some space or choose another folder; the same command then goes on from the last checkpoint.",
        ) from error


class _Training:
    def __init__(self, data: Path, out: Path, config: RunConfig, overwrite: bool, console: Console) -> None:
        self.data, self.out, self.config, self.overwrite, self.console = data, out, config, overwrite, console
        self.work = out / WORK

    def run(self) -> Run:
        check_run(self.data, self.out, self.config, overwrite=self.overwrite)
        prepared = prepare_films(
            self.data,
            self.config.preprocessing,
            with_lungs=self.config.augmentation.needs_lungs,
            console=self.console,
            make_look=self._make_traits,
        )
        self.prepared, self.scan = prepared, prepared.scan
        self.findings = prepared.findings
        self.seen = films_seen_before(self.config.weights, self.scan.fingerprints, self.scan.groups)
        self._split()
        self._open_folder()
        looked = self.traits.of(self.scan, prepared.positions)
        # What is wrong with a data set does not depend on which films this seed draws, so its own parts are audited.
        given = tuple(record.split or "train" for record in self._records)
        seen = self.seen if self.config.weights == "chest" else None
        with self.console.bar("Checking whether the finding can be guessed without seeing the lungs", 1.0) as done:
            audit = audit_films(AuditData(self.scan, given, looked, seen=seen), done=done)
        audit.data.figures["films"] = count_films(self.scan, self.splits.tolist())
        self.faults = audit.faults
        replace_file(self.out / "audit.json", json_file_text(audit.to_dict()))
        self.console.say(f"{verdict_words(audit.results)[0]} Details: {self.out / 'audit.json'}")
        self.parts = FoldTrainer(prepared, self.config, self.out, self.console)
        self.parts.fit("model", self.splits == "train", self.splits == "validation")
        history = self.parts.history("model")
        crossed = self._cross_validate()
        held_out, self.source_verdicts = judge_held_out(self.parts, self.sources)
        if crossed:
            fold_of = dict(zip((record.path for record in self._records), self.folds.tolist(), strict=True))
            set_cross_conformal(self.out / "model.onnx", crossed[0], fold_of)
        metrics = self._judge(history, crossed, held_out)
        shutil.rmtree(self.work)
        return Run(self.out, metrics, tuple(self.faults), self.scan.num_unread)

    def _make_traits(self, num_films: int) -> TraitCollector:
        self.traits = TraitCollector(num_films)
        return self.traits

    def _split(self) -> None:
        data, seed = self.config.data, self.config.seed
        splits = assign_splits(
            self.scan.dataset,
            self.scan.groups,
            validation_fraction=data.validation_fraction,
            test_fraction=data.test_fraction,
            seed=seed,
        )
        self.splits = np.array(splits)
        self.folds = np.full(len(splits), -1)
        if self.config.folds:
            self.folds = assign_folds(
                self.scan.dataset, splits, self.scan.groups, num_folds=self.config.folds, seed=seed
            )
        by_source = self.config.by_source
        self.sources = hold_out_sources(self._records, splits, self.scan.groups, seen=self.seen) if by_source else []

    def _open_folder(self) -> None:
        """Start the run's folder, or go on with the unfinished run in it."""
        partial = self.prepared.partial
        prints, records = (*self.scan.fingerprints, *partial.fingerprints), (*self._records, *partial.records)
        hashes = sorted(f"{p.file_sha256} {r.path}" for p, r in zip(prints, records, strict=True))
        identity = {
            "config": to_toml(self.config),
            "films": hashlib.sha256("\n".join(hashes).encode("utf-8", "surrogateescape")).hexdigest(),
            "hilum": __version__,
            "decoder": DECODER_VERSION,
        }
        marker = self.work / "run.json"
        is_same = False
        if marker.exists() and not self.overwrite:
            is_same = json.loads(marker.read_text(encoding="utf-8")) == identity
            if not is_same and (any(self.work.glob("*.npz")) or (self.out / "model.onnx").exists()):
                raise InputError(
                    f"`{self.out}` holds an unfinished run with other settings or films.",
                    fix="Repeat its own command to go on with it, or add --overwrite to begin anew.",
                )
            if is_same:
                self.console.say(f"Going on with the unfinished run in {self.out}.")
        if not is_same:
            remove_run(self.out)
            self.work.mkdir(parents=True)
            replace_file(marker, json_file_text(identity))
        replace_file(self.out / "config.toml", to_toml(self.config))
        write_splits(self.out / "splits.csv", self._records, self.splits.tolist(), self.scan.groups)

    @property
    def _records(self) -> Any:
        return self.scan.dataset.records

    def _cross_validate(self) -> tuple[LabelledPredictions, Performance] | None:
        """Train one model a fold and judge each on the films it did not see."""
        if not self.config.folds:
            return None
        if self.seen[self.folds >= 0].all():
            self.console.say("No cross-validation: the starting weights have seen every film to train on.")
            return None
        parts, positions, thresholds = [], [], []
        for fold in range(self.config.folds):
            held = self.folds == fold
            rest = np.flatnonzero((self.folds >= 0) & ~held)
            validation = self.parts.draw_validation(rest, fold)
            train = (self.folds >= 0) & ~held & ~validation
            classifier = self.parts.fit(f"fold-{fold + 1}", train, validation, seed_shift=fold + 1)
            judged = held & ~self.seen
            parts.append(self.parts.judge(classifier, judged))
            positions.append(np.flatnonzero(judged))
            thresholds.append(classifier.metadata.operating_thresholds)
        verdicts = LabelledPredictions(
            tuple(record for part in parts for record in part.records),
            self.findings,
            np.concatenate([part.truth for part in parts]),
            np.concatenate([part.logits for part in parts]),
            np.concatenate([part.probabilities for part in parts]),
            tuple(answer for part in parts for answer in part.answers),
        )
        mean_thresholds = {name: float(np.mean([t[name] for t in thresholds])) for name in self.findings}
        figures = performance(
            verdicts.truth,
            verdicts.probabilities,
            self.findings,
            operating_thresholds=mean_thresholds,
            groups=self.scan.groups[np.concatenate(positions)],
            seed=self.config.seed,
        )
        return verdicts, figures

    def _judge(
        self, history: list[dict], crossed: tuple[LabelledPredictions, Performance] | None, held_out: dict[str, Any]
    ) -> dict[str, Any]:
        """Measure the sealed file, write every result, and put the figures into the file."""
        path, seed, groups = self.out / "model.onnx", self.config.seed, self.scan.groups
        classifier = Classifier(path)
        tested, validated = (self.splits == "test") & ~self.seen, self.splits == "validation"
        test = self.parts.judge(classifier, tested, label=f"Judging {count_of(int(tested.sum()), 'test film')}")
        validation = self.parts.judge(classifier, validated)
        clean = clean_test(self._records, self.splits.tolist(), groups) & ~self.seen
        test_clean = test.part(clean[tested])
        metrics: dict[str, Any] = {
            "test": figures_of(test, groups[tested], classifier, seed=seed),
            "test_clean": figures_of(test_clean, groups[clean], classifier, seed=seed),
            "validation": figures_of(validation, groups[validated], classifier, seed=seed),
            "cross_validation": crossed[1] if crossed else None,
            **held_out,
        }
        facts = self._facts(classifier.metadata)
        faults = [fault.to_dict() for fault in self.faults]
        metadata = _metadata_dict(classifier.metadata)
        card = model_card_text(metadata=metadata, metrics=metrics, facts=facts, faults=faults)
        write_metadata(path, dataclasses.replace(classifier.metadata, figures=metrics, model_card=card))
        parts = {"test": test, "test_clean": test_clean, "validation": validation}
        if crossed:
            parts["cross_validation"] = crossed[0]
        replace_file(self.out / "model-card.md", card)
        replace_file(self.out / "claim.md", claim_text(self._claim_facts(metadata, metrics, dict(facts), history)))
        replace_file(self.out / "history.csv", history_csv(history))
        listed = [(name, verdicts) for name, verdicts in parts.items() if name != "test_clean"]
        listed += [("leave_one_source_out", verdicts) for verdicts in self.source_verdicts]
        replace_file(self.out / "predictions.csv", predictions_csv(listed))
        section = sources_section(metrics)
        shown = ReportData(
            title=f"{self.config.backbone} on {self.scan.dataset.name}",
            findings=self.findings,
            metrics=metrics,
            parts={name: scored_of(verdicts) for name, verdicts in parts.items()},
            history=history,
            mistakes=worst_mistakes(test, classifier, self.scan.dataset.root),
            facts=facts,
            faults=faults,
            sections=[*([section] if section else []), answers_section(parts, classifier.metadata)],
        )
        replace_file(self.out / "report.html", report_page(shown))
        replace_file(self.out / "metrics.json", json_file_text(metrics))  # last: it says that the run is finished
        return metrics

    def _claim_facts(
        self, metadata: dict[str, Any], metrics: dict[str, Any], facts: dict[str, str], history: list[dict]
    ) -> ClaimFacts:
        return ClaimFacts(
            metadata=metadata,
            metrics=metrics,
            settings=dataclasses.asdict(self.config),
            audit=json.loads((self.out / "audit.json").read_text(encoding="utf-8")),
            data_name=self.scan.dataset.name,
            has_test=self.scan.dataset.has_test,
            num_epochs=count_epochs(history),
            kept=kept_words(history),
            software=f"{facts['Versions']}, Python {platform.python_version()}, numpy {np.__version__}",
        )

    def _facts(self, metadata: Metadata) -> list[tuple[str, str]]:
        config = self.config
        counts = {name: int((self.splits == name).sum()) for name in ("train", "validation", "test")}
        return [
            (
                "Backbone",
                f"{config.backbone}, {_STARTS[config.weights]}",
            ),
            ("Films", ", ".join(f"{count} {name}" for name, count in counts.items())),
            ("Groups", f"{len(np.unique(self.scan.groups))}: twins and films of one patient stay together"),
            ("Input", f"{config.preprocessing.size_px} x {config.preprocessing.size_px} pixels, grey"),
            ("Seed", str(config.seed)),
            ("Kept", kept_words(self.parts.history("model")).removeprefix("Kept: ")),
            ("Temperature", calibration_words(metadata.temperature, metadata.calibration).removeprefix("temperature ")),
            ("Conformal sets", sets_fact(metadata)),
            (
                "Engine against Keras",
                f"at most {metadata.agreement['largest_difference']:.1e} apart in logits on "
                f"{metadata.agreement['n']} films",
            ),
            ("Versions", f"hilum {__version__}, Keras {keras.__version__} on {keras.backend.backend()}"),
        ]


def _metadata_dict(metadata: Metadata) -> dict[str, Any]:
    return json.loads(metadata.to_json())
