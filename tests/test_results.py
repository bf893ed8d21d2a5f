"""One rule for all that is written: films, models and anybody's files stay as they are."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hilum.errors import InputError
from hilum.results import ResultFolder, check_file, is_in_folder, is_same_file, json_with

KIND = ResultFolder(
    of="audit",
    finished="an earlier audit",
    files=("audit.json", "report.html"),
    marks={"audit.json": frozenset({"faults"})},
    others=("config.toml",),
)


def own(path: Path) -> bool:
    return path.read_bytes().startswith(b"own")


def refuse(out: Path, words: str, *, may_replace: bool = True, reads: tuple[Path, ...] = ()) -> None:
    with pytest.raises(InputError, match=words):
        check_file(out, made_by="hilum predict", is_own=own, may_replace=may_replace, reads=reads)


def test_a_file_is_replaced_only_where_the_command_made_it_and_was_asked(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    check_file(out, made_by="hilum predict", is_own=own, may_replace=False)
    refuse(tmp_path / "missing" / "out.csv", "its folder does not exist")
    refuse(tmp_path, "it is a folder")
    refuse(Path("x" * 300), "Cannot write")
    for content in (b"", b"precious"):
        out.write_bytes(content)
        refuse(out, "was not made by `hilum predict`. It was not changed")
    out.write_bytes(b"own")
    refuse(out, "Add --overwrite", may_replace=False)
    check_file(out, made_by="hilum predict", is_own=own, may_replace=True)


def test_no_link_device_or_file_that_is_read_is_written(tmp_path: Path) -> None:
    real, link, hard, pipe = (tmp_path / name for name in ("real", "link", "hard", "pipe"))
    real.write_bytes(b"own")
    link.symlink_to(real)
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    hard.hardlink_to(real)
    os.mkfifo(pipe)
    refuse(link, "it is a link")
    refuse(tmp_path / "nowhere", "it is a link")
    refuse(pipe, "not a regular file")
    refuse(Path("/dev/null"), "not a regular file")
    for read in (real, hard, link, tmp_path / ".." / tmp_path.name / "real"):
        refuse(real, "this command reads it", reads=(read,))


def test_a_folder_of_the_user_is_refused_whatever_was_asked(tmp_path: Path) -> None:
    out = tmp_path / "out"
    KIND.check(out, overwrite=False)
    (out / "deep").mkdir(parents=True)
    (out / "notes.txt").touch()
    KIND.check(out, overwrite=False)  # nothing there would be written over
    for name, content in (("report.html", "mine"), ("audit.json", "{}"), ("audit.json", "[["), ("audit.json", "")):
        (out / name).write_text(content)
        with pytest.raises(InputError, match=r"which was not made by an earlier audit\. It was not changed"):
            KIND.check(out, overwrite=True)
        (out / name).unlink()
    (out / "audit.json").write_text(json.dumps({"faults": [], "figures": {}}))
    (out / "report.html").write_text("ours")
    with pytest.raises(InputError, match=r"holds an earlier audit\. Nothing in it was changed"):
        KIND.check(out, overwrite=False)
    KIND.check(out, overwrite=True)
    with pytest.raises(InputError, match="this command reads it"):
        KIND.check(out, overwrite=True, reads=(out / "report.html",))
    (out / "config.toml").touch()
    with pytest.raises(InputError, match="holds a run"):
        KIND.check(out, overwrite=True)


def test_a_link_in_a_folder_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "audit.json").write_text(json.dumps({"faults": []}))
    (tmp_path / "report.html").symlink_to(tmp_path / "precious")
    with pytest.raises(InputError, match="it is a link"):
        KIND.check(tmp_path, overwrite=True)


@pytest.mark.parametrize("place", ["", "inside", "inside/deep", "../link/inside"])
def test_a_folder_in_the_data_is_refused(tmp_path: Path, place: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "link").symlink_to(data)
    assert is_in_folder(data / place, data)
    with pytest.raises(InputError, match=r"The audit's folder .* lies in the data folder"):
        KIND.check(data / place, overwrite=True, data=data)


def test_what_is_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert not is_in_folder(tmp_path / "ab", tmp_path / "a")
    assert not is_in_folder(tmp_path, tmp_path / "a")
    assert not is_in_folder(tmp_path / "a", tmp_path / "missing")
    assert not is_same_file(tmp_path / "a", tmp_path / "missing")
    assert not is_same_file(Path("\0"), tmp_path)


def test_json_is_known_by_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1, "b": 2}')
    assert json_with(path, ("a",))
    assert not json_with(path, ("c",))
    path.write_text("[" * 100_000)
    assert not json_with(path, ())


@pytest.mark.parametrize("write", [lambda path: path.mkdir(), lambda path: path.touch()])
def test_a_file_is_no_folder(tmp_path: Path, write: Callable[[Path], None]) -> None:
    out = tmp_path / "out"
    write(out)
    if out.is_file():
        with pytest.raises(InputError, match=r"Cannot make the folder .* it is a file"):
            KIND.check(out, overwrite=True)
    else:
        KIND.check(out, overwrite=False)


def test_unfinished_work_is_continued_by_the_same_command_only(tmp_path: Path) -> None:
    kind = ResultFolder(
        of="run",
        finished="a finished run",
        files=("folds", "model.onnx", ".work", "metrics.json"),
        marks={".work/run.json": frozenset({"films"}), "metrics.json": frozenset({"test"})},
        last="metrics.json",
        is_alone=True,
        shared={"folds": "*.onnx"},
        costly=(".work/*.npz",),
    )
    out = tmp_path / "run"
    assert not kind.begin(out, {"films": "a"}, overwrite=False)
    assert kind.begin(out, {"films": "a"}, overwrite=False)
    assert not kind.begin(out, {"films": "b"}, overwrite=False)  # nothing costly was made of the others
    for name in (".work/model.npz", "folds/fold-1.onnx", "folds/mine.txt", "model.onnx"):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("x")
    with pytest.raises(InputError, match="unfinished run of other films or settings"):
        kind.begin(out, {"films": "c"}, overwrite=False)
    assert kind.begin(out, {"films": "b"}, overwrite=False)
    assert not kind.begin(out, {"films": "c"}, overwrite=True)
    left = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert left == {".work/run.json", "folds/mine.txt"}
    kind.finish(out)
    assert not (out / ".work").exists()
