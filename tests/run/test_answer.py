"""The answer: probabilities from logits, sets from thresholds, and the one JSON shape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hilum.errors import InputError, UndecodableFilm
from hilum.run.answer import (
    Answer,
    Reason,
    UnreadFilm,
    conformal_set,
    conformal_sets,
    disagreement,
    reached,
    softmax,
)


def test_softmax_sums_to_one_and_does_not_overflow() -> None:
    probabilities = softmax(np.array([[1e4, 0.0, -1e4], [1.0, 1.0, 1.0]], dtype=np.float32))
    np.testing.assert_allclose(probabilities, [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]])
    assert probabilities.dtype == np.float64


def test_softmax_with_a_temperature_divides_the_logits() -> None:
    logits = np.array([2.0, 1.0, 0.0])
    np.testing.assert_allclose(softmax(logits, 4.0), softmax(logits / 4.0))


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_softmax_refuses_a_temperature_that_is_none(temperature: float) -> None:
    with pytest.raises(InputError, match="positive"):
        softmax(np.zeros(3), temperature)


def test_conformal_set_keeps_the_order_of_the_findings() -> None:
    thresholds = np.array([0.7, 0.2])
    assert conformal_set(np.array([0.35, 0.65]), thresholds) == [0, 1]  # the likeliest does not reach its own
    assert conformal_set(np.array([0.6, 0.4]), thresholds) == [0]
    assert conformal_set(np.array([0.35, 0.85]), thresholds) == [0, 1]
    assert conformal_set(np.array([0.1, 0.1]), thresholds) == [0]  # none reaches its threshold; the likeliest stays
    assert conformal_set(np.array([0.3, 0.7]), np.array([0.8, 0.1])) == [0, 1]
    assert conformal_set(np.array([0.2, 0.2]), np.array([0.1, 0.1])) == [0]  # of equals the first


@given(
    arrays(np.float64, st.tuples(st.integers(0, 5), st.integers(2, 6)), elements=st.floats(-20, 20)),
    st.lists(st.floats(0, 1), min_size=6, max_size=6),
)
def test_sets_hold_the_likeliest_and_whatever_reaches_its_threshold(logits: np.ndarray, limits: list[float]) -> None:
    probabilities, thresholds = softmax(logits), np.array(limits[: logits.shape[1]])
    inside, fits = conformal_sets(probabilities, thresholds), reached(probabilities, thresholds)
    np.testing.assert_array_equal(fits, 1 - probabilities <= thresholds)
    assert (inside >= fits).all()
    for row, held, found in zip(probabilities, inside, fits, strict=True):
        assert held[row.argmax()]
        assert held.sum() - found.sum() == (not found[row.argmax()])
        assert conformal_set(row, thresholds) == np.flatnonzero(held).tolist()


def test_a_threshold_of_one_keeps_a_finding_in_every_set() -> None:
    assert conformal_set(np.array([0.0, 1.0]), np.array([1.0, 1.0])) == [0, 1]


def answer(**changes: Any) -> Answer:
    defaults: dict[str, Any] = {
        "file": "films/é 1.png",
        "probabilities": {"Normal": 0.2, "Covid-19": 0.7, "Viral Pneumonia": 0.1},
        "set": ("Covid-19", "Normal"),
        "above_threshold": ("Covid-19",),
        "reasons": (),
        "model": {"name": "tiny", "sha256": "ab"},
        "logits": np.zeros(3, np.float32),
        "activation": np.zeros((3, 4, 4), np.float32),
    }
    return Answer(**{**defaults, **changes})


@pytest.mark.parametrize("given_set", [(), ("Normal",), ("Viral Pneumonia", "Normal")])
def test_no_answer_names_what_its_set_rules_out(given_set: tuple[str, ...]) -> None:
    film = answer(set=given_set)
    assert film.set == tuple(name for name in film.probabilities if name in (*given_set, "Covid-19"))
    assert film.to_dict()["set"] == list(film.set)


def test_an_accepted_film_has_a_finding() -> None:
    film = answer()
    assert (film.accepted, film.finding, film.likeliest) == (True, "Covid-19", "Covid-19")


def test_a_refused_film_has_no_finding_but_its_probabilities() -> None:
    film = answer(reasons=(Reason("too-small", "It is small."),))
    assert (film.accepted, film.finding, film.likeliest) == (False, None, "Covid-19")
    values = film.to_dict()
    assert values["finding"] is None
    assert values["probabilities"] == {"Normal": 0.2, "Covid-19": 0.7, "Viral Pneumonia": 0.1}
    assert values["reasons"] == [{"code": "too-small", "message": "It is small."}]


def test_the_json_shape_is_the_one_that_was_promised() -> None:
    assert answer(heatmap="maps/a.png").to_dict() == {
        "file": "films/é 1.png",
        "finding": "Covid-19",
        "probabilities": {"Normal": 0.2, "Covid-19": 0.7, "Viral Pneumonia": 0.1},
        "set": ["Covid-19", "Normal"],
        "above_threshold": ["Covid-19"],
        "accepted": True,
        "reasons": [],
        "outlier_score": None,
        "exposure": None,
        "heatmap": "maps/a.png",
        "model": {"name": "tiny", "sha256": "ab"},
    }
    unread = UnreadFilm("a.png", UndecodableFilm("It is empty.", fix="Send it again."))
    assert unread.to_dict() == {
        "file": "a.png",
        "error": {"type": "UndecodableFilm", "message": "It is empty.", "fix": "Send it again."},
    }


def test_disagreement_is_the_largest_gap_between_two_members() -> None:
    assert disagreement([[0.2, 0.8], [0.2, 0.8]]) == 0
    assert disagreement([[0.1, 0.5, 0.4], [0.1, 0.7, 0.2], [0.3, 0.6, 0.1]]) == pytest.approx(0.3)
    assert answer(disagreement=0.25).to_dict()["disagreement"] == 0.25
    assert "disagreement" not in answer().to_dict()
