"""A planted shortcut reaches shortcuts.json and the page; samples are drawn and counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.data.folder import read_dataset
from hilum.errors import HilumError
from hilum.figures import from_json, json_file_text
from hilum.judge.predictions import LabelledPredictions, ProbedFilms, judge_records
from hilum.judge.shortcuts.measure import FilmCounts, FilmNumbers, ShortcutFigures, Shortcuts, find_shortcuts
from hilum.judge.shortcuts.occlusion import CUES
from hilum.judge.shortcuts.robustness import DAMAGES
from hilum.run.classifier import Classifier

FEW = FilmCounts(cues=16, robustness=6, faithfulness=4, sanity=4)


def looked_for(model: Path, data: Path, *, counts: FilmCounts = FEW, seed: int = 0) -> Shortcuts:
    classifier = Classifier(model)
    verdicts = judge_records(classifier, data, read_dataset(data).records)
    groups = np.arange(len(verdicts.records))
    return find_shortcuts(classifier, model, ProbedFilms(data, verdicts, groups), counts=counts, seed=seed)


@pytest.fixture(scope="module")
def corner(
    looking_model: Callable[..., Path], marked_films: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Shortcuts]:
    model = looking_model(tmp_path_factory.mktemp("corner") / "m.onnx", ((0, 0),), 0.67)
    return model, looked_for(model, marked_films)


def test_a_planted_marker_is_the_headline(corner: tuple[Path, Shortcuts]) -> None:
    figures = corner[1].figures
    assert figures.excess_over_border.value == 0
    assert figures.excess_over_border.high < 0.3
    assert figures.cues["lungs_hidden"].accuracy.value == 1
    assert figures.chance.accuracy == 0.5
    assert figures.heatmap.per_finding["Covid-19"].in_lungs.high < 0.05
    assert figures.order.deletion.gain["random"].value > 0
    assert figures.lung_in_border.value < 0.3


def test_a_model_of_the_lungs_has_its_score_from_them(
    looking_model: Callable[..., Path], marked_films: Path, tmp_path: Path
) -> None:
    cells = [(row, column) for row in (2, 3, 4) for column in (2, 5)]
    figures = looked_for(looking_model(tmp_path / "m.onnx", cells, 0.3), marked_films).figures
    assert figures.excess_over_border.value == 0.5
    assert figures.excess_over_border.low > 0
    heat = figures.heatmap.per_finding["Covid-19"]
    assert heat.in_lungs.value > 0.6
    assert heat.excess.low > 0.2


def test_every_key_is_there_and_is_json(corner: tuple[Path, Shortcuts]) -> None:
    figures = json.loads(json_file_text(corner[1].figures))
    assert from_json(ShortcutFigures, figures) == corner[1].figures
    assert list(figures["cues"]) == [cue.key for cue in CUES]
    assert list(figures["robustness"]["damages"]) == [damage.key for damage in DAMAGES]
    assert figures["films"] == {"judged": 16, "cues": 16, "robustness": 6, "faithfulness": 4, "sanity": 4}
    assert figures["part"] == "test"
    for kind in ("deletion", "insertion"):
        assert set(figures["order"][kind]) == {"curves", "area", "gain"}


def test_large_sets_are_sampled_by_the_seed(corner: tuple[Path, Shortcuts], marked_films: Path) -> None:
    few = FilmCounts(cues=5, robustness=2, faithfulness=1, sanity=1)
    one, same, other = (looked_for(corner[0], marked_films, counts=few, seed=seed) for seed in (0, 0, 3))
    assert one.figures == same.figures
    assert one.figures.films == FilmNumbers(judged=16, cues=5, robustness=2, faithfulness=1, sanity=1)
    assert [example.path for example in one.examples] != [example.path for example in other.examples]
    assert one.figures.sanity.other_films.spearman.value is None  # there is no other film


def test_examples_are_what_the_network_saw(corner: tuple[Path, Shortcuts], marked_films: Path) -> None:
    classifier = Classifier(corner[0])
    examples = corner[1].examples
    assert [example.finding for example in examples] == ["Normal", "Covid-19"]
    for example in examples:
        film = classifier.preprocess(classifier.read(marked_films / example.path))
        np.testing.assert_array_equal(example.films[0], film[0])
        assert len(example.answers) == len(example.films) == len(CUES)
        assert example.answers[0][0] == example.finding


def test_a_film_that_vanishes_meanwhile_is_an_error(corner: tuple[Path, Shortcuts], marked_films: Path) -> None:
    classifier = Classifier(corner[0])
    verdicts: Any = judge_records(classifier, marked_films, read_dataset(marked_films).records)
    assert isinstance(verdicts, LabelledPredictions)
    with pytest.raises(HilumError, match="it does not exist"):
        find_shortcuts(classifier, corner[0], ProbedFilms(marked_films / "gone", verdicts, np.arange(16)), counts=FEW)
