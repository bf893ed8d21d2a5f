"""The trials of a search as rows: what the live table, trials.csv and the report show."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from hilum.text import write_csv
from hilum.train.config import RunConfig
from hilum.train.tune.search_space import SearchSpace

__all__ = ["TrialRow", "best_row", "changes_text", "setting_values", "trial_rows", "trials_csv"]

_STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "ended early",
    TrialState.RUNNING: "running",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class TrialRow:
    """One trial.

    Attributes:
        number: From 0, the settings that the search started from.
        state: "finished", "ended early", "running" or "failed".
        loss: Of all folds; None where not finished.
        loss_so_far: Of the folds that are done; None where none is.
        macro_f1: Of all folds; None where not finished.
        num_folds_done: How many folds are done.
        seconds: Spent on it by all processes.
        settings: Name to value, as run.toml would have them.
        note: Why it was ended early or failed; empty else.
    """

    number: int
    state: str
    loss: float | None
    loss_so_far: float | None
    macro_f1: float | None
    num_folds_done: int
    seconds: float
    settings: dict[str, object]
    note: str


def trial_rows(trials: Iterable[FrozenTrial], space: SearchSpace) -> list[TrialRow]:
    """Return the trials as rows, by number."""
    rows = []
    for trial in sorted(trials, key=lambda one: one.number):
        if trial.state not in _STATES:  # waits to be taken
            continue
        reported = trial.intermediate_values
        complete = set(trial.params) == set(space.distributions)
        rows.append(
            TrialRow(
                number=trial.number,
                state=_STATES[trial.state],
                loss=trial.value if trial.state == TrialState.COMPLETE else None,
                loss_so_far=reported[max(reported)] if reported else None,
                macro_f1=trial.user_attrs.get("macro_f1"),
                num_folds_done=max(reported, default=0),
                seconds=float(trial.user_attrs.get("seconds", 0.0)),
                settings=setting_values(space.config(trial.params), space, trial.params) if complete else {},
                note=str(trial.user_attrs.get("note", "")),
            )
        )
    return rows


def setting_values(config: RunConfig, space: SearchSpace, values: object = None) -> dict[str, object]:
    """Return what the search varies, as it stands in some settings.

    Args:
        config: The settings.
        space: The search's.
        values: The point of the space, which alone knows the strength of augmentation; the start where not given.
    """
    point = values if isinstance(values, dict) else dict(space.start)
    named: dict[str, object] = {}
    for name in space.distributions:
        if name == "size_px":
            named[name] = config.preprocessing.size_px
        elif name == "augmentation_strength":
            named[name] = float(f"{point[name]:.3g}")
        else:
            named[name] = getattr(config.fit, name)
    return named


def best_row(rows: Sequence[TrialRow]) -> TrialRow | None:
    """Return the finished trial with the lowest loss; None where none is finished."""
    return min((row for row in rows if row.loss is not None), key=lambda row: (row.loss, row.number), default=None)


def changes_text(row: TrialRow, first: TrialRow) -> str:
    """Return in which settings a trial differs from another, in words."""
    if row.number == first.number:
        return "the defaults" if row.number == 0 else ""
    changed = [f"{name} {_value(value)}" for name, value in row.settings.items() if value != first.settings.get(name)]
    return ", ".join(changed) or "the defaults"


def trials_csv(rows: Sequence[TrialRow]) -> str:
    """Return trials.csv: one line a trial, its figures, then its settings."""
    names = list(rows[0].settings) if rows else []
    text = io.StringIO()
    lines = []
    for row in rows:
        figures = ["" if one is None else f"{one:.6f}" for one in (row.loss, row.macro_f1)]
        so_far = "" if row.loss_so_far is None else f"{row.loss_so_far:.6f}"
        settings = [_value(row.settings.get(name, "")) for name in names]
        lines.append(
            [row.number, row.state, *figures, row.num_folds_done, so_far, f"{row.seconds:.1f}", *settings, row.note]
        )
    write_csv(text, ["trial", "state", "loss", "macro_f1", "folds", "loss_so_far", "seconds", *names, "note"], lines)
    return text.getvalue()


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
