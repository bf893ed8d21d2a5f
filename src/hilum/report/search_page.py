"""A search in words: its verdict in sentences, and one page with the trials, the settings, and what mattered."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hilum.console import count_of
from hilum.judge.intervals import Interval
from hilum.report.charts import PERCENT_TICKS, Panel, tidy_step
from hilum.report.page import render
from hilum.report.search_table import TrialRow, best_row, changes_text, shown_value
from hilum.text import points, points_range
from hilum.version import __version__

__all__ = ["Confirmed", "SearchResult", "SettingsFigures", "search_page", "share_plot", "trials_plot", "verdict_text"]

_NAMES = {
    "learning_rate": "learning rate",
    "steps": "steps",
    "optimiser": "optimiser",
    "dropout": "dropout",
    "label_smoothing": "label smoothing",
    "weight_decay": "weight decay",
    "size_px": "size, px",
    "augmentation_strength": "strength of augmentation",
    "ema_momentum": "momentum of the weights' average",
    "trainable_fraction": "share of layers that train",
}


@dataclass(frozen=True)
class SettingsFigures:
    """How some settings did on films that their networks had not seen.

    Attributes:
        loss: The mean loss.
        macro_f1: From 0 to 1.
        accuracy: From 0 to 1.
        num_films: How many films were answered.
    """

    loss: float
    macro_f1: float
    accuracy: Interval
    num_films: int


@dataclass(frozen=True)
class Confirmed:
    """The best trial against the starting settings, on folds and with first weights that the search had not seen.

    Attributes:
        number: The trial.
        start: Figures of the starting settings.
        best: Figures of the trial.
        loss_change: By how much the trial's loss is higher, with its 95 % interval.
        is_better: Whether it is lower beyond noise.
        f1_difference: By how much the trial's macro-F1 is higher.
    """

    number: int
    start: SettingsFigures
    best: SettingsFigures
    loss_change: Interval
    is_better: bool
    f1_difference: Interval


@dataclass(frozen=True)
class SearchResult:
    """What the page shows.

    Attributes:
        data_name: The data set's name.
        backbone: The network's name.
        findings: The data set's findings.
        rows: The trials, by number.
        chosen: The trial whose settings run.toml has.
        start: Figures of the starting settings in the search, trial 0.
        confirmed: The best trial judged again; None where trial 0 is the best.
        importances: Setting to its share of what the losses differ by, largest first; empty where not known.
        num_folds: Folds of the cross-validation.
        seed: The seed of the search.
        num_groups: Groups of films that took part.
        num_test: Films that took no part.
    """

    data_name: str
    backbone: str
    findings: Sequence[str]
    rows: Sequence[TrialRow]
    chosen: TrialRow
    start: SettingsFigures
    confirmed: Confirmed | None
    importances: Mapping[str, float]
    num_folds: int
    seed: int
    num_groups: int
    num_test: int


def verdict_text(result: SearchResult) -> str:
    """Return the outcome of the search, in sentences."""
    return " ".join(_verdict(result))


def _verdict(result: SearchResult) -> tuple[str, str]:
    """Return the outcome of the search in a sentence, and the figures behind it."""
    confirmed = result.confirmed
    if confirmed is None:
        others = len(result.rows) - 1
        return (
            "No trial scored better than the starting settings, so they are kept.",
            f"{count_of(others, 'other trial')} {'was' if others == 1 else 'were'} made. The starting settings have a "
            f"loss of {result.start.loss:.4f} and a macro-F1 of {result.start.macro_f1:.3f}, trained for a quarter of "
            "their steps, as all trials are.",
        )
    if confirmed.is_better:
        lead = f"Trial {confirmed.number} is better than the starting settings."
    else:
        is_lower = confirmed.best.loss < confirmed.start.loss
        doubt = "the difference is within noise" if is_lower else "not when it was judged again"
        lead = f"Trial {confirmed.number} scored best, but {doubt}. The starting settings are kept."
    change = confirmed.loss_change
    f1 = confirmed.f1_difference
    return (
        lead,
        "Both were judged again, trained with all their steps, on new folds and from new first weights. "
        f"The trial's loss (lower is better) is {confirmed.best.loss:.4f}, "
        f"that of the starting settings {confirmed.start.loss:.4f} "
        f"({_signed(change.value)}, 95 % interval {_signed(change.low)} to {_signed(change.high)}). Macro-F1 is "
        f"{confirmed.best.macro_f1:.3f} against {confirmed.start.macro_f1:.3f} "
        f"({points(f1.value)} points, 95 % interval {points_range(f1)}).",
    )


def search_page(result: SearchResult) -> str:
    """Return the search as one self-contained HTML page; whatever comes from the data is escaped."""
    rows = result.rows
    best = best_row(rows) or rows[0]
    finished = [(row.number, row.loss) for row in rows if row.loss is not None]
    ended = [(row.number, row.loss_so_far) for row in rows if row.loss is None and row.loss_so_far is not None]
    shares = {_NAMES.get(name, name): share for name, share in result.importances.items()}
    page = render(
        "search.html.j2",
        title=f"Search for settings of {result.backbone} on {result.data_name}",
        kicker="hilum tune",
        result=result,
        confirmed=result.confirmed,
        verdict=_verdict(result),
        trials=[(row, changes_text(row, rows[0])) for row in rows],
        best=best,
        trials_plot=trials_plot(finished, ended, len(rows), f"Loss of {len(rows)} trials, and the lowest so far."),
        importance_plot=shares
        and share_plot(shares, "How much of the differences between trials each setting explains."),
        settings=[
            (_NAMES.get(name, name), *(shown_value(row.settings.get(name)) for row in (rows[0], result.chosen, best)))
            for name in rows[0].settings
        ],
        facts=_facts(result),
    )
    return str(page)


def _facts(result: SearchResult) -> list[tuple[str, str]]:
    counts = Counter(row.state for row in result.rows)
    return [
        ("Films", f"{result.start.num_films} in {result.num_groups} groups"),
        ("Findings", ", ".join(result.findings)),
        ("Test films, which took no part", str(result.num_test)),
        ("Folds", f"{result.num_folds}, by groups, stratified by finding"),
        ("Training of a trial", "a quarter of its steps; in the final comparison all of them"),
        ("Rule", "after each fold only the best quarter of the trials so far continues"),
        ("Trials", ", ".join(f"{count} {state}" for state, count in counts.items())),
        ("Time", f"{sum(row.seconds for row in result.rows) / 60:.1f} minutes of trials"),
        ("Seed", str(result.seed)),
        ("Versions", f"hilum {__version__}"),
    ]


def _signed(loss: float | None) -> str:
    return f"{loss or 0.0:+.4f}".replace("-", "−")


def trials_plot(
    finished: Sequence[tuple[int, float]], ended: Sequence[tuple[int, float]], num_trials: int, description: str
) -> str:
    """Return the losses of a search's trials: dots, those ended early muted, the lowest so far as a line.

    Losses more than twice as far above the lowest as the first is, or as the middle one is, stand at the upper edge.

    Args:
        finished: Number and loss of each finished trial, by number.
        ended: Number of each trial ended early, and its loss until then.
        num_trials: How many trials there are.
        description: What the plot shows, in words.
    """
    losses = [loss for _, loss in finished]
    lowest, middle = min(losses), float(np.median(losses))
    reach = max(2 * (max(losses[0], middle) - lowest), 0.1 * lowest, 1e-6)
    step = tidy_step(reach / 3)
    floor = max(0.0, step * math.floor((lowest - 0.1 * reach) / step))
    top = step * math.ceil((lowest + reach) / step)
    y_ticks = [(floor + step * index, f"{floor + step * index:g}") for index in range(round((top - floor) / step) + 1)]
    last = max(num_trials - 1, 1)
    spacing = max(1, round(tidy_step(last / 8)))
    x_ticks = [(float(number), f"{number}") for number in range(0, last + 1, spacing)]
    panel = Panel((0, last), (floor, top), "Trial", "Loss", x_ticks, y_ticks, 620, 260)
    best: list[tuple[float, float]] = []
    for number, loss in finished:
        if best:
            best.append((number, best[-1][1]))
        best.append((number, min(loss, best[-1][1]) if best else loss))
    best.append((last, best[-1][1]))
    elements = [panel.line([(number, min(loss, top)) for number, loss in best], "accent")]
    elements += [panel.dot(number, min(loss, top), "muted-end", 3) for number, loss in ended]
    elements += [panel.dot(number, min(loss, top), "point", 3.5) for number, loss in finished]
    return panel.svg(elements, description)


def share_plot(shares: Mapping[str, float], description: str) -> str:
    """Return shares of a whole as bars, one beneath the other, as given.

    Args:
        shares: Name to share, in [0, 1].
        description: What the plot shows, in words.
    """
    height = 24.0 * max(len(shares), 1)
    panel = Panel((0, 1), (0, 1), "Share, %", "", PERCENT_TICKS, (), 520, height + 50, left=150)
    elements = []
    for place, (name, share) in enumerate(shares.items()):
        y = panel.top + 24.0 * place
        width = max(panel.x(min(max(share, 0.0), 1.0)) - panel.x(0), 0.5)
        elements.append(f'<rect class="share" x="{panel.x(0):g}" y="{y + 5:g}" width="{width:.1f}" height="14"/>')
        elements.append(panel.text(panel.left - 8, y + 16, name, anchor="end"))
        elements.append(panel.text(panel.x(0) + width + 6, y + 16, f"{100 * share:.0f}", anchor="start"))
    return panel.svg(elements, description)
