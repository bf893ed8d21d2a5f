"""The demo: the whole path on embedded data. Phantoms are drawn, audited, trained on and judged; one is classified."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from hilum.console import Console
from hilum.data.phantom import write_phantoms
from hilum.errors import InputError
from hilum.files import writing_into
from hilum.text import interval_words, percent_text, range_text
from hilum.version import NOTICE
from hilum.workflows.predict import PredictOptions, predict_films

__all__ = ["make_folder", "run_demo"]

_TRAIN_FILMS, _TEST_FILMS = 60, 15  # of each finding
_MARKER = ".hilum-demo"


def run_demo(out: Path, console: Console) -> None:
    """Show the whole path on phantoms, in a folder that is replaced.

    Args:
        out: The folder; one that holds anything but an earlier demo is refused.
        console: Where messages and progress go.

    Raises:
        InputError: The folder holds something else, or cannot be written to.
        MissingExtra: The extra `train` is not installed.
    """
    make_folder(out)
    from hilum.train.config import default_config
    from hilum.workflows.train import train_model

    console.say("Drawing phantoms: chest films made by code, with drawn findings. They are of no patient.")
    films = write_phantoms(out / "phantoms", num_per_finding=_TRAIN_FILMS, num_test_per_finding=_TEST_FILMS, seed=0)
    run = train_model(films, out / "run", default_config("plain-cnn"), console=console)
    test = run.metrics.test
    right, accuracy = test.confusion.num_right, test.accuracy
    sys.stdout.write(
        f"\nA CNN trained from scratch on {_TRAIN_FILMS} phantoms of each finding got {right} of {test.n} test "
        f"phantoms right: {percent_text(accuracy.value)}{interval_words(range_text(accuracy))}.\n"
        "This is the answer to one of them, as `hilum predict` gives it:\n"
    )
    film = next(path for path in sorted((films / "test" / "Covid-19").iterdir()))
    predict_films([film], PredictOptions(run.folder / "model.onnx", heatmaps=out / "heatmaps"))
    sys.stdout.write(
        f"Open the report:   {run.folder / 'report.html'}\n"
        f"Open the heat map: {out / 'heatmaps' / film.stem}.png\n"
        f"{NOTICE} Phantoms are drawings: these figures say nothing about patients.\n"
    )


def make_folder(out: Path) -> None:
    """Empty the demo's folder, or make it.

    Raises:
        InputError: It holds anything but an earlier demo, or cannot be written to.
    """
    with writing_into(out):
        if out.exists() and not (out / _MARKER).exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(
                f"`{out}` is not an earlier demo. Nothing in it was changed.", fix="Choose another folder: --out DIR"
            )
        if out.exists():
            shutil.rmtree(out)
        out.mkdir(parents=True)
        (out / _MARKER).touch()
