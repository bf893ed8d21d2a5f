"""Another hospital's films: their names, what either side lacks, and how far the figures fall."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from hilum.data.folder import FilmRecord
from hilum.figures import to_json
from hilum.judge.external.figures import JudgedPart, in_house_comparison, pneumonia_figures, unknown_figures
from hilum.judge.intervals import Bootstrap
from hilum.judge.metrics import Performance, performance
from hilum.judge.parts import Metrics
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


# --- films the model does not know ----------------------------------------------------------------------------------


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


# --- in house and here ----------------------------------------------------------------------------------------------


NONE = performance([], np.zeros((0, 1)), ["a"], operating_thresholds={"a": 0.5}, bootstrap=Bootstrap(num_resamples=0))


def figures(num: int, wrong: int, findings: int = 3) -> Performance:
    truth = np.arange(num) % findings
    answers = np.where(np.arange(num) < wrong, (truth + 1) % findings, truth)
    names = KNOWN[:3]
    probabilities = 0.1 + 0.7 * np.eye(3)[answers]
    return performance(
        truth,
        probabilities,
        names,
        operating_thresholds=dict.fromkeys(names, 0.5),
        bootstrap=Bootstrap(num_resamples=200),
    )


def test_the_fall_is_reported_with_its_interval() -> None:
    compared = in_house_comparison(
        to_json({"test": figures(66, 2), "validation": figures(20, 0)}), Metrics(NONE, figures(300, 90))
    )
    assert compared is not None
    assert compared.in_house == JudgedPart("test", 66)
    assert compared.here == JudgedPart("test_clean", 300)
    assert compared.lacking == ()
    row = compared.figures["accuracy"]
    assert row.change.value == pytest.approx(210 / 300 - 64 / 66)
    # Newcombe's interval of a difference of proportions, from Wilson's limits by hand.
    assert row.change.low == pytest.approx(row.change.value - np.hypot(0.7 - row.here.low, row.in_house.high - 64 / 66))
    assert row.change.low < row.change.value < row.change.high < 0
    assert set(compared.figures) == {"accuracy", "recall_mean", "auroc_macro"}
    assert compared.per_finding["Covid-19"]["auroc"].change.value < 0


def test_lacking_findings_leave_what_can_be_compared() -> None:
    house, here = figures(60, 6), figures(40, 10, findings=2)
    compared = in_house_comparison(to_json({"test_clean": house}), Metrics(here, NONE))
    assert compared is not None
    assert compared.lacking == ("Viral Pneumonia",)
    assert set(compared.per_finding) == {"Normal", "Covid-19"}
    assert "auroc_macro" not in compared.figures
    recall = compared.figures["recall_mean"].in_house
    recalls = [house.per_finding[name].recall for name in ("Normal", "Covid-19")]
    assert recall.value == pytest.approx(np.mean([one.value for one in recalls]))
    assert np.mean([one.low for one in recalls]) < recall.low < recall.value  # narrower than either


def test_without_figures_there_is_nothing_to_compare() -> None:
    assert in_house_comparison({}, Metrics(figures(6, 0), NONE)) is None
    assert in_house_comparison(to_json({"test": figures(6, 0)}), Metrics(NONE, NONE)) is None
