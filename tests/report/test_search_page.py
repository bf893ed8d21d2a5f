"""The page of a search says what was found and what was not."""

from __future__ import annotations

import dataclasses
import re
from xml.etree import ElementTree

import pytest

from hilum.judge.intervals import Interval
from hilum.report.search_page import (
    Confirmed,
    SearchResult,
    SettingsFigures,
    search_page,
    share_plot,
    trials_plot,
    verdict_text,
)
from hilum.report.search_table import TrialRow

from .shared import polyline

START: dict[str, object] = {"dropout": 0.2, "augmentation_strength": 1.0, "optimiser": "adamw", "size_px": 64}
START_FIGURES = SettingsFigures(0.9, 0.6, Interval(0.61, 0.5, 0.7), 120)


def result(gain: float | None, num_trials: int = 4) -> SearchResult:
    rows = [TrialRow(0, "finished", 0.9, 0.9, 0.6, 5, 60.0, START, "")]
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
                settings=START | {"dropout": 0.1 * number},
                note="not among the <b>noise</b>" if early else "",
            )
        )
    confirmed = None
    if gain is not None:
        best = SettingsFigures(0.9 - gain, 0.7, Interval(0.71, 0.6, 0.8), 120)
        change = Interval(-gain, -gain - 0.2, -gain + 0.2)
        confirmed = Confirmed(3, START_FIGURES, best, change, gain > 0.2, Interval(0.1, -0.02, 0.22))
    return SearchResult(
        data_name="films of <me>",
        backbone="plain-cnn",
        findings=("Normal", "Covid-19", "<i>"),
        rows=rows,
        chosen=rows[3] if confirmed is not None and confirmed.is_better else rows[0],
        start=START_FIGURES,
        confirmed=confirmed,
        importances={"dropout": 0.7, "learning_rate": 0.3} if num_trials > 3 else {},
        num_folds=5,
        seed=0,
        num_groups=118,
        num_test=7,
    )


def test_a_gain_beyond_noise_is_called_one() -> None:
    words = verdict_text(result(0.4))
    assert words.startswith("Trial 3 is better than the starting settings. Both were judged again, trained with all")
    assert "(lower is better) is 0.5000, that of the starting settings 0.9000 (−0.4000, 95 % interval −0.6000" in words
    assert "Macro-F1 is 0.700 against 0.600 (+10.0 points, 95 % interval −2.0 to +22.0)." in words


def test_a_gain_that_may_be_noise_keeps_the_start_and_says_so() -> None:
    words = verdict_text(result(0.05))
    assert words.startswith("Trial 3 scored best, but the difference is within noise. The starting settings are kept.")
    assert "0.9000 (−0.0500, 95 % interval −0.2500 to +0.1500)." in words


def test_a_best_trial_that_is_worse_when_judged_again_is_said_to_be() -> None:
    words = verdict_text(result(-0.05))
    assert words.startswith("Trial 3 scored best, but not when it was judged again. The starting settings are kept.")


def test_a_start_that_nothing_beats_is_kept_and_that_is_said() -> None:
    words = verdict_text(result(None))
    assert words.startswith(
        "No trial scored better than the starting settings, so they are kept. 3 other trials were made."
    )
    assert "1 other trial was made." in verdict_text(result(None, 2))


def test_the_page_shows_trials_settings_and_importances_and_escapes_names() -> None:
    page = search_page(result(0.4))
    assert "films of &lt;me&gt;" in page
    assert "<b>noise" not in page
    assert "&lt;b&gt;noise&lt;/b&gt;" in page
    assert page.count("<tr") >= 4 + len(START)
    for words in ("What mattered", "strength of augmentation", "Test films, which took no part", "dropout 0.3", "<svg"):
        assert words in page
    assert 'class="share"' in page
    assert "http" not in page.replace("http-equiv", "")


def test_what_is_not_known_is_said() -> None:
    few = result(None, 4)
    assert "judged again" not in search_page(few)
    assert "judged again" in search_page(result(0.4))
    assert "Too few trials" in search_page(dataclasses.replace(few, importances={}))
    single = dataclasses.replace(few, rows=few.rows[:1], importances={})
    assert "so they are kept" in search_page(single)


def test_a_search_is_drawn_with_its_lowest_loss_so_far() -> None:
    svg = trials_plot([(0, 0.5), (2, 0.6), (3, 0.3), (5, 0.4)], [(1, 0.9), (4, 5.0)], 6, "six trials")
    ElementTree.fromstring(svg)
    heights = [y for _, y in polyline(svg, "accent")]
    assert heights == sorted(heights)  # down the page the loss is lower
    assert svg.count('class="point"') == 4
    assert svg.count('class="muted-end"') == 2
    dots = [(float(x), float(y)) for x, y in re.findall(r'class="muted-end" cx="([\d.]+)" cy="([\d.]+)"', svg)]
    assert all(y >= 10 for _, y in dots)  # a loss far above the others stands at the upper edge
    ElementTree.fromstring(trials_plot([(0, 0.5)], [], 1, "one trial"))
    ElementTree.fromstring(trials_plot([(0, 0.5), (1, 0.5)], [], 2, "two alike"))


def test_shares_are_bars_as_long_as_they_are_large() -> None:
    svg = share_plot({"dropout": 0.6, "<rate>": 0.3, "size": 0.0}, "what mattered")
    ElementTree.fromstring(svg)
    widths = [float(width) for width in re.findall(r'class="share"[^>]* width="([\d.]+)"', svg)]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.2)
    assert widths[2] < 1
    assert "&lt;rate&gt;" in svg
