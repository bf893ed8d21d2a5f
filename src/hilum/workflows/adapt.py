"""`hilum adapt`: set a model right for one place with a few films of it, and leave a new model file and a page."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hilum.console import Console
from hilum.data.fingerprint import joined_hashes, training_hashes
from hilum.data.scan import Scan
from hilum.errors import InconsistentDataset
from hilum.figures import json_file_text, to_json
from hilum.files import make_folder, replace_files
from hilum.film.decode import DECODER_VERSION
from hilum.judge.adaptation import (
    Adaptation,
    AdaptationMetrics,
    LevelFigures,
    Parent,
    Side,
    covered_films,
    local_calibration,
)
from hilum.judge.audit.audit import check_ignored
from hilum.judge.conformal import set_figures
from hilum.judge.drift import evaluation_of
from hilum.judge.intervals import Interval, proportion
from hilum.judge.paired import accuracy_difference
from hilum.judge.predictions import LabelledPredictions, figures_of, judge_records
from hilum.report.adaptation import adaptation_card, adaptation_page, adaptation_toml
from hilum.report.predictions import predictions_csv
from hilum.run.answer import softmax
from hilum.run.classifier import MODEL_REASONS, Classifier
from hilum.run.engine import Outputs
from hilum.run.modelfile import Metadata, ModelFile, read_model_file
from hilum.run.out_of_distribution import OutOfDistributionDetector, fit_detector
from hilum.text import printable
from hilum.train.correction import LEAST_FINDING_FILMS, LocalFilms, losses
from hilum.train.correction_choice import Choice, CrossFitted, choose_correction, cross_fit
from hilum.train.graph_file import seal_corrected, write_metadata
from hilum.version import __version__
from hilum.workflows.local_films import (
    ADAPTED_FOLDER,
    AdaptOptions,
    LocalSet,
    few_notes,
    read_local,
    sample_films,
    source_notes,
)

__all__ = ["Adapted", "adapt_model"]


@dataclass(frozen=True, eq=False)
class Adapted:
    """What `hilum adapt` made.

    Attributes:
        folder: Where it lies.
        metrics: What metrics.json holds.
        notes: What the reader must know, a sentence each.
    """

    folder: Path
    metrics: AdaptationMetrics
    notes: tuple[str, ...]


def adapt_model(
    model: Path, data: Path, out: Path, *, options: AdaptOptions | None = None, console: Console | None = None
) -> Adapted:
    """Fit a correction to local films, check it on films that it has not seen, and write the corrected model.

    Args:
        model: A model file, the folder of a run, or the name of a model that ships. It is not changed.
        data: Local films with findings; those of a test part are left for testing.
        out: The folder for the new model.onnx, metrics.json, report.html, predictions.csv and config.toml.
        options: How films are read, and what is put up with.
        console: Where messages and progress go; nowhere by default.

    Raises:
        InputError: The data set cannot be used, is too small or gives its findings away, or the folder holds other
            results.
        ModelFileError: The model file cannot be used, or the corrected one does not answer as it should.
    """
    console, options = console or Console(), options or AdaptOptions()
    ignored = check_ignored(options.ignore)
    ADAPTED_FOLDER.check(out, overwrite=options.overwrite, data=data if data.is_dir() else None, reads=(model, data))
    classifier, parent = Classifier(model), read_model_file(model)
    parent = dataclasses.replace(parent, metadata=dataclasses.replace(parent.metadata, coverage=options.promised))
    local = read_local(classifier, data, options.mapping, console)
    options.check_promise(len(local.scan.dataset.records))
    notes = [*local.notes, *source_notes(local.scan, ignored), *few_notes(local.scan, classifier.findings)]
    for note in notes:
        console.say(note)
    fitted = _fit(classifier, local.scan, console)
    with tempfile.TemporaryDirectory(prefix="hilum-adapt-") as folder:
        path = Path(folder) / "model.onnx"
        metadata, follows = _seal(path, parent, classifier, local, fitted)
        adapted = Classifier(path)
        after = _answered(adapted, fitted)
        metrics = _measure(parent, local, fitted, follows, before=(classifier, fitted.before), after=(adapted, after))
        facts = {**to_json(metrics.adaptation), "dhash256": training_hashes(local.scan.fingerprints)}
        card = metadata.model_card + adaptation_card(metrics)
        counted = evaluation_of(cross_validation=after)
        metadata = dataclasses.replace(
            metadata, adaptation=facts, figures=to_json(metrics), evaluation=counted, model_card=card
        )
        write_metadata(path, metadata)
        sealed = path.read_bytes()
    made = Adapted(out, metrics, tuple(notes))
    make_folder(out)
    replace_files(
        {
            out / "config.toml": adaptation_toml(metrics.adaptation, options.ignore),
            out / "predictions.csv": predictions_csv([("cross_validation", after), ("as_shipped", fitted.before)]),
            out / "report.html": adaptation_page(metrics, made.notes),
            out / "model.onnx": sealed,
            out / "metrics.json": json_file_text(metrics),
        }
    )
    return made


# --- fitting --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Fitted:
    """The films as the shipped model answers them, what was fitted to them, and their logits by other folds' fits."""

    before: LabelledPredictions
    films: LocalFilms
    choice: Choice
    crossed: CrossFitted

    @property
    def after_logits(self) -> np.ndarray:
        """Return (n, K) logits of films that the correction had not seen, before the temperature of the new file."""
        return self.crossed.logits * self.choice.correction.temperature


