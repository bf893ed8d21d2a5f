"""Dataclasses become JSON with the same keys in the same order, and come back the same."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest

from hilum.figures import from_json, json_file_text, left_out_if_none, to_json
from hilum.judge.intervals import Bootstrap, Interval
from hilum.judge.metrics import Performance, performance


@dataclass(frozen=True)
class Part:
    n: int
    accuracy: Interval | None
    per_finding: Mapping[str, Interval]
    counts: tuple[tuple[int, ...], ...]
    note: str | None = left_out_if_none()


PART = Part(3, None, {"a": Interval(0.5, 0.25, 0.75)}, ((1, 2), (0, 3)))


def test_keys_are_the_fields_in_their_order() -> None:
    found = to_json(PART)
    assert list(found) == ["n", "accuracy", "per_finding", "counts"]
    assert found["counts"] == [[1, 2], [0, 3]]
    assert list(found["per_finding"]["a"]) == ["value", "low", "high"]
    assert to_json(Part(3, None, {}, (), "told"))["note"] == "told"


def test_what_is_undefined_is_null_and_numpy_is_python() -> None:
    found = to_json({"a": math.nan, "b": np.float32(0.5), "c": np.array([1, 2]), "d": np.bool_(True), "e": math.inf})
    assert found == {"a": None, "b": 0.5, "c": [1, 2], "d": True, "e": None}
    assert [type(found[key]) for key in "bd"] == [float, bool]
    assert json.loads(json_file_text(PART)) == to_json(PART)


def test_what_was_written_is_read_back() -> None:
    assert from_json(Part, json.loads(json_file_text(PART)) | {"later": 1}) == PART
    rng = np.random.default_rng(0)
    truth, scores = rng.integers(0, 3, 40), rng.dirichlet(np.ones(3), 40)
    measured = performance(
        truth, scores, "abc", operating_thresholds=dict.fromkeys("abc", 0.5), bootstrap=Bootstrap(num_resamples=20)
    )
    assert from_json(Performance, json.loads(json_file_text(measured))) == measured


@pytest.mark.parametrize("value", [{"n": 3}, {"n": 3, "accuracy": 1, "per_finding": [], "counts": 1}])
def test_another_shape_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="Part"):
        from_json(Part, value)
