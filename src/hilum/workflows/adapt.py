"""`hilum adapt`: set a model right for one place with a few films of it, and leave a new model file and a page."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hilum.console import Console, count_of
from hilum.data.fingerprint import joined_hashes, seen_films, training_hashes
from hilum.data.folder import read_dataset
from hilum.data.scan import Scan, scan_films
from hilum.errors import InconsistentDataset, InputError
from hilum.figures import json_file_text, to_json
from hilum.files import replace_files
from hilum.film.decode import DECODER_VERSION
from hilum.judge.adaptation import (
    Adaptation,
    AdaptationMetrics,
    LeftOut,
    LevelFigures,
    Parent,
    Side,
    covered_films,
    local_calibration,
)
from hilum.judge.audit.associations import associate_traits, association_faults
from hilum.judge.audit.check import Films
from hilum.judge.audit.checks import check_ignored
from hilum.judge.calibrate import set_figures
from hilum.judge.compare.paired import accuracy_difference
from hilum.judge.external.figures import name_hints, rename_findings
from hilum.judge.intervals import Interval, proportion
from hilum.judge.predictions import LabelledPredictions, figures_of, judge_records
from hilum.report.adaptation import adaptation_card, adaptation_page, adaptation_toml
from hilum.report.predictions import predictions_csv
from hilum.results import ResultFolder
from hilum.run.answer import softmax
from hilum.run.classifier import MODEL_REASONS, Classifier
from hilum.run.engine import Outputs
from hilum.run.modelfile import Metadata, ModelFile, read_model_file
from hilum.run.out_of_distribution import OutOfDistributionDetector, fit_detector
from hilum.text import printable
from hilum.train.corrected_file import seal_corrected
from hilum.train.correction import (
    LEAST_FINDING_FILMS,
    Choice,
    CrossFitted,
    LocalFilms,
    choose_correction,
    cross_fit,
    losses,
)
from hilum.train.graph_file import write_metadata
from hilum.version import __version__

__all__ = ["LEAST_FILMS", "AdaptOptions", "Adapted", "adapt_model"]

LEAST_FILMS = 20
_CHECKED_FILMS = 32
_FOLDER = ResultFolder(
    of="adapted model",
    finished="an adapted model",
    files=("model.onnx", "metrics.json", "predictions.csv", "report.html", "config.toml"),
    marks={"metrics.json": frozenset({"adaptation", "cross_validation"})},
    others=("splits.csv", "history.csv", "audit.json"),
    is_alone=True,
)


@dataclass(frozen=True)
class AdaptOptions:
    """How films are read, and what is put up with.

    Attributes:
        mapping: Texts "Their name=Our finding", for findings that have another name in the data set.
        ignore: Kinds of faults that do not count; ``class-by-source`` for films whose finding goes with their source.
        overwrite: Whether an earlier adapted model in the folder is replaced.
    """

    mapping: Sequence[str] = ()
    ignore: Sequence[str] = ()
    overwrite: bool = False


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


@dataclass(frozen=True, eq=False)
class _Local:
    """The films that are used: the scan of them alone, how many others were left out, and sentences about it."""

    scan: Scan
    left_out: LeftOut
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
    _FOLDER.check(out, overwrite=options.overwrite, data=data if data.is_dir() else None, reads=(model, data))
    parent, classifier = read_model_file(model), Classifier(model)
    local = _read(classifier, data, options, console)
    notes = [*local.notes, *_source_notes(local.scan, ignored), *_few_notes(local.scan, classifier.findings)]
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
        write_metadata(path, dataclasses.replace(metadata, adaptation=facts, figures=to_json(metrics), model_card=card))
        sealed = path.read_bytes()
    made = Adapted(out, metrics, tuple(notes))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot make the folder `{out}`: {error.strerror}.", fix="Choose another folder.") from error
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


# --- reading --------------------------------------------------------------------------------------------------------


def _read(classifier: Classifier, data: Path, options: AdaptOptions, console: Console) -> _Local:
    """Read the films, and leave out those that must not be learned from.

    Raises:
        InconsistentDataset: Too few films are left.
    """
    known = classifier.findings
    dataset = rename_findings(read_dataset(data, min_findings=1), options.mapping, known)
    with console.bar(f"Reading {count_of(len(dataset.records), 'film')} of {dataset.name}", 1.0) as done:
        scan = scan_films(dataset, done=done)
    for remark in scan.dataset.remarks:
        console.say(remark.message)
    records, groups = scan.dataset.records, scan.groups
    strange = np.array([record.finding not in known for record in records], dtype=bool)
    tested = ~strange & np.array([record.split == "test" for record in records], dtype=bool)
    seen = seen_films(scan.fingerprints, classifier.metadata.training_data.get("dhash256"))
    trained = np.zeros(len(records), dtype=bool) if seen is None else np.isin(groups, groups[seen])
    trained &= ~strange & ~tested
    kept = ~(strange | tested | trained)
    notes = []
    if scan.unread:
        notes.append(f"Left out, as unreadable or no film of a chest: {count_of(len(scan.unread), 'film')}.")
    if strange.any():
        names = sorted({records[place].finding for place in np.flatnonzero(strange)})
        films = count_of(int(strange.sum()), "film")
        notes.append(f"Left out, since the model does not know their findings ({', '.join(names)}): {films}.")
        notes += name_hints(names, known)
    if tested.any():
        films = count_of(int(tested.sum()), "film")
        notes.append(f"Left out, since they are the test part: {films}. `hilum evaluate` can judge the model on them.")
    if trained.any():
        films = count_of(int(trained.sum()), "film")
        notes.append(f"Left out, since the model was trained on them, or on films of the same patients: {films}.")
    if kept.sum() < LEAST_FILMS:
        raise InconsistentDataset(
            f"{count_of(int(kept.sum()), 'film')} of `{data}` can be used; expected at least {LEAST_FILMS}. "
            f"{' '.join(notes)}".rstrip(),
            fix="Add films of your own, of every finding if you can.",
        )
    counts = LeftOut(int(trained.sum()), int(strange.sum()), int(tested.sum()), len(scan.unread))
    return _Local(_part(scan, np.flatnonzero(kept)), counts, tuple(notes))


def _part(scan: Scan, kept: np.ndarray) -> Scan:
    """Return the scan of some of its films; their twins are no longer known, their groups are."""
    return dataclasses.replace(
        scan,
        dataset=dataclasses.replace(scan.dataset, records=tuple(scan.dataset.records[place] for place in kept)),
        fingerprints=tuple(scan.fingerprints[place] for place in kept),
        twins=(),
        groups=scan.groups[kept],
        public_films=tuple(scan.public_films[place] for place in kept),
    )


def _source_notes(scan: Scan, ignored: Sequence[str]) -> list[str]:
    """Return what is to be said of findings that go with the place where films come from.

    Raises:
        InconsistentDataset: They go together so closely that a correction would learn the source.
    """
    films = Films(scan, ("train",) * len(scan.dataset.records))
    faults = [fault for fault in association_faults(associate_traits(films), films) if fault.severity != "note"]
    for fault in faults:
        if fault.severity == "error" and fault.kind not in ignored:
            raise InconsistentDataset(
                f"The findings come from different sources, so a correction would learn the source. {fault.message}",
                fix=f"Take each finding from every source, or add --ignore {fault.kind} if you know better.",
            )
    return [f"A correction may learn where films come from. {fault.message}" for fault in faults]


def _few_notes(scan: Scan, known: Sequence[str]) -> list[str]:
    """Return what is to be said of findings with few films or none."""
    counts = {name: sum(record.finding == name for record in scan.dataset.records) for name in known}
    there = [name for name, count in counts.items() if count]
    if len(there) == 1:
        return [
            f"All films show {there[0]}. Only its constant and the thresholds can be set: they bound how often such "
            "films are answered with another finding. How many films of the other findings are found stays unknown."
        ]
    few = [f"{name} ({counts[name]})" for name in there if counts[name] < LEAST_FINDING_FILMS]
    notes = []
    if few:
        notes.append(
            f"Fewer than {LEAST_FINDING_FILMS} films: {', '.join(few)}. No linear correction is fitted for this."
        )
    if lacking := [name for name in known if not counts[name]]:
        notes.append(
            f"No film shows {' or '.join(lacking)}. The model still considers this, with its constant as shipped."
        )
    return notes


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
    with console.bar(f"Judging {count_of(len(records), 'film')}", 1.0) as done:
        before = judge_records(classifier, scan.dataset.root, records, done=done)
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
    path: Path, parent: ModelFile, classifier: Classifier, local: _Local, fitted: _Fitted
) -> tuple[Metadata, bool]:
    """Write the corrected model with its thresholds, without figures yet; return its metadata.

    Returns:
        The metadata, and whether the heat maps follow the correction.
    """
    shipped, correction = parent.metadata, fitted.choice.correction
    records, root, crossed = local.scan.dataset.records, local.scan.dataset.root, fitted.crossed
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
    places = np.linspace(0, len(records) - 1, min(_CHECKED_FILMS, len(records))).astype(int)
    pictures = np.stack([classifier.preprocess(classifier.read(root / records[place].path)) for place in places])
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
        answers.append(adapted.answer_outputs(answer.file, refused, outputs, place))
    probabilities = np.array([list(answer.probabilities.values()) for answer in answers])
    return dataclasses.replace(before, logits=logits, probabilities=probabilities, answers=tuple(answers))


# --- measuring ------------------------------------------------------------------------------------------------------

_Judged = tuple[Classifier, LabelledPredictions]


def _measure(
    parent: ModelFile, local: _Local, fitted: _Fitted, follows: bool, *, before: _Judged, after: _Judged
) -> AdaptationMetrics:
    """Return every figure of metrics.json."""
    films, choice, shipped = fitted.films, fitted.choice, parent.metadata
    counts = dict(zip(shipped.findings, films.counts.tolist(), strict=True))
    sets = set_figures(before[1].probabilities, films.truth, shipped.findings, shipped.conformal)
    covered = proportion(sets["num_covered"], sets["n"]), sets["mean_size"]
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
