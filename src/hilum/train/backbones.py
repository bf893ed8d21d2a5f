"""Which networks there are and what they start from. Nothing here imports Keras: a wrong name is reported at once."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import os
import re
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path

from hilum.errors import ConfigError

__all__ = [
    "BACKBONES",
    "LITES",
    "OWN",
    "application_names",
    "check_backbone",
    "check_weights",
    "name_key",
    "weights_at_hand",
]

LITES = {  # name of a backbone -> the EfficientNet-Lite that it is
    **{name: name for name in ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")},
    "hilum-chest": "efficientnet-lite0",
}
BACKBONES = (*LITES, "plain-cnn")
OWN = "own"  # a network that the user gives in Python

_LITE_STEP_PX = 32  # the deepest maps of an EfficientNet-Lite have one place for so many pixels
_WEIGHTS_HOST = "https://storage.googleapis.com/"  # where keras.applications has its weights
_PATIENCE_SECONDS = 5.0


@cache
def application_names() -> tuple[str, ...]:
    """Return the names of the ``keras.applications`` networks, such as ``MobileNetV2``; empty without Keras.

    They are read from Keras' own source, as importing it takes seconds.
    """
    found = importlib.util.find_spec("keras")
    if found is None or found.origin is None:
        return ()
    try:
        tree = ast.parse((Path(found.origin).parent / "applications" / "__init__.py").read_text(encoding="utf-8"))
    except (OSError, SyntaxError):
        return ()
    imported = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    names = {alias.asname or alias.name for node in imported for alias in node.names}
    return tuple(sorted(name for name in names if name[0].isupper() and not name.endswith("Base")))


def check_backbone(name: str, size_px: int) -> None:
    """Refuse a network that does not exist, or a size that it cannot have.

    Args:
        name: One of `BACKBONES`, `OWN`, or one of `application_names`; case and dashes of the latter do not matter.
        size_px: The side of its input.

    Raises:
        ConfigError: There is no such network, or not of this size.
    """
    applications = application_names()
    if name == OWN:
        return
    if name not in BACKBONES and applications and name_key(name) not in map(name_key, applications):
        close = difflib.get_close_matches(name, [*BACKBONES, *applications], n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(f'`{match}`' for match in close)}? " if close else ""
        raise ConfigError(
            f"No backbone is called `{name}`.",
            fix=f"{hint}Choose {', '.join(BACKBONES)}, or one of keras.applications such as MobileNetV2.",
        )
    if name in LITES and size_px % _LITE_STEP_PX:
        raise ConfigError(
            f"{name} needs a size that is a multiple of {_LITE_STEP_PX} px; received {size_px}.",
            fix=f"Set preprocessing.size_px to {max(1, round(size_px / _LITE_STEP_PX)) * _LITE_STEP_PX}.",
        )


def check_weights(backbone: str, weights: str) -> None:
    """Refuse, before anything is read, weights that must come from the internet where it cannot be reached.

    Args:
        backbone: The network.
        weights: The setting.

    Raises:
        ConfigError: The weights are neither on this computer nor to be fetched.
    """
    if (
        weights != "imagenet"
        or backbone in (*BACKBONES, OWN)
        or weights_at_hand(backbone)
        or _is_reachable(_WEIGHTS_HOST)
    ):
        return
    raise ConfigError(
        f"The ImageNet weights of `{backbone}` are not on this computer, and {_WEIGHTS_HOST} cannot be reached.",
        fix="Connect to the internet once (Keras keeps them in ~/.keras/models), train it from "
        "scratch with `--weights none`, "
        "or use efficientnet-lite0, whose weights are installed with hilum.",
    )


def weights_at_hand(backbone: str) -> bool:
    """Return whether a backbone's ImageNet weights are on this computer: installed, or kept by Keras."""
    if backbone in BACKBONES:
        return backbone != "plain-cnn"
    kept = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"
    wanted = re.compile(rf"(?:^|weights){name_key(backbone)}(?!v\d).*notop")
    return kept.is_dir() and any(wanted.search(name_key(path.stem)) for path in kept.iterdir())


def name_key(name: str) -> str:
    """Return a name without what does not matter in it: case, dashes, dots."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_reachable(address: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=_PATIENCE_SECONDS):
            return True
    except urllib.error.HTTPError:  # it answered
        return True
    except (OSError, ValueError):
        return False
