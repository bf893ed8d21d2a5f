"""The command line: one command a job, the words of which are hilum's API.

Data go to standard output, messages and progress to standard error. Exit codes: 0 done; 1 done, but some films could
not be read, or `audit` found an error; 2 bad input or usage; 3 bad model file; 4 a missing extra; 130 interrupted;
143 ended by SIGTERM.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import signal
import sys
import warnings
from typing import Annotated

import typer

from hilum.commands.audit import audit
from hilum.commands.compare import compare
from hilum.commands.data import data_app
from hilum.commands.demo import demo
from hilum.commands.ensemble import ensemble
from hilum.commands.evaluate import evaluate
from hilum.commands.node import node
from hilum.commands.options import spread_columns
from hilum.commands.predict import predict
from hilum.commands.serve import serve
from hilum.commands.shared import NOTICE
from hilum.commands.study import study
from hilum.commands.train import train
from hilum.commands.tune import tune
from hilum.commands.usage import usage_message, version_text
from hilum.errors import HilumError, InputError
from hilum.text import printable

__all__ = ["app", "main"]

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


for command in (demo, audit, train, tune, study, predict, ensemble, evaluate, compare, serve, node):
    app.command()(command)


def main() -> None:
    """Run the command line; turn errors into one line and an exit code."""
    debug = "--debug" in sys.argv
    if not debug:
        _hush_libraries()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_ENDED))
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