def _fit(classifier: Classifier, scan: Scan, console: Console) -> _Fitted:
    """Judge the films as shipped, and fit.

    Raises:
        InconsistentDataset: The films are one group.
    """
    records, temperature = scan.dataset.records, classifier.metadata.temperature
    before = judge_records(classifier, scan.dataset.root, records, console=console)
    features = np.stack([np.asarray(answer.features) for answer in before.answers])
    films = LocalFilms(before.logits.astype(np.float64), features.astype(np.float64), before.truth, scan.groups)
    with console.bar("Fitting corrections, and checking them on films that they have not seen", 1.0):
        crossed = cross_fit(films, temperature)
        if crossed is None:
            raise InconsistentDataset(
                "All films are of one patient, or twins of each other, so that no correction can be checked.",
                fix="Add films of other patients.",
            )
        return _Fitted(before, films, choose_correction(films, temperature), crossed)


def _seal(
    path: Path, parent: ModelFile, classifier: Classifier, local: LocalSet, fitted: _Fitted
) -> tuple[Metadata, bool]:
    """Write the corrected model with its thresholds, without figures yet; return its metadata.

    Returns:
        The metadata, and whether the heat maps follow the correction.
    """
    shipped, correction = parent.metadata, fitted.choice.correction
    crossed = fitted.crossed
    calibration = local_calibration(
        softmax(crossed.logits),
        fitted.films.truth,
        crossed.folds,
        shipped,
        correction.temperature,
        least=LEAST_FINDING_FILMS,
    )
    gate = shipped.gate
    if gate:
        bank = OutOfDistributionDetector.from_dict(gate).bank
        found = fit_detector(bank, fitted.films.features, fitted.after_logits)
        gate = found.to_dict() if found else gate
    hashes = joined_hashes(training_hashes(local.scan.fingerprints), shipped.training_data.get("dhash256"))
    metadata = dataclasses.replace(
        shipped,
        name=f"{shipped.name}-adapted",
        temperature=calibration.temperature,
        operating_thresholds=calibration.operating_thresholds,
        conformal=calibration.conformal,
        calibration=calibration.facts,
        gate=gate,
        training_data={**shipped.training_data, "dhash256": hashes},
        figures={},
        hilum_version=__version__,
        decoder_version=DECODER_VERSION,
    )
    pictures, places = sample_films(classifier, local.scan.dataset.root, local.scan.dataset.records)
    expected = correction.logits(fitted.films)[places]
    difference, follows = seal_corrected(path, parent, correction, metadata, (pictures, expected))
    agreement = {"largest_difference": difference, "n": len(places), "unit": "logits, against parent and correction"}
    return dataclasses.replace(metadata, agreement=agreement), follows


