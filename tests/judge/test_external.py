"""Another hospital's films, and sources held out: how findings that the model does not know are answered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from hilum.data.folder import FilmRecord
from hilum.judge.external import pneumonia_figures, source_facts, unknown_figures
from hilum.judge.predictions import LabelledPredictions
from hilum.run.answer import Answer, Reason

KNOWN = ("Normal", "Covid-19", "Viral Pneumonia", "Bacterial Pneumonia")


def answered(probabilities: Sequence[float], *, found: Sequence[str] = (), refused: bool = False) -> Answer:
    return Answer(
        file="film",
        probabilities=dict(zip(KNOWN, probabilities, strict=False)),
        set=tuple(found),
        above_threshold=(),
        reasons=(Reason("far", "Unlike all training films."),) if refused else (),
        model={},
        logits=np.zeros(len(KNOWN), np.float32),
        activation=np.zeros((len(KNOWN), 1, 1), np.float32),
    )


def records_of(*findings: str) -> list[FilmRecord]:
    return [FilmRecord(f"{number}.png", finding, None) for number, finding in enumerate(findings)]


def test_answers_to_unknown_findings_are_counted() -> None:
    answers = [
        answered([0.1, 0.9, 0, 0], found=["Covid-19"]),
        answered([0.2, 0.8, 0, 0], found=["Normal", "Covid-19"]),
        answered([0.7, 0.3, 0, 0], found=["Normal"], refused=True),
        answered([1, 0, 0, 0], found=["Normal"]),
    ]
    figures = unknown_figures(records_of("Effusion", "Effusion", "Effusion", "Fracture"), answers)
    assert list(figures) == ["Effusion", "Fracture"]
    assert figures["Effusion"].answers == {"Covid-19": 2, "Normal": 1}
    assert (figures["Effusion"].n, figures["Effusion"].accepted) == (3, 2)
    assert figures["Effusion"].single_finding.value == pytest.approx(1 / 3)  # sure, and not refused
    assert figures["Fracture"].single_finding.value == 1.0
    assert figures["Fracture"].single_finding.low < 0.5
    assert unknown_figures([], []) == {}


def test_pneumonia_not_stated_counts_for_the_sum_of_its_kinds() -> None:
    unstated = "Pneumonia (type not stated)"
    records = records_of("Normal", "Normal", unstated, unstated, "Bacterial Pneumonia", "Covid-19")
    answers = [
        answered([0.8, 0.1, 0.1, 0.0]),
        answered([0.3, 0.0, 0.2, 0.5]),  # called pneumonia
        answered([0.4, 0.0, 0.3, 0.3]),  # neither kind leads, their sum does
        answered([0.1, 0.5, 0.2, 0.2]),  # Covid-19 leads
        answered([0.0, 0.0, 0.1, 0.9]),
        answered([0.0, 0.0, 1.0, 0.0]),  # of no concern here
    ]
    figures = pneumonia_figures(records, answers, KNOWN, np.arange(6))
    assert figures is not None
    assert figures.kinds == ("Viral Pneumonia", "Bacterial Pneumonia")
    assert (figures.pneumonia, figures.normal) == (3, 2)
    assert figures.sensitivity.value == pytest.approx(2 / 3)
    assert figures.specificity.value == pytest.approx(1 / 2)
    assert figures.auroc.value == pytest.approx(4 / 6)  # sums .1 .7 against .6 .4 1


def test_the_question_is_asked_only_where_it_arises() -> None:
    unstated = records_of("Pneumonia (type not stated)", "Normal")
    answers = [answered([0.1, 0.2, 0.7, 0.0]), answered([0.9, 0.1, 0.0, 0.0])]
    assert pneumonia_figures(unstated, answers, KNOWN, np.arange(2)) is not None
    assert pneumonia_figures(unstated, answers, ("Normal", "Covid-19"), np.arange(2)) is None
    assert pneumonia_figures(unstated, answers, KNOWN[1:], np.arange(2)) is None
    assert pneumonia_figures(records_of("Viral Pneumonia", "Normal"), answers, KNOWN, np.arange(2)) is None
    alone = pneumonia_figures(unstated[:1], answers[:1], KNOWN, np.arange(1))
    assert alone is not None
    assert (alone.sensitivity.value, alone.specificity.value, alone.auroc.value) == (1.0, None, None)


def test_facts_tell_what_either_side_lacks() -> None:
    def verdicts(*findings: str) -> LabelledPredictions:
        probabilities = {"Normal": 0.2, "Covid-19": 0.7, "Viral Pneumonia": 0.1}
        answer = Answer("f", probabilities, ("Covid-19",), (), (), {}, np.zeros(3, np.float32), np.zeros((3, 1, 1)))
        records = tuple(FilmRecord(f"{i}", finding, None) for i, finding in enumerate(findings))
        truth = np.zeros(len(findings), np.int64)
        empty = np.zeros((len(findings), 3))
        return LabelledPredictions(records, tuple(probabilities), truth, empty, empty, (answer,) * len(findings))

    facts = source_facts(verdicts("Normal", "Normal"), verdicts("Pneumonia (type not stated)"), np.arange(3))
    assert facts.notes == (
        "It has no film of Covid-19, Viral Pneumonia.",
        "The other sources do not teach Pneumonia (type not stated): 1 film counts in no figure.",
    )
    assert facts.unknown_findings["Pneumonia (type not stated)"].answers == {"Covid-19": 1}
    assert facts.pneumonia.normal == 2
    assert source_facts(verdicts("Normal", "Covid-19", "Viral Pneumonia"), verdicts(), np.arange(3)).notes == ()
