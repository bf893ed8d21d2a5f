"""Results of the Python API: figures as attributes, as JSON, as a table, on a page, saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hilum
from hilum.api.results import AdaptResult, EvaluateResult, TrainResult, model_path
from hilum.errors import InputError
from hilum.judge.adaptation import MixAdaptation, Parent, ShareFigures
from hilum.judge.intervals import Interval


@pytest.fixture(scope="module")
def run(trained_run: Any) -> TrainResult:
    return TrainResult(trained_run.folder, trained_run.metrics, trained_run.num_unread, trained_run.faults)


def test_a_result_is_one_line_and_its_json_is_that_of_the_file(run: TrainResult) -> None:
    assert repr(run).startswith("<TrainResult: clean test ")
    assert "\n" not in repr(run)
    assert run.to_dict() == json.loads((run.folder / "metrics.json").read_text())
    assert run.summary().count(" right (") == 3


def test_a_notebook_shows_the_box_of_the_report(run: TrainResult, tmp_path: Path) -> None:
    page = run._repr_html_()
    assert '<section class="verdict' in page
    assert '<section class="headline"' in page
    assert "<h1>" not in page
    gone = EvaluateResult(tmp_path / "gone", run.metrics, 0)
    assert "clean test" in gone._repr_html_()


def test_a_run_is_saved_whole_and_nothing_is_written_over(run: TrainResult, tmp_path: Path) -> None:
    run.save(tmp_path / "saved")
    names = {path.name for path in run.folder.iterdir()}
    assert names == {path.name for path in (tmp_path / "saved").iterdir()}
    assert "model.onnx" in names
    with pytest.raises(InputError, match="exists already"):
        run.save(tmp_path / "saved")
    with pytest.raises(InputError, match="nothing to save"):
        EvaluateResult(tmp_path / "gone", run.metrics, 0).save(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_answers_of_a_run_are_a_table(run: TrainResult) -> None:
    frame = run.to_dataframe()
    assert set(frame["part"]) == {"test", "validation", "cross_validation"}
    wrong = frame[(frame["part"] == "test") & (frame["finding"] != frame["predicted"])]
    assert len(wrong) == run.metrics.test.n - run.metrics.test.confusion.num_right


def test_a_model_is_a_path_a_classifier_or_a_result(run: TrainResult) -> None:
    classifier = run.model
    assert model_path(run) == model_path(classifier) == classifier.path
    assert model_path("chest") == Path("chest")
    with pytest.raises(InputError, match="received a `int`"):
        model_path(3)  # type: ignore[arg-type]


def test_films_without_findings_may_make_no_model(tmp_path: Path) -> None:
    shares = {"Normal": ShareFigures(0.5, Interval(0.6, 0.5, 0.7))}
    mix = MixAdaptation(Parent("m", "0"), "films", 20, shares, 0.5, None, "Chance explains it.")
    result = AdaptResult(tmp_path, mix, "No model was written.", is_written=False)
    assert result.to_dict()["adaptation"]["shares"]["Normal"]["after"]["low"] == 0.5
    assert result.to_dataframe().iloc[0].to_dict() == {
        "finding": "Normal",
        "before": 0.5,
        "value": 0.6,
        "low": 0.5,
        "high": 0.7,
    }
    with pytest.raises(InputError, match=r"There is no adapted model\. No model was written\."):
        _ = result.model
    assert repr(result) == f"<AdaptResult: No model was written.; {tmp_path}>"
    assert isinstance(result, hilum.Result)
