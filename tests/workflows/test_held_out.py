"""Sources held out: each judged by a model that saw none of it, resumed where a run was stopped, told in the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hilum.console import Console
from hilum.data.folder import FilmRecord
from hilum.data.run_tables import read_splits
from hilum.errors import InconsistentDataset
from hilum.figures import to_json
from hilum.judge.predictions import LabelledPredictions
from hilum.run.answer import Answer
from hilum.run.classifier import Classifier
from hilum.train.config import RunConfig, default_config
from hilum.train.run_networks import NetworkPlan
from hilum.workflows import held_out
from hilum.workflows.compare import compare_runs
from hilum.workflows.held_out import MIN_GROUPS, cross_validate, hold_out_sources, judge_sources
from hilum.workflows.train import train_model

from .shared import FIGURES, Listening, rows

# --- by networks that are stood in for ------------------------------------------------------------------------------

TAUGHT = ("Normal", "Covid-19")
RECORDS = tuple(
    FilmRecord(f"{source}/{finding}/{number}.png", finding, None, source=source)
    for source, findings in (("a", TAUGHT), ("b", (*TAUGHT, "Tuberculosis")))
    for finding in findings
    for number in range(8)
)


class FakeNetworks:
    """Networks that answer right, and know what they were taught."""

    def __init__(self, num_folds: int = 0) -> None:
        self.console = Console()
        self.config = dataclasses.replace(default_config("plain-cnn"), folds=num_folds)
        groups = np.arange(len(RECORDS))
        self.prepared = SimpleNamespace(records=RECORDS, findings=TAUGHT, scan=SimpleNamespace(groups=groups))
        self.plans: list[NetworkPlan] = []

    def draw_validation(self, rest: np.ndarray, _: int) -> np.ndarray:
        return np.isin(np.arange(len(RECORDS)), rest[::4])

    def fit(self, plan: NetworkPlan) -> Any:
        self.plans.append(plan)
        thresholds = dict.fromkeys(plan.findings, 0.5)
        return SimpleNamespace(findings=plan.findings, metadata=SimpleNamespace(operating_thresholds=thresholds))

    def judge(self, network: Any, chosen: np.ndarray, **_: Any) -> LabelledPredictions:
        records = tuple(RECORDS[i] for i in np.flatnonzero(chosen))
        names = list(network.findings)
        truth = np.array([names.index(one.finding) if one.finding in names else -1 for one in records], int)
        probabilities = 0.1 + 0.8 * np.eye(len(names))[truth]
        answers = tuple(
            Answer(one.path, dict(zip(names, row, strict=True)), (), (), (), {}, row, row)
            for one, row in zip(records, probabilities, strict=True)
        )
        return LabelledPredictions(records, tuple(names), truth, probabilities, probabilities, answers)


def from_source(name: str) -> np.ndarray:
    return np.array([record.source == name for record in RECORDS])


def test_a_source_is_judged_by_a_network_that_saw_none_of_it() -> None:
    networks: Any = FakeNetworks()
    held = hold_out_sources(RECORDS, ["train"] * len(RECORDS), np.arange(len(RECORDS)))
    first, second = judge_sources(networks, held)
    assert [plan.name for plan in networks.plans] == ["source-1", "source-2"]
    for plan, name in zip(networks.plans, "ab", strict=True):
        assert plan.without_sources == (name,)
        assert plan.train.any()
        assert plan.validation.any()
        assert not (plan.train & plan.validation).any()
        assert not (plan.seen & from_source(name)).any()
    assert networks.plans[0].seed_shift != networks.plans[1].seed_shift
    assert (first.source, second.source) == ("a", "b")
    assert first.figures is not None
    assert second.figures is not None
    assert (first.figures.n, second.figures.n) == (16, 16)  # the eight of Tuberculosis count in no figure
    assert second.figures.accuracy.value == 1
    assert any("Tuberculosis" in note for note in np.atleast_1d(second.facts.notes))


def test_a_source_that_no_network_can_be_trained_without_says_why() -> None:
    networks: Any = FakeNetworks()
    held = hold_out_sources(RECORDS, ["train"] * len(RECORDS), np.arange(len(RECORDS)))
    (one,) = judge_sources(networks, [dataclasses.replace(held[0], reason="all is known")])
    assert one.figures is None
    assert one.predictions is None
    assert "all is known" in str(one.facts)
    assert networks.plans == []


def test_each_film_is_judged_by_the_network_of_its_fold() -> None:
    networks: Any = FakeNetworks(num_folds=2)
    known = np.array([record.finding in TAUGHT for record in RECORDS])
    folds = np.where(known, np.arange(len(RECORDS)) % 2, -1)
    seen = np.arange(len(RECORDS)) < 4  # by the starting weights
    found = cross_validate(networks, folds, seen)
    assert found is not None
    for number, plan in enumerate(networks.plans):
        assert plan.seen.tolist() == ((folds >= 0) & (folds != number)).tolist()
    judged = [record.path for record in found.predictions.records]
    assert sorted(judged) == sorted(record.path for record, one in zip(RECORDS, known & ~seen, strict=True) if one)
    assert found.figures.n == 28


@pytest.mark.parametrize(("num_folds", "is_seen"), [(0, False), (2, True)])
def test_without_folds_or_films_to_judge_nothing_is_trained(num_folds: int, is_seen: bool) -> None:
    networks: Any = FakeNetworks(num_folds)
    assert cross_validate(networks, np.arange(len(RECORDS)) % 2, np.full(len(RECORDS), is_seen)) is None
    assert networks.plans == []


# --- by real ones ----------------------------------------------------------------------------------------------------


@pytest.fixture
def manifest(tmp_path: Path, write_film: Callable[..., Path]) -> Path:
    """Three sources: two with Normal and Covid-19, one with Normal and Tuberculosis."""
    lines = ["path,finding,source"]
    for source, findings in (("a", ("Normal", "Covid-19")), ("b", ("Normal", "Covid-19")), ("c", ("Normal", "TB"))):
        for finding in findings:
            for number in range(10):
                path = tmp_path / "set" / source / finding / f"{number}.png"
                write_film(path, seed=len(lines), finding=finding.replace("TB", "Viral Pneumonia"))
                lines.append(f"{source}/{finding}/{number}.png,{finding},{source}")
    (tmp_path / "set" / "all.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "set" / "all.csv"


@pytest.mark.slow
def test_sources_are_held_out_and_a_stopped_run_goes_on_with_the_next(
    manifest: Path, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, console = tmp_path / "run", Listening()
    config = dataclasses.replace(config, by_source=True, fit=dataclasses.replace(config.fit, epochs=1))

    def stop(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(held_out, "source_facts", stop)
        with pytest.raises(KeyboardInterrupt):
            train_model(manifest, out, config)
    assert {path.name for path in (out / "folds").iterdir()} == {"source-1.onnx"}
    metrics = train_model(manifest, out, config, console=console).metrics
    begun = [line for line in console.lines if line.strip().startswith("Kept: ")]
    assert len(begun) == 2, console.lines  # of the second and the third source

    splits = {row.path: row.split for row in read_splits(out / "splits.csv")}
    answers = [row for row in rows(out / "predictions.csv") if row["part"] == "leave_one_source_out"]
    assert list(metrics.leave_one_source_out) == ["a", "b", "c"]
    for number, source in enumerate("abc", start=1):
        metadata = Classifier(out / "folds" / f"source-{number}.onnx").metadata
        figures = metrics.leave_one_source_out[source]
        judged = [row for row in answers if row["path"].startswith(f"{source}/")]
        assert sorted(to_json(figures)) == sorted(FIGURES)
        assert figures.n == len(judged)
        assert all(splits[row["path"]] != "test" for row in judged)
        right = sum(row["predicted"] == row["finding"] for row in judged)
        assert figures.accuracy.value == pytest.approx(right / len(judged))
        learnt = sum(metadata.training_data["num_films"].values())
        untaught = "c/TB/" if source == "c" else "-"
        open_films = [path for path in splits if splits[path] != "test" and not path.startswith(untaught)]
        assert learnt == sum(not path.startswith(f"{source}/") for path in open_films)
    assert Classifier(out / "folds" / "source-3.onnx").findings == ("Normal", "Covid-19")
    assert metrics.left_out_sources["c"].unknown_findings["Tuberculosis"].n == sum(
        path.startswith("c/TB/") and split != "test" for path, split in splits.items()
    )
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Sources held out" in page
    assert "Held out: c" in page
    assert Classifier(out / "model.onnx").metadata.figures == to_json(metrics)
    compared = compare_runs(out, out)  # the new part does not disturb
    assert "leave_one_source_out" not in compared.parts


def test_sets_without_sources_are_told_before_anything_is_trained(
    tiny_data: Path, config: RunConfig, tmp_path: Path
) -> None:
    with pytest.raises(InconsistentDataset, match="have no source"):
        train_model(tiny_data, tmp_path / "run", dataclasses.replace(config, by_source=True))
    assert not (tmp_path / "run").exists()


def films(*parts: tuple[str | None, str, int]) -> list[FilmRecord]:
    return [
        FilmRecord(f"{source}/{finding}/{number}.png", finding, None, source=source)
        for source, finding, count in parts
        for number in range(count)
    ]


def test_each_source_is_held_out_once_and_the_test_part_never() -> None:
    records = films(("b", "Normal", 8), ("b", "Covid-19", 8), ("a", "Normal", 8), ("a", "Covid-19", 9))
    splits = ["train"] * len(records)
    splits[0], splits[20] = "test", "validation"
    parts = hold_out_sources(records, splits, np.arange(len(records)))
    assert [part.source for part in parts] == ["a", "b"]
    held = np.sum([part.held for part in parts], axis=0)
    assert held.tolist() == [0] + [1] * 32
    for part in parts:
        assert {record.source for record, one in zip(records, part.held, strict=True) if one} == {part.source}
        assert part.source not in {record.source for record, one in zip(records, part.rest, strict=True) if one}
        assert not part.rest[0]
        assert (part.findings, part.reason) == (("Normal", "Covid-19"), "")


def test_twins_of_the_held_films_are_not_trained_on() -> None:
    records = films(("a", "Normal", 8), ("a", "Covid-19", 8), ("b", "Normal", 8), ("b", "Covid-19", 8))
    groups = np.arange(32)
    groups[16] = 0  # one picture in both sources
    first, second = hold_out_sources(records, ["train"] * 32, groups)
    assert not first.rest[16]
    assert first.held[0]
    assert not second.rest[0]
    assert second.held[16]
    assert first.rest.sum() == second.rest.sum() == 15


def test_what_the_others_do_not_teach_is_said_and_not_trained_on() -> None:
    records = films(
        ("a", "Normal", 8), ("a", "Covid-19", 8), ("a", "Tuberculosis", MIN_GROUPS - 1), ("b", "Normal", 8),
        ("b", "Covid-19", 8), ("b", "Tuberculosis", 8),
    )  # fmt: skip
    without_a, without_b = hold_out_sources(records, ["train"] * len(records), np.arange(len(records)))
    assert without_a.findings == ("Normal", "Covid-19", "Tuberculosis")
    assert without_b.findings == ("Normal", "Covid-19")  # four films of tuberculosis teach nothing
    assert {record.finding for record, one in zip(records, without_b.rest, strict=True) if one} == {
        "Normal",
        "Covid-19",
    }
    twins = np.arange(len(records))
    twins[-8:] = 99  # eight copies of one film
    assert hold_out_sources(records, ["train"] * len(records), twins)[0].findings == ("Normal", "Covid-19")


def test_sources_that_cannot_be_judged_give_the_reason() -> None:
    records = films(("a", "Normal", 8), ("b", "Normal", 8), ("b", "Covid-19", 8), ("c", "Tuberculosis", 8))
    without_a, without_b, without_c = hold_out_sources(records, ["train"] * len(records), np.arange(len(records)))
    assert without_a.reason == ""
    assert without_b.reason == ""  # Normal of a, Tuberculosis of c
    assert without_c.reason == "the other sources have too few films of its findings (Tuberculosis)"
    alone = hold_out_sources(records[:24], ["train"] * 24, np.arange(24))
    assert alone[1].reason == "the other sources have enough films of Normal only"


def test_no_source_is_held_out_that_the_starting_weights_were_learned_from() -> None:
    records = films(("a", "Normal", 8), ("b", "Normal", 8), ("b", "Covid-19", 8), ("c", "Covid-19", 8))
    seen = np.zeros(32, dtype=bool)
    seen[4:8] = True
    without_a, without_b, without_c = hold_out_sources(records, ["train"] * 32, np.arange(32), seen=seen)
    assert without_a.reason == "the starting weights were trained on 4 of its 8 films"
    assert without_b.reason == without_c.reason == ""


def test_sets_without_sources_are_refused() -> None:
    with pytest.raises(InconsistentDataset, match="2 of 10 films have no source"):
        hold_out_sources(films(("a", "Normal", 8), (None, "Normal", 2)), ["train"] * 10, np.arange(10))
    with pytest.raises(InconsistentDataset, match=r"come from one source \(a\)"):
        hold_out_sources(films(("a", "Normal", 8), ("b", "Normal", 2)), ["train"] * 8 + ["test"] * 2, np.arange(10))
