"""The command line: what it says and how it leaves, for good input and for every kind of bad."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import stat
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hilum.cli
from hilum.errors import ModelFileError
from hilum.extras import install_line
from hilum.judge.audit.check import Fault
from hilum.judge.external import RunMetrics
from hilum.judge.metrics import performance
from hilum.workflows.training_extra import load_training

KEYS = [
    *("file", "finding", "probabilities", "set", "above_threshold", "accepted", "reasons"),
    *("outlier_score", "exposure", "heatmap", "model"),
]
Command = Callable[..., Any]
WriteFilm = Callable[..., Path]


@pytest.fixture
def films(tmp_path: Path, write_film: WriteFilm) -> Path:
    """A folder of three good films."""
    for number, name in enumerate(("a.png", "b.jpg", "c.png")):
        write_film(tmp_path / "films" / name, seed=number)
    return tmp_path / "films"


@pytest.fixture
def classes(tmp_path: Path, write_film: WriteFilm) -> Path:
    """A data set that could be trained on, if it were larger: two findings, six films each."""
    for finding in ("Normal", "Covid"):
        for number in range(6):
            seed = number + 10 * (finding == "Covid")
            write_film(tmp_path / "set" / finding / f"{number}.png", seed=seed, finding="Normal")
    return tmp_path / "set"


def png_bomb() -> bytes:
    """Return a PNG of a few bytes that says it has 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def one_line(text: str) -> str:
    """Return a message that is one line, free of tracebacks."""
    assert text.startswith("hilum: "), text
    assert text.count("\n") == 1, text
    return text


# --- data sets that cannot be trained on ----------------------------------------------------------------------------


def refused(result: Any, out: Path, code: int = 2) -> str:
    assert result.code == code, result
    assert result.out == ""
    assert not out.exists()
    return one_line(result.err.splitlines(keepends=True)[-1])


@pytest.mark.parametrize(
    "words",
    ["train {0} --out {0}", "tune {0} --out {0}", "study noise {0} --out {0}", "ensemble {0} {0} --out {0}", "demo"],
)
def test_training_without_its_extra(
    command: Command, tmp_path: Path, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)  # as where it is not installed
    monkeypatch.chdir(tmp_path)
    result = command(*words.format(tmp_path / "any").split())
    assert result.code == 4
    assert one_line(result.err).strip() == (
        f"hilum: Training needs the extra `train`, which is not installed. Install it: {install_line('train')}"
    )
    assert not list(tmp_path.iterdir())


