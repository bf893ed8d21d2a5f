"""The page of a study, and its table for the terminal."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from hilum.judge.image_quality import DOSES
from hilum.judge.intervals import Interval
from hilum.judge.study import Change, Changes, StudyFigures
from hilum.judge.study_result import (
    AugmentationResult,
    BackbonesResult,
    Condition,
    Conditions,
    FilmCounts,
    MethodRow,
    NetworkRow,
    NoiseResult,
    PolicyGroup,
    PolicyRow,
)
from hilum.judge.study_verdict import DEMANDS, verdict_of
from hilum.report.study import Picture, study_page
from hilum.report.study_tables import study_text

I = Interval(0.9, 0.88, 0.92)  # noqa: E741 - as in the docs
FIGURES = StudyFigures(9, I, I, I, I, True)
CHANGE = Change(9, Interval(0.02, 0.01, 0.03), I, I, "better")
FILM = np.full((16, 16), 0.5, np.float32)
OTHER = FilmCounts("theirs", 9, 9, {"Normal": 9}, {"other_findings": 4, "twins": 2})


@pytest.fixture(params=[True, False], ids=["with other sources", "without"])
def facts(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {
        "hilum": "0",
        "data": FilmCounts("own<b>", 20, 18, {"Normal": 10, "Covid-19": 10}),
        "external": OTHER if request.param else None,
        "folds": 5,
        "verdict": verdict_of("Take <it>.", "", "Then & go on."),
        "faults": ["A <fault>."],
        "remarks": ["A <remark>."],
    }


def noise_result(facts: dict[str, Any]) -> NoiseResult:
    def row(name: str) -> MethodRow:
        change = None if name == "none" else CHANGE
        part = Condition(FIGURES, change, change, change)
        return MethodRow(
            name=name,
            title=f"<{name}>",
            settings="s & t",
            kind="denoise",
            served=True,
            n_quality=3,
            fidelity={key: {"psnr": 30.0, "ssim": 0.9} for key in DOSES},
            clean={"psnr": 40.0, "edges_kept": 0.95},
            structure={"rib_contrast": 2.0, "mtf50": 0.25, "mtf50_clean": 0.3},
            residual_likeness=0.1,
            milliseconds=1.25,
            changes=Conditions(
                dict.fromkeys(("clean", *DOSES), part),
                dict.fromkeys(("clean", "medium"), part) if facts["external"] else None,
            ),
            shortcuts={"change": Interval(0.0, -0.1, 0.1)},
            verdict={"criteria": dict.fromkeys(DEMANDS, False)} if change else None,
        )

    parts = ("in_house", "external") if facts["external"] else ("in_house",)
    return NoiseResult(
        **facts,
        study="noise",
        backbone="plain-cnn",
        size_px=32,
        doses=DOSES,
        noise={key: {"found": 0.02, "put_in": 0.02, "highest": 0.03} for key in ("clean", *DOSES)},
        share_noisy=dict.fromkeys(parts, 0.1),
        least_noise=0.02,
        methods=[row("none"), row("median")],
        noise_in_training={part: dict.fromkeys(("clean", *DOSES), CHANGE) for part in parts},
    )


def policy_result(facts: dict[str, Any]) -> AugmentationResult:
    external = FIGURES if facts["external"] else None
    rows = [
        PolicyRow(
            name=name,
            title=f"<{name}>",
            words="a & b",
            in_house=FIGURES,
            external=external,
            minutes=1.5,
            against_none=changes,
            against_default=changes,
        )
        for name, changes in (("none", Changes()), ("mixup", Changes(CHANGE, CHANGE if external else None)))
    ]
    return AugmentationResult(
        **facts,
        study="augmentation",
        backbones={"plain-cnn": PolicyGroup(how="64 px", policies=rows, verdict={"words": ""})},
    )


def network_result(facts: dict[str, Any]) -> BackbonesResult:
    usual: dict[str, Any] = {"backbone": "Net<1>", "size_px": 160, "start": "frozen"}
    good = NetworkRow(
        name="a",
        title="Net<1> at 160 px",
        **usual,
        in_house=FIGURES,
        external=FIGURES if facts["external"] else None,
        best=True,
        num_weights=1_500_000,
        megabytes=6.0,
        minutes=2.5,
        milliseconds=7.25,
    )
    lost = NetworkRow(name="b", title="Lost<2>", **usual, reason="Its <weights> are not here.")
    return BackbonesResult(**facts, study="backbones", networks=[good, lost])


RESULTS = [noise_result, policy_result, network_result]


@pytest.mark.parametrize("make", RESULTS)
def test_every_page_opens_with_the_verdict_and_loads_nothing(make: Any, facts: dict[str, Any]) -> None:
    html = study_page(make(facts), [])
    opening = html[html.index("</header>") : html.index("</section>")]
    assert opening.index("Take &lt;it&gt;.") < opening.index("Then &amp; go on.")
    assert "A &lt;fault&gt;." in html
    assert "A &lt;remark&gt;." in html
    assert "own&lt;b&gt;" in html
    assert "http" not in html.replace("http-equiv", "")
    assert not re.search("<(it|fault|remark|b>|none|median|mixup|weights|1|2)>", html.replace("<b>", ""))
    assert "Per cent" in html or "Macro AUROC" in html
    left = "left out: 4 of other findings and 2 that are also among the study's films"
    assert (left in html.replace("&#x27;", "'").replace("&#39;", "'")) is (facts["external"] is not None)


@pytest.mark.parametrize("make", RESULTS)
def test_every_table_ends_with_faults_verdict_and_what_to_do(make: Any, facts: dict[str, Any]) -> None:
    text = study_text(make(facts), width=200)
    assert text.endswith("Fault: A <fault>.\n\nTake <it>.\nThen & go on.\n")
    assert ("elsewhere" in text.splitlines()[0]) is (facts["external"] is not None)


def test_noise_shows_every_method_and_demand(facts: dict[str, Any]) -> None:
    result = noise_result(facts)
    html = study_page(result, [Picture("Without noise", FILM), Picture("<median>", FILM, FILM - 0.4)])
    assert html.count('src="data:image/jpeg') == 3
    assert html.count("<b>no</b>") == len(DEMANDS)
    assert "MTF50" in html
    assert re.search(r"\bth small \{ display: block", html)  # a method's settings stand beneath its name
    assert ("Not measured" in html) is (facts["external"] is None)
    text = study_text(result, width=200)
    assert "<median>" in text
    assert "+2.0 (+1.0 to +3.0) better" in text


def test_policies_stand_with_their_figures_and_films(facts: dict[str, Any]) -> None:
    result = policy_result(facts)
    html = study_page(result, [Picture("<mixup>", FILM)] * 3)
    assert html.count("data:image/jpeg") == 3
    assert "<small>a &amp; b" not in html
    assert "a &amp; b" in html
    assert "90.0 (88.0–92.0)" in study_text(result, width=200)


def test_a_network_stands_with_its_cost_or_the_reason_why_not(facts: dict[str, Any]) -> None:
    result = network_result(facts)
    html = study_page(result, [])
    assert "Its &lt;weights&gt; are not here." in html
    assert html.count('class="point"') == 1
    text = study_text(result, width=200)
    assert "Lost<2>: Its <weights> are not here." in text
    assert "1.50" in text
    assert "7.2" in text
