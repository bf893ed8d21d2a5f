"""Held-out sources beside the figures in house: on the terminal, in the report, with what could not be judged."""

from __future__ import annotations

from typing import Any

import numpy as np

from hilum.data.folder import FilmRecord
from hilum.judge.external.sources import source_facts
from hilum.judge.intervals import Bootstrap
from hilum.judge.metrics import performance
from hilum.judge.predictions import LabelledPredictions
from hilum.run.answer import Answer


def figures(findings: list[str], num: int, wrong: int) -> dict[str, Any]:
    truth = np.arange(num) % 2
    answers = np.where(np.arange(num) < wrong, 1 - truth, truth)
    probabilities = 0.1 + 0.7 * np.eye(len(findings))[answers]
    return performance(
        truth,
        probabilities,
        findings,
        operating_thresholds=dict.fromkeys(findings, 0.5),
        bootstrap=Bootstrap(num_resamples=50),
    )


def metrics() -> dict[str, Any]:
    return {
        "test_clean": figures(["Normal", "Covid-19", "Tuberculosis"], 40, 0),
        "cross_validation": figures(["Normal", "Covid-19", "Tuberculosis"], 200, 10),
        "leave_one_source_out": {"<a>": figures(["Normal", "Covid-19"], 60, 30), "b": None},
        "left_out_sources": {
            "<a>": {"notes": ["It has no film of x."], "unknown_findings": {}, "pneumonia": None},
            "b": {"notes": ["It was not judged: the other sources teach Normal only."]},
        },
    }


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
