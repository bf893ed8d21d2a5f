"""The networks of one run: the model, one a fold, one a source held out. Each is fitted, sealed and calibrated alike.

A part that an earlier try of the run has finished is not repeated; one that it has begun goes on from its checkpoint.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import keras
import numpy as np

from hilum.console import Console
from hilum.data.fingerprint import joined_hashes, training_hashes
from hilum.files import replace_file
from hilum.findings import finding_named
from hilum.judge.history import kept_row, kept_words, row_words
from hilum.judge.predictions import LabelledPredictions, judge_records
from hilum.run.classifier import Classifier
from hilum.run.engine import Engine
from hilum.run.modelfile import Metadata, read_model_file
from hilum.train.batches import Films, load_films
from hilum.train.calibration import calibrated, gate_statistics
from hilum.train.canonical import save_keras
from hilum.train.config import RunConfig
from hilum.train.out_of_fold import OutOfFold, out_of_fold
from hilum.train.prepared import PreparedFilms, draw_validation
from hilum.train.pretrained import hashes_behind
from hilum.train.seal import seal, write_metadata
from hilum.train.trial import fit_network
from hilum.version import __version__

__all__ = ["WORK", "FoldTrainer"]

WORK = ".work"  # the folder in a run's folder that holds what only a resume needs
_CHECKED_FILMS = 64  # real films on which engine and Keras are compared before sealing


class FoldTrainer:
    """What fits and judges the networks of one run.

    Args:
        prepared: The run's films.
        config: Its settings.
        out: Its folder: "model" is sealed here, every other part in ``folds``.
        console: Where progress goes.
    """

    def __init__(self, prepared: PreparedFilms, config: RunConfig, out: Path, console: Console) -> None:
        self.prepared, self.config, self.out, self.console = prepared, config, out, console
        self._scan, self._films = prepared.scan, prepared.films
        self._records = prepared.scan.dataset.records

    def fit(
        self,
        name: str,
        train: np.ndarray,
        validation: np.ndarray,
        *,
        seed_shift: int = 0,
        findings: tuple[str, ...] | None = None,
        without_sources: Collection[str] = (),
    ) -> Classifier:
        """Return one part's network, fitted, sealed and calibrated.

        Args:
            name: The part's name, and its file's.
            train: (n,) bool, the films to learn from.
            validation: (n,) bool, the films for early stopping and calibration.
            seed_shift: Makes the part's seed its own.
            findings: Those the network tells apart; by default all.
            without_sources: The sources that are held out; no film of theirs whose finding is left open teaches.

        Raises:
            ModelFileError: Engine and Keras disagree, so nothing was sealed.
        """
        target, log = self._target(name), self._log(name)
        if not (target.exists() and log.exists()):
            self._fit(
                name,
                train,
                validation,
                seed_shift=seed_shift,
                findings=findings or self.prepared.findings,
                without_sources=without_sources,
            )
        return Classifier(target)

    def history(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of a fitted part's training, one an epoch."""
        return json.loads(self._log(name).read_text(encoding="utf-8"))

    def draw_validation(self, rest: np.ndarray, shift: int) -> np.ndarray:
        """Return the validation films (n,) bool of a part whose films are ``rest`` (m,) int, by groups."""
        fraction = self.config.data.validation_fraction
        return draw_validation(self.prepared, rest, fraction=fraction, seed=self.config.seed + shift + 1)

    def judge(
        self, classifier: Classifier, chosen: np.ndarray, *, label: str = "", known_only: bool = True
    ) -> LabelledPredictions:
        """Return a sealed network's answers on films.

        Args:
            classifier: The network.
            chosen: (n,) bool, the films.
            label: Of the progress bar; none without.
            known_only: Whether a finding that the network does not know is an error.

        Raises:
            InconsistentDataset: A film shows a finding that the network does not know.
        """
        records = [self._records[position] for position in np.flatnonzero(chosen)]
        root = self._scan.dataset.root
        if not label:
            return judge_records(classifier, root, records, known_only=known_only)
        with self.console.bar(label, 1.0) as done:
            return judge_records(classifier, root, records, known_only=known_only, done=done)

    def _target(self, name: str) -> Path:
        return (self.out if name == "model" else self.out / "folds") / f"{name}.onnx"

    def _log(self, name: str) -> Path:
        return self.out / WORK / f"{name}.history.json"

    def _fit(
        self,
        name: str,
        train: np.ndarray,
        validation: np.ndarray,
        *,
        seed_shift: int,
        findings: tuple[str, ...],
        without_sources: Collection[str],
    ) -> None:
        config, work = self.config, self.out / WORK
        taught = [self.prepared.findings.index(one) for one in findings]
        self._target(name).parent.mkdir(exist_ok=True)
        label = f"Training {config.backbone}" + ("" if name == "model" else f", {name.replace('-', ' ')}")
        with self.console.bar(label, config.fit.epochs + 1) as done:
            shown = 0.0

            def progress(stage: str, epoch: int, epochs: int, fraction: float, row: dict[str, Any] | None) -> None:
                nonlocal shown
                now = (epoch if row else epoch + fraction) + (stage == "backbone")
                done(max(now - shown, 0))
                shown = max(now, shown)
                if row:
                    self.console.say(f"  {row_words(row)}")

            network, history = fit_network(
                self.prepared.training(train, without_sources=without_sources).relabelled(taught),
                self._as_served(np.flatnonzero(validation)).relabelled(taught),
                config,
                num_findings=len(findings),
                seed=config.seed + seed_shift,
                checkpoint=work / f"{name}.npz",
                progress=progress,
            )
        if kept := kept_words(history):
            self.console.say(f"  {kept}")
        unsealed = work / f"{name}.onnx"
        checked = np.flatnonzero(validation)[:_CHECKED_FILMS]
        films = self._films.batch(checked).transpose(0, 3, 1, 2)  # (n, 1, S, S)
        partly = self.prepared.partial.teaching(self._scan.groups[~train], without_sources=without_sources)
        metadata = self._metadata(train | validation, findings, partly)
        agreed = seal(network, films, metadata, unsealed)
        metadata = dataclasses.replace(metadata, agreement=agreed)
        if name == "model":
            parts = [self._films.subset(np.flatnonzero(part)) for part in (train, validation)]
            metadata = dataclasses.replace(metadata, gate=gate_statistics(unsealed, *parts, seed=config.seed))
        crossed = self._out_of_fold(unsealed, train | validation, taught, history)
        judged = self.judge(Classifier(unsealed), validation)
        write_metadata(unsealed, calibrated(metadata, judged, self._scan.groups[validation], crossed))
        if name == "model":
            usual = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.fit.label_smoothing)
            network.model.compile(optimizer=network.model.optimizer, loss=usual)  # Keras alone must be able to load it
            save_keras(network.model, work / "model.keras")
            (work / "model.keras").replace(self.out / "model.keras")
        replace_file(self._log(name), json.dumps(history, ensure_ascii=False, indent=1) + "\n")
        unsealed.replace(self._target(name))
        (work / f"{name}.npz").unlink(missing_ok=True)

    def _as_served(self, positions: np.ndarray) -> Films:
        """Return films read anew with every bit, so that what training says of them is what the sealed file says."""
        films = self._films.subset(positions)
        paths = [self._scan.dataset.root / self._records[position].path for position in positions]
        read = load_films(paths, films.labels, self.config.preprocessing, exact=True)
        return dataclasses.replace(films, pixels=read.pixels)

    def _out_of_fold(
        self, path: Path, seen: np.ndarray, taught: list[int], history: list[dict[str, Any]]
    ) -> OutOfFold | None:
        kept = kept_row(history) or {}
        seen = seen & np.isin(self._films.labels, taught)
        films = self._films.subset(np.flatnonzero(seen)).relabelled(taught)
        return out_of_fold(Engine(read_model_file(path)), films, self._scan.groups[seen], kept, self.config)

    def _metadata(self, seen: np.ndarray, findings: tuple[str, ...], partly: np.ndarray) -> Metadata:
        prints = [self._scan.fingerprints[i] for i in np.flatnonzero(seen)]
        prints += [self.prepared.partial.fingerprints[i] for i in np.flatnonzero(partly)]
        hashes = sorted(one.file_sha256 for one in prints)
        counts = Counter(self._records[i].finding for i in np.flatnonzero(seen))
        codes = {name: finding.snomed_ct for name in findings if (finding := finding_named(name))}
        return Metadata(
            name=f"{self._scan.dataset.name}-{self.config.backbone}",
            findings=findings,
            preprocessing=self.config.preprocessing,
            snomed_ct=codes,
            training_data={
                "name": self._scan.dataset.name,
                "num_films": {name: counts[name] for name in findings},
                **({"num_partly_stated": int(partly.sum())} if partly.any() else {}),
                "dhash256": joined_hashes(training_hashes(prints), hashes_behind(self.config.weights)),
                "fingerprint": hashlib.sha256("".join(hashes).encode()).hexdigest(),
            },
            hilum_version=__version__,
        )
