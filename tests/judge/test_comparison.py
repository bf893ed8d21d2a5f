"""Comparing runs: the same films, the same labels, and no difference claimed that the films do not show."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.data.run_tables import read_predictions
from hilum.errors import InputError
from hilum.judge.comparison import Counts
from hilum.judge.intervals import Bootstrap
from hilum.judge.metrics import performance
from hilum.judge.paired import DiscordantFilms
from hilum.workflows.compare import compare_runs

FINDINGS = ("Normal", "Covid-19")


def write_run(
    folder: Path,
    right: Mapping[str, bool],
    *,
    part: str = "test",
    findings: tuple[str, ...] = FINDINGS,
    groups: Mapping[str, int] | None = None,
    train: Mapping[str, int] | None = None,
    trained_on: list[str] | None = None,
) -> Path:
    """Write the folder of a run whose answers to films "0 Normal", "1 Covid-19", ... are right or wrong."""
    folder.mkdir(exist_ok=True)
    with (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["path", "part", "finding", "predicted", "accepted", *(f"probability_{f}" for f in findings)])
        for number, (path, is_right) in enumerate(right.items()):
            finding = path.split()[1]
            predicted = finding if is_right else next(one for one in findings if one != finding)
            likely = 0.9 - 0.001 * number
            writer.writerow(
                [path, part, finding, predicted, "true"]
                + [likely if one == predicted else (1 - likely) / (len(findings) - 1) for one in findings]
            )
    if groups is not None:
        rows = [f"{path},{path.split()[1]},test,{group}" for path, group in groups.items()]
        rows += [f"{path},Normal,train,{group}" for path, group in (train or {}).items()]
        (folder / "splits.csv").write_text("\n".join(["path,finding,split,group", *rows]) + "\n", encoding="utf-8")
        metrics: dict[str, Any] = {} if trained_on is None else {"trained_on": {"paths": trained_on}}
        (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    return folder


def films(num: int, wrong: int = 0) -> dict[str, bool]:
    return {f"{number} {FINDINGS[number % 2]}": number >= wrong for number in range(num)}


def test_a_planted_difference_is_found_and_named(tmp_path: Path) -> None:
    worse, better = write_run(tmp_path / "old", films(60, 20)), write_run(tmp_path / "new", films(60, 2))
    result = compare_runs(worse, better)
    part = result.parts["test"]
    assert part.told_apart
    assert part.mcnemar == DiscordantFilms(0, 18, pytest.approx(2**-17), True)
    assert part.accuracy.difference.value == pytest.approx(18 / 60)
    assert part.verdict.startswith("new is better than old on these 60 films: right on 58 against 40 (+30.0 points, ")
    assert "new has the higher AUROC (+" in part.verdict
    assert result.verdict == f"Test as given: {part.verdict}"
    turned = compare_runs(better, worse).parts["test"]
    assert turned.verdict.startswith("new is better than old")
    assert turned.accuracy.difference.value == pytest.approx(-18 / 60)


def test_a_few_films_are_no_difference(tmp_path: Path) -> None:
    """Five films more of five that differ: the bootstrap's interval leaves zero out, McNemar's test does not."""
    first, second = write_run(tmp_path / "a", films(66, 6)), write_run(tmp_path / "b", films(66, 1))
    part = compare_runs(first, second).parts["test"]
    assert part.accuracy.difference.low > 0
    assert not part.told_apart
    assert part.verdict.startswith(
        "These 66 films cannot say whether a or b is better: right on 60 and 65 (+7.6 points"
    )


def test_figures_are_those_of_the_runs(tmp_path: Path) -> None:
    first, second = write_run(tmp_path / "a", films(41, 9)), write_run(tmp_path / "b", films(41, 4))
    part = compare_runs(first, second).parts["test"]
    for folder, side in ((first, "first"), (second, "second")):
        rows = read_predictions(folder).parts["test"].values()
        figures = performance(
            [FINDINGS.index(row["finding"]) for row in rows],
            np.array([[float(row[f"probability_{name}"]) for name in FINDINGS] for row in rows]),
            FINDINGS,
            operating_thresholds=dict.fromkeys(FINDINGS, 0.5),
            bootstrap=Bootstrap(num_resamples=0),
        )
        for name in ("accuracy", "macro_f1", "auroc_macro"):
            assert getattr(getattr(part, name), side) == pytest.approx(getattr(figures, name).value), name
        auroc = part.per_finding["Covid-19"].auroc
        assert getattr(auroc, side) == pytest.approx(figures.per_finding["Covid-19"].auroc.value)
    assert part.per_finding["Covid-19"].n == 20


def test_only_common_films_count_and_the_rest_is_counted(tmp_path: Path) -> None:
    more = films(30) | {"99 Normal": False}
    result = compare_runs(write_run(tmp_path / "a", more), write_run(tmp_path / "b", films(40)))
    part = result.parts["test"]
    assert (part.n, part.only_in) == (30, Counts(1, 10))
    assert part.right == Counts(30, 30)  # the wrong answer is on a film that is not common
    assert "a has no splits.csv: its clean test films and groups are not known." in result.notes


def test_clean_films_are_clean_for_both(tmp_path: Path) -> None:
    paths = films(10)
    alone = {path: number for number, path in enumerate(paths)}
    twins = alone | {"1 Covid-19": 0}  # the first two are one picture
    first = write_run(tmp_path / "a", paths, groups=twins, train={"t": 4})  # 4 has a twin in train
    second = write_run(tmp_path / "b", paths, groups=alone, trained_on=["7 Covid-19"])  # 7 was trained on
    parts = compare_runs(first, second).parts
    assert list(parts) == ["test_clean", "test"]
    assert (parts["test"].n, parts["test"].num_groups) == (10, 9)
    assert parts["test_clean"].n == 8
    assert read_predictions(second).clean == frozenset(paths) - {"7 Covid-19"}


def test_validation_is_flattering_and_said_so(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, films(12), part="validation") for name in "ab"]
    part = compare_runs(*runs).parts["validation"]
    assert part.flattering
    assert "both look better on them than they are" in part.verdict
    assert not part.told_apart


def test_other_findings_are_said(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", films(20, 2))
    second = write_run(tmp_path / "b", films(20, 4), findings=("Covid-19", "Normal", "Viral Pneumonia"))
    result = compare_runs(first, second)
    assert "The models know different findings" in result.notes[0]
    assert set(result.parts["test"].per_finding) == set(FINDINGS)


def test_other_labels_are_an_error(tmp_path: Path) -> None:
    first, second = write_run(tmp_path / "a", films(6)), write_run(tmp_path / "b", films(6))
    path = second / "predictions.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("3 Covid-19,test,Covid-19", "3 Covid-19,test,Normal"))
    with pytest.raises(InputError, match=r"1 of 6 common films .* the first `3 Covid-19`: Covid-19 against Normal"):
        compare_runs(first, second)


def test_other_films_are_an_error(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", films(6))
    second = write_run(tmp_path / "b", {f"other/{path}": True for path in films(6)})
    with pytest.raises(InputError, match="no film in common"):
        compare_runs(first, second)
