"""A search in words: its verdict in sentences, and one page with the trials, the settings, and what mattered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hilum.console import count_of
from hilum.judge.intervals import Interval
from hilum.report import charts
from hilum.report.markup import headings, scroll
from hilum.report.page import Section, html_page
from hilum.text import escape
from hilum.train.tune.table import TrialRow, best_row, changes_text, shown_value
from hilum.version import __version__

__all__ = ["Confirmed", "SearchResult", "SettingsFigures", "search_page", "verdict_text"]

_NAMES = {
    "learning_rate": "learning rate",
    "optimiser": "optimiser",
    "schedule": "schedule",
    "dropout": "dropout",
    "label_smoothing": "label smoothing",
    "weight_decay": "weight decay",
    "size_px": "size, px",
    "augmentation_strength": "strength of augmentation",
    "ema_momentum": "momentum of the weights' average",
    "trainable_fraction": "share of layers that train",
}
_FOOTER = (
    "The loss is the mean negative logarithm of the probability that a film's finding was given by a network that had "
    "seen neither the film nor its group, at a temperature fitted on that network's validation films; every finding "
    "weighs the same. Test films took no part."
)


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
    """The best trial against the defaults, on folds and with first weights that the search had not seen.

    Attributes:
        number: The trial.
        defaults: Figures of the defaults.
        best: Figures of the trial.
        gain: By how much the trial's loss is lower.
        gain_error: The standard error of the gain.
        is_better: Whether the gain is beyond noise.
        f1_difference: By how much the trial's macro-F1 is higher.
    """

    number: int
    defaults: SettingsFigures
    best: SettingsFigures
    gain: float
    gain_error: float
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
        defaults: Figures of the defaults in the search, trial 0.
        confirmed: The best trial judged again; None where the defaults are the best.
        num_confirmations: How often it was judged again.
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
    defaults: SettingsFigures
    confirmed: Confirmed | None
    num_confirmations: int
    importances: Mapping[str, float]
    num_folds: int
    seed: int
    num_groups: int
    num_test: int


def verdict_text(result: SearchResult) -> str:
    """Return the outcome of the search, in sentences."""
    confirmed = result.confirmed
    if confirmed is None:
        others = len(result.rows) - 1
        return (
            f"No trial scored better than the defaults; the defaults are kept. {count_of(others, 'other trial')} "
            f"{'was' if others == 1 else 'were'} made. The loss of the defaults is {result.defaults.loss:.4f}, their "
            f"macro-F1 {result.defaults.macro_f1:.3f}."
        )
    lead = (
        f"Trial {confirmed.number} is better than the defaults."
        if confirmed.is_better
        else f"Trial {confirmed.number} scored best, but the difference is within noise; the defaults are kept."
    )
    f1, low, high = _points(confirmed.f1_difference)
    rule = "" if confirmed.is_better else "; a trial must be better by two standard errors"
    return (
        f"{lead} Both were judged again on {result.num_confirmations} other draws of folds and first weights. "
        f"The trial's loss is {confirmed.best.loss:.4f}, that of the defaults {confirmed.defaults.loss:.4f}: "
        f"{'lower' if confirmed.gain >= 0 else 'higher'} by {abs(confirmed.gain):.4f}, standard error "
        f"{confirmed.gain_error:.4f}{rule}. Macro-F1 is {confirmed.best.macro_f1:.3f} against "
        f"{confirmed.defaults.macro_f1:.3f} ({f1:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f})."
    )


def search_page(result: SearchResult) -> str:
    """Return the search as one self-contained HTML page; whatever comes from the data is escaped."""
    sections = [
        Section("trials", "Trials", _trials(result)),
        Section("importance", "What mattered", _importance(result)),
        Section("settings", "Settings", _settings(result)),
        Section("facts", "How it was done", _facts(result)),
    ]
    opening = f'<section aria-label="Verdict"><p>{escape(verdict_text(result))}</p>{_headline(result)}</section>'
    title = f"Search for settings of {result.backbone} on {result.data_name}"
    return html_page(title, "hilum tune", opening, sections, styles=("report.css",), footer=_FOOTER)


def _headline(result: SearchResult) -> str:
    confirmed = result.confirmed
    if confirmed is None:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{name}</th><td>{one.loss:.4f}</td><td>{one.macro_f1:.3f}</td>'
        "<td>{:.1f}<small>{:.1f}–{:.1f}</small></td></tr>".format(*_points(one.accuracy))
        for name, one in (("The defaults", confirmed.defaults), (f"Trial {confirmed.number}", confirmed.best))
    )
    return scroll(
        "Judged again",
        f'<table class="wide"><caption>Judged again: {confirmed.best.num_films} films, each answered '
        f"{result.num_confirmations} times. Accuracy in per cent, 95&nbsp;% interval beneath.</caption>"
        f"<thead><tr>{headings('Settings', 'Loss', 'Macro-F1', 'Accuracy')}</tr></thead>"
        f"<tbody>{rows}</tbody></table>",
    )


def _trials(result: SearchResult) -> str:
    rows = result.rows
    finished = [(row.number, row.loss) for row in rows if row.loss is not None]
    ended = [(row.number, row.loss_so_far) for row in rows if row.loss is None and row.loss_so_far is not None]
    drawn = charts.trials_plot(finished, ended, len(rows), f"Loss of {len(rows)} trials, and the lowest so far.")
    best = best_row(rows)
    body = "".join(
        f'<tr{" class=first" if row is best else ""}><th scope="row">{row.number}</th>'
        f"<td>{_number(row.loss_so_far if row.loss is None else row.loss, 4)}</td>"
        f"<td>{_number(row.macro_f1, 3)}</td><td>{row.num_folds_done}</td><td>{row.seconds:.0f}</td>"
        f'<td class="words">{"finished" if row.state == "finished" else escape(row.note or row.state)}</td>'
        f'<td class="words">{escape(changes_text(row, rows[0]))}</td></tr>'
        for row in rows
    )
    table = scroll(
        "Trials",
        '<table class="wide"><caption>Every trial; the one with the lowest loss is bold. Of one that was ended early '
        "the loss is that of the folds until then.</caption><thead><tr>"
        f"{headings('Trial', 'Loss', 'Macro-F1', 'Folds', 'Seconds')}"
        '<th scope="col" class="words">State</th><th scope="col" class="words">Differs from the defaults in</th>'
        f"</tr></thead><tbody>{body}</tbody></table>",
    )
    keys = (
        '<p class="fine keys"><span><i class="key"></i>lowest so far</span>'
        "<span>dots: trials; grey where ended early</span></p>"
    )
    return f"<figure>{drawn}{keys}</figure>{table}"


def _importance(result: SearchResult) -> str:
    if not result.importances:
        return '<p class="lede">Too few trials were finished to say which settings matter.</p>'
    shares = {_NAMES.get(name, name): share for name, share in result.importances.items()}
    drawn = charts.share_plot(shares, "How much of the differences between trials each setting explains.")
    return (
        '<p class="lede">How much of the differences between finished trials each setting explains by itself or with '
        f"others (functional ANOVA of a random forest). Of few trials this is rough.</p><figure>{drawn}</figure>"
    )


def _settings(result: SearchResult) -> str:
    first, chosen, best = result.rows[0], result.chosen, best_row(result.rows) or result.rows[0]
    body = ""
    for name, value in first.settings.items():
        cells = "".join(f"<td>{escape(shown_value(row.settings.get(name)))}</td>" for row in (chosen, best))
        head = f'<th scope="row">{escape(_NAMES.get(name, name))}</th>'
        body += f"<tr>{head}<td>{escape(shown_value(value))}</td>{cells}</tr>"
    return scroll(
        "Settings",
        '<table class="wide"><caption>run.toml has the chosen ones; all else is as the search started from.</caption>'
        f"<thead><tr>{headings('Setting', 'Defaults', 'Chosen', f'Best trial ({best.number})')}</tr></thead>"
        f"<tbody>{body}</tbody></table>",
    )


def _facts(result: SearchResult) -> str:
    counts = Counter(row.state for row in result.rows)
    facts = [
        ("Films", f"{result.defaults.num_films} in {result.num_groups} groups"),
        ("Findings", ", ".join(result.findings)),
        ("Test films, which took no part", str(result.num_test)),
        ("Folds", f"{result.num_folds}, by groups, stratified by finding"),
        ("Trials", ", ".join(f"{count} {state}" for state, count in counts.items())),
        ("Time", f"{sum(row.seconds for row in result.rows) / 60:.1f} minutes of trials"),
        ("Seed", str(result.seed)),
        ("Versions", f"hilum {__version__}"),
    ]
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="words">{escape(value)}</td></tr>' for name, value in facts
    )
    lede = (
        '<p class="lede">The best of many trials looks better than it is. So it and the defaults were judged again, '
        "with folds and first weights that the search had not seen, though on the same films.</p>"
        if result.confirmed
        else ""
    )
    return f'{lede}<div class="scroll"><table class="wide"><tbody>{body}</tbody></table></div>'


def _points(figure: Interval) -> tuple[float, float, float]:
    """Return value and limits in per cent."""
    value, low, high = (100 * (limit or 0.0) for limit in (figure.value, figure.low, figure.high))
    return value, low, high


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
