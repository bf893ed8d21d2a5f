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
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hilum.commands.columns import ColumnOption, spread_columns, with_columns
from hilum.commands.data import data_app
from hilum.commands.node import node
from hilum.commands.predict import ModelOption, predict
from hilum.commands.study import study
from hilum.commands.training import check_training, load_training
from hilum.commands.tune import tune
from hilum.commands.usage import SetOption, usage_message, version_text
from hilum.console import TerminalConsole, count_of
from hilum.errors import HilumError, InputError, MissingExtra
from hilum.extras import is_installed
from hilum.run.models import DEFAULT_MODEL
from hilum.text import printable

__all__ = ["app", "main"]

_INTERRUPTED, _ENDED = 130, 143  # as shells have it: 128 and the number of SIGINT, of SIGTERM
NOTICE = "Research software, not a medical device."

app = typer.Typer(
    name="hilum",
    help=f"Turn a folder of chest radiographs into a classifier people can trust. {NOTICE}",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data_app, name="data")


class Method(StrEnum):
    """How `ensemble` combines its members."""

    average = "average"
    geometric = "geometric"
    stack = "stack"


DataArgument = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="A folder with one sub-folder a finding, one with train/ and test/ of such, or a CSV with the columns "
        "path, finding and optionally split, patient, source, group, age (or usual names for them; see --column).",
    ),
]


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


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the demo goes; replaced.")] = Path(
        "hilum-demo"
    ),
) -> None:
    """Show the whole path on drawn films: draw, audit, train, judge, classify. Half a minute, 4 on a busy machine."""
    check_training()
    from hilum.workflows.demo import make_folder, run_demo

    make_folder(out)
    load_training()
    run_demo(out, _console())


@app.command()
def audit(
    data: DataArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write report.html and audit.json there; else only the table."),
    ] = None,
    repair: Annotated[
        Path | None,
        typer.Option("--repair", metavar="OUT.csv", help="Write a manifest of the films without what a rule can mend."),
    ] = None,
    column: ColumnOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier audit in DIR, an earlier OUT.csv.")
    ] = False,
) -> None:
    """Say what is wrong with a data set before anything is trained. Nothing in DATA is changed.

    Exit code 1: a fault of severity error was found (do not train on the films as they are), or a file cannot be read.

    Example: hilum audit films/ --out audit --repair mended.csv
    """
    (data,) = with_columns([data], column)
    from hilum.judge.audit.all_faults import audit_data
    from hilum.report.audit_table import audit_table
    from hilum.workflows.audit import check_audit_folder, write_audit
    from hilum.workflows.repair import check_place, dropped_path, write_repair

    console = _console()
    if not is_installed("sklearn"):
        raise MissingExtra("The audit", "train")
    if out is not None:
        check_audit_folder(out, data, overwrite=overwrite)
    if repair is not None:
        check_place(repair, data, overwrite=overwrite)
    found = audit_data(data, console=console)
    typer.echo(audit_table([fault.to_dict() for fault in found.faults]), nl=False)
    if out is not None:
        write_audit(found, out)
        console.say(f"Report: {out / 'report.html'}")
    if repair is not None:
        num_kept, num_dropped = write_repair(found, repair, data, overwrite=overwrite)
        lists = f"{repair} lists {count_of(num_kept, 'film')} to keep"
        console.say(f"Repaired: {lists}; {dropped_path(repair)} lists {count_of(num_dropped, 'film')} left out.")
    console.say(NOTICE)
    if found.num_errors or found.scan.num_unread:
        raise typer.Exit(1)


@app.command()
def train(  # noqa: PLR0917 - typer hands them over by name
    data: DataArgument,
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="The run's folder; a run that was killed goes on.")],
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings (run.toml); see RUN/config.toml for all.")
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="efficientnet-lite0 (default), plain-cnn, hilum-chest (from the chest model that ships), or one of "
            "keras.applications such as MobileNetV2."
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="imagenet (default), chest (of hilum-chest), or none for random ones.")
    ] = None,
    folds: Annotated[int | None, typer.Option(help="Also cross-validate the training films by groups.")] = None,
    by_source: Annotated[
        bool | None,
        typer.Option("--by-source", help="Also judge each source of a manifest by a model trained without it."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Decides split, first weights, order and augmentation.")] = None,
    settings: SetOption = None,
    column: ColumnOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in RUN.")] = False,
) -> None:
    """Train a classifier on a folder of films and judge it.

    Leaves in RUN: model.onnx (the whole model), model.keras, config.toml, splits.csv, history.csv, predictions.csv,
    metrics.json, audit.json, report.html, model-card.md and claim.md.

    Example: hilum train films/ --out run --folds 5
    """
    (data,) = with_columns([data], column)
    check_training()
    from hilum.report.external import source_lines
    from hilum.train.config import read_config
    from hilum.train.run_folder import check_run

    overrides = {"backbone": backbone, "weights": weights, "folds": folds, "by_source": by_source, "seed": seed}
    chosen = read_config(config, overrides, settings or ())
    check_run(data, out, chosen, overwrite=overwrite)
    load_training()
    from hilum.workflows.train import train_model

    console = _console()
    run = train_model(data, out, chosen, overwrite=overwrite, console=console)
    _show_figures(run.metrics, run.folder, console)
    for line in source_lines(run.metrics):
        typer.echo(printable(line))
    if run.num_unread:
        console.say(f"Left out, as unreadable: {count_of(run.num_unread, 'film')}; see audit.json.")
        raise typer.Exit(1)


app.command()(tune)
app.command()(study)
app.command()(predict)


@app.command()
def ensemble(  # noqa: PLR0917 - typer hands them over by name
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Folders of finished runs, or RUN/folds for a run's folds; one RUN alone: its folds."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="The ensemble's folder.")],
    method: Annotated[
        Method,
        typer.Option(help="average of probabilities, geometric mean, or a stack fitted on out-of-fold answers."),
    ] = Method.average,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DATA", help="The runs' data set, to measure the sealed file on its films."),
    ] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Judge each film and its mirror image; measured too. Needs --data.")
    ] = False,
    column: ColumnOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier ensemble in RUN.")] = False,
) -> None:
    """Seal several trained models as one model file, and measure whether that is better than the best of them.

    Example: hilum ensemble run-0 run-1 run-2 --out together --data films/
    """
    data = with_columns([data], column)[0] if data else None
    check_training()
    from hilum.train.ensemble.page import gain_text
    from hilum.workflows.ensemble import ensemble_runs

    console = _console()
    made = ensemble_runs(runs, out, method=method.value, mirror=mirror, data=data, overwrite=overwrite, console=console)
    _show_figures(made.metrics, made.folder, console)
    gains = made.metrics["ensemble"]
    if gains["best_member"]:
        typer.echo(
            printable(gain_text(gains["best_member"], f"Against its best member, {gains['best_member']['name']}"))
        )
    if gains.get("mirror"):
        typer.echo(gain_text(gains["mirror"], "With mirror images against without"))


