"""What the command line says of itself: its versions, and what to write in place of an option that it does not have."""

from __future__ import annotations

import difflib
import platform
import re
import sys
from importlib import metadata
from typing import Any

from hilum.extras import EXTRAS, has_extra, install_line
from hilum.version import __version__

__all__ = ["usage_message", "version_text"]

_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false"}


def version_text() -> str:
    """Return what `hilum --version` prints: hilum, its engine, Python, and which extras are installed."""
    there = [extra for extra in EXTRAS if has_extra(extra)]
    missing = [extra for extra in EXTRAS if extra not in there]
    lines = [
        f"hilum {__version__}",
        f"OpenVINO {metadata.version('openvino')} (the engine)",
        f"Python {platform.python_version()}",
        f"extras installed: {', '.join(there) or 'none'}",
    ]
    if missing:
        lines.append(f"not installed: {', '.join(missing)}; to install one: {install_line(missing[0])}")
    return "\n".join(lines)


def usage_message(error: Any) -> str:
    """Return what is wrong with the words of a command, and what to write instead.

    Args:
        error: typer's usage error.
    """
    message = re.sub(r",?\s*\n\s*", lambda gap: ", " if "," in gap[0] else " ", str(error.format_message())).strip()
    message = re.sub(r"(Value|Assertion) error, ", "", message)
    if said := _value_refused(error, message):
        return said
    context = getattr(error, "ctx", None)
    if not hasattr(error, "possibilities") or context is None:
        return message
    option = str(error.option_name)
    options = {parameter.name: parameter.opts for parameter in context.command.params}
    if "config" in options and (name := _setting_meant(option, certain=bool(error.possibilities))):
        section, _, key = name.rpartition(".")
        return (
            f"No such option: {option}. `{key}` is a setting: {f'[{section}] ' if section else ''}{key} in run.toml, "
            f"or --set {name}={_value_given(option)}."
        )
    known = [one for names in options.values() for one in names]
    near = error.possibilities or difflib.get_close_matches(option, known)
    if near:
        return f"No such option: {option}. Did you mean {' or '.join(near)}?"
    return f"No such option: {option}. `{context.command_path} --help` lists them."


def _value_refused(error: Any, message: str) -> str:
    """Return what an option takes and what it was given, in plain words; nothing where the error is another."""
    option = next(iter(getattr(getattr(error, "param", None), "opts", ())), "")
    faults: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()  # pydantic's
    if option and faults and (kind := _KINDS.get(str(faults[0].get("type")).partition("_")[0])):
        return f"`{option}` must be {kind}; received `{faults[0].get('input')}`."
    if option and (found := re.search(r": '(.*)' is not one of (.+?)\.?$", message)):
        names = found[2].replace("'", "")
        return f"`{option}` must be one of {names}; received `{found[1]}`."
    return ""


def _setting_meant(option: str, *, certain: bool) -> str | None:
    """Return the setting that an unknown option stands for; a name that is merely like it counts unless certain."""
    if not has_extra("train"):
        return None
    from hilum.train.config import setting_names

    word = option.lstrip("-").replace("-", "_").lower()
    by_key = {name.rpartition(".")[2]: name for name in setting_names()}
    if word in by_key:
        return by_key[word]
    for key, name in by_key.items():  # --batch, --lr
        if len(word) > 1 and (key.startswith(f"{word}_") or word == "".join(part[0] for part in key.split("_"))):
            return name
    close = [] if certain else difflib.get_close_matches(word, by_key, n=1, cutoff=0.8)
    return by_key[close[0]] if close else None


def _value_given(option: str) -> str:
    """Return the value that stands behind an option on the command line, to be shown in its right place."""
    words = sys.argv[1:]
    for position, word in enumerate(words):
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
        if word == option and position + 1 < len(words) and not words[position + 1].startswith("-"):
            return words[position + 1]
    return "VALUE"
