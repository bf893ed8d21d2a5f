"""Predictions for people to look at: predictions.csv, and the surest mistakes."""

from __future__ import annotations

import csv
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.data.folder import FilmRecord, read_dataset
from hilum.film.decode import decode
from hilum.film.radiograph import Radiograph
from hilum.judge.predictions import LabelledPredictions, judge_records
from hilum.report.predictions import answers_section, predictions_csv, sets_fact, worst_mistakes
from hilum.run.answer import Answer, Reason
from hilum.run.classifier import Classifier
from hilum.run.modelfile import Metadata

WriteFilm = Callable[..., Path]


def decoded(path: Path) -> tuple[bytes, Radiograph]:
    data = path.read_bytes()
    return data, decode(data, name=path.name)


@pytest.fixture(scope="module")
def classifier(tiny_model: Path) -> Classifier:
    return Classifier(tiny_model, num_threads=1)


@pytest.fixture
def films(tmp_path: Path, write_film: WriteFilm) -> Path:
    """Six films without a train part: three findings, two each."""
    for number, finding in enumerate(("Normal", "Covid", "Viral Pneumonia") * 2):
        write_film(tmp_path / "films" / finding / f"{number} é.png", seed=number)
    return tmp_path / "films"


def test_the_surest_mistakes_come_first(classifier: Classifier, films: Path) -> None:
    verdicts = judge_records(classifier, films, read_dataset(films).records)
    mistakes = worst_mistakes(verdicts, classifier, films, most=2)
    wrong = [
        (max(answer.probabilities.values()), record.path)
        for record, answer in zip(verdicts.records, verdicts.answers, strict=True)
        if answer.likeliest != record.finding
    ]
    expected = sorted(wrong, reverse=True)[:2]
    assert len(expected) == 2
    assert [(mistake.probability, mistake.path) for mistake in mistakes] == [
        (pytest.approx(sureness), path) for sureness, path in expected
    ]
    for mistake in mistakes:
        assert mistake.finding != mistake.predicted
        assert mistake.image_png.startswith(b"\x89PNG")
        assert mistake.heatmap_png.startswith(b"\x89PNG")
        assert mistake.image_png != mistake.heatmap_png


def test_predictions_are_csv_whatever_films_are_called(classifier: Classifier, films: Path) -> None:
    odd = 'a, "b"\n.png'
    shutil.copy(films / "Normal" / "0 é.png", films / "Normal" / odd)
    records = read_dataset(films).records
    text = predictions_csv([("test", judge_records(classifier, films, records))])
    lines: list[dict[str, Any]] = list(csv.DictReader(text.splitlines(keepends=True)))
    assert [line["path"] for line in lines] == [record.path for record in records]


# --- the report's section on sets and refusals ------------------------------------------------------------------------


TURNED = Reason("rotated", "The film is turned by 90 degrees.")


def verdicts(metadata: Metadata, refused: dict[int, tuple[Reason, ...]], num: int = 4) -> LabelledPredictions:
    probabilities = np.tile([0.6, 0.3, 0.1], (num, 1))
    names = metadata.findings
    answers = tuple(
        Answer(
            file=f"{i}.png",
            probabilities=dict(zip(names, row.tolist(), strict=True)),
            set=(),
            above_threshold=(),
            reasons=refused.get(i, ()),
            model={"name": "tiny", "sha256": "0"},
            logits=np.log(row),
            activation=np.zeros((3, 1, 1)),
        )
        for i, row in enumerate(probabilities)
    )
    records = tuple(FilmRecord(f"a<b/{i}.png", names[0], "test") for i in range(num))
    return LabelledPredictions(records, names, np.array([0, 0, 0, 1]), np.log(probabilities), probabilities, answers)


def test_refused_films_stand_with_their_reasons(tiny_metadata: Metadata) -> None:
    part = verdicts(tiny_metadata, {2: (TURNED, Reason("too-small", "It is <small>."))})
    html = answers_section({"test": part, "test_clean": part}, tiny_metadata).html
    assert html.count("a&lt;b/2.png") == 1  # the clean part lies within the other
    assert "The film is turned by 90 degrees. It is &lt;small&gt;." in html
    assert "1 refused: rotated 1, too-small 1" in html
    assert "<td>25.0<small>" in html


def test_no_refusal_is_said(tiny_metadata: Metadata) -> None:
    assert "No film was refused." in answers_section({"test": verdicts(tiny_metadata, {})}, tiny_metadata).html
    assert "<table" not in answers_section({}, tiny_metadata).html


def test_coverage_and_sizes_of_sets(tiny_metadata: Metadata) -> None:
    limits = {name: {"threshold": 0.5, "n": 50} for name in tiny_metadata.findings}
    metadata = dataclasses.replace(tiny_metadata, conformal=limits)
    html = answers_section({"test": verdicts(metadata, {})}, metadata).html
    assert "<td>75.0<small>" in html  # three of four truths are in the sets, each of one finding
    assert "<td>1.00</td><td>100.0</td><td>0.0</td>" in html


@pytest.mark.parametrize(
    ("num", "words"), [(39, "39 validation films of Normal, which are few"), (40, "40 validation films of Normal;")]
)
def test_few_films_behind_a_threshold_are_said(tiny_metadata: Metadata, num: int, words: str) -> None:
    conformal = {
        "Normal": {"threshold": 0.5, "n": num},
        "Covid-19": {"threshold": 0.5, "n": 80, "method": "cross", "folds": 5},
    }
    said = sets_fact(dataclasses.replace(tiny_metadata, conformal=conformal))
    assert words in said
    assert "80 out-of-fold films of Covid-19" in said
    assert sets_fact(dataclasses.replace(tiny_metadata, conformal={})) == "none"


def test_findings_that_share_a_threshold_are_told_together(tiny_metadata: Metadata) -> None:
    few = {"threshold": 0.5, "n": 12, "shared": ["Normal", "Covid-19"], "shared_n": 30}
    conformal = {"Normal": few, "Covid-19": {**few, "n": 18}, "Viral Pneumonia": {"threshold": 0.5, "n": 60}}
    said = sets_fact(dataclasses.replace(tiny_metadata, conformal=conformal))
    assert said.endswith(
        "set on 30 validation films of Normal and Covid-19 together, which are few; "
        "60 validation films of Viral Pneumonia"
    )
