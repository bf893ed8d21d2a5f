"""The networks of one run: the model, one for each fold, and one for each source that is held out.

All are fitted, sealed and calibrated in the same way. A network that an earlier attempt of the run has finished is not
fitted again. One that it had begun continues from its checkpoint.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from hilum.console import Console
from hilum.data.fingerprint import joined_hashes, training_hashes
from hilum.files import replace_file
from hilum.findings import finding_named
from hilum.judge.history import EpochRow, Row, kept_row, kept_words
from hilum.judge.predictions import LabelledPredictions, judge_records
from hilum.report.training_table import TrainingTable
from hilum.run.classifier import Classifier
from hilum.run.engine import Engine
from hilum.run.gate import MIN_SIDE_PX, least_side_px
from hilum.run.heatmap import write_png
from hilum.run.modelfile import Metadata, read_model_file
from hilum.train.batches import Films, batch_picture, load_films
from hilum.train.calibration import calibrated, gate_statistics, out_of_fold
from hilum.train.config import RunConfig
from hilum.train.device import device_words
from hilum.train.feed import FilmBatches
from hilum.train.fit import NO_EXTENSIONS, Extensions, TrainingFilms
from hilum.train.graph_file import write_metadata
from hilum.train.networks import Network
from hilum.train.prepared import PreparedFilms, draw_validation, hashes_behind
from hilum.train.seal import save_keras, seal
from hilum.train.tracking import NO_TRACKER, Tracker
from hilum.train.trial import fit_network
from hilum.version import __version__

__all__ = ["MODEL", "NetworkPlan", "RunNetworks"]

MODEL = "model"  # the network that the run is about
_CHECKED_FILMS = 64  # films on which the engine and Keras are compared before sealing


@dataclass(frozen=True, eq=False)
class NetworkPlan:
    """What one network of a run learns.

    Attributes:
        name: The name of the network and of its file: ``model``, ``fold-1``, ``source-2``.
        train: (n,) bool, the films to learn from.
        validation: (n,) bool, the films for early stopping and calibration.
        findings: The findings that the network distinguishes.
        seed_shift: Is added to the run's seed, so that each network has a seed of its own.
        without_sources: Sources that are held out; films of theirs with an ambiguous label are not learned from.
    """

    name: str
    train: np.ndarray
    validation: np.ndarray
    findings: tuple[str, ...]
    seed_shift: int = 0
    without_sources: tuple[str, ...] = ()

    @property
    def seen(self) -> np.ndarray:
        """The films (n,) bool that decide the network: those to learn from and those for validation."""
        return self.train | self.validation


@dataclass(frozen=True, eq=False)
class RunNetworks:
    """Fits the networks of one run and lets them judge films.

    Attributes:
        prepared: The run's films, n of them.
        config: The run's settings.
        out: The run's folder. The model is sealed here, every other network in its folder ``folds``.
        console: Where progress goes.
        extensions: What a user adds to each training in Python.
        tracker: Is told every epoch of every network; of one that continues or was fitted before, all epochs again.
    """

    prepared: PreparedFilms
    config: RunConfig
    out: Path
    console: Console
    extensions: Extensions = NO_EXTENSIONS
    tracker: Tracker = NO_TRACKER

    def fit(self, plan: NetworkPlan) -> Classifier:
        """Return one network, fitted, sealed and calibrated.

        Raises:
            ModelFileError: The engine and Keras disagree, so nothing was sealed.
        """
        target = self._file(plan.name)
        if not (target.exists() and self._history_file(plan.name).exists()):
            target.parent.mkdir(exist_ok=True)
            network, history = self._fitted(plan)
            unsealed = self._work(f"{plan.name}.onnx")
            self._calibrate(plan, unsealed, self._sealed(plan, network, unsealed), history)
            if plan.name == MODEL:
                self._keep_keras(network)
            text = json.dumps(history, ensure_ascii=False, indent=1) + "\n"
            replace_file(self._history_file(plan.name), text)
            unsealed.replace(target)
            self._work(f"{plan.name}.npz").unlink(missing_ok=True)
        else:
            for row in self.history(plan.name):
                self.tracker.epoch(plan.name, row)
        return Classifier(target)

    def history(self, name: str) -> list[Row]:
        """Return the rows of a fitted network's history, one for each epoch."""
        return json.loads(self._history_file(name).read_text(encoding="utf-8"))

    def draw_validation(self, rest: np.ndarray, shift: int) -> np.ndarray:
        """Return the validation films (n,) bool of a network that may see the films ``rest`` (m,) int, by groups."""
        fraction = self.config.data.validation_fraction
        return draw_validation(self.prepared, rest, fraction=fraction, seed=self.config.seed + shift + 1)

    def judge(
        self, classifier: Classifier, chosen: np.ndarray, *, label: str = "", known_only: bool = True
    ) -> LabelledPredictions:
        """Return a sealed network's predictions on films.

        Args:
            classifier: The network.
            chosen: (n,) bool, the films.
            label: The label of the progress bar; without one there is no bar.
            known_only: Whether a finding that the network does not know is an error.

        Raises:
            InconsistentDataset: A film shows a finding that the network does not know.
        """
        records = [self.prepared.records[position] for position in np.flatnonzero(chosen)]
        root, console = self.prepared.scan.dataset.root, self.console if label else None
        return judge_records(classifier, root, records, known_only=known_only, console=console, label=label)

    def _file(self, name: str) -> Path:
        return (self.out if name == MODEL else self.out / "folds") / f"{name}.onnx"

    def _work(self, name: str) -> Path:
        return self.out / ".work" / name

    def _history_file(self, name: str) -> Path:
        return self._work(f"{name}.history.json")

    def _fitted(self, plan: NetworkPlan) -> tuple[Network, list[EpochRow]]:
        """Return the fitted network of a plan and its history; the fitting continues from a checkpoint."""
        config, name, numbers = self.config, plan.name, self._numbers(plan)
        films = TrainingFilms(
            self.prepared.training(plan.train, without_sources=plan.without_sources).relabelled(numbers),
            self._as_served(plan.validation).relabelled(numbers),
        )
        if name == MODEL:
            self.console.say(device_words(config, self._work(name).parent))
            self._draw_first_batch(films.train, plan)
        label = f"Training {config.backbone}" + ("" if name == MODEL else f", {name.replace('-', ' ')}")
        table = TrainingTable(label)

        def progress(stage: str, epoch: int, num_epochs: int, done: float, row: EpochRow | None) -> None:
            table(stage, epoch, num_epochs, done, row)
            if row is not None:
                self.tracker.epoch(name, row)

        with self.console.live(table) as table.changed:
            network, history = fit_network(
                films,
                dataclasses.replace(config, seed=config.seed + plan.seed_shift),
                num_findings=len(plan.findings),
                checkpoint=self._work(f"{name}.npz"),
                progress=progress,
                extensions=self.extensions,
            )
        if kept := kept_words(history):
            self.console.say(f"  {kept}")
        return network, history

    def _draw_first_batch(self, films: Films, plan: NetworkPlan) -> None:
        """Write batches.png, the first films that the network trains on; an earlier attempt's is the same."""
        path = self.out / "batches.png"
        if path.exists() or not self.config.fit.num_epochs(len(films)):
            return
        seed, change = self.config.seed + plan.seed_shift, self.extensions.change
        shown, targets, _ = FilmBatches.of(films, self.config, len(plan.findings), seed=seed, change=change)[0]
        write_png(path, batch_picture(shown, targets, plan.findings))

    def _sealed(self, plan: NetworkPlan, network: Network, path: Path) -> Metadata:
        """Seal a network as a model file, and return what the file is to say of it before its calibration."""
        films = self.prepared.films
        checked = np.flatnonzero(plan.validation)[:_CHECKED_FILMS]
        metadata = self._metadata(plan)
        difference = seal(network, films.batch(checked).transpose(0, 3, 1, 2), metadata, path)  # (n, 1, S, S)
        metadata = dataclasses.replace(metadata, agreement={"largest_difference": difference, "n": len(checked)})
        if plan.name == MODEL:
            train, validation = (films.subset(np.flatnonzero(chosen)) for chosen in (plan.train, plan.validation))
            metadata = dataclasses.replace(
                metadata, gate=gate_statistics(path, train, validation, seed=self.config.seed)
            )
        return metadata

    def _calibrate(self, plan: NetworkPlan, path: Path, metadata: Metadata, history: list[EpochRow]) -> None:
        """Put the metadata with temperature, thresholds and conformal sets into the model file at a path."""
        numbers, groups, films = self._numbers(plan), self.prepared.scan.groups, self.prepared.films
        seen = plan.seen & np.isin(films.labels, numbers)
        crossed = out_of_fold(
            Engine(read_model_file(path)),
            films.subset(np.flatnonzero(seen)).relabelled(numbers),
            groups[seen],
            kept_row(history) or {},
            self.config,
        )
        judged = self.judge(Classifier(path), plan.validation)
        write_metadata(path, calibrated(metadata, judged, groups[plan.validation], crossed))

    def _keep_keras(self, network: Network) -> None:
        """Write model.keras, which Keras alone can load and continue to train."""
        smoothing = self.config.fit.label_smoothing
        usual = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
        network.model.compile(optimizer=network.model.optimizer, loss=usual)
        save_keras(network.model, self._work("model.keras"))
        self._work("model.keras").replace(self.out / "model.keras")

    def _numbers(self, plan: NetworkPlan) -> list[int]:
        """Return where the findings of a plan stand among those of the run."""
        return [self.prepared.findings.index(one) for one in plan.findings]

    def _as_served(self, chosen: np.ndarray) -> Films:
        """Return films read again with every bit, so that training measures what the sealed file measures."""
        positions = np.flatnonzero(chosen)
        films, root = self.prepared.films.subset(positions), self.prepared.scan.dataset.root
        paths = [root / self.prepared.records[position].path for position in positions]
        read = load_films(paths, films.labels, self.config.preprocessing, exact=True)
        return dataclasses.replace(films, pixels=read.pixels)

    def _metadata(self, plan: NetworkPlan) -> Metadata:
        """Return what a network's file says of the network's origin."""
        scan, films, seen = self.prepared.scan, self.prepared.ambiguous, np.flatnonzero(plan.seen)
        ambiguous = films.teaching(scan.groups[~plan.train], without_sources=plan.without_sources)
        prints = [scan.fingerprints[i] for i in seen]
        prints += [films.fingerprints[i] for i in np.flatnonzero(ambiguous)]
        hashes = sorted(one.file_sha256 for one in prints)
        counts = Counter(self.prepared.records[i].finding for i in seen)
        side_px = least_side_px([one.shorter_side_px for one in prints])
        return Metadata(
            name=f"{scan.dataset.name}-{self.config.backbone}",
            findings=plan.findings,
            preprocessing=self.config.preprocessing,
            coverage=self.config.coverage,
            snomed_ct={name: finding.snomed_ct for name in plan.findings if (finding := finding_named(name))},
            training_data={
                "name": scan.dataset.name,
                "num_films": {name: counts[name] for name in plan.findings},
                **({"least_side_px": side_px} if side_px < MIN_SIDE_PX else {}),
                **({"num_partly_stated": int(ambiguous.sum())} if ambiguous.any() else {}),
                "dhash256": joined_hashes(training_hashes(prints), hashes_behind(self.config.weights)),
                "fingerprint": hashlib.sha256("".join(hashes).encode()).hexdigest(),
            },
            hilum_version=__version__,
        )
