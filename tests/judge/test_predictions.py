"""What a model says of films whose findings are known: films, truth and answers stay together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from hilum.console import Console
from hilum.data.folder import FilmRecord, read_dataset
from hilum.errors import InconsistentDataset, InputError
from hilum.film.decode import decode
from hilum.film.radiograph import Radiograph
from hilum.judge.predictions import judge_records
from hilum.report.predictions import predictions_csv
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


def test_verdicts_keep_films_truth_and_answers_together(classifier: Classifier, films: Path) -> None:
    records = read_dataset(films).records
    shares: list[float] = []

    class Counting(Console):
        @contextmanager
        def bar(self, label: str, total: float) -> Iterator[Callable[[float], None]]:
            assert label == "Judging 6 films"
            yield shares.append

    verdicts = judge_records(classifier, films, records, console=Counting())
    assert sum(shares) == pytest.approx(1)
    assert verdicts.logits.shape == verdicts.probabilities.shape == (6, 3)
    for chosen in (np.array([5, 0]), np.array([True, False, False, False, False, True])):
        part = verdicts.part(chosen)
        for record, truth, logits in zip(part.records, part.truth, part.logits, strict=True):
            assert verdicts.findings[truth] == record.finding
            np.testing.assert_allclose(logits, classifier.predict(films / record.path).logits, atol=1e-5)
    assert verdicts.part(np.zeros(6, bool)).logits.shape == (0, 3)


def test_no_record_gives_verdicts_of_the_right_shape(classifier: Classifier, films: Path) -> None:
    verdicts = judge_records(classifier, films, [])
    assert verdicts.logits.shape == verdicts.probabilities.shape == (0, 3)
    assert predictions_csv([("test", verdicts)]).count("\n") == 1


def test_unknown_findings_and_vanished_films_are_errors(classifier: Classifier, films: Path) -> None:
    with pytest.raises(InconsistentDataset, match="does not know the findings Fracture"):
        judge_records(classifier, films, [FilmRecord("a.png", "Fracture", None)])
    with pytest.raises(InputError, match=r"gone\.png"):
        judge_records(classifier, films, [FilmRecord("gone.png", "Normal", None)])
    strange = [dataclasses.replace(read_dataset(films).records[0], finding="Fracture")]
    assert judge_records(classifier, films, strange, known_only=False).truth.tolist() == [-1]
