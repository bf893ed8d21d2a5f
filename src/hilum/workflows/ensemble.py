"""An ensemble of finished runs, sealed as one model file and judged as a run is.

The members' graphs become one graph (merge.py), so every door serves it as it serves a single model. It is
calibrated again on held-out answers (out_of_bag.py) and compared with its best member on films that no answering
model had seen.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hilum.console import Console
from hilum.data.run_tables import write_splits
from hilum.errors import ConfigError, InputError, MissingExtra, nearest_name
from hilum.figures import json_file_text, to_json
from hilum.files import replace_file, writing_into
from hilum.judge.gains import EnsembleMetrics, Gains
from hilum.judge.verdict import judge_figures
from hilum.report.card import model_card_text
from hilum.report.charts import Scored
from hilum.report.ensemble import ensemble_facts, ensemble_notes, ensemble_section, ensemble_toml
from hilum.report.predictions import held_out_csv
from hilum.report.run_page import ReportData, report_page
from hilum.results import ResultFolder
from hilum.run.classifier import Classifier
from hilum.run.modelfile import Metadata

try:
    import onnx
except ImportError as error:  # pragma: no cover - seen only without the extra
    raise MissingExtra("An ensemble", "train") from error

from hilum.train.ensemble.combination import METHODS
from hilum.train.ensemble.file import seal_ensemble
from hilum.train.ensemble.members import common_films, read_sources
from hilum.train.ensemble.out_of_bag import check_stack, gather_held_out
from hilum.train.graph_file import write_model
from hilum.workflows.audit import read_faults
from hilum.workflows.ensemble_films import EnsembleFilms, JudgedEnsemble, sizes_px

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
            "The answers of members on films of another size_px": len(sizes_px(sources)) > 1,
        }
        for what in (words for words, needed in needs.items() if needed):
            raise InputError(f"{what} are in no file. They must be measured on the films.", fix="Add --data DATA.")
    answering = EnsembleFilms(films, sources, None if data is None else films.root_in(data), console or Console())
    with tempfile.TemporaryDirectory(prefix="hilum-ensemble-") as folder:
        path, seed = Path(folder) / "model.onnx", answering.seed
        alone = np.stack([films.probabilities(source, source.held_out_part) for source in sources])
        inside = np.stack([answering.inside(*one, Path(folder)) for one in zip(sources, alone, strict=True)])
        held = gather_held_out(films, sources, inside, method, seed=seed)
        coverage = max(member.metadata.coverage for source in sources for member in source.members)
        metadata = seal_ensemble(path, held, held.calibrate(coverage), root=answering.root)
        judged = answering.judge(Classifier(path), held)
        return _write(out, onnx.load(path), metadata, answering, judged, gains=held.gains(alone, seed=seed))


def _write(
    out: Path,
    graph: onnx.ModelProto,
    metadata: Metadata,
    answering: EnsembleFilms,
    judged: JudgedEnsemble,
    *,
    gains: Gains,
) -> Ensemble:
    films, figures = answering.films, judged.figures
    splits = [row.split for row in films.rows]
    audit_path = answering.sources[0].folder / "audit.json"
    faults = read_faults(audit_path) if audit_path.exists() else []
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
            parts={name: Scored(films.truth[where], values) for name, (where, values, _) in judged.answered.items()},
            mistakes=judged.mistakes,
            facts=facts,
            faults=faults,
            notes=ensemble_notes(metadata, has_films=answering.root is not None),
            sections=[ensemble_section(metadata, metrics)],
        )
    )
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


def _open_folder(out: Path) -> None:
    with writing_into(out):
        out.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            (out / name).unlink(missing_ok=True)
