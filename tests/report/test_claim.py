"""claim.md says what the run knows, with its figures, and leaves the rest to a person."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from hilum.judge.external import RunMetrics
from hilum.judge.intervals import Bootstrap
from hilum.judge.metrics import Performance, performance
from hilum.report.claim import CLAIM, FOR_A_PERSON, TRIPOD_AI, ClaimFacts, claim_text

FINDINGS = ("Normal", "Odd|finding")


def judged(num_films: int, wrong: int) -> Performance:
    truth = np.arange(num_films) % 2
    probabilities = np.where(truth[:, None] == np.arange(2), 0.8, 0.2)
    probabilities[:wrong] = probabilities[:wrong, ::-1]
    return performance(
        truth,
        probabilities,
        FINDINGS,
        operating_thresholds=dict.fromkeys(FINDINGS, 0.5),
        bootstrap=Bootstrap(num_resamples=20),
    )


def facts(**changes: Any) -> ClaimFacts:
    plain = ClaimFacts(
        metadata={
            "name": "demo-model",
            "findings": list(FINDINGS),
            "preprocessing": {"size_px": 224, "window_percentiles": [0.5, 99.5], "equalize": True},
            "temperature": 1.234,
            "coverage": 0.9,
            "operating_thresholds": dict.fromkeys(FINDINGS, 0.4),
            "gate": {},
        },
        metrics=RunMetrics(judged(66, 2), judged(57, 1), judged(50, 0)),
        settings={
            "backbone": "efficientnet-lite0",
            "weights": "imagenet",
            "seed": 3,
            "folds": 0,
            "data": {"validation_fraction": 0.2, "test_fraction": 0.2},
            "fit": {
                "epochs": 6, "trainable_fraction": 0.6, "batch_size": 16, "optimiser": "adamw", "learning_rate": 3e-5,
                "weight_decay": 1e-3, "dropout": 0.3, "label_smoothing": 0.05, "class_weights": "balanced",
                "keep": "best",
            },
            "augmentation": {"rotation_degrees": 10.0, "flip_probability": 0.0},
        },
        audit={
            "faults": [{"kind": "leak", "severity": "error", "message": "m", "paths": []}] * 9
            + [{"kind": "label-conflict", "severity": "error", "message": "m", "paths": []}],
            "figures": {
                "num_films": 317,
                "num_unreadable": 4,
                "num_groups": 290,
                "num_twin_pairs": 64,
                "films": {
                    "train": {"Normal": 101, "Odd|finding": 100},
                    "validation": {"Normal": 25, "Odd|finding": 25},
                    "test": {"Normal": 33, "Odd|finding": 33},
                },
            },
        },
        data_name="demo-set",
        has_test=True,
        num_epochs=4,
        versions="hilum 0.1.0, Keras 3",
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


def items(text: str, checklist: str) -> dict[str, str]:
    section = text.split(f"## {checklist}\n")[1].split("\n## ", maxsplit=1)[0]
    return dict(re.findall(r"^\*\*(\w+)\. (.*)$", section, re.M))


def test_every_item_stands_there_once() -> None:
    text = claim_text(facts())
    for checklist, expected in (("CLAIM 2024", CLAIM), ("TRIPOD+AI", TRIPOD_AI)):
        found = items(text, checklist)
        assert list(found) == [item.number for item in expected]
        for item in expected:
            assert found[item.number].startswith(f"{item.topic}.**")
            rest = found[item.number].removeprefix(f"{item.topic}.**").strip()
            assert len(rest) > 10, item.number
            assert (FOR_A_PERSON in rest) == bool(item.person or not set(item.facts) - {"external_figures"}), (
                item.number
            )


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("7", "`demo-set`, 317 films"),
        ("8", "4 films could not be read"),
        ("9", "stretched to 224 x 224 pixels"),
        ("10", "the whole of each film: it is not cropped"),
        ("9", "between the 0.5th and 99.5th percentile brought to 0 to 1, then histogram equalisation"),
        ("18", "under different findings: 1."),
        ("19", "The test part is the data set's own."),
        ("19", "train 201, validation 50, test 66"),
        ("20", "64 pairs"),
        ("20", "9 of its films have a twin in the training part"),
        ("21", "Clean test: 57 films"),
        ("24", "ImageNet weights. Head: random, from seed 3"),
        ("25", "(4 epochs were run; history.csv): adamw, learning rate 3e-05"),
        ("25", "rotation degrees 10."),
        ("26", "The fitted head, the mean of its weights and those at the end of the schedule, or the weights"),
        ("32", "Clean test (57 films): accuracy 98.2 (90.7–99.7)"),
        ("35", "train 201 (Normal 101, Odd\\|finding 100)"),
        ("38", "Odd\\|finding (28 films): sensitivity"),
        ("39", "Clean test: Normal answered Odd\\|finding 1."),
        ("40", "The audit found: label-conflict 1, leak 9."),
    ],
)
def test_items_hold_the_figures_of_the_run(number: str, words: str) -> None:
    assert words in items(claim_text(facts()), "CLAIM 2024")[number]


def test_what_was_not_done_is_not_claimed() -> None:
    found = items(claim_text(facts()), "CLAIM 2024")
    assert found["33"] == "Test on other data.** *For a person to fill in*: tests on films of other hospitals."
    drawn = items(claim_text(facts(has_test=False)), "CLAIM 2024")["19"]
    assert "The test part was drawn: 20 % of the films" in drawn
    settings = facts().settings
    frozen = facts(settings={**settings, "fit": {**settings["fit"], "epochs": 0}, "augmentation": {"gamma": 0.0}})
    assert "no fine-tuning" in items(claim_text(frozen), "CLAIM 2024")["25"]
    assert "No augmentation." in items(claim_text(frozen), "CLAIM 2024")["25"]
    plain = items(claim_text(facts(settings={**settings, "backbone": "plain-cnn"})), "CLAIM 2024")
    assert "Class activation maps" not in plain["31"]
    assert "From random weights: all layers for at most" in plain["25"]  # no fraction of layers is frozen
    assert "The random weights or the weights at the end" in plain["26"]
    untested = items(claim_text(facts(metrics=RunMetrics(judged(0, 0), judged(0, 0)))), "CLAIM 2024")
    assert untested["37"] == "Performance with its uncertainty.** *For a person to fill in*."


def test_held_out_sources_and_cross_validation_are_reported() -> None:
    metrics = dataclasses.replace(
        facts().metrics,
        cross_validation=judged(251, 10),
        leave_one_source_out={"there": judged(40, 20), "x": None},
    )
    text = claim_text(facts(metrics=metrics, settings={**facts().settings, "folds": 5}))
    found = items(text, "CLAIM 2024")
    assert "there (40 films): accuracy 50.0 (35.2–64.8)" in found["33"]
    assert "Cross-validation by groups, 251 films: accuracy 96.0" in found["30"]
    assert "Cross-validation: 5 folds" in found["19"]
    assert "there (40 films)" in items(text, "TRIPOD+AI")["23b"]


def test_the_count_of_items_is_true() -> None:
    text = claim_text(facts())
    for checklist, expected in (("CLAIM 2024", CLAIM), ("TRIPOD+AI", TRIPOD_AI)):
        line = text.split(f"## {checklist}\n\n")[1].split("\n")[0]
        total, whole, partly, person = (int(number) for number in re.findall(r"\d+", line))
        found = items(text, checklist).values()
        assert total == len(expected) == whole + partly + person
        assert whole == sum(FOR_A_PERSON not in one for one in found)
        assert person == sum(one.split(".** ")[1].startswith(FOR_A_PERSON) for one in found)


# --- the checklists are whole, and every item is either answered by the run or left to a person -----------------------


def test_claim_has_its_44_items() -> None:
    assert [item.number for item in CLAIM] == [str(number) for number in range(1, 45)]


def test_tripod_ai_has_its_27_items() -> None:
    numbers = [item.number for item in TRIPOD_AI]
    assert len(set(numbers)) == len(numbers)
    found = [re.fullmatch(r"(\d+)([a-g]?)", number) for number in numbers]
    assert list(dict.fromkeys(match[1] for match in found if match)) == [str(number) for number in range(1, 28)]
    parts = {number: "".join(m[2] for m in found if m and m[1] == number) for number in ("3", "5", "12", "18", "27")}
    assert parts == {"3": "abc", "5": "ab", "12": "abcdefg", "18": "abcdef", "27": "abc"}


def test_no_item_is_left_to_nobody() -> None:
    for item in (*CLAIM, *TRIPOD_AI):
        assert item.facts or item.person, item.number
        assert item.topic
        assert not item.topic.endswith(".")
