"""The first minute: versions, help, completion, options that do not exist, and mistakes that are said at once."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hilum

Command = Callable[..., Any]
WriteFilm = Callable[..., Path]

IN_ONE_PROCESS = """
import contextlib, io, json, sys
import hilum.cli
import hilum.train.backbones
hilum.train.backbones._is_reachable = lambda _: False
told = []
for words in json.loads(sys.argv[1]):
    sys.argv = ["hilum", *words]
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            hilum.cli.main()
        except SystemExit as left:
            told.append([left.code, said.getvalue()])
slow = sorted({"keras", "tensorflow"} & set(sys.modules))
print(json.dumps([told, slow]))
"""


def in_one_process(*commands: list[object], **environment: str) -> list[tuple[int, str]]:
    """Return code and words of commands that all end before Keras or TensorFlow is imported."""
    words = json.dumps([[str(word) for word in one] for one in commands])
    done = subprocess.run(
        [sys.executable, "-c", IN_ONE_PROCESS, words],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=os.environ | environment,
    )
    told, slow = json.loads(done.stdout)
    assert slow == []
    assert len(told) == len(commands)
    return [(code, text) for code, text in told]


@pytest.fixture
def classes(tmp_path: Path, write_film: WriteFilm) -> Path:
    """Two findings of six films."""
    for finding in ("Normal", "Covid"):
        for number in range(6):
            write_film(tmp_path / "set" / finding / f"{number}.png", seed=number + 10 * (finding == "Covid"))
    return tmp_path / "set"


def test_the_versions(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = command("--version")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == f"hilum {hilum.__version__}"
    assert lines[1].startswith("OpenVINO 20")
    assert lines[2] == f"Python {platform.python_version()}"
    assert lines[3].startswith("extras installed: train,") and " study, serve" in lines[3]
    assert "cluster" not in lines[3]
    assert lines[4].startswith("not installed: cluster; to install one: pip install ")


def test_help_and_versions_come_without_keras() -> None:
    for code, text in in_one_process(["--version"], ["-h"], ["train", "-h"], ["data", "list", "-h"]):
        assert code == 0
        assert text.startswith(("hilum ", "Usage: hilum"))


@pytest.mark.parametrize(("begun", "ended"), [("hilum tr", "train"), ("hilum train --over", "--overwrite")])
def test_the_shell_completes_commands_and_options(fresh_process: Command, begun: str, ended: str) -> None:
    environment = {"_HILUM_COMPLETE": "complete_bash", "COMP_WORDS": begun, "COMP_CWORD": str(begun.count(" "))}
    words = [sys.executable, "-c", "import sys; sys.argv[0] = 'hilum'; import hilum.cli; hilum.cli.main()"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | environment)
    assert done.stdout.split() == [ended], done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "x", "--epochs", "5"], "`epochs` is a setting: [fit] epochs in run.toml, or --set fit.epochs=5."),
        (["train", "x", "--epochs=7"], "or --set fit.epochs=7."),
        (["tune", "x", "--epochs"], "or --set fit.epochs=VALUE."),
        (["train", "x", "--batch", "8"], "`batch_size` is a setting: [fit] batch_size"),
        (["train", "x", "--lr", "1e-3"], "[fit] learning_rate in run.toml, or --set fit.learning_rate=1e-3."),
        (["train", "x", "--learningrate", "1"], "`learning_rate` is a setting"),
        (["train", "x", "--size-px", "96"], "[preprocessing] size_px in run.toml"),
        (["tune", "x", "--by-source"], "`by_source` is a setting: by_source in run.toml"),
        (["train", "x", "--fold", "3"], "Did you mean --folds?"),
        (["predict", "x", "--modl", "y"], "Did you mean --model?"),
        (["predict", "x", "--epochs", "5"], "`hilum predict --help` lists them."),
        (["evaluate", "x", "--frobnicate"], "`hilum evaluate --help` lists them."),
        (["train", "x", "--out", "y", "--seed", "x"], "`--seed` must be a whole number; received `x`."),
        (["ensemble", "x", "--method", "y"], "`--method` must be one of average, stack; received `y`."),
        (["predikt", "x"], "Did you mean 'predict'?"),
    ],
)
def test_what_to_write_for_an_option_that_does_not_exist_or_takes_another_value(
    command: Command, words: list[str], said: str
) -> None:
    result = command(*words)
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("words", [["predict", ""], ["audit", ""], ["predict", "films", ""], [""]])
def test_an_empty_argument_is_not_the_working_folder(command: Command, words: list[str]) -> None:
    result = command(*words)
    assert (result.code, result.out) == (2, "")
    assert "An argument of the command is empty" in result.err


def test_mistakes_in_settings_and_names_are_said_at_once(classes: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("[fit]\nepocs = 3\n")
    out = ["--out", tmp_path / "new"]
    told = in_one_process(
        ["train", classes, *out, "--set", "fit.epocs=3"],
        ["train", classes, *out, "--config", tmp_path / "run.toml"],
        ["train", classes, *out, "--backbone", "DenseNet12"],
        ["train", classes, *out, "--backbone", "DenseNet121"],
        ["train", classes, *out, "--set", "preprocessing.size_px=100"],
        ["tune", classes, *out, "--set", "fit.optimiser=adem"],
        ["tune", classes, *out, "--trials", 0],
        ["tune", classes, *out, "--backbone", "MobileNetV2"],
        ["study", "noise", classes, *out, "--only", "medain"],
        ["study", "noise", classes, *out, "--size-px", "32", "--size-px", "64"],
        ["study", "augmentation", classes, *out, "--only", "mixap"],
        ["study", "backbones", classes, *out, "--backbone", "plain-cn"],
        ["study", "backbones", classes, *out, "--folds", 1],
        KERAS_HOME=str(tmp_path / "no keras"),
    )
    expected = [
        "Unknown setting `fit.epocs`. Did you mean `epochs`?",
        "Unknown setting `fit.epocs`. Did you mean `epochs`?",
        "No backbone is called `DenseNet12`. Did you mean `DenseNet121`",
        "The ImageNet weights of `DenseNet121` are not on this computer",
        "a multiple of 32 px; received 100",
        "cannot be `adem`",
        "number of trials",
        "The ImageNet weights of `MobileNetV2` are not on this computer",
        "No method is called `medain`. Did you mean `median`?",
        "takes one --size-px",
        "No policy is called `mixap`. Did you mean `mixup`?",
        "No backbone is called `plain-cn`",
        "`--folds` must lie between 2 and 20",
    ]
    for (code, text), words in zip(told, expected, strict=True):
        assert code == 2, text
        assert words in text
    assert not (tmp_path / "new").exists()


def test_mistakes_in_folders_and_films_are_said_at_once(
    classes: Path, tmp_path: Path, write_film: WriteFilm, write_run: Callable[..., Path]
) -> None:
    run, search, study, small = (tmp_path / name for name in ("run", "search", "study", "small"))
    for folder in (run, search, study):
        folder.mkdir()
    for name in ("metrics.json", "config.toml", "splits.csv"):
        (run / name).touch()
    (search / "mine.txt").touch()
    (study / "study.json").touch()
    for finding, count in (("Normal", 3), ("Covid", 2)):
        for number in range(count):
            (small / finding).mkdir(parents=True, exist_ok=True)
            (small / finding / f"{number}.png").write_bytes(b"no film: it is only counted")
    alone = [write_run(tmp_path / f"run-{seed}", seed=seed, num_folds=0) for seed in (1, 2)]
    out = ["--out", tmp_path / "new"]
    told = in_one_process(
        ["train", classes, "--out", run],
        ["train", classes, "--out", classes / "run"],
        ["train", tmp_path / "missing", *out],
        ["train", small, *out],
        ["tune", classes, "--out", search],
        ["tune", small, *out],
        ["study", "noise", classes, "--out", study],
        ["study", "noise", tmp_path / "missing", *out],
        ["demo", "--out", search],
        ["ensemble", *alone, *out, "--method", "stack"],
    )
    expected = [
        "is not empty and holds no run made by hilum",
        "lies in the data folder",
        "it does not exist",
        "The finding `Covid-19` of",
        "holds no search",
        "has 2 films to divide; expected at least 3",
        "holds a finished study",
        "it does not exist",
        "is not an earlier demo",
        "A stack learns from out-of-fold answers, but `run-1` has none",
    ]
    for (code, text), words in zip(told, expected, strict=True):
        assert code == 2, text
        assert words in text
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("debug", [False, True])
def test_no_library_warns_on_the_terminal(debug: bool) -> None:
    code = (
        "import logging, sys, warnings, hilum.cli\n"
        "def command(**_):\n"
        "    warnings.warn('of some library')\n"
        "    logging.getLogger('some.library').warning('logged')\n"
        "    logging.getLogger('hilum.serve').error('our own')\n"
        "hilum.cli.app = command\n"
        f"sys.argv = ['hilum', *{['--debug'] if debug else []}]\n"
        "hilum.cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ("of some library" in done.stderr, "logged" in done.stderr) == (debug, debug)
    assert "our own" in done.stderr
    if not debug:
        assert done.stderr == "our own\n"


def test_help_stands_alone_and_choices_in_one_line(command: Command) -> None:
    assert command().err.startswith("Usage: hilum")
    assert "Choose from: noise, augmentation, backbones" in command("study").err
    assert "error, 'foo'" not in command("study", "foo", "data", "--out", "x").err
