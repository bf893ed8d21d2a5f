"""The model card says what is known, and marks what only a person can know."""

from __future__ import annotations

from typing import Any

import numpy as np

from hilum.judge.audit.check import Fault
from hilum.judge.external import RunMetrics
from hilum.judge.intervals import Bootstrap
from hilum.judge.metrics import Performance, performance
from hilum.judge.parts import Metrics
from hilum.report.card import TO_FILL_IN, model_card_text

FINDINGS = ["Normal", "Covid-19"]
SECTIONS = [
    "# Model card: demo",
    "## Model details",
    "## Intended use",
    "## Factors",
    "## Metrics",
    "## Training data",
    "## Faults of the data",
    "## Evaluation data",
    "## Quantitative analyses",
    "## Calibration and refusal",
    "## Films of other sources",
    "## Limits",
    "## How to reproduce",
]


def judged(num_films: int, wrong: int, findings: list[str] | None = None) -> Performance:
    truth = np.arange(num_films) % 2
    probabilities = np.where(truth[:, None] == np.arange(2), 0.8, 0.2)
    probabilities[:wrong] = probabilities[:wrong, ::-1]
    names = findings or FINDINGS
    thresholds = dict.fromkeys(names, 0.5)
    return performance(
        truth, probabilities, names, operating_thresholds=thresholds, bootstrap=Bootstrap(num_resamples=20)
    )


def card(**changes: Any) -> str:
    arguments: dict[str, Any] = {
        "metadata": {
            "name": "demo",
            "findings": FINDINGS,
            "temperature": 1.25,
            "command": "hilum train DATA --out RUN",
        },
        "metrics": Metrics(test=judged(66, 2), test_clean=judged(57, 3), validation=judged(20, 0)),
        "facts": [("Backbone", "efficientnet-lite0"), ("Seed", "0")],
    }
    return model_card_text(**{**arguments, **changes})


def test_card_has_its_sections_in_order() -> None:
    headings = [line for line in card().splitlines() if line.startswith(("# ", "## "))]
    assert headings == SECTIONS


def test_card_says_what_it_is_not() -> None:
    text = card()
    assert "Research software, not a medical device." in text
    assert "For research and teaching only." in text


def test_card_holds_figures_with_interval_and_n() -> None:
    text = card()
    assert "| Test as given | 64 of 66 | 97.0 (89.6–99.2) |" in text
    assert "| Clean test | 54 of 57 | 94.7 (85.6–98.2) |" in text
    assert text.index("| Clean test |") < text.index("| Test as given |") < text.index("| Validation |")
    assert "9 of the 66 test films have a twin or a known patient in training" in text
    assert "| Covid-19 | 33 |" in text
    assert "Cross-validation" not in text


def test_card_shows_what_was_trained_and_how_again() -> None:
    text = card()
    assert "| Backbone | efficientnet-lite0 |" in text
    assert "| temperature | 1.25 |" in text
    assert "\n    hilum train DATA --out RUN\n" in text


def test_what_software_cannot_know_is_left_to_a_person() -> None:
    for section in card().split("\n## ")[1:]:
        title = section.splitlines()[0]
        expected = title in {"Model details", "Intended use", "Factors", "Training data", "Evaluation data", "Limits"}
        expected |= title in {"Faults of the data", "Films of other sources"}  # here nobody has looked
        assert (TO_FILL_IN in section) == expected, title


def test_card_without_test_films_says_so() -> None:
    text = card(metrics=Metrics(test=judged(0, 0), test_clean=judged(0, 0), validation=judged(20, 1)))
    assert "No test films: every figure comes from films that training had a part in." in text
    assert "No evaluation films were judged." in text


def test_card_of_nothing_is_still_a_card() -> None:
    text = model_card_text(metadata={}, metrics=Metrics(judged(0, 0), judged(0, 0)), facts=())
    assert text.startswith("# Model card: model\n")
    assert "No film was judged" in text


def test_names_cannot_break_out_of_their_cell() -> None:
    nasty = ["a|b\n# c", "<script>"]
    text = card(metrics=Metrics(judged(10, 1, nasty), judged(0, 0)), metadata={"name": "x\n\n## y", "findings": nasty})
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert "a\\|b # c" in text
    assert "\n# c" not in text
    assert "\n## y" not in text


def test_nested_metadata_is_left_to_the_file() -> None:
    gate = {"bank": [0.1] * 50, "n": 30, "refused_fraction": 0.01}
    text = card(metadata={"name": "demo", "gate": gate, "features": [0.5] * 500, "size": [224, 224]})
    assert "bank" not in text
    assert "features" not in text
    assert "| size | 224, 224 |" in text


def test_card_tells_the_faults_of_the_data() -> None:
    leak = Fault("leak", "error", "A test film | has a twin.", ("a", "b"))
    text = card(faults=[leak, leak, Fault("small-class", "warning", "Only 3.")])
    assert "| error | leak | 2 | A test film \\| has a twin. |" in text
    assert "| warning | small-class | 1 | Only 3. |" in text
    assert "The audit found none." in card(faults=[])
    assert f"## Faults of the data\n\n{TO_FILL_IN}" in card()


def test_card_tells_what_calibration_rests_on_and_what_is_refused() -> None:
    metadata = {
        "name": "demo",
        "findings": FINDINGS,
        "temperature": 1.25,
        "coverage": 0.9,
        "conformal": {"Normal": {"threshold": 0.4, "n": 31}, "Covid-19": {"threshold": 0.2, "n": 19}},
        "gate": {"bank": {"shape": [1, 2], "int8": "AAA="}, "threshold": 3.0, "refused_fraction": 0.01, "n": 586},
    }
    text = card(metadata=metadata)
    assert "temperature 1.250, set on 20 validation films" in text
    assert "coverage 90 % within each finding, from validation films: Normal 31, Covid-19 19." in text
    assert "with little evidence or much doubt; of films like its 586 validation films 1.0 %." in text
    shared = {"shared": ["Normal", "Covid-19"], "shared_n": 50, "method": "cross"}
    facts = {"method": "out-of-fold", "n": 50, "temperature": {"fitted": 1.3, "kept": True}}
    other = card(
        metadata=metadata
        | {"calibration": facts, "conformal": {name: {**metadata["conformal"][name], **shared} for name in FINDINGS}}
    )
    assert "temperature 1.250, fitted on 50 out-of-fold films." in other
    assert "from out-of-fold films: Normal 31, Covid-19 19; findings with fewer than 40 share one limit" in other
    assert "With fewer than 9 films nothing is promised." in text
    assert "With fewer than 19 films nothing is promised." in card(metadata=metadata | {"coverage": 0.95})
    assert "int8" not in text
    assert "far from the training films" not in card()


def test_card_shows_held_out_sources() -> None:
    metrics = RunMetrics(
        judged(57, 3), judged(57, 3), leave_one_source_out={"there": judged(40, 20), "elsewhere": None}
    )
    text = card(metrics=metrics)
    assert "| Held out: there | 40 | 50.0 (35.2–64.8) |" in text
    assert "| In house: clean test | 57 |" in text
    assert "Tested on films of another hospital" not in text
    assert "Tested on films of another hospital" in card()
