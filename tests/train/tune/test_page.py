"""The page of a search says what was found and what was not."""

from __future__ import annotations

import dataclasses

import numpy as np

from hilum.train.config import default_config
from hilum.train.trial import Crossed
from hilum.train.tune.gain import gain_of
from hilum.train.tune.page import SearchResult, search_page, verdict_text
from hilum.train.tune.search_space import search_space
from hilum.train.tune.settings import TuneSettings
from hilum.train.tune.trial_rows import TrialRow, setting_values
from hilum.train.tune.worker import Confirmed

SPACE = search_space(default_config("plain-cnn"))


def crossed(sure: float, seed: int) -> Crossed:
    truth = np.arange(120) % 3
    logits = np.random.default_rng(seed).normal(size=(120, 3)) + sure * np.eye(3)[truth]
    return Crossed(np.arange(120), truth, logits, np.arange(120))


def result(sure: float | None, num_trials: int = 4) -> SearchResult:
    start = setting_values(SPACE.base, SPACE)
    rows = [TrialRow(0, "finished", 0.9, 0.9, 0.6, 5, 60.0, start, "")]
    for number in range(1, num_trials):
        early = number == 2
        rows.append(
            TrialRow(
                number=number,
                state="ended early" if early else "finished",
                loss=None if early else 0.8 - 0.01 * number,
                loss_so_far=1.2,
                macro_f1=None if early else 0.7,
                num_folds_done=2 if early else 5,
                seconds=30.0,
                settings=start | {"dropout": 0.1 * number},
                note="worse than trial 1 by <b>noise</b>" if early else "",
            )
        )
    confirmed = None
    if sure is not None:
        defaults, best = crossed(0.5, 1), crossed(sure, 2)
        confirmed = Confirmed(3, gain_of(best, defaults), defaults, best)
    told = confirmed is not None and confirmed.gain.beyond(2)
    return SearchResult(
        data_name="films of <me>",
        findings=("Normal", "Covid-19", "<i>"),
        rows=rows,
        chosen=rows[3] if told else rows[0],
        first=crossed(0.5, 1),
        confirmed=confirmed,
        importances={"dropout": 0.7, "learning_rate": 0.3} if num_trials > 3 else {},
        settings=TuneSettings(num_trials),
        base=SPACE.base,
        num_test=7,
    )


def test_a_gain_beyond_noise_is_called_one() -> None:
    words = verdict_text(result(2.5))
    assert words.startswith("Trial 3 is better than the defaults. Judged anew on 2 other draws")
    assert "with a standard error of" in words
    assert "macro-f1" in words.lower()


def test_a_gain_that_may_be_noise_keeps_the_defaults_and_says_so() -> None:
    words = verdict_text(result(0.52))
    assert words.startswith("The defaults are kept: that trial 3, the best, is better cannot be told from noise.")
    assert "two are asked for" in words


def test_defaults_that_nothing_beats_are_kept_and_that_is_said() -> None:
    assert verdict_text(result(None)).startswith("The defaults are kept: none of the 3 other trials has a lower loss")


def test_the_page_shows_trials_settings_and_importances_and_escapes_names() -> None:
    page = search_page(result(2.5))
    assert "films of &lt;me&gt;" in page
    assert "<b>noise" not in page
    assert "&lt;b&gt;noise&lt;/b&gt;" in page
    assert page.count("<tr") >= 4 + len(SPACE.distributions)
    for words in ("What mattered", "strength of augmentation", "Test films, which took no part", "dropout 0.3", "<svg"):
        assert words in page
    assert 'class="share"' in page
    assert "http" not in page.replace("http-equiv", "")


def test_what_is_not_known_is_said() -> None:
    few = result(None, 4)
    assert "judged again" not in search_page(few)
    assert "judged again" in search_page(result(2.5))
    assert "Too few trials" in search_page(dataclasses.replace(few, importances={}))
    single = dataclasses.replace(few, rows=few.rows[:1], importances={})
    assert "The defaults are kept" in search_page(single)
