"""What a search is asked for, and whether that can be done: told without Keras and before a film is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hilum.data.folder import read_dataset
from hilum.data.split import check_counts
from hilum.errors import ConfigError
from hilum.results import ResultFolder
from hilum.train.backbones import check_weights
from hilum.train.config import RunConfig

__all__ = ["TuneSettings", "check_search"]

_FOLDER = ResultFolder(
    of="search",
    finished="a search; it was",
    files=("search.json", "search.db", "trials", "confirmation", "run.toml", "trials.csv", "report.html"),
    marks={"search.json": frozenset({"settings", "films", "folds"})},
    is_alone=True,
)


@dataclass(frozen=True)
class TuneSettings:
    """How long and how carefully to search.

    Attributes:
        num_trials: Trials of the search in all, those of earlier runs included.
        minutes: After which no trial goes on; None for no limit. The defaults are judged all the same.
        num_folds: Of the grouped cross-validation that judges a trial.
        num_confirmations: How often the best trial and the defaults are judged anew.
    """

    num_trials: int = 30
    minutes: float | None = None
    num_folds: int = 5
    num_confirmations: int = 2

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("number of trials", self.num_trials, 1, 100_000),
            ("number of folds", self.num_folds, 2, 20),
            ("number of confirmations", self.num_confirmations, 1, 20),
            ("number of minutes", 1 if self.minutes is None else self.minutes, 0, 1_000_000),
        ):
            if not low <= value <= high:
                raise ConfigError(f"The {name} must lie between {low} and {high}; received {value:g}.")


def check_search(data: Path, out: Path, base: RunConfig) -> None:
    """Refuse a search that cannot be done, as far as that shows without reading a film.

    Args:
        data: The data set.
        out: The search's folder: it must hold a search or nothing, and lie outside the data set.
        base: The settings to start from.

    Raises:
        InputError: The folder or the data set cannot be used.
        ConfigError: The starting weights are not to be had.
    """
    check_weights(base.backbone, base.weights)
    names = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if not names or any(name != "claims" and not name.startswith(".") for name in names):  # else another one begins it
        _FOLDER.check(out, overwrite=True, data=data)  # a search goes on; the store asks before it begins anew
    check_counts(read_dataset(data))