def _answered(adapted: Classifier, fitted: _Fitted) -> LabelledPredictions:
    """Return what the adapted model says of each film by the correction of the fold that held it out."""
    before, logits = fitted.before, fitted.after_logits.astype(np.float32)
    outputs = Outputs(logits, fitted.films.features, np.stack([answer.activation for answer in before.answers]))
    answers = []
    for place, answer in enumerate(before.answers):
        refused = tuple(reason for reason in answer.reasons if reason.code not in MODEL_REASONS)
        answers.append(adapted.answer_outputs(answer.file, refused, outputs, place, exposure=answer.exposure))
    probabilities = np.array([list(answer.probabilities.values()) for answer in answers])
    return dataclasses.replace(before, logits=logits, probabilities=probabilities, answers=tuple(answers))


# --- measuring ------------------------------------------------------------------------------------------------------

_Judged = tuple[Classifier, LabelledPredictions]


def _measure(
    parent: ModelFile, local: LocalSet, fitted: _Fitted, follows: bool, *, before: _Judged, after: _Judged
) -> AdaptationMetrics:
    """Return every figure of metrics.json."""
    films, choice, shipped = fitted.films, fitted.choice, parent.metadata
    counts = dict(zip(shipped.findings, films.counts.tolist(), strict=True))
    sets = set_figures(before[1].probabilities, films.truth, shipped.findings, shipped.conformal)
    covered = proportion(sets.num_covered, sets.n), sets.mean_size
    crossed = covered_films(after[1].probabilities, films.truth, fitted.crossed.folds, shipped)
    sides = _side(before, films, covered), _side(after, films, crossed)
    right = (before[1].probabilities.argmax(axis=1), after[1].probabilities.argmax(axis=1))
    correction = choice.correction
    moved = (correction.logits(films) - films.logits).mean(axis=0)
    adaptation = Adaptation(
        parent=Parent(shipped.name, parent.sha256),
        data=printable(local.scan.dataset.name),
        n=len(films.truth),
        num_films=counts,
        few=tuple(name for name, count in counts.items() if 0 < count < LEAST_FINDING_FILMS),
        lacking=tuple(name for name, count in counts.items() if not count),
        left_out=local.left_out,
        level=correction.level,
        penalty=correction.penalty,
        temperature=(shipped.temperature, correction.temperature),
        coverage=(before[0].metadata.coverage, shipped.coverage),
        constants=dict(zip(shipped.findings, moved.tolist(), strict=True)),
        levels=tuple(
            LevelFigures(
                one.level,
                one.penalty,
                loss if math.isfinite(loss) else None,
                error if math.isfinite(error) else None,
                one is correction,
            )
            for one, loss, error in zip(choice.levels, choice.losses, choice.errors, strict=True)
        ),
        before=sides[0],
        after=sides[1],
        accuracy_change=accuracy_difference(right[0] == films.truth, right[1] == films.truth, films.groups),
        heatmaps_follow=follows,
    )
    return AdaptationMetrics(sides[1].figures, adaptation)


def _side(judged: _Judged, films: LocalFilms, covered: tuple[Interval, float]) -> Side:
    """Return the figures of the films, answered by one of the two models."""
    classifier, predictions = judged
    return Side(
        figures=figures_of(predictions, films.groups, classifier),
        loss=float(losses(np.log(np.maximum(predictions.probabilities, 1e-12)), films.truth).mean()),
        refused=proportion(sum(not answer.accepted for answer in predictions.answers), len(films.truth)),
        covered=covered[0],
        mean_set_size=covered[1],
    )