def test_a_study_of_noise_without_its_extra(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    result = command("study", "noise", tmp_path / "films", "--out", tmp_path / "out")
    assert result.code == 4
    assert one_line(result.err).strip() == (
        "hilum: `hilum study noise` needs the extra `study`, which is not installed. Install it: "
        f"{install_line('study')}"
    )
    assert not list(tmp_path.iterdir())


def test_a_missing_data_folder(command: Command, tmp_path: Path) -> None:
    message = refused(command("train", tmp_path / "missing", "--out", tmp_path / "run"), tmp_path / "run")
    assert "it does not exist. Expected a folder with one sub-folder per finding" in message


@pytest.mark.parametrize("name", ["x" * 300, "a/" * 3000])
def test_a_path_that_no_file_can_have(command: Command, tmp_path: Path, tiny_model: Path, name: str) -> None:
    message = refused(command("train", name, "--out", tmp_path / "run"), tmp_path / "run")
    assert "does not exist" in message
    result = command("predict", "--model", tiny_model, name)
    assert result.code == 2
    assert "does not exist" in one_line(result.err)


def test_an_empty_folder(command: Command, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    message = refused(command("train", tmp_path / "set", "--out", tmp_path / "run"), tmp_path / "run")
    assert "holds no films" in message


def test_an_empty_class(command: Command, classes: Path, tmp_path: Path) -> None:
    (classes / "Viral Pneumonia").mkdir()
    message = refused(command("train", classes, "--out", tmp_path / "run"), tmp_path / "run")
    assert "Viral Pneumonia` holds no films" in message


def test_one_class_only(command: Command, classes: Path, tmp_path: Path) -> None:
    for film in (classes / "Covid").iterdir():
        film.unlink()
    (classes / "Covid").rmdir()
    message = refused(command("train", classes, "--out", tmp_path / "run"), tmp_path / "run")
    assert "has 1 finding (Normal); expected at least 2" in message


def test_a_class_of_one_film(command: Command, classes: Path, tmp_path: Path, write_film: WriteFilm) -> None:
    write_film(classes / "Viral Pneumonia" / "only.png", seed=99)
    message = refused(command("train", classes, "--out", tmp_path / "run"), tmp_path / "run")
    assert "`Viral Pneumonia`" in message
    assert "has 1 film to divide; expected at least 3" in message


def test_a_class_of_which_no_film_can_be_read(command: Command, classes: Path, tmp_path: Path) -> None:
    for film in (classes / "Covid").iterdir():
        film.write_bytes(b"")
    message = refused(command("train", classes, "--out", tmp_path / "run"), tmp_path / "run")
    assert "Covid-19" in message
    assert "can be read" in message


def test_a_data_set_of_which_no_film_can_be_read(command: Command, classes: Path, tmp_path: Path) -> None:
    for film in classes.glob("*/*"):
        film.write_text("no film")
    assert "can be read" in refused(command("train", classes, "--out", tmp_path / "run"), tmp_path / "run")


def test_a_file_is_no_data_set(command: Command, films: Path, tmp_path: Path) -> None:
    assert "it is a file" in refused(command("train", films / "a.png", "--out", tmp_path / "run"), tmp_path / "run")


def test_films_outside_class_folders(command: Command, films: Path, tmp_path: Path) -> None:
    assert "are not in class folders" in refused(command("train", films, "--out", tmp_path / "run"), tmp_path / "run")


# --- auditing -------------------------------------------------------------------------------------------------------


def test_an_audit_without_a_folder_writes_nothing_but_the_table(
    command: Command, classes: Path, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    result = command("audit", classes)
    assert result.code == 0  # two findings with few films: warnings
    assert result.out.startswith("You can train on these films, but read the 2 warnings first.\n")
    assert "kind          severity   films   message" in result.out
    assert "Passed: label-conflict, duplicate," in result.out
    assert "Not checked: leak, patient-overlap. The data set has no test part" in result.out
    assert "small-class" in result.out
    assert (result.out + result.err).count("Research software, not a medical device.") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_an_audit_ends_with_one_where_it_found_an_error(
    command: Command, classes: Path, tmp_path: Path, write_film: WriteFilm
) -> None:
    write_film(classes / "Covid" / "same.png", seed=0)  # Normal/0.png once more
    out, mended = tmp_path / "audit", tmp_path / "mended.csv"
    result = command("audit", classes, "--out", out, "--repair", mended)
    assert result.code == 1
    assert "label-conflict   error          2" in result.out
    faults = json.loads((out / "audit.json").read_text(encoding="utf-8"))["faults"]
    assert faults[0]["kind"] == "label-conflict"
    assert set(faults[0]["paths"]) == {"Covid/same.png", "Normal/0.png"}
    assert "One picture, two findings" in (out / "report.html").read_text(encoding="utf-8")
    assert f"Repaired: {mended} lists 11 films to keep; " in result.err
    assert command("audit", mended).code == 0


def test_faults_that_are_ignored_do_not_count(
    command: Command, classes: Path, tmp_path: Path, write_film: WriteFilm
) -> None:
    write_film(classes / "Covid" / "same.png", seed=0)  # Normal/0.png once more
    result = command("audit", classes, "--out", tmp_path / "audit", "--ignore", "label-conflict", "--ignore", "leak")
    assert result.code == 0
    assert "Ignored: label-conflict. It found 1 fault; ignored as you asked." in result.out
    audit = json.loads((tmp_path / "audit" / "audit.json").read_text(encoding="utf-8"))
    assert audit["ignored"] == ["leak", "label-conflict"]
    assert "label-conflict" not in {fault["kind"] for fault in audit["faults"]}
    assert "Ignored, as you asked" in (tmp_path / "audit" / "report.html").read_text(encoding="utf-8")


def test_a_kind_that_does_not_exist_cannot_be_ignored(command: Command, classes: Path) -> None:
    result = command("audit", classes, "--ignore", "leaks")
    assert result.code == 2
    assert "`leaks` is no kind of fault. Did you mean `leak`?" in one_line(result.err)
    assert "Reading" not in result.err


def test_an_audit_ends_with_one_where_a_file_cannot_be_read(command: Command, classes: Path) -> None:
    (classes / "Covid" / "broken.png").write_bytes(b"")
    result = command("audit", classes)
    assert result.code == 1
    assert "unreadable" in result.out


def test_an_audit_without_its_extra_is_refused_before_a_film_is_read(
    command: Command, classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hilum.workflows.audit.is_installed", lambda module: module != "sklearn")
    result = command("audit", classes)
    assert result.code == 4
    assert "The audit needs the extra `train`" in one_line(result.err)
    assert "Reading" not in result.err


def test_an_audit_that_cannot_be_written_is_refused_before_a_film_is_read(
    command: Command, classes: Path, tmp_path: Path
) -> None:
    message = one_line(command("audit", classes, "--out", classes / "audit").err)
    assert "lies in the data folder" in message
    message = one_line(command("audit", classes, "--repair", tmp_path / "mended.txt").err)
    assert "ends in .csv" in message
    assert not (tmp_path / "mended.txt").exists()


# --- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("epoch = 3", "Unknown setting `epoch`."),
        ("[fit]\nepoch = 3", "Unknown setting `fit.epoch`. Did you mean `epochs`?"),
        ("[fti]\nepochs = 3", "Unknown setting `fti`. Did you mean `fit`?"),
        ("[augmentation]\nrotation = 3", "Did you mean `rotation_degrees`?"),
        ('seed = "one"', "The setting `seed` must be of type int; received 'one'."),
        ("[fit]\ndropout = 2.0", "The setting `fit.dropout` must lie between 0 and"),
        ("[fit\n", "is not TOML"),
    ],
)
def test_a_wrong_setting(command: Command, classes: Path, tmp_path: Path, toml: str, words: str) -> None:
    settings = tmp_path / "run.toml"
    settings.write_text(toml)
    result = command("train", classes, "--out", tmp_path / "run", "--config", settings)
    assert words in refused(result, tmp_path / "run")


def test_a_missing_settings_file(command: Command, classes: Path, tmp_path: Path) -> None:
    result = command("train", classes, "--out", tmp_path / "run", "--config", tmp_path / "missing.toml")
    assert "Cannot read the settings file" in refused(result, tmp_path / "run")


def test_an_unknown_backbone_suggests_and_stands_in_no_ones_way(
    command: Command, tiny_data: Path, tiny_toml: Path, tmp_path: Path
) -> None:
    result = command("train", tiny_data, "--out", tmp_path / "run", "--config", tiny_toml, "--backbone", "MobilNetV2")
    assert result.code == 2
    assert "Did you mean `MobileNetV2`" in result.err.splitlines()[-1]
    (tmp_path / "run" / "report.html").unlink(missing_ok=True)
    again = command("train", tiny_data, "--out", tmp_path / "run", "--config", tiny_toml, "--backbone", "DensNet121")
    assert "Did you mean `DenseNet121`" in again.err.splitlines()[-1]  # not: an unfinished run with other settings


# --- folders that are not hilum's to write into ---------------------------------------------------------------------


def test_an_out_folder_of_somebody_else(command: Command, classes: Path, tmp_path: Path) -> None:
    out = tmp_path / "thesis"
    (out / ".work").mkdir(parents=True)
    (out / "model.onnx").write_text("precious")
    before = sorted(out.rglob("*"))
    for more in ([], ["--overwrite"]):
        result = command("train", classes, "--out", out, *more)
        assert result.code == 2
        assert "holds no run made by hilum. Nothing in it was changed" in one_line(result.err)
    assert sorted(out.rglob("*")) == before
    assert (out / "model.onnx").read_text() == "precious"


def test_an_out_folder_that_is_a_file(command: Command, classes: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("precious")
    result = command("train", classes, "--out", tmp_path / "run")
    assert result.code == 2
    assert "it is a file" in one_line(result.err)
    assert (tmp_path / "run").read_text() == "precious"


@pytest.mark.parametrize("inside", ["", "run", "Normal/run"])
def test_an_out_folder_among_the_films(command: Command, classes: Path, inside: str) -> None:
    before = sorted(classes.rglob("*"))
    result = command("train", classes, "--out", classes / inside)
    assert result.code == 2
    assert "data folder" in one_line(result.err)
    assert sorted(classes.rglob("*")) == before


def test_a_finished_run_is_not_trained_over(
    command: Command, write_run: Callable[..., Path], tiny_data: Path, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run")
    (run / "metrics.json").write_text('{"test": {}, "test_clean": {}, "validation": {}}', encoding="utf-8")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    result = command("train", tiny_data, "--out", run)
    assert result.code == 2
    assert "holds a finished run. Nothing in it was changed. Choose another folder, or add --overwrite" in result.err
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_training_says_how_many_labels_are_suspect(
    command: Command, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_training()
    from hilum.workflows.train import Run

    figures = performance([0, 1], [[0.9, 0.1], [0.2, 0.8]], ("a", "b"), operating_thresholds={"a": 0.5, "b": 0.5})
    faults = (Fault("small-class", "note", "Few."), Fault("suspect-label", "warning", "2 of 36 labels may be wrong."))
    run = Run(tmp_path, RunMetrics(figures, figures), faults, 0)
    monkeypatch.setattr("hilum.workflows.train.train_model", lambda *_, **__: run)
    done = command("train", tiny_data, "--out", tmp_path / "run")
    assert done.code == 0
    assert f"2 of 36 labels may be wrong. Details: {tmp_path / 'audit.json'}\n" in done.out
    assert "Few." not in done.out


@pytest.mark.parametrize("name", ["metrics.json", "report.html", "predictions.csv"])
def test_earlier_results_are_not_evaluated_over(
    command: Command, tiny_model: Path, tiny_data: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("precious")
    for more in ([], ["--overwrite"]):
        result = command("evaluate", "--model", tiny_model, tiny_data, "--out", tmp_path / "out", *more)
        assert result.code == 2
        assert "holds no evaluation made by hilum. Nothing in it was changed" in one_line(result.err)
        assert (tmp_path / "out" / name).read_text() == "precious"


def test_an_earlier_evaluation_is_replaced_only_where_that_is_said(
    command: Command, tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    for more in ([], ["--overwrite"]):
        assert command("evaluate", "--model", tiny_model, tiny_data, "--out", tmp_path / "out", *more).code == 0
    result = command("evaluate", "--model", tiny_model, tiny_data, "--out", tmp_path / "out")
    assert result.code == 2
    assert "holds earlier results. Nothing in it was changed" in one_line(result.err)


def test_comparing_two_runs(
    command: Command, write_run: Callable[..., Path], tiny_model: Path, tiny_data: Path, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run")
    assert command("evaluate", "--model", tiny_model, tiny_data, "--out", tmp_path / "out").code == 0
    result = command("compare", run, tmp_path / "out", "--out", tmp_path / "compared")
    assert result.code == 0
    assert "Test as given, 15 films" in result.out
    assert "is better than out on these 15 films" in result.out or "These 15 films cannot say" in result.out
    assert sorted(path.name for path in (tmp_path / "compared").iterdir()) == ["compare.html", "compare.json"]
    result = command("compare", run, tmp_path / "nowhere")
    assert result.code == 2
    assert "it is not a folder" in one_line(result.err)


def test_a_demo_does_not_replace_what_is_no_demo(command: Command, films: Path) -> None:
    result = command("demo", "--out", films)
    assert result.code == 2
    assert "is not an earlier demo. Nothing in it was changed" in one_line(result.err)
    assert len(list(films.iterdir())) == 3


# --- films that cannot be read --------------------------------------------------------------------------------------


def test_broken_films_among_good_ones(command: Command, tiny_model: Path, films: Path) -> None:
    (films / "a1-zero.png").write_bytes(b"")
    (films / "a2-cut.png").write_bytes((films / "a.png").read_bytes()[:1000])
    (films / "a3-cut.jpg").write_bytes((films / "b.jpg").read_bytes()[:1000])
    (films / "a4-text.png").write_text("Dear colleague,")
    (films / "a5-bomb.png").write_bytes(png_bomb())
    (films / "a6-gone.png").symlink_to(films / "nowhere.png")
    result = command("predict", "--model", tiny_model, films, "--format", "jsonl")
    assert result.code == 1
    lines = [json.loads(line) for line in result.out.splitlines()]
    names = [Path(line["file"]).name for line in lines]
    assert names == sorted(path.name for path in films.iterdir())
    errors = {Path(line["file"]).name: line["error"] for line in lines if "error" in line}
    assert set(errors) == {name for name in names if name.startswith("a") and "-" in name}
    words = {
        "a1-zero.png": "empty",
        "a2-cut.png": "truncated",
        "a3-cut.jpg": "truncated",
        "a4-text.png": "plain text",
        "a5-bomb.png": "pixels",
        "a6-gone.png": "does not exist",
    }
    for name, word in words.items():
        assert word in errors[name]["message"], errors[name]
        assert errors[name]["type"] == "UndecodableFilm"
        assert errors[name]["fix"]
    good = [line for line in lines if "error" not in line]
    assert len(good) == 3
    assert all(list(line) == KEYS for line in good)


@pytest.mark.slow
def test_broken_films_in_training_data_are_left_out_and_told(
    command: Command, tiny_data: Path, tiny_toml: Path, tmp_path: Path
) -> None:
    import shutil

    data = tmp_path / "sét with spaces"
    shutil.copytree(tiny_data, data)
    (data / "train" / "Normal" / "leer é.png").write_bytes(b"")
    (data / "test" / "Covid-19" / "notes.png").write_text("no film")
    no_text = os.fsdecode(b"\xff\xfe.png")  # file names are bytes; these are no UTF-8
    (data / "train" / "Normal" / no_text).write_bytes(b"")
    good = next((data / "test" / "Normal").iterdir())
    good.rename(good.with_name(no_text))
    settings = tmp_path / "run.toml"
    settings.write_text(tiny_toml.read_text().replace("epochs = 2", "epochs = 1"))
    result = command("train", data, "--out", tmp_path / "run", "--config", settings)
    assert result.code == 1, result.err
    assert "Left out, because they cannot be read: 3 films; see audit.json." in result.err
    faults = json.loads((tmp_path / "run" / "audit.json").read_text(encoding="utf-8"))["faults"]
    unreadable = [path for fault in faults if fault["kind"] == "unreadable" for path in fault["paths"]]
    assert unreadable == ["test/Covid-19/notes.png", "train/Normal/leer é.png", f"train/Normal/{no_text}"]
    assert r"test/Normal/\udcff\udcfe.png,test,Normal," in (tmp_path / "run" / "predictions.csv").read_text("utf-8")
    assert "Test films without a twin or patient in train: " in result.out


def test_unreadable_permissions(command: Command, tiny_model: Path, films: Path) -> None:
    (films / "b.jpg").chmod(0)
    if os.access(films / "b.jpg", os.R_OK):
        pytest.skip("this user may read everything")
    result = command("predict", "--model", tiny_model, films, "--format", "jsonl")
    assert result.code == 1
    assert "this user may not read it" in result.out.splitlines()[1]


def test_a_file_that_may_not_be_read(
    command: Command, tiny_model: Path, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for a super-user, whom no mode stops."""
    real = Path.open

    def locked(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == "b.jpg":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", locked)
    result = command("predict", "--model", tiny_model, films, "--format", "jsonl")
    assert result.code == 1
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert "this user may not read it" in lines[1]["error"]["message"]
    assert [line["accepted"] for line in (lines[0], lines[2])] == [True, True]


def test_names_that_are_not_plain(command: Command, tiny_model: Path, tmp_path: Path, write_film: WriteFilm) -> None:
    names = ["  two  spaces .png", "-–—.png", "Öffnen & 胸部 X線.png", "a\nb.png", "'\"$x.png"]
    for number, name in enumerate(names):
        write_film(tmp_path / "films" / name, seed=number)
    odd = os.fsdecode(os.fsencode(tmp_path / "films") + b"/\xff\xfe.png")
    Path(odd).write_bytes((tmp_path / "films" / names[0]).read_bytes())
    result = command("predict", "--model", tiny_model, tmp_path / "films", "--format", "jsonl", "--heatmaps", tmp_path)
    assert result.code == 0, result.err
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert sorted(line["file"] for line in lines) == sorted([*(str(tmp_path / "films" / name) for name in names), odd])
    assert all(Path(line["heatmap"]).stat().st_size > 500 for line in lines)
    for output_format in ("table", "csv"):
        result = command("predict", "--model", tiny_model, tmp_path / "films", "--format", output_format)
        assert result.code == 0
        assert "X線.png" in result.out  # a table breaks long paths at blanks


def test_a_symlink_loop_ends(command: Command, tiny_model: Path, films: Path) -> None:
    (films / "deep").mkdir()
    (films / "deep" / "up").symlink_to(films)
    (films / "self.png").symlink_to(films / "self.png")
    result = command("predict", "--model", tiny_model, films, "--format", "jsonl")
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert [Path(line["file"]).name for line in lines] == ["a.png", "b.jpg", "c.png", "self.png"]
    assert result.code == 1
    assert "error" in lines[3]


def test_a_path_that_does_not_exist_and_a_folder_without_films(
    command: Command, tiny_model: Path, tmp_path: Path, films: Path
) -> None:
    result = command("predict", "--model", tiny_model, films / "a.png", tmp_path / "missing.png")
    assert (result.code, result.out) == (2, "")
    assert "missing.png`: it does not exist. Check the path." in one_line(result.err)
    (tmp_path / "empty").mkdir()
    result = command("predict", "--model", tiny_model, tmp_path / "empty")
    assert result.code == 2
    assert "No film was found" in one_line(result.err)


def test_a_very_long_thin_film_gets_its_heat_map(command: Command, tiny_model: Path, tmp_path: Path) -> None:
    import cv2
    import numpy as np

    pixels = np.random.default_rng(0).integers(0, 255, (3, 9000), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "thin.png"), pixels)
    out = tmp_path / "maps"
    result = command("predict", "--model", tiny_model, tmp_path / "thin.png", "--heatmaps", out, "--format", "jsonl")
    assert result.code == 0, result.err
    assert json.loads(result.out)["accepted"] is False
    assert (out / "thin.png").exists()


# --- model files ----------------------------------------------------------------------------------------------------


@pytest.fixture(
    params=[
        (None, "No such file"),
        (b"no model", "is not an ONNX file, or it is cut short"),
        (b"", "is not an ONNX file, or it is cut short"),
        ("cut", "is not an ONNX file, or it is cut short"),
        ("newer", "has format version 99; this hilum reads up to 2. Update hilum"),
        ("external", "refers to data outside itself"),
    ],
    ids=["missing", "text", "empty", "cut short", "newer", "external data"],
)
def bad_model(
    request: pytest.FixtureRequest, tmp_path: Path, write_model: Callable[..., Path], tiny_graph: Callable[[], Any]
) -> tuple[Path, str]:
    """A model file that cannot be used, and the words that say why."""
    content, words = request.param
    model = tmp_path / "model.onnx"
    if content == "cut":
        write_model(model)
        model.write_bytes(model.read_bytes()[:-300])
    elif content == "newer":
        write_model(model, format_version=99)
    elif content == "external":
        graph = tiny_graph()
        graph.graph.initializer[0].data_location = 1
        write_model(model, graph=graph)
    elif isinstance(content, bytes):
        model.write_bytes(content)
    return model, words


@pytest.mark.parametrize("name", ["predict", "evaluate"])
def test_a_bad_model_file_exits_with_3(
    command: Command, bad_model: tuple[Path, str], tiny_data: Path, tmp_path: Path, name: str
) -> None:
    model, words = bad_model
    more = ["--out", tmp_path / "out"] if name == "evaluate" else []
    result = command(name, "--model", model, tiny_data, *more)
    assert (result.code, result.out) == (3, "")
    assert words in one_line(result.err)
    assert not (tmp_path / "out").exists()


def test_a_model_that_knows_none_of_the_findings(
    command: Command, tiny_model: Path, tmp_path: Path, write_film: WriteFilm
) -> None:
    write_film(tmp_path / "set" / "Fracture" / "a.png")
    result = command("evaluate", "--model", tiny_model, tmp_path / "set", "--out", tmp_path / "out")
    assert result.code == 2
    assert "No film shows a finding that the model knows" in result.err


# --- what goes where ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def three_films(tmp_path_factory: pytest.TempPathFactory, write_film: WriteFilm) -> Path:
    folder = tmp_path_factory.mktemp("three films")
    for number, name in enumerate(("a.png", "b é.jpg", "c.png")):
        write_film(folder / name, seed=number, finding="Covid-19")
    return folder


@pytest.mark.parametrize("output_format", ["table", "jsonl", "csv"])
def test_each_format_is_written_to_its_output(
    command: Command, tiny_model: Path, three_films: Path, output_format: str
) -> None:
    result = command("predict", "--model", tiny_model, three_films, "--format", output_format)
    assert result.code == 0, result.err
    assert "b é.jpg" in result.out
    if output_format == "jsonl":
        lines = [json.loads(line) for line in result.out.splitlines()]
        assert [list(line) for line in lines] == [KEYS] * 3
        assert [line["file"] for line in lines] == [str(path) for path in sorted(three_films.iterdir())]
        assert all(sum(line["probabilities"].values()) == pytest.approx(1) for line in lines)
    elif output_format == "csv":
        rows = list(csv.DictReader(io.StringIO(result.out)))
        assert [row["file"] for row in rows] == [str(path) for path in sorted(three_films.iterdir())]


def test_a_process_writes_parquet_and_heat_maps(
    fresh_process: Command, tiny_model: Path, three_films: Path, tmp_path: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    out, maps = tmp_path / "answers.parquet", tmp_path / "deep" / "maps"
    result = fresh_process(
        "predict", "--model", tiny_model, three_films, "--format", "parquet", "--out", out, "--heatmaps", maps
    )
    assert (result.code, result.out) == (0, ""), result.err
    rows = parquet.read_table(out).to_pylist()
    assert [Path(row["heatmap"]).name for row in rows] == ["a.png", "b é.png", "c.png"]
    assert sorted(path.name for path in maps.iterdir()) == ["a.png", "b é.png", "c.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.parquet", "deep"]  # no half-written file


def test_masks_of_lungs_are_as_large_as_their_films(
    command: Command, tiny_model: Path, tmp_path: Path, write_film: WriteFilm
) -> None:
    import cv2
    import numpy as np

    films, out = tmp_path / "films", tmp_path / "deep" / "lungs"
    paths = [films / "a" / "x.png", films / "b" / "x.jpg", films / "c" / "noise.png"]
    for number, path in enumerate(paths[:2]):
        write_film(path, seed=number, size_px=700)  # the classifier decodes a JPEG of this size at a reduced scale
    paths[2].parent.mkdir()
    cv2.imwrite(str(paths[2]), np.random.default_rng(0).integers(0, 255, (90, 70), dtype=np.uint8))
    result = command("predict", "--model", tiny_model, films, "--lungs", out, "--format", "jsonl")
    assert result.code == 0, result.err
    assert [list(json.loads(line)) for line in result.out.splitlines()] == [KEYS] * 3
    assert sorted(path.name for path in out.iterdir()) == ["noise.png", "x-2.png", "x.png"]
    masks = [cv2.imread(str(out / name), cv2.IMREAD_UNCHANGED) for name in ("x.png", "x-2.png", "noise.png")]
    for path, mask in zip(paths, masks, strict=True):
        assert mask.shape == cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).shape
        assert mask.dtype == np.uint8
        assert set(np.unique(mask)) <= {0, 255}
    assert all(0.1 < (mask > 0).mean() < 0.5 for mask in masks[:2])
    assert (masks[2] > 0).mean() < 0.05


def test_masks_and_heat_maps_do_not_overwrite_each_other(
    command: Command, tiny_model: Path, three_films: Path, tmp_path: Path
) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "maps")
    result = command(
        "predict", "--model", tiny_model, three_films, "--heatmaps", tmp_path / "maps", "--lungs", tmp_path / "link"
    )
    assert (result.code, result.out) == (2, "")
    assert "cannot both go to" in one_line(result.err)
    assert list((tmp_path / "maps").iterdir()) == []
    (tmp_path / "file").touch()
    result = command("predict", "--model", tiny_model, three_films, "--lungs", tmp_path / "file")
    assert result.code == 2
    assert "Cannot write" in one_line(result.err.splitlines(keepends=True)[-1])


def test_parquet_needs_a_file(command: Command, tiny_model: Path, three_films: Path) -> None:
    result = command("predict", "--model", tiny_model, three_films, "--format", "parquet")
    assert (result.code, result.out) == (2, "")
    assert "--out FILE" in one_line(result.err.splitlines(keepends=True)[-1])


def test_an_output_file_is_replaced_whole_or_not_at_all(
    command: Command, tiny_model: Path, three_films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "answers.csv"
    words = ("predict", "--model", tiny_model, three_films, "--format", "csv", "--out", out)
    assert command(*words[:3], three_films / "a.png", *words[4:]).code == 0
    earlier = out.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("hilum.run.writing._CsvWriter.close", lambda _: (_ for _ in ()).throw(OSError(28, "No space")))
        result = command(*words, "--overwrite")
    assert result.code == 2
    assert "No space" in result.err.splitlines()[-1]
    assert out.read_bytes() == earlier
    result = command(*words, "--resume")
    assert result.code == 0
    assert f"Answers: {out}" in result.err.splitlines()
    assert len(out.read_text(encoding="utf-8").splitlines()) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["answers.csv"]


def test_an_output_that_cannot_be_written(
    command: Command, tiny_model: Path, three_films: Path, tmp_path: Path
) -> None:
    result = command("predict", "--model", tiny_model, three_films, "--out", tmp_path / "missing" / "answers.csv")
    assert result.code == 2
    assert "Cannot write" in one_line(result.err.splitlines(keepends=True)[-1])
    (tmp_path / "file").touch()
    result = command("predict", "--model", tiny_model, three_films, "--heatmaps", tmp_path / "file")
    assert result.code == 2
    assert "Cannot write" in one_line(result.err.splitlines(keepends=True)[-1])


def test_a_reader_that_leaves_is_no_error(tiny_model: Path, three_films: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "hilum", "predict", "--model", tiny_model, *[three_films] * 20, "--format", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()


def test_a_process_that_predicts_imports_no_training_library(
    tiny_model: Path, three_films: Path, tmp_path: Path
) -> None:
    code = (
        "import sys, hilum.cli\n"
        f"sys.argv = ['hilum', 'predict', '--model', {str(tiny_model)!r}, {str(three_films)!r}, '--heatmaps', "
        f"{str(tmp_path)!r}]\n"
        "try:\n    hilum.cli.main()\n"
        "except SystemExit as left:\n"
        "    found = {'keras', 'tensorflow', 'onnx', 'sklearn', 'tf2onnx', 'torch', 'scipy'} & set(sys.modules)\n"
        "    sys.exit(f'{left.code} {sorted(found)}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "0 []"


# --- usage ----------------------------------------------------------------------------------------------------------


def commands() -> dict[str, dict[str, list[str]]]:
    """Return every command and the options its function takes."""
    import typer.main

    root = typer.main.get_command(hilum.cli.app)
    found = {}

    def visit(name: str, one: Any) -> None:
        found[name] = {param.name: list(param.opts) for param in one.params}
        for child, inner in getattr(one, "commands", {}).items():
            visit(f"{name} {child}".strip(), inner)

    visit("", root)
    return found


@pytest.mark.parametrize("name", list(commands()))
def test_help_mentions_every_option(command: Command, name: str) -> None:
    result = command(*name.split(), "--help")
    assert (result.code, result.err) == (0, "")
    for options in commands()[name].values():
        for option in options:
            assert option.startswith("-") is False or option in result.out, option
    if name not in {"", "data"}:
        assert result.out.startswith("Usage:")


def test_the_commands_are_the_ones_that_were_promised() -> None:
    promised = [
        "demo",
        "audit",
        "train",
        "tune",
        "study",
        "evaluate",
        "adapt",
        "drift",
        "compare",
        "ensemble",
        "predict",
        "review",
        "serve",
        "node",
    ]
    groups = {
        "data",
        "data list",
        "data get",
        "data deidentify",
        "model",
        "model show",
        "model export",
        "model upgrade",
    }
    assert set(commands()) == {"", *promised, *groups}
    assert {"out", "config", "backbone", "weights", "folds", "seed", "overwrite"} <= set(commands()["train"])


def test_help_says_what_hilum_is_not(command: Command) -> None:
    assert "Research software, not a medical device." in command("--help").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predikt"], "No such command"),
        (["evaluate", "set", "--out", "run"], "Missing option '--model'"),
        (["predict", "--model", "m.onnx"], "Missing argument"),
        (["predict", "--model", "m.onnx", "a.png", "--format", "xml"], "`--format` must be one of "),
        (["train", "set", "--out", "run", "--folds", "many"], "`--folds` must be a whole number; received `many`."),
        (["train", "set", "--out", "run", "--fold", "3"], "No such option: --fold. Did you mean --folds?"),
        (["data", "get"], "Missing argument"),
    ],
)
def test_wrong_usage_exits_with_2(command: Command, arguments: list[str], words: str) -> None:
    result = command(*arguments)
    assert (result.code, result.out) == (2, "")
    assert words in one_line(result.err)


def test_a_traceback_comes_only_when_asked_for(command: Command, tmp_path: Path) -> None:
    arguments = ["predict", "--model", tmp_path / "missing.onnx", tmp_path]
    quiet = command(*arguments)
    assert quiet.code == 3
    assert "Traceback" not in quiet.err
    with pytest.raises(ModelFileError):  # which Python shows with its traceback
        command("--debug", *arguments)


# --- public sets ----------------------------------------------------------------------------------------------------


def test_the_public_sets_are_listed(command: Command) -> None:
    from hilum.data.fetch import PUBLIC_SETS

    result = command("data", "list")
    assert result.code == 0
    assert [line.split()[0] for line in result.out.splitlines()] == [one.name for one in PUBLIC_SETS]


def test_a_public_set_without_a_network(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    requests = pytest.importorskip("requests")
    pytest.importorskip("kagglehub")

    def refuse(*_arguments: object, **_options: object) -> None:
        raise requests.ConnectionError("no route")

    monkeypatch.setattr(requests, "head", refuse)
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    result = command("data", "get", "covid19-image-dataset")
    assert (result.code, result.out) == (2, "")
    assert "Kaggle cannot be reached. Download it with a browser from https://www.kaggle.com" in one_line(result.err)


def test_an_unknown_public_set(command: Command) -> None:
    result = command("data", "get", "covid19-image-datset")
    assert result.code == 2
    assert "Did you mean `covid19-image-dataset`?" in one_line(result.err)


# --- interrupted ----------------------------------------------------------------------------------------------------


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


@pytest.mark.slow
def test_an_encoding_without_a_sign_does_not_end_a_command(tiny_model: Path, three_films: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    words = [sys.executable, "-m", "hilum", "predict", "--model", str(tiny_model), str(three_films)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "\\u" in done.stdout
    assert "Traceback" not in done.stderr
    (tmp_path / "łęk.png").write_bytes(next(three_films.glob("*.png")).read_bytes())
    words = [*words[:-1], str(tmp_path / "łęk.png"), "--format", "jsonl"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert json.loads(done.stdout)["file"].endswith("łęk.png"), done.stderr


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_ended_has_said_what_it_had_to_say_and_leaves_at_once(number: int, expected: int) -> None:
    code = (
        "import atexit, os, time, hilum.cli\n"
        "def command(**_):\n"
        "    print('said')\n"
        f"    os.kill(os.getpid(), {int(number)})\n"
        "    time.sleep(30)\n"
        "atexit.register(print, 'the end of the interpreter')\n"
        "hilum.cli.app = command\n"
        "hilum.cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (expected, "said\n")
    assert "Traceback" not in done.stderr


def epochs_done(checkpoint: Path) -> int:
    with np.load(checkpoint, allow_pickle=False) as saved:
        return int(json.loads(saved["state"].tobytes())["epoch"])


def test_ctrl_c_shows_no_traceback_of_what_libraries_had_half_made() -> None:
    script = (
        "import hilum.cli, os, signal, sys\n"
        "class HalfMade:\n"
        "    def __del__(self): raise AttributeError('half made')\n"
        "def app(**_):\n"
        "    made = HalfMade()\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "hilum.cli.app = app\n"
        "hilum.cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr.startswith("hilum: interrupted.")


@pytest.mark.slow
def test_training_that_is_interrupted_or_killed_goes_on(tiny_data: Path, tiny_toml: Path, tmp_path: Path) -> None:
    settings = tmp_path / "run.toml"
    settings.write_text(tiny_toml.read_text().replace("epochs = 2", "epochs = 400\nsteps = 100000"))
    out = tmp_path / "run"
    arguments = [sys.executable, "-m", "hilum", "train", str(tiny_data), "--out", str(out), "--config", str(settings)]
    checkpoint = out / ".work" / "model.npz"

    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(checkpoint.exists, process)
    process.send_signal(signal.SIGINT)
    output, messages = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output == ""
    assert messages.splitlines()[-1] == (
        "hilum: interrupted. Repeat the command to continue; predict needs --resume for that."
    )
    assert "Traceback" not in messages
    assert not (out / "metrics.json").exists()
    first, before = checkpoint.stat().st_mtime_ns, epochs_done(checkpoint)

    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: checkpoint.stat().st_mtime_ns > first, process)
    process.kill()
    _, messages = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert f"Continuing the unfinished run in {out}." in messages
    assert epochs_done(checkpoint) > before  # it continued, and did not begin again
    assert stat.S_ISREG(checkpoint.stat().st_mode)
