"""What makes a comparison worthless is named."""

from __future__ import annotations

import numpy as np

from hilum.judge.study.faults import faults_text, study_faults

TITLES = {"none": "None", "flip": "Flip", "mixup": "MixUp", "other": "Other"}


def test_the_same_answers_are_told_together() -> None:
    answers = {name: np.full((3, 2), 0.5) for name in ("none", "flip", "mixup")} | {"other": np.full((3, 2), 0.4)}
    faults = study_faults([{"name": name, "kept_random": 0} for name in answers], answers, TITLES)
    assert len(faults) == 1
    assert faults[0].startswith("None, Flip and MixUp gave the same answers to the last digit")
    nearly = {**answers, "flip": answers["flip"] + 1e-12, "mixup": answers["mixup"] - 1e-12}
    assert study_faults([], nearly, TITLES) == []


def test_kept_random_weights_are_told() -> None:
    faults = study_faults([{"name": "none", "kept_random": 4}, {"name": "flip", "kept_random": 0}], {}, TITLES)
    assert faults == [
        "None: 4 of its networks kept the random weights they began with. They learned nothing, so their figures say "
        "nothing of it; train for more epochs."
    ]
    assert faults_text(faults).startswith("Fault: None: 4 of its networks")
    assert faults_text([]) == ""
