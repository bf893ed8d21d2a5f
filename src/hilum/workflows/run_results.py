"""What a training run leaves: the figures of its sealed networks, and the files that show them."""

from __future__ import annotations

import dataclasses
import io
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from hilum.console import count_of
from hilum.data.split import clean_test
from hilum.figures import json_file_text, to_json
from hilum.files import replace_file
from hilum.judge.audit.audit import Audit
from hilum.judge.audit.check import Fault
from hilum.judge.calibration import calibration_words
from hilum.judge.drift import evaluation_of
from hilum.judge.external import RunMetrics
from hilum.judge.history import count_epochs, kept_words
from hilum.judge.predictions import LabelledPredictions, ProbedFilms, figures_of
from hilum.judge.shortcuts.lungs_hidden import score_lungs_hidden
from hilum.judge.verdict import judge_figures
from hilum.report.card import model_card_text
from hilum.report.claim import ClaimFacts, claim_text
from hilum.report.external import patient_sections, sources_section
from hilum.report.predictions import answers_section, predictions_csv, scored_of, sets_fact, worst_mistakes
from hilum.report.run_page import ReportData, report_page
from hilum.run.classifier import Classifier
from hilum.run.modelfile import Metadata
from hilum.text import write_csv
from hilum.train.graph_file import write_metadata
from hilum.train.run_networks import MODEL, RunNetworks
from hilum.version import __version__
from hilum.workflows.held_out import CrossValidated, JudgedSource

__all__ = ["JudgedRun", "history_csv", "judge_run", "write_run"]

_STARTS = {"imagenet": "ImageNet weights", "chest": "weights of the chest model", "none": "from scratch"}
_HISTORY_COLUMNS = ("stage", "epoch", "loss", "validation_loss", "validation_accuracy", "learning_rate", "kept")


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
        metrics = dataclasses.replace(metrics, verdict=judge_figures(metrics, audit.faults))
        return dataclasses.replace(self, metrics=metrics)


def judge_run(
    networks: RunNetworks,
    splits: np.ndarray,
    seen: np.ndarray,
    crossed: CrossValidated | None,
    sources: Sequence[JudgedSource],
) -> JudgedRun:
    """Return what the sealed model says of the test and validation films, with all figures of the run.

    Args:
        networks: The run's networks.
        splits: (n,) text, the part of each film.
        seen: (n,) bool, the films that the starting weights have learned from; no test figure counts them.
        crossed: The films of the folds, where there are any.
        sources: The sources held out.
    """
    prepared, seed = networks.prepared, networks.config.seed
    classifier, groups = Classifier(networks.out / "model.onnx"), prepared.scan.groups
    tested, validated = (splits == "test") & ~seen, splits == "validation"
    clean = clean_test(splits.tolist(), groups) & ~seen
    test = networks.judge(classifier, tested, label=f"Judging {count_of(int(tested.sum()), 'test film')}")
    predictions = {
        "test": test,
        "test_clean": test.part(clean[tested]),
        "validation": networks.judge(classifier, validated),
    }
    chosen = {"test": tested, "test_clean": clean, "validation": validated}
    kept = "test_clean" if clean.any() else "test"
    probed = ProbedFilms(prepared.scan.dataset.root, predictions[kept], groups[chosen[kept]], part=kept)
    hidden = None
    if len(probed.groups):
        with networks.console.bar("Judging test films again with the lungs hidden", 1.0) as done:
            hidden = score_lungs_hidden(classifier, probed, done=done)
    figures = {name: figures_of(one, groups[chosen[name]], classifier, seed=seed) for name, one in predictions.items()}
    metrics = RunMetrics(
        figures["test"],
        figures["test_clean"],
        figures["validation"],
        cross_validation=crossed.figures if crossed else None,
        leave_one_source_out={one.source: one.figures for one in sources} if sources else None,
        left_out_sources={one.source: one.facts for one in sources} if sources else None,
        lungs_hidden=hidden,
        subgroups=probed.patient_groups(),
    )
    if crossed:
        predictions["cross_validation"] = crossed.predictions
    return JudgedRun(classifier, predictions, [one.predictions for one in sources if one.predictions], metrics)


def write_run(networks: RunNetworks, splits: np.ndarray, faults: Sequence[Fault], judged: JudgedRun) -> None:
    """Write every result of a run, and put the figures and the model card into the model file."""
    out, scan, metrics = networks.out, networks.prepared.scan, judged.metrics
    history, metadata = networks.history(MODEL), judged.classifier.metadata
    facts = _facts(networks, splits, metadata)
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
        versions=f"{dict(facts)['Versions']}, Python {platform.python_version()}, numpy {np.__version__}",
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


def _facts(networks: RunNetworks, splits: np.ndarray, metadata: Metadata) -> list[tuple[str, str]]:
    """Return what was trained, as (name, value) pairs for the report and the model card."""
    config, agreement = networks.config, metadata.agreement
    counts = {name: int((splits == name).sum()) for name in ("train", "validation", "test")}
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
