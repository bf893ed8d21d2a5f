"""What a user trains with in Python: settings as words, and a network, an augmentation or callbacks of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import keras

from hilum.data.folder import read_dataset
from hilum.data.scan import typical_side
from hilum.errors import ConfigError
from hilum.train.config import RunConfig
from hilum.train.config_file import read_config
from hilum.train.feed import Change
from hilum.train.fit import Extensions

__all__ = ["Backbone", "chosen_config", "own_parts"]

Backbone: TypeAlias = "str | keras.Model | Callable[[tuple[int, int, int]], keras.Model] | None"


def chosen_config(data: Path, file: Path | None, backbone: Backbone, settings: Mapping[str, Any]) -> RunConfig:
    """Return the settings of a training.

    Args:
        data: The films; small ones get a small network input, where no size is named.
        file: A run.toml.
        backbone: A name, or a network of the user. It starts as it is, and a ``keras.Model`` decides the size.
        settings: Words of run.toml, sections as dictionaries; they win over the file.

    Raises:
        ConfigError: A setting is unknown or out of range, or the backbone is of another type.
    """
    words, is_own = dict(settings), not (backbone is None or isinstance(backbone, str))
    if isinstance(backbone, str):
        words["backbone"] = backbone
    elif isinstance(backbone, keras.Model):
        words["preprocessing"] = {"size_px": backbone.input_shape[1], **words.get("preprocessing", {})}
    elif is_own and not callable(backbone):
        raise ConfigError(
            f"`backbone` must be a name, a keras.Model or a function; received a `{type(backbone).__name__}`."
        )
    return read_config(file, words, film_px=lambda: typical_side(read_dataset(data)), is_own=is_own)


def own_parts(
    backbone: Backbone,
    augment: Change | None,
    callbacks: Sequence[keras.callbacks.Callback],
    config: RunConfig,
    *,
    log: str | None = None,
) -> Extensions:
    """Return what a user adds to a training.

    Args:
        backbone: As in `chosen_config`.
        augment: Changes a batch of films.
        callbacks: Keras callbacks, the same for every network of the run.
        config: The settings.
        log: Who is told of the run.
    """
    return Extensions(
        callbacks=lambda: callbacks,
        change=augment,
        backbone=None if backbone is None or isinstance(backbone, str) else _maker(backbone, config),
        log=log,
    )


def _maker(
    backbone: keras.Model | Callable[[tuple[int, int, int]], keras.Model], config: RunConfig
) -> Callable[[], keras.Model]:
    """Return a function that makes the user's network anew: each network of a run starts from the same weights."""
    size_px = config.preprocessing.size_px
    if not isinstance(backbone, keras.Model):
        return lambda: backbone((size_px, size_px, 1))
    start = backbone.get_weights()

    def copied() -> keras.Model:
        made = keras.models.clone_model(backbone)
        made.set_weights(start)
        return made

    return copied
