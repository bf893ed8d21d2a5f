"""The command line: one command a job, the words of which are hilum's API.

Data go to standard output, messages and progress to standard error. Exit codes: 0 done; 1 done, but some films could
not be read, or `audit` found an error; 2 bad input or usage; 3 bad model file; 4 a missing extra; 130 interrupted;
143 ended by SIGTERM.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import logging
import os
import platform
import re
import signal
import sys
import warnings
from types import FrameType
from typing import Annotated, Any

import typer

from hilum.commands.adapt import adapt
from hilum.commands.audit import audit
from hilum.commands.compare import compare
from hilum.commands.data import data_app
from hilum.commands.demo import demo
from hilum.commands.drift import drift
from hilum.commands.ensemble import ensemble
from hilum.commands.evaluate import evaluate
from hilum.commands.model import model_app
from hilum.commands.node import node
from hilum.commands.predict import predict
from hilum.commands.review import review
from hilum.commands.serve import serve
from hilum.commands.shared import spread_columns
from hilum.commands.study import study
from hilum.commands.train import train
from hilum.commands.tune import tune
from hilum.errors import HilumError, InputError
from hilum.extras import EXTRAS, has_extra, install_line
from hilum.text import printable
from hilum.version import NOTICE, __version__

__all__ = ["app", "main", "usage_message", "version_text"]

# What the command line says of itself: its versions, and what to write in place of an option that it does not have.

_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false"}


def version_text() -> str:
    """Return what `hilum --version` prints: hilum, its engine, Python, and which extras are installed."""
    from importlib import metadata  # importing it takes time

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


_INTERRUPTED, _ENDED = 130, 143  # as shells have it: 128 and the number of SIGINT, of SIGTERM

app = typer.Typer(
    name="hilum",
    help=f"Turn a folder of chest radiographs into a classifier people can trust. {NOTICE}",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data_app, name="data")
app.add_typer(model_app, name="model")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(version_text())
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_show_version, help="Print the versions and the installed extras."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every command; `main` looks at --debug itself."""


for command in (
    demo,
    audit,
    train,
    tune,
    study,
    predict,
    ensemble,
    evaluate,
    compare,
    adapt,
    drift,
    review,
    serve,
    node,
):
    app.command()(command)


def main() -> None:
    """Run the command line; turn errors into one line and an exit code."""
    debug = "--debug" in sys.argv
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]  # unused converters: a tenth of a start
    if not debug:
        _hush_libraries()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_ENDED))
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else the shell had it ignored
        signal.signal(signal.SIGINT, _interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # an encoding without a sign must not end the command
    try:
        code = app(args=spread_columns(sys.argv[1:]), prog_name="hilum", standalone_mode=False)
    except HilumError as error:
        if debug:
            raise
        typer.echo(printable(f"hilum: {error}", lines=True), err=True)
        code = error.exit_code if error.exit_code != 1 else InputError.exit_code
    except typer.Exit as leave:
        code = leave.exit_code
    except (typer.Abort, KeyboardInterrupt):
        code = _INTERRUPTED
    except SystemExit as left:
        if left.code != _ENDED:
            raise
        code = _ENDED
    except Exception as error:  # click's usage errors
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":  # nothing is wrong: a command without words shows its help
            typer.echo(error.format_message(), err=True)
        else:
            typer.echo(printable(f"hilum: {usage_message(error)}", lines=True), err=True)
        code = 2
    if code == _INTERRUPTED:  # typer makes this of Ctrl-C, without a word
        typer.echo(
            "hilum: interrupted. Repeat the command to continue; predict needs --resume for that.",
            err=True,
        )
    if code in (_INTERRUPTED, _ENDED):
        _leave(code)
    sys.exit(code if isinstance(code, int) else 0)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End at Ctrl-C, without the tracebacks of objects that libraries had only half made."""
    sys.unraisablehook = lambda _: None
    signal.default_int_handler(number, frame)


def _hush_libraries() -> None:
    """Keep warnings of libraries, which are about their code and not about films, off the terminal."""
    asked = sys.warnoptions or any(action == "error" for action, *_ in warnings.filters)
    if not asked:
        warnings.simplefilter("ignore")
    if logging.lastResort is not None:
        logging.lastResort.addFilter(_is_ours)


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] == "hilum"


def _leave(code: int) -> None:
    """End the process now, tidied up as it is: threads in mid-work need not be waited for."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
