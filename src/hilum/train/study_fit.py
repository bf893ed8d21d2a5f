"""How a study gets its answers: films of other sources, and networks cross-fitted on its folds.

Every variant is judged on the same folds. Films of other sources are answered by the mean of the folds' networks, and
judged on the findings in common. What is computed is kept in the study's folder, so that a killed study continues.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from hilum.console import Console, count_of
from hilum.data.fingerprint import find_twins
from hilum.errors import InconsistentDataset
from hilum.files import replace_array, replace_file
from hilum.film.preprocess import Preprocessing
from hilum.judge.calibration import fit_temperature
from hilum.run.answer import softmax
from hilum.run.engine import Engine
from hilum.run.modelfile import Metadata, read_model_file
from hilum.train.batches import Films
from hilum.train.config import RunConfig
from hilum.train.networks import Network, build_network, compute_logits
from hilum.train.prepared import PreparedFilms, prepare_films
from hilum.train.seal import seal
from hilum.train.trial import Crossed, FoldedFilms, cross_fit

__all__ = [
    "OutsideFilms",
    "StudyFilms",
    "VariantAnswers",
    "cross_variant",
    "frozen_engine",
    "measure_cost",
    "prepare_outside",
]

_TIMED_FILMS = 24
_CHECKED_FILMS = 4


@dataclass(frozen=True, eq=False)
class OutsideFilms:
    """Films of other sources, with findings that the study's films have too.

    Attributes:
        name: Of their data set.
        films: Their pixels; labels count into ``findings``.
        groups: (m,) int.
        findings: Those in common, in hilum's order.
        columns: (C,) int, their places among the study's findings.
        left_out: How many were left out: ``other_findings``, ``twins`` of the study's films.
    """

    name: str
    films: Films
    groups: np.ndarray
    findings: tuple[str, ...]
    columns: np.ndarray
    left_out: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class StudyFilms:
    """The films of a study, read with one preprocessing.

    Attributes:
        prepared: The data set.
        folds: (n,) int, the fold of each film; -1 for films of the test part, which take no part.
        outside: Films of other sources; None without such.
    """

    prepared: PreparedFilms
    folds: np.ndarray
    outside: OutsideFilms | None = None


@dataclass(frozen=True, eq=False)
class VariantAnswers:
    """What a variant's networks answered.

    Attributes:
        truth: (n,) int, of the study's films.
        probabilities: (n, K), each from a network that saw nothing of the film's group.
        groups: (n,) int.
        outside: (m, C) mean probabilities of all folds on films of other sources; None without such.
        minutes: Processor time of fitting all folds.
        num_weights: Of one network.
        kept_random: How many of its networks kept the random weights they began with.
    """

    truth: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray
    outside: np.ndarray | None
    minutes: float
    num_weights: int
    kept_random: int = 0


def prepare_outside(
    path: Path, prepared: PreparedFilms, preprocessing: Preprocessing, *, console: Console | None = None
) -> OutsideFilms:
    """Return films of other sources, without those that the study's films hold too.

    Args:
        path: A folder of class folders or a CSV manifest; its split does not matter.
        prepared: The study's films.
        preprocessing: The same as theirs.
        console: Where messages and progress go.

    Raises:
        InconsistentDataset: Fewer than two findings are in common.
    """
    others = prepare_films(path, preprocessing, console=console)
    common = tuple(name for name in prepared.findings if name in others.findings)
    if len(common) < 2:
        raise InconsistentDataset(
            f"`{path}` and the study's data set ({', '.join(prepared.findings)}) have "
            f"{count_of(len(common), 'finding')} in common. An AUROC needs two.",
            fix="Rename the findings in a CSV file, or leave out --external.",
        )
    num_own = len(prepared.records)
    twin = np.zeros(len(others.records), dtype=bool)
    for pair in find_twins([*prepared.scan.fingerprints, *others.scan.fingerprints]):
        low, high = sorted((pair.first, pair.second))
        if low < num_own <= high:
            twin[high - num_own] = True
    named = np.array([others.findings[label] for label in others.films.labels], dtype=object)
    shared = np.isin(named, common)
    kept = np.flatnonzero(shared & ~twin)
    labels = np.array([common.index(name) for name in named[kept]], dtype=np.int64)
    if len(np.unique(labels)) < len(common):
        raise InconsistentDataset(
            f"All films of one finding of `{path}` are also among the study's films.", fix="Use other films."
        )
    return OutsideFilms(
        name=others.scan.dataset.name,
        films=Films(others.films.pixels[kept], labels),
        groups=others.scan.groups[kept],
        findings=common,
        columns=np.array([prepared.findings.index(name) for name in common]),
        left_out={"other_findings": int((~shared).sum()), "twins": int((shared & twin).sum())},
    )


class _Answering:
    """Answers the films of a fold, and with them those of other sources, at the fold's temperature."""

    def __init__(self, outside: OutsideFilms | None, folder: Path) -> None:
        self.outside, self.folder, self.fold = outside, folder, 1
        self.temperature: float | None = None
        self.began = time.process_time()

    def __call__(self, network: Network, films: Films) -> np.ndarray:
        logits = compute_logits(network.model, films)
        if self.temperature is None:  # the validation films come first
            self.temperature = fit_temperature(logits, films.labels)
            self.minutes = (time.process_time() - self.began) / 60
            return logits
        if self.outside is not None:
            answers = compute_logits(network.model, self.outside.films)[:, self.outside.columns] / self.temperature
            replace_array(self.folder / f"outside-{self.fold}.npy", answers)
        facts = {"minutes": self.minutes, "num_weights": int(network.model.count_params())}
        replace_file(self.folder / f"facts-{self.fold}.json", json.dumps(facts))
        return logits

    def next_fold(self, num_done: int, _: Crossed) -> None:
        self.fold, self.temperature, self.began = num_done + 1, None, time.process_time()


