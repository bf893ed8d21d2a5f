"""The words about an ensemble: the gain both ways, settings that are TOML, names that cannot break a page."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

from hilum.judge.gains import EnsembleMetrics, Gain, Gains, MemberFigures
from hilum.judge.intervals import Bootstrap, Interval
from hilum.judge.metrics import performance
from hilum.report.ensemble import ensemble_notes, ensemble_section, ensemble_toml, gain_text
from hilum.run.modelfile import Metadata

MEMBERS = [
    {"name": 'a "quoted" <b>', "sha256": "ab", "backbone": "plain-cnn", "seed": 1, "size_px": 64, "temperature": 1.5},
    {"name": "é", "sha256": "cd", "backbone": "efficientnet-lite0", "seed": 2, "size_px": 224, "temperature": 0.7},
]


@pytest.fixture
def metadata(tiny_metadata: Metadata) -> Metadata:
    calibration = {"method": "held-out", "n": 9, "mean_members": 1.25, "num_members": 2, "is_stand_in": True}
    tiny = {name: getattr(tiny_metadata, name) for name in ("name", "findings", "preprocessing")}
    facts = {"method": "average", "mirror": False, "members": MEMBERS, "calibration": calibration}
    return Metadata(**tiny, ensemble=facts)


def gain(value: float, low: float | None, high: float | None) -> Gain:
    return Gain("a", 100, (90, 92), Interval(), Interval(value, low, high))


def test_a_gain_is_told_with_its_interval_and_doubt() -> None:
    assert gain_text(gain(0.02, 0.01, 0.03), "This") == (
        "This: 92 of 100 films right against 90, macro F1 +2.0 points (95\N{NO-BREAK SPACE}% interval +1.0 to +3.0)."
    )
    assert "cannot say which is better" in gain_text(gain(0.02, -0.01, 0.03), "This")
    assert "cannot" not in gain_text(gain(-0.02, -0.03, -0.01), "This")


def test_settings_are_read_back(metadata: Metadata) -> None:
    settings = tomllib.loads(ensemble_toml(metadata))
    assert settings == {"method": "average", "mirror": False, "members": MEMBERS}


def test_notes_tell_a_stand_in_and_reduced_films(metadata: Metadata) -> None:
    text = " ".join(ensemble_notes(metadata, has_films=True))
    assert "1.25 of the 2 members" in text
    assert "Members of 64 px get their films reduced from 224 px" in text


def test_a_name_does_not_break_the_page(metadata: Metadata) -> None:
    none = performance(
        [], np.zeros((0, 1)), ["a"], operating_thresholds={"a": 0.5}, bootstrap=Bootstrap(num_resamples=0)
    )
    members = tuple(MemberFigures(str(one["name"]), str(one["backbone"]), 1) for one in MEMBERS)
    section = ensemble_section(metadata, EnsembleMetrics(test=none, test_clean=none, ensemble=Gains(members, None)))
    assert "<b>" not in section.html.replace("&lt;b&gt;", "")
    assert "cannot be measured" in section.html
