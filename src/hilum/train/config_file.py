"""Settings read from ``run.toml``, the command line and Python over a backbone's defaults, and written back."""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hilum.errors import ConfigError
from hilum.film.preprocess import without_lung_crop
from hilum.train.backbones import OWN
from hilum.train.config import RunConfig, default_config, validated

__all__ = ["read_config", "to_toml"]

_MOST_ENLARGED, _STEP_PX, _LEAST_SIZE_PX = 3, 32, 64  # of films that are smaller than the network's input


def read_config(
    path: Path | None,
    overrides: Mapping[str, Any] | None = None,
    words: Sequence[str] = (),
    *,
    film_px: Callable[[], int | None] | None = None,
    is_own: bool = False,
) -> RunConfig:
    """Return the settings of a ``run.toml`` over the backbone's defaults.

    Args:
        path: The TOML file, or None for the defaults.
        overrides: Settings named on the command line or in Python, sections as mappings; they win over the file and
            over words.
        words: Settings as ``section.key=value``, ``fit.epochs=5`` for one; they win over the file.
        film_px: Returns the side of the films in pixels. It is asked where no size is named: small films get a small
            network input.
        is_own: Whether the backbone is a network that is given in Python.

    Raises:
        ConfigError: The file is missing or no TOML, a key is unknown, a value is of the wrong kind or out of range.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(
                f"Cannot read the settings file `{path}`: {error.strerror}.", fix="Check the path given to --config."
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"The settings file `{path}` is not TOML: {error}.") from error
    for word in words:
        _put(values, word)
    values = _merged(values, {key: value for key, value in (overrides or {}).items() if value is not None})
    if is_own:
        values["backbone"] = OWN
    backbone = values.get("backbone", "efficientnet-lite0")
    if not isinstance(backbone, str):
        raise ConfigError(f"The setting `backbone` must be a name; received {backbone!r}.")
    if backbone == OWN and not is_own:
        raise ConfigError(
            "The backbone `own` is a network that is given in Python, not by its name.",
            fix="See docs/how-to/train.md, or name another backbone.",
        )
    if isinstance(values.get("preprocessing"), Mapping):
        values["preprocessing"] = without_lung_crop(values["preprocessing"])
    base = default_config(backbone)
    if film_px is not None and "size_px" not in values.get("preprocessing", {}):
        base = _for_small_films(base, film_px())
    return RunConfig(**vars(validated(_merged(dataclasses.asdict(base), values), base)))


def _for_small_films(base: RunConfig, film_px: int | None) -> RunConfig:
    """Return the defaults for films of such a side: more than three times as many pixels show no more of them."""
    if film_px is None:
        return base
    size_px = max(_STEP_PX * math.ceil(_MOST_ENLARGED * film_px / _STEP_PX), _LEAST_SIZE_PX)
    if size_px >= base.preprocessing.size_px:
        return base
    preprocessing = dataclasses.replace(base.preprocessing, size_px=size_px)
    return dataclasses.replace(base, preprocessing=preprocessing)


def to_toml(config: RunConfig) -> str:
    """Return the settings as TOML that `read_config` reads back to the same settings."""
    values = dataclasses.asdict(config)
    sections = {name: value for name, value in values.items() if isinstance(value, dict)}
    lines: list[str] = []
    for section, table in {"": {name: values[name] for name in values if name not in sections}, **sections}.items():
        lines += ["", f"[{section}]"] if section else []
        lines += [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in table.items()]
    return "\n".join(lines) + "\n"


def _put(values: dict[str, Any], word: str) -> None:
    """Put one ``section.key=value`` into what a settings file holds; a value that is no TOML is a text."""
    name, sign, text = word.partition("=")
    *sections, key = name.strip().split(".")
    if not sign or not key or not all(sections):
        raise ConfigError(
            f"`--set {word}` is not a setting with a value.", fix="Write SECTION.KEY=VALUE, such as --set fit.epochs=5."
        )
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"`{section}` must be a table; received {values!r}.", fix=f"Write it as [{section}].")
    try:
        values[key] = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        values[key] = text.strip()


def _merged(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of ``base`` with those of ``values`` over them, section by section."""
    changed = {
        key: _merged(base[key], value) if isinstance(value, Mapping) and isinstance(base.get(key), Mapping) else value
        for key, value in values.items()
    }
    return {**base, **changed}
