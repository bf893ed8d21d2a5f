"""An ensemble of finished runs, sealed as one model file and judged as a run is.

The members' graphs become one graph (merge.py), so every door serves it as it serves a single model. It is
calibrated again on held-out answers (out_of_bag.py) and compared with its best member on films that no answering
model had seen. With the films at hand its test figures are measured through the sealed file; without, they are
computed from the members' own answers, of which it is a function.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hilum.console import Console, count_of
from hilum.data.folder import FilmRecord, read_dataset
from hilum.data.run_tables import write_splits
from hilum.data.split import clean_test
from hilum.errors import ConfigError, InconsistentDataset, InputError, MissingExtra, nearest_name
from hilum.figures import from_json, json_file_text, to_json
from hilum.files import replace_file, writing_into
from hilum.judge.audit.check import Fault
from hilum.judge.compare.gains import EnsembleMetrics, Gain, Gains, MemberFigures, paired_gain
from hilum.judge.drift import count_answers, evaluation_of
from hilum.judge.intervals import Bootstrap, Interval
from hilum.judge.metrics import Performance, performance
from hilum.judge.predictions import LabelledPredictions, judge_records
from hilum.judge.shortcuts.lungs_hidden import score_lungs_hidden
from hilum.judge.shortcuts.measure import ProbedFilms
from hilum.judge.verdict import judge_figures
from hilum.report.card import model_card_text
from hilum.report.charts import Scored
from hilum.report.ensemble import ensemble_facts, ensemble_notes, ensemble_section, ensemble_toml
from hilum.report.predictions import held_out_csv, worst_mistakes
from hilum.report.run_page import ReportData, report_page
from hilum.results import ResultFolder
from hilum.run.answer import conformal_limits, conformal_sets, softmax
from hilum.run.classifier import Classifier
from hilum.run.modelfile import Metadata, read_model_file

try:
    import onnx
except ImportError as error:  # pragma: no cover - seen only without the extra
    raise MissingExtra("An ensemble", "train") from error

from hilum.train.ensemble.combination import METHODS, Combination
from hilum.train.ensemble.file import seal_ensemble
from hilum.train.ensemble.members import Films, Member, Source, common_films, read_sources
from hilum.train.ensemble.merge import merge_graphs
from hilum.train.ensemble.out_of_bag import HeldOut, check_stack, gather_held_out
from hilum.train.graph_file import write_model

__all__ = ["Ensemble", "ensemble_runs"]

_FILES = (
    "model.onnx",
    "config.toml",
    "splits.csv",
    "predictions.csv",
    "metrics.json",
    "audit.json",
    "report.html",
    "model-card.md",
)
_FOLDER = ResultFolder(
    of="ensemble",
    finished="a finished ensemble",
    files=_FILES,
    marks={"metrics.json": frozenset({"test", "ensemble"})},
    last="metrics.json",
    is_alone=True,
)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """A finished ensemble.

    Attributes:
        folder: Where its files are.
        metrics: What metrics.json holds.
    """

    folder: Path
    metrics: EnsembleMetrics


def ensemble_runs(
    runs: Sequence[Path],
    out: Path,
    *,
    method: str = "average",
    data: Path | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> Ensemble:
    """Seal finished runs as one model file, and leave everything about it in a folder.

    Args:
        runs: Folders of runs, or their folders ``folds``; one run alone stands for its folds.
        out: The ensemble's folder.
        method: ``average`` (mean probability) or ``stack`` (logistic regression on out-of-fold answers).
        data: The data set of the runs, to measure the sealed file on its films; folds and members of several size_px
            need it.
        overwrite: Whether an earlier ensemble in that folder is replaced.
        console: Where messages and progress go; nowhere by default.

    Raises:
        InputError: A run cannot be used, the films are needed or are others, or the folder holds something else.
        InconsistentDataset: The members do not fit together.
        ConfigError: The method is unknown.
        ModelFileError: The members cannot be merged, or the merged graph says something else than they do.
    """
    if method not in METHODS:
        raise ConfigError(f"There is no method `{method}`.", fix=nearest_name(method, METHODS))
    _FOLDER.check(out, overwrite=overwrite, reads=runs)
    sources = read_sources(runs)
    films = common_films(sources)
    if method == "stack":
        check_stack(sources)
    if data is None:
        needs = {
            "The answers of a run's folds on test films": any(source.is_folds for source in sources),
            "The answers of members on films of another size_px": len(_sizes_px(sources)) > 1,
        }
        for what in (words for words, needed in needs.items() if needed):
            raise InputError(f"{what} are in no file. They must be measured on the films.", fix="Add --data DATA.")
    root = None if data is None else _root_of(data, films)
    with tempfile.TemporaryDirectory(prefix="hilum-ensemble-") as folder:
        making = _Ensembling(sources, films, method, root, Path(folder), console or Console())
        return making.run(out)


@dataclass(eq=False)
class _Judged:
    figures: dict[str, Performance] = field(default_factory=dict)
    answered: dict[str, tuple[np.ndarray, np.ndarray, list[str]]] = field(default_factory=dict)  # where, (m, K), codes
    mistakes: Sequence[Any] = ()
    lungs_hidden: Interval | None = None
    evaluation: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Ensembling:
    sources: tuple[Source, ...]
    films: Films
    method: str
    root: Path | None
    work: Path
    console: Console

    @property
    def seed(self) -> int:
        return self.sources[0].seed

    @property
    def size_px(self) -> int:
        return max(_sizes_px(self.sources))

    def run(self, out: Path) -> Ensemble:
        alone = np.stack([self.films.probabilities(source, source.held_out_part) for source in self.sources])
        inside = np.stack([self._inside(source, own) for source, own in zip(self.sources, alone, strict=True)])
        held = gather_held_out(self.films, self.sources, inside, self.method, seed=self.seed)
        gains = Gains(tuple(self._member_figures(held, alone)), self._gain(held, alone))
        calibration = held.calibrate(max(one.metadata.coverage for source in self.sources for one in source.members))
        path = self.work / "model.onnx"
        metadata = seal_ensemble(path, held, calibration, root=self.root)
        return self._write(out, path, metadata, self._judge(Classifier(path), held), gains)

    # --- held-out answers -------------------------------------------------------------------------------------------

    def _member_figures(self, held: HeldOut, alone: np.ndarray) -> list[MemberFigures]:
        """Return what each run got right of the films that every run has answered out of fold."""
        rows = []
        for source, probabilities in zip(self.sources, alone, strict=True):
            row = MemberFigures(source.name, source.backbone, source.seed)
            if held.crossed.any():
                figures = self._performance(probabilities[held.crossed], held.crossed)
                row = replace(row, n=figures.n, accuracy=figures.accuracy, macro_f1=figures.macro_f1)
            rows.append(row)
        return rows

    def _performance(
        self, probabilities: np.ndarray, chosen: np.ndarray, metadata: Metadata | None = None
    ) -> Performance:
        return performance(
            self.films.truth[chosen],
            probabilities,
            self.films.findings,
            operating_thresholds=metadata.operating_thresholds if metadata else None,
            groups=self.films.groups[chosen],
            bootstrap=Bootstrap(seed=self.seed),
        )

    def _gain(self, held: HeldOut, members: np.ndarray) -> Gain | None:
        """Return the difference to the member that is best on these very films, which is to the member's advantage."""
        if len(self.sources) < 2 or not held.crossed.any():
            return None
        scores = [self._performance(one[held.crossed], held.crossed).macro_f1.value or 0.0 for one in members]
        best = int(np.argmax(scores))
        truth, groups = self.films.truth[held.crossed], self.films.groups[held.crossed]
        return paired_gain(
            truth,
            members[best][held.crossed],
            held.logits[held.crossed],
            groups,
            name=self.sources[best].name,
            seed=self.seed,
        )

    def _inside(self, source: Source, alone: np.ndarray) -> np.ndarray:
        """Return a run's held-out answers (n, K) as its model gives them inside the ensemble.

        They are measured again where they differ from what the run said alone: where the model gets films reduced from
        the ensemble's size.

        Args:
            source: The run.
            alone: (n, K) what it said alone.
        """
        if source.members[0].metadata.preprocessing.size_px == self.size_px:
            return alone
        place = {row.path: position for position, row in enumerate(self.films.rows)}
        values = np.full((len(place), len(self.films.findings)), np.nan)
        for number, (model, paths) in enumerate(source.held_out_models()):
            metadata = read_model_file(model).metadata
            preprocessing = replace(metadata.preprocessing, size_px=self.size_px)
            part = Member("", model, "", metadata).graph_part(self.films.findings)
            average = Combination("average")
            graph = merge_graphs([part], average, size_px=self.size_px, equalize=preprocessing.equalize)
            replaced = replace(
                metadata, findings=self.films.findings, preprocessing=preprocessing, temperature=1.0, gate={}
            )
            path = self.work / "member.onnx"
            write_model(path, graph, replaced)
            label = f"Judging held-out films, {source.name} {number + 1}"
            values[[place[name] for name in paths]] = self._answers(Classifier(path), paths, label).probabilities
        return values

    def _answers(self, classifier: Classifier, paths: Sequence[str], label: str) -> Any:
        finding = {row.path: row.finding for row in self.films.rows}
        records = [FilmRecord(path, finding[path], None) for path in paths]
        if not records:
            return judge_records(classifier, self.root, records)  # type: ignore[arg-type]
        with self.console.bar(label, 1.0) as done:
            return judge_records(classifier, self.root, records, done=done)  # type: ignore[arg-type]

    # --- judging ----------------------------------------------------------------------------------------------------

    def _judge(self, classifier: Classifier, held: HeldOut) -> _Judged:
        films, metadata = self.films, classifier.metadata
        splits = [row.split for row in films.rows]
        clean = clean_test(splits, films.groups)
        masks = {"test": films.mask("test"), "test_clean": clean, "validation": films.mask("validation")}
        judged = _Judged()
        for name, chosen in masks.items():
            positions = np.flatnonzero(chosen)
            probabilities, reasons, verdicts = self._part(classifier, held.combination, positions, name)
            if name == ("test_clean" if clean.any() else "test"):
                judged.lungs_hidden = self._lungs_hidden(classifier, verdicts, positions)
            if name == "test" and verdicts is not None:
                judged.mistakes = worst_mistakes(verdicts, classifier, self.root)  # type: ignore[arg-type]
            if name in ("test", "validation") and len(positions):
                judged.evaluation = judged.evaluation or _counted(name, metadata, probabilities, reasons, verdicts)
            judged.figures[name] = self._performance(probabilities, chosen, metadata)
            judged.answered[name] = positions, probabilities, reasons
        if crossed := held.cross_validation(seed=self.seed):
            judged.figures["cross_validation"] = crossed[1]
            positions = np.flatnonzero(held.crossed)
            judged.answered["cross_validation"] = positions, crossed[0], self._reasons(positions)
        return judged

    def _write(self, out: Path, path: Path, metadata: Metadata, judged: _Judged, gains: Gains) -> Ensemble:
        films, figures = self.films, judged.figures
        splits = [row.split for row in films.rows]
        audit_path = self.sources[0].folder / "audit.json"
        faults = _faults_in(audit_path)
        metrics = EnsembleMetrics(
            figures["test"],
            figures["test_clean"],
            figures["validation"],
            figures.get("cross_validation"),
            lungs_hidden=judged.lungs_hidden,
            ensemble=gains,
        )
        metrics = replace(metrics, verdict=judge_figures(metrics, faults))
        facts = ensemble_facts(metadata, splits)
        card = model_card_text(metadata=json.loads(metadata.to_json()), metrics=metrics, facts=facts)
        page = report_page(
            ReportData(
                title=f"Ensemble of {len(metadata.ensemble['members'])} on {metadata.training_data['name']}",
                findings=films.findings,
                metrics=metrics,
                parts={
                    name: Scored(films.truth[where], values) for name, (where, values, _) in judged.answered.items()
                },
                mistakes=judged.mistakes,
                facts=facts,
                faults=faults,
                notes=ensemble_notes(metadata, has_films=self.root is not None),
                sections=[ensemble_section(metadata, metrics)],
            )
        )
        graph = onnx.load(path)
        _open_folder(out)
        metadata = replace(metadata, figures=to_json(metrics), evaluation=judged.evaluation, model_card=card)
        write_model(out / "model.onnx", graph, metadata)
        replace_file(out / "config.toml", ensemble_toml(metadata))
        write_splits(out / "splits.csv", films.rows, splits, films.groups)
        if audit_path.exists():
            replace_file(out / "audit.json", audit_path.read_bytes())
        replace_file(out / "model-card.md", card)
        replace_file(out / "predictions.csv", held_out_csv(films.findings, films.rows, judged.answered))
        replace_file(out / "report.html", page)
        replace_file(out / "metrics.json", json_file_text(metrics))  # last: finished
        return Ensemble(out, metrics)

    def _part(
        self, classifier: Classifier, combination: Combination, positions: np.ndarray, label: str
    ) -> tuple[np.ndarray, list[str], Any]:
        """Return probabilities (m, K), the codes why films are refused, and the verdicts where films were judged."""
        paths = [self.films.rows[position].path for position in positions]
        if self.root is not None:
            verdicts = self._answers(
                classifier, paths, f"Judging {count_of(len(paths), 'film')}, {label.replace('_', ' ')}"
            )
            reasons = [" ".join(reason.code for reason in answer.reasons) for answer in verdicts.answers]
            return verdicts.probabilities, reasons, verdicts
        members = np.stack(
            [
                np.where(np.isfinite(tested), tested, self.films.probabilities(source, "validation"))[positions]
                for source in self.sources
                for tested in (self.films.probabilities(source, "test"),)
            ]
        )
        probabilities = softmax(combination.logits(members), classifier.metadata.temperature)
        return probabilities, self._reasons(positions), None

    def _lungs_hidden(self, classifier: Classifier, judged: Any, positions: np.ndarray) -> Interval | None:
        """Return what the ensemble gets right of films with the lungs hidden; None where none was judged."""
        if judged is None or self.root is None or not len(positions):
            return None
        return score_lungs_hidden(classifier, ProbedFilms(self.root, judged, self.films.groups[positions]))

    def _reasons(self, positions: np.ndarray) -> list[str]:
        """Return the codes for which any run refuses each film, as far as its predictions.csv tells."""
        told: dict[str, set[str]] = {}
        for source in self.sources:
            for part in source.judged.parts.values():
                for path, row in part.items():
                    told.setdefault(path, set()).update((row.get("reasons") or "").split())
        return [" ".join(sorted(told.get(self.films.rows[position].path, ()))) for position in positions]


