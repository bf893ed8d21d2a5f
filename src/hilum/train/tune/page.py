"""A search in words: its verdict in sentences, and one page with the trials, the settings, and what mattered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hilum.judge.compare.paired import macro_f1_difference
from hilum.judge.intervals import grouped_mean
from hilum.report import charts as plots
from hilum.report.markup import headings, scroll
from hilum.report.page import Section, html_page
from hilum.text import escape
from hilum.train.config import RunConfig
from hilum.train.trial import Crossed
from hilum.train.tune.gain import macro_f1, mean_loss
from hilum.train.tune.settings import TuneSettings
from hilum.train.tune.trial_rows import TrialRow, best_row, changes_text
from hilum.train.tune.worker import NOISE, Confirmed
from hilum.version import __version__

__all__ = ["SearchResult", "search_page", "verdict_text"]

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


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What the page shows.

    Attributes:
        data_name: The data set's.
        findings: Its findings.
        rows: The trials, by number.
        chosen: The trial whose settings run.toml has.
        first: Answers with the defaults, of trial 0.
        confirmed: The best trial judged anew; None where the defaults are the best.
        importances: Setting to its share of what the losses differ by, largest first; empty where not known.
        settings: How long and how carefully was searched.
        base: The settings the search started from.
        num_test: Films that took no part.
    """

    data_name: str
    findings: Sequence[str]
    rows: Sequence[TrialRow]
    chosen: TrialRow
    first: Crossed
    confirmed: Confirmed | None
    importances: Mapping[str, float]
    settings: TuneSettings
    base: RunConfig
    num_test: int


def verdict_text(result: SearchResult) -> str:
    """Return what came of the search, in sentences."""
    confirmed = result.confirmed
    if confirmed is None:
        others = len(result.rows) - 1
        none = "the other trial has no" if others == 1 else f"none of the {others} other trials has a"
        return (
            f"The defaults are kept: {none} lower loss than theirs, "
            f"{mean_loss(result.first):.4f} (macro-F1 {macro_f1(result.first):.3f})."
        )
    gain, repeats = confirmed.gain, result.settings.num_confirmations
    told = gain.beyond(NOISE)
    lead = (
        f"Trial {confirmed.number} is better than the defaults"
        if told
        else f"The defaults are kept: that trial {confirmed.number}, the best, is better cannot be told from noise"
    )
    first, best = mean_loss(confirmed.defaults), mean_loss(confirmed.best)
    return (
        f"{lead}. Judged anew on {repeats} other draw{'s' if repeats > 1 else ''} of folds and first weights its loss "
        f"is {best:.4f} against {first:.4f}: {'lower' if gain.value >= 0 else 'higher'} by {abs(gain.value):.4f} with "
        f"a standard error of {gain.error:.4f}"
        f"{', of which two are asked for' if not told else ''}. Macro-F1 {macro_f1(confirmed.best):.3f} against "
        f"{macro_f1(confirmed.defaults):.3f} ({_f1_difference(confirmed)})."
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
    title = f"Search for settings of {result.base.backbone} on {result.data_name}"
    return html_page(title, "hilum tune", opening, sections, styles=("report.css",), footer=_FOOTER)


def _headline(result: SearchResult) -> str:
    confirmed = result.confirmed
    if confirmed is None:
        return ""
    rows = []
    for name, crossed in (("The defaults", confirmed.defaults), (f"Trial {confirmed.number}", confirmed.best)):
        right = (crossed.logits.argmax(axis=1) == crossed.truth).astype(float)
        accuracy = grouped_mean(right, crossed.groups, seed=result.base.seed)
        low, high = accuracy["low"] or 0.0, accuracy["high"] or 0.0
        rows.append(
            f'<tr><th scope="row">{name}</th><td>{mean_loss(crossed):.4f}</td><td>{macro_f1(crossed):.3f}</td>'
            f"<td>{100 * right.mean():.1f}<small>{100 * low:.1f}–{100 * high:.1f}</small></td></tr>"
        )
    num_films = len(set(confirmed.best.positions.tolist()))
    return scroll(
        "Judged anew",
        f'<table class="wide"><caption>Judged anew: {num_films} films, each answered '
        f"{result.settings.num_confirmations} times. Accuracy in per cent, 95&nbsp;% interval beneath.</caption>"
        f"<thead><tr>{headings('Settings', 'Loss', 'Macro-F1', 'Accuracy')}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>",
    )


def _f1_difference(confirmed: Confirmed) -> str:
    first, best = confirmed.defaults, confirmed.best
    found = macro_f1_difference(best.truth, first.logits.argmax(axis=1), best.logits.argmax(axis=1), best.groups)
    value, low, high = (100 * (found[limit] or 0.0) for limit in ("value", "low", "high"))
    return f"{value:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}"


def _trials(result: SearchResult) -> str:
    rows = result.rows
    finished = [(row.number, row.loss) for row in rows if row.loss is not None]
    ended = [(row.number, row.loss_so_far) for row in rows if row.loss is None and row.loss_so_far is not None]
    drawn = plots.trials_plot(finished, ended, len(rows), f"Loss of {len(rows)} trials, and the lowest so far.")
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
    drawn = plots.share_plot(shares, "How much of the differences between trials each setting explains.")
    return (
        '<p class="lede">How much of the differences between finished trials each setting explains by itself or with '
        f"others (functional ANOVA of a random forest). Of few trials this is rough.</p><figure>{drawn}</figure>"
    )


def _settings(result: SearchResult) -> str:
    first, chosen, best = result.rows[0], result.chosen, best_row(result.rows) or result.rows[0]
    body = ""
    for name, value in first.settings.items():
        cells = "".join(f"<td>{escape(_shown(row.settings.get(name)))}</td>" for row in (chosen, best))
        body += f'<tr><th scope="row">{escape(_NAMES.get(name, name))}</th><td>{escape(_shown(value))}</td>{cells}</tr>'
    return scroll(
        "Settings",
        '<table class="wide"><caption>run.toml has the chosen ones; all else is as the search started from.</caption>'
        f"<thead><tr>{headings('Setting', 'Defaults', 'Chosen', f'Best trial ({best.number})')}</tr></thead>"
        f"<tbody>{body}</tbody></table>",
    )


def _facts(result: SearchResult) -> str:
    counts = Counter(row.state for row in result.rows)
    facts = [
        ("Films", f"{len(result.first.positions)} in {len(set(result.first.groups.tolist()))} groups"),
        ("Findings", ", ".join(result.findings)),
        ("Test films, which took no part", str(result.num_test)),
        ("Folds", f"{result.settings.num_folds}, by groups, stratified by finding"),
        ("Trials", ", ".join(f"{count} {state}" for state, count in counts.items())),
        ("Time", f"{sum(row.seconds for row in result.rows) / 60:.1f} minutes of trials"),
        ("Seed", str(result.base.seed)),
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


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
