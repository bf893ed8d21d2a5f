"""Predictions for people to look at: predictions.csv, and the surest mistakes."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.data.folder import read_dataset
from hilum.film.decode import decode
from hilum.film.radiograph import Radiograph
from hilum.judge.predictions import judge_records
from hilum.report.predictions import predictions_csv, worst_mistakes
from hilum.run.classifier import Classifier

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
