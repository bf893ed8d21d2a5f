"""The command line: one command a job, the words of which are hilum's API.

Data go to standard output, messages and progress to standard error. Exit codes: 0 done; 1 done, but some films could
not be read; 2 bad input or usage; 3 bad model file; 4 a missing extra; 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hilum.console import TerminalConsole, hushed
from hilum.errors import HilumError, InputError

__all__ = ["app", "main"]

_INTERRUPTED = 130  # as shells have it: 128 + SIGINT
NOTICE = "Research software, not a medical device."

app = typer.Typer(
    name="hilum",
    help=f"Turn a folder of chest radiographs into a classifier people can trust. {NOTICE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Public sets of chest radiographs.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data_app, name="data")


class Format(StrEnum):
    """How `predict` writes its answers."""

    table = "table"
    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"


DataArgument = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="A folder with one sub-folder a finding, one with train/ and test/ of such, or a CSV with the columns "
        "path, finding and optionally split, patient, source.",
    ),
]
ModelOption = Annotated[Path, typer.Option("--model", metavar="FILE", help="A model.onnx made by `hilum train`.")]


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every command; `main` looks at --debug itself."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the demo goes; replaced.")] = Path(
        "hilum-demo"
    ),
) -> None:
    """Show the whole path on drawn films: draw, audit, train, judge, classify. Under 3 minutes."""
    _load_training()
    from hilum.demo import run_demo

    run_demo(out, _console())


@app.command()
def train(  # noqa: PLR0917 - typer hands them over by name
    data: DataArgument,
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="The run's folder; a run that was killed goes on.")],
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings (run.toml); see RUN/config.toml for all.")
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(help="efficientnet-lite0 (default), plain-cnn, or one of keras.applications such as MobileNetV2."),
    ] = None,
    weights: Annotated[str | None, typer.Option(help="imagenet (default), or none for random ones.")] = None,
    folds: Annotated[int | None, typer.Option(help="Also cross-validate the training films by groups.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides split, first weights, order and augmentation.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in RUN.")] = False,
) -> None:
    """Train a classifier on a folder of films and judge it.

    Leaves in RUN: model.onnx (the whole model), model.keras, config.toml, splits.csv, history.csv, predictions.csv,
    metrics.json, audit.json, report.html and model-card.md.

    Example: hilum train films/ --out run --folds 5
    """
    _load_training()
    from hilum.train.config import read_config
    from hilum.train.pipeline import train_model

    overrides = {"backbone": backbone, "weights": weights, "folds": folds, "seed": seed}
    console = _console()
    run = train_model(data, out, read_config(config, overrides), overwrite=overwrite, console=console)
    _show_figures(run.metrics, run.folder, console)
    if run.num_unread:
        console.say(f"{run.num_unread} film(s) could not be read and were left out; see audit.json.")
        raise typer.Exit(1)


@app.command()
def evaluate(
    data: DataArgument,
    model: ModelOption,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where metrics.json and report.html go.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results in DIR.")] = False,
) -> None:
    """Judge a model on films with known findings: the test part where DATA has one, else all of it.

    Example: hilum evaluate --model run/model.onnx other-hospital/ --out other
    """
    from hilum.judge.evaluate import evaluate_model

    console = _console()
    metrics, num_unread = evaluate_model(model, data, out, overwrite=overwrite, console=console)
    _show_figures(metrics, out, console)
    if num_unread:
        console.say(f"{num_unread} film(s) could not be read and were left out.")
        raise typer.Exit(1)


@app.command()
def predict(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Films, or folders that are read recursively.")
    ],
    model: ModelOption,
    format_: Annotated[Format, typer.Option("--format", help="How the answers are written.")] = Format.table,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write there and not to standard output.")
    ] = None,
    heatmaps: Annotated[
        Path | None,
        typer.Option("--heatmaps", metavar="DIR", help="Also write a heat map of each film. Where, not why."),
    ] = None,
) -> None:
    """Say what films show. PNG, JPEG and DICOM are told by their content.

    A film that may not be judged is refused with its reasons; one that cannot be read is listed with its error, and
    the exit code is then 1.

    Example: hilum predict --model run/model.onnx films/ --format csv --out answers.csv
    """
    from hilum.run.predict import predict_films

    try:
        num_unread = predict_films(
            paths, model=model, output_format=format_.value, out=out, heatmaps=heatmaps, console=_console()
        )
    except BrokenPipeError:  # whoever read the answers has left; typer would call that a failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if num_unread:
        raise typer.Exit(1)


@data_app.command("list")
def data_list() -> None:
    """List the public sets that hilum knows."""
    from hilum.data.fetch import PUBLIC_SETS

    for known in PUBLIC_SETS.values():
        typer.echo(f"{known.name:32} {known.num_films:>7,} films  {known.title}  ({known.licence})")


@data_app.command("get")
def data_get(name: Annotated[str, typer.Argument(metavar="NAME", help="A name of `hilum data list`.")]) -> None:
    """Download a public set with its own client and print the folder it lies in."""
    from hilum.data.fetch import fetch

    typer.echo(str(fetch(name)))


def _console() -> TerminalConsole:
    return TerminalConsole()


def _load_training() -> None:
    """Import TensorFlow without its start-up lines."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with hushed():
        import hilum.train.pipeline  # noqa: F401


def _show_figures(metrics: dict[str, Any], folder: Path, console: TerminalConsole) -> None:
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
    console.say(f"Report: {folder / 'report.html'}    {NOTICE}")


def main() -> None:
    """Run the command line; turn errors into one line and an exit code."""
    debug = "--debug" in sys.argv
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        code = app(standalone_mode=False)
    except HilumError as error:
        if debug:
            raise
        typer.echo(f"hilum: {error}", err=True)
        code = error.exit_code if error.exit_code != 1 else InputError.exit_code
    except typer.Exit as leave:
        code = leave.exit_code
    except (typer.Abort, KeyboardInterrupt):
        code = _INTERRUPTED
    except Exception as error:  # click's usage errors
        if not hasattr(error, "format_message"):
            raise
        typer.echo(f"hilum: {error.format_message()}", err=True)
        code = 2
    if code == _INTERRUPTED:  # typer makes this of Ctrl-C, without a word
        typer.echo("hilum: interrupted. Repeat the command: a training run goes on where it stood.", err=True)
    sys.exit(code if isinstance(code, int) else 0)