def cross_variant(films: StudyFilms, config: RunConfig, folder: Path) -> VariantAnswers:
    """Return a variant's answers; folds that an earlier try has finished are not repeated.

    Args:
        films: The study's films, read with ``config.preprocessing``.
        config: The variant's settings.
        folder: What is computed is kept here; made where it does not exist.

    Raises:
        ConfigError: The network or its weights are not to be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    answering = _Answering(films.outside, folder)
    crossed = cross_fit(
        FoldedFilms(films.prepared, films.folds), config, work=folder, answer=answering, after_fold=answering.next_fold
    )
    numbers = range(1, int(films.folds.max()) + 2)
    facts = [json.loads((folder / f"facts-{one}.json").read_text(encoding="utf-8")) for one in numbers]
    kept = [json.loads((folder / f"kept-{one}.json").read_text(encoding="utf-8")) for one in numbers]
    outside = None
    if films.outside is not None:
        answers = (np.load(folder / f"outside-{one}.npy", allow_pickle=False) for one in numbers)
        outside = np.mean([softmax(one) for one in answers], axis=0)
    order = np.argsort(crossed.positions)
    return VariantAnswers(
        truth=crossed.truth[order],
        probabilities=softmax(crossed.logits[order]),
        groups=crossed.groups[order],
        outside=outside,
        minutes=sum(one["minutes"] for one in facts),
        num_weights=facts[-1]["num_weights"],
        kept_random=sum(one["kept_random"] for one in kept),
    )


def measure_cost(config: RunConfig, prepared: PreparedFilms, folder: Path) -> dict[str, float]:
    """Return ``megabytes`` of the model file, and ``milliseconds`` of one core that a film takes in the runtime.

    Args:
        config: The network's settings.
        prepared: Real films.
        folder: Where a file is written for a moment.
    """
    path = folder / "timed.onnx"
    films = prepared.films.batch(np.arange(min(_TIMED_FILMS, len(prepared.films)))).transpose(0, 3, 1, 2)
    _seal_untrained(config, "none", prepared.findings, films[:_CHECKED_FILMS], path)
    engine = Engine(read_model_file(path), num_threads=1)
    seconds = []
    for film in films:
        began = time.process_time()
        engine.run(film[np.newaxis])
        seconds.append(time.process_time() - began)
    megabytes = path.stat().st_size / 1e6
    path.unlink()
    return {"megabytes": megabytes, "milliseconds": 1000 * float(np.median(seconds))}


def _seal_untrained(config: RunConfig, weights: str, findings: tuple[str, ...], films: np.ndarray, path: Path) -> None:
    """Write the model file of a network whose head has learned nothing; films (n, 1, S, S) check it."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(config.seed)
    size_px = config.preprocessing.size_px
    network = build_network(config.backbone, num_findings=len(findings), size_px=size_px, weights=weights, dropout=0.0)
    metadata = Metadata(f"untrained-{config.backbone}", findings, Preprocessing(size_px=size_px))
    seal(network, films, metadata, path)


def frozen_engine(config: RunConfig, findings: tuple[str, ...], films: np.ndarray, path: Path) -> Engine:
    """Return the engine of a pretrained backbone, sealed to a file that is kept for a resume.

    Args:
        config: The network's settings.
        findings: Of the data set; the head itself is of no use.
        films: (n, 1, S, S) float32, some real films on which engine and Keras are compared.
        path: The file.

    Raises:
        ConfigError: The backbone or its weights are not to be had.
        ModelFileError: Engine and Keras disagree.
    """
    if not path.exists():
        partial = path.with_name(f"partial-{path.name}")
        _seal_untrained(config, "imagenet", findings, films, partial)
        partial.replace(path)
    return Engine(read_model_file(path))