def _sizes_px(sources: Sequence[Source]) -> set[int]:
    return {member.metadata.preprocessing.size_px for source in sources for member in source.members}


def _faults_in(audit: Path) -> list[Fault]:
    """Return the faults of an audit.json; none where there is no such file."""
    text = audit.read_text(encoding="utf-8") if audit.exists() else "{}"
    return [from_json(Fault, fault) for fault in json.loads(text).get("faults", ())]


def _root_of(data: Path, films: Films) -> Path:
    """Return the folder that the films' paths are relative to, once it holds them with the same findings."""
    dataset = read_dataset(data)
    found = {record.path: record.finding for record in dataset.records}
    for row in films.rows:
        if found.get(row.path) != row.finding:
            raise InconsistentDataset(
                f"`{data}` is not the data set of these runs: `{row.path}` is "
                f"{'missing' if row.path not in found else 'labelled with another finding'}.",
                fix="Give the folder or CSV that they were trained on.",
            )
    return dataset.root


def _counted(
    part: str,
    metadata: Metadata,
    probabilities: np.ndarray,
    reasons: Sequence[str],
    verdicts: LabelledPredictions | None,
) -> dict[str, Any]:
    """Return what the model file keeps of its evaluation; of answers that the runs have saved, without the films."""
    if verdicts is not None:
        return evaluation_of(**{part: verdicts})
    sets = conformal_sets(probabilities, conformal_limits(metadata.conformal, metadata.findings))
    accepted = [not codes for codes in reasons]
    counted = count_answers(probabilities, sets.sum(axis=1).tolist(), accepted, metadata.findings)
    return {"part": part, **to_json(counted)}


def _open_folder(out: Path) -> None:
    with writing_into(out):
        out.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            (out / name).unlink(missing_ok=True)
