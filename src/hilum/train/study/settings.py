"""What a study is asked for, and whether that can be done: told without Keras and before a film is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hilum.data.folder import read_dataset
from hilum.data.split import check_counts
from hilum.errors import ConfigError, nearest_name
from hilum.film.denoise import METHODS
from hilum.results import ResultFolder
from hilum.train.backbones import check_backbone
from hilum.train.study.policy_variants import POLICY_VARIANTS

__all__ = ["STARTS", "StudySettings", "check_study", "chosen_names", "known_names"]

STARTS = ("frozen", "fine-tuned", "from scratch")
_FOLDER = ResultFolder(
    of="study",
    finished="a finished study; it was",
    files=("study.json", "report.html", ".work"),
    marks={"study.json": frozenset({"study"}), ".work/study.json": frozenset({"study", "films"})},
    last="study.json",
    others=("metrics.json", "config.toml", "audit.json"),
)
_USUAL_SIZE_PX = 224


@dataclass(frozen=True)
class StudySettings:
    """How thoroughly a study looks.

    Attributes:
        folds: Number of folds of the cross-validation.
        epochs: Epochs of the networks that learn; None: what the study takes by itself.
        only: Names of the ways to compare; none: all of them.
        backbones: Networks to train; none: what the study takes by itself.
        sizes_px: Sides of their input; none: likewise.

    Raises:
        ConfigError: A number is out of range.
    """

    folds: int = 5
    epochs: int | None = None
    only: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    sizes_px: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        ranges = (("folds", self.folds, 2, 20), ("epochs", self.epochs, 0, 1000))
        for name, value, low, high in ranges:
            if value is not None and not low <= value <= high:
                raise ConfigError(f"`--{name}` must lie between {low} and {high}; received {value}.")


def check_study(
    kind: str, data: Path, out: Path, settings: StudySettings, *, external: Path | None = None, overwrite: bool = False
) -> None:
    """Refuse a study that cannot be done, as far as that shows without reading a film.

    Args:
        kind: ``noise``, ``augmentation`` or ``backbones``.
        data: The data set.
        out: The study's folder.
        settings: What to compare.
        external: Films of other sources.
        overwrite: Whether an earlier study in the folder is replaced.

    Raises:
        ConfigError: A name is not known, or there are too many of them.
        InputError: The folder or the data set cannot be used.
    """
    if kind == "noise" and (len(settings.backbones) > 1 or len(settings.sizes_px) > 1):
        raise ConfigError("`study noise` takes one --backbone and one --size-px.", fix="Keep one of them.")
    if kind == "augmentation" and len(settings.sizes_px) > 1:
        raise ConfigError("`study augmentation` takes one --size-px.", fix="Keep one of them.")
    chosen_names(settings.only, kind)
    for backbone in settings.backbones:
        for size_px in settings.sizes_px or (_USUAL_SIZE_PX,):
            check_backbone(backbone, size_px)
    _FOLDER.check(out, overwrite=overwrite, data=data, reads=() if external is None else (external,))
    check_counts(read_dataset(data), num_parts=2)
    if external is not None:
        read_dataset(external)


def known_names(kind: str) -> tuple[str, ...]:
    """Return what a kind of study can compare, in its order."""
    if kind == "noise":
        return tuple(METHODS)[1:]
    return tuple(one.name for one in POLICY_VARIANTS) if kind == "augmentation" else STARTS


def chosen_names(only: tuple[str, ...], kind: str) -> tuple[str, ...]:
    """Return the names of `only`, or all that a kind of study knows, in its order.

    Raises:
        ConfigError: A name is not known.
    """
    known = known_names(kind)
    what = {"noise": "method", "augmentation": "policy"}.get(kind, "start")
    for name in only:
        if name not in known:
            raise ConfigError(f"No {what} is called `{name}`.", fix=nearest_name(name, known))
    return tuple(name for name in known if not only or name in only)
