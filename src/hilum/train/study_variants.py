"""What `hilum study` compares: a table of named variants for each kind of study, and the settings of a study.

A variant changes either the film (noise) or the settings of a network (augmentation, backbones). Nothing here needs
Keras, so a study that cannot be done is refused at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hilum.data.folder import read_dataset
from hilum.data.split import check_counts
from hilum.errors import ConfigError, nearest_name
from hilum.film.denoise import METHODS
from hilum.film.preprocess import Preprocessing
from hilum.results import ResultFolder
from hilum.train.augment import SIMPLE, Augmentation, no_changes
from hilum.train.config import FitSettings, RunConfig, default_config

__all__ = ["KINDS", "NAMED_POLICIES", "STUDY_FOLDER", "Kind", "StudyRequest", "Variant", "check_study", "variants_of"]

STUDY_FOLDER = ResultFolder(
    of="study",
    finished="a finished study",
    files=("study.json", "report.html", ".work"),
    marks={"study.json": frozenset({"study"}), ".work/study.json": frozenset({"study", "films"})},
    last="study.json",
    others=("metrics.json", "config.toml", "audit.json"),
)
_STARTS = ("frozen", "fine-tuned", "from scratch")


@dataclass(frozen=True)
class Variant:
    """One of the things that a study compares.

    Attributes:
        name: As study.json has it.
        title: As pages and tables have it.
        words: What it does.
        config: The settings of its network; of noise those of the network whose features are used.
        method: What is done to films first, a name in `METHODS`.
        start: Of backbones: frozen, fine-tuned or from scratch.
        is_default: Whether `hilum train` does it this way.
    """

    name: str
    title: str
    words: str
    config: RunConfig
    method: str = "none"
    start: str = ""
    is_default: bool = False


@dataclass(frozen=True)
class Kind:
    """What one kind of study can compare.

    Attributes:
        sort: What the names of `only` are names of.
        only: Names that `--only` takes.
        backbones: Networks unless others are asked for.
        sizes_px: Their sides unless others are asked for; none: each network's own.
        most_backbones: How many networks may be asked for; None: any number.
        most_sizes: How many sides may be asked for; None: any number.
    """

    sort: str
    only: tuple[str, ...]
    backbones: tuple[str, ...]
    sizes_px: tuple[int, ...] = ()
    most_backbones: int | None = None
    most_sizes: int | None = None


def _policies() -> dict[str, tuple[str, str, Augmentation]]:
    """Return by name: title, what it does, settings."""
    both, nothing = Augmentation(), no_changes()
    geometry = ("flip_probability", "rotation_degrees", "zoom_fraction", "stretch_fraction", "shift_fraction")
    photometry = (
        *("photometric_probability", "gamma", "contrast_fraction", "brightness_fraction", "blur_sigma_px"),
        *("noise_sigma_fraction", "lost_resolution_fraction"),
    )
    some = [replace(nothing, **{one: getattr(both, one) for one in names}) for names in (geometry, photometry)]
    return {
        "none": ("None", "films as they are", nothing),
        "simple": ("Flip, rotation, blur", "half mirrored, 10 degrees, sigma up to 1 pixel", SIMPLE),
        "geometric": ("Geometric", "mirrored, turned, stretched, shifted", some[0]),
        "photometric": ("Photometric", "grey values, blur, noise, resolution", some[1]),
        "full": ("Both", "geometric and photometric", both),
        "no-flip": ("Both without flip", "never mirrored", replace(both, flip_probability=0.0)),
        "randaugment": ("RandAugment", "2 of 10 changes, strength 0.5", replace(both, policy="randaugment")),
        "augmix": ("AugMix", "3 chains of changes, strength 0.5", replace(both, policy="augmix")),
        "mixup": ("MixUp", "after both, alpha 0.2", replace(both, policy="mixup")),
        "cutmix": ("CutMix", "after both, strength 0.5", replace(both, policy="cutmix")),
        "erasing": ("RandomErasing", "after both, half of the films", replace(both, policy="erasing")),
    }


NAMED_POLICIES = _policies()
KINDS: Mapping[str, Kind] = {
    "noise": Kind("method", tuple(METHODS)[1:], ("efficientnet-lite0",), (224,), 1, 1),
    "augmentation": Kind("policy", tuple(NAMED_POLICIES), ("plain-cnn", "efficientnet-lite0"), most_sizes=1),
    "backbones": Kind(
        "start",
        _STARTS,
        ("plain-cnn", "efficientnet-lite0", "MobileNetV2", "DenseNet121"),
        (160, 224, 320),
    ),
}


@dataclass(frozen=True)
class StudyRequest:
    """What a study is asked for.

    Attributes:
        kind: A key of `KINDS`.
        data: The data set. Its test part takes no part.
        out: The study's folder. An unfinished study of the same films and settings in it is continued.
        external: Films of other sources.
        folds: Folds of the cross-validation.
        epochs: Epochs of the networks that learn; None: the study's own.
        only: Names to compare; none: all.
        backbones: Networks; none: the study's own.
        sizes_px: Sides of their input; none: the study's own.
        overwrite: Whether an earlier study in the folder is replaced.

    Raises:
        ConfigError: A number is out of range, a name is not known, or there are too many of them.
    """

    kind: str
    data: Path
    out: Path
    external: Path | None = None
    folds: int = 5
    epochs: int | None = None
    only: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    sizes_px: tuple[int, ...] = ()
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name, value, low, high in (("folds", self.folds, 2, 20), ("epochs", self.epochs, 0, 1000)):
            if value is not None and not low <= value <= high:
                raise ConfigError(f"`--{name}` must lie between {low} and {high}; received {value}.")
        kind = KINDS[self.kind]
        for option, given, most in (
            ("--backbone", self.backbones, kind.most_backbones),
            ("--size-px", self.sizes_px, kind.most_sizes),
        ):
            if most is not None and len(given) > most:
                raise ConfigError(f"`study {self.kind}` takes one {option}.", fix="Keep one of them.")
        if "hilum-chest" in self.backbones:
            raise ConfigError(
                "`hilum study` does not take hilum-chest, which may have learned from your films.",
                fix="Use `hilum train --backbone hilum-chest`: it leaves such films out of its figures.",
            )
        for name in self.only:
            if name not in kind.only:
                raise ConfigError(f"No {kind.sort} is called `{name}`.", fix=nearest_name(name, kind.only))


def check_study(request: StudyRequest) -> None:
    """Refuse a study that cannot be done, as far as that shows without reading a film.

    Raises:
        ConfigError: A network is not known or does not take films of that size.
        InputError: The folder or the data set cannot be used.
    """
    if not variants_of(request):
        raise ConfigError("Nothing is left to compare: plain-cnn has no ImageNet weights.", fix="Leave --only out.")
    reads = () if request.external is None else (request.external,)
    STUDY_FOLDER.check(request.out, overwrite=request.overwrite, data=request.data, reads=reads)
    check_counts(read_dataset(request.data), num_parts=2)
    for path in reads:
        read_dataset(path)


def variants_of(request: StudyRequest) -> list[Variant]:
    """Return what a study compares, in the order of its tables: those of one size of film together."""
    kind = KINDS[request.kind]
    backbones, sizes = request.backbones or kind.backbones, request.sizes_px or kind.sizes_px
    names = [name for name in kind.only if not request.only or name in request.only]
    if request.kind == "noise":
        config = RunConfig(
            backbone=backbones[0],
            preprocessing=Preprocessing(size_px=sizes[0], equalize=False),
            fit=FitSettings(epochs=0),
        )
        return [Variant(name, METHODS[name].title, METHODS[name].settings, config, name) for name in ("none", *names)]
    if request.kind == "augmentation":
        configs = [_training(default_config(backbone), sizes, request.epochs) for backbone in backbones]
        kept = {"none", *names, *(name for name in NAMED_POLICIES for one in configs if _is_default(name, one))}
        return [
            Variant(name, *NAMED_POLICIES[name][:2], _with(config, name), is_default=_is_default(name, config))
            for config in configs
            for name in NAMED_POLICIES
            if name in kept
        ]
    return [
        _network(backbone, size_px, start, request.epochs)
        for size_px in sizes
        for backbone in backbones
        for start in names
        if start == "from scratch" or backbone != "plain-cnn"
    ]


def _network(backbone: str, size_px: int, start: str, epochs: int | None) -> Variant:
    is_new = start == "from scratch"
    fit = default_config("plain-cnn" if is_new else "efficientnet-lite0").fit  # as `hilum train` does it
    if start == "frozen":
        fit = replace(fit, epochs=0)
    elif epochs is not None:
        fit = replace(fit, epochs=epochs)
    return Variant(
        f"{backbone}-{size_px}-{start.replace(' ', '-')}",
        f"{backbone} at {size_px} px, {start}",
        "",
        RunConfig(
            backbone=backbone,
            weights="none" if is_new else "imagenet",
            preprocessing=Preprocessing(size_px=size_px),
            fit=fit,
        ),
        start=start,
    )


def _training(config: RunConfig, sizes_px: tuple[int, ...], epochs: int | None) -> RunConfig:
    """Return a network's settings in a study of augmentation: a pretrained one keeps its last epoch.

    `hilum train` often keeps the first stage, in which the policies hardly differ.
    """
    fit = config.fit
    if config.weights == "imagenet":
        fit = replace(fit, keep="last")
    if epochs is not None:
        fit = replace(fit, epochs=epochs)
    if sizes_px:
        config = replace(config, preprocessing=replace(config.preprocessing, size_px=sizes_px[0]))
    return replace(config, fit=fit)


def _with(config: RunConfig, policy: str) -> RunConfig:
    return replace(config, augmentation=NAMED_POLICIES[policy][2])


def _is_default(policy: str, config: RunConfig) -> bool:
    return config.augmentation == NAMED_POLICIES[policy][2]