@app.command()
def evaluate(  # noqa: PLR0917 - typer hands them over by name
    data: DataArgument,
    model: ModelOption,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where metrics.json and report.html go.")],
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="THEIRS=OURS", help="Their name of a finding, and the model's; repeatable."),
    ] = None,
    shortcuts: Annotated[
        bool,
        typer.Option(
            "--shortcuts",
            help="Also measure what the score rests on: lungs hidden, border only, thumbnails, heat maps, damaged "
            "films, subgroups. From half a minute on.",
        ),
    ] = False,
    column: ColumnOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results in DIR.")] = False,
) -> None:
    """Judge a model on films with known findings: the test part where DATA has one, else all of it.

    With --shortcuts the report and shortcuts.json also say what the model's score rests on.

    Example: hilum evaluate --model run/model.onnx other-hospital/ --out other --shortcuts
    """
    (data,) = with_columns([data], column)
    from hilum.report.external import external_lines
    from hilum.workflows.evaluate import evaluate_model

    console = _console()
    metrics, num_unread = evaluate_model(
        model, data, out, mapping=mapping or (), overwrite=overwrite, shortcuts=shortcuts, console=console
    )
    _show_figures(metrics, out, console)
    for line in external_lines(metrics):
        typer.echo(printable(line))
    if num_unread:
        console.say(f"Left out, as unreadable: {count_of(num_unread, 'film')}.")
        raise typer.Exit(1)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="A folder left by `train` or `evaluate`.")],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="Another.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Also leave compare.json and compare.html there.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier comparison in DIR.")] = False,
) -> None:
    """Say which of two models is better on the films both have judged, or that these films cannot tell.

    Example: hilum compare run-a run-b
    """
    from hilum.judge.compare.runs import compare_runs
    from hilum.report.comparison import comparison_text, write_comparison

    result = compare_runs(first, second)
    if out is not None:
        write_comparison(result, out, overwrite=overwrite)
    typer.echo(comparison_text(result, width=None if sys.stdout.isatty() else 160), nl=False)


@app.command()
def serve(
    model: ModelOption = Path(DEFAULT_MODEL),
    host: Annotated[
        str, typer.Option("--host", metavar="HOST", help="The address; any but this computer's own needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="P", help="0 takes a free one and says which.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            metavar="T",
            envvar="HILUM_TOKEN",
            show_envvar=False,
            help="What callers must know; better set HILUM_TOKEN, which other users of this computer cannot see.",
        ),
    ] = None,
) -> None:
    """Answer over HTTP: a page for people at /, a REST service for programs at /v1/predictions.

    Example: hilum serve
    """
    try:
        from hilum.serve.server import run_server
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("hilum"):
            raise
        raise MissingExtra("Serving", "serve") from error

    run_server(model, host=host, port=port, token=token or None, console=_console())


app.command()(node)


def _console() -> TerminalConsole:
    return TerminalConsole()


def _show_figures(metrics: dict[str, Any], folder: Path, console: TerminalConsole) -> None:
    from hilum.judge.chance import headline_chance

    names = {
        "test_clean": "Test, films without a twin or patient in train",
        "test": "Test, all films",
        "cross_validation": "Cross-validation",
        "validation": "Validation",
    }
    for key, name in names.items():
        part = metrics.get(key)
        if part and part["n"]:
            accuracy, f1 = part["accuracy"], part["macro_f1"]
            right = round(accuracy["value"] * part["n"])
            typer.echo(
                f"{name}: {right} of {part['n']} right, {accuracy['value']:.1%} "
                f"(95 % interval {100 * accuracy['low']:.1f}-{100 * accuracy['high']:.1f}), macro-F1 {f1['value']:.3f}"
            )
    if chance := headline_chance(metrics):
        typer.echo(chance)
    console.say(f"Report: {folder / 'report.html'}    {NOTICE}")


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
            "hilum: interrupted. Repeat the command: a training run goes on where it stood, predict with --resume.",
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
