"""Judging what a person names: any input, any output, and a run that is killed goes on as if it never had been."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hilum.workflows.predict
from hilum.console import Console
from hilum.errors import InputError, MissingExtra
from hilum.run.answer import Answer, UnreadFilm
from hilum.run.journal import journal_path
from hilum.run.ray_cluster import Cluster
from hilum.timings import Part
from hilum.workflows.predict import PredictOptions
from hilum.workflows.predict import predict_films as run_predict

from .shared import Listening

FORMATS = ["jsonl", "csv", "parquet", "table"]


def predict_films(paths: Any, *, console: Any = None, standard_input: Any = None, **options: Any) -> int:
    """Call `predict_films` with its options by name."""
    return run_predict(paths, PredictOptions(**options), console=console, standard_input=standard_input)


class Killed(BaseException):
    """Stands for an end at any moment."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, write_film: Callable[..., Path]) -> Path:
    """300 links to two films and one that cannot be read."""
    base = tmp_path_factory.mktemp("many")
    originals = [write_film(base / "originals" / f"{seed}.png", seed=seed) for seed in range(2)]
    originals.append(base / "originals" / "broken.png")
    originals[2].write_bytes(originals[0].read_bytes()[:500])
    (base / "films").mkdir()
    for number in range(300):
        (base / "films" / f"{number:03}.png").symlink_to(originals[number % 3])
    return base / "films"


def content(path: Path) -> Any:
    if path.suffix != ".parquet":
        return path.read_bytes()
    return pytest.importorskip("pyarrow.parquet").read_table(path)


def stop_after(monkeypatch: pytest.MonkeyPatch, num_films: int) -> list[str]:
    """Let a run end after some films; return the names of the films that it asks for."""
    judged: list[str] = []
    judge = hilum.workflows.predict.judge_films

    def judge_some(*words: Any, **options: Any) -> Iterator[Answer | UnreadFilm]:
        for number, answer in enumerate(judge(*words, **options)):
            if number == num_films:
                raise Killed
            judged.append(answer.file)
            yield answer

    monkeypatch.setattr(hilum.workflows.predict, "judge_films", judge_some)
    return judged


@pytest.mark.slow
@pytest.mark.parametrize("output_format", FORMATS)
def test_a_run_that_ended_goes_on(
    tiny_model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output_format: str
) -> None:
    if output_format == "parquet":
        pytest.importorskip("pyarrow")
    whole, out = (tmp_path / f"{name}.{output_format}" for name in ("whole", "out"))
    assert predict_films([folder], model=tiny_model, output_format=output_format, out=whole) == 100
    predict_films([folder / "001.png"], model=tiny_model, output_format=output_format, out=out)
    earlier = out.read_bytes()
    judged: list[str] = []
    for num_films in (0, 7, 130):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            judged = stop_after(patch, num_films)
            words: dict[str, Any] = {"resume": num_films > 0, "overwrite": num_films == 0}
            predict_films([folder], model=tiny_model, output_format=output_format, out=out, **words)
        assert len(judged) == num_films
        assert out.read_bytes() == earlier
        if num_films == 7:
            with journal_path(out).open("ab") as journal:
                journal.write(b'{"file": "half of a li')
    assert Path(judged[0]).name == "007.png"
    judged = stop_after(monkeypatch, 1000)
    assert predict_films([folder], model=tiny_model, output_format=output_format, out=out, resume=True) == 100
    assert [Path(name).name for name in judged] == [f"{number:03}.png" for number in range(137, 300)]
    assert content(out) == content(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([whole.name, out.name])


@pytest.mark.slow
@pytest.mark.parametrize("output_format", ["jsonl", "parquet"])
def test_a_process_that_is_killed_goes_on(tiny_model: Path, folder: Path, tmp_path: Path, output_format: str) -> None:
    if output_format == "parquet":
        pytest.importorskip("pyarrow")
    whole, out = (tmp_path / f"{name}.{output_format}" for name in ("whole", "out"))
    predict_films([*[folder] * 4], model=tiny_model, output_format=output_format, out=whole)
    command = [sys.executable, "-m", "hilum", "predict", "--model", tiny_model, *[folder] * 4]
    command += ["--format", output_format, "--out", out, "--resume"]
    journal = journal_path(out)
    for least_bytes in (1, 100_000):
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while not journal.exists() or journal.stat().st_size < least_bytes:
                assert process.poll() is None
                time.sleep(0.001)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        assert not out.exists()
    num_done = journal.read_bytes().count(b"\n") - 1
    assert 200 < num_done < 1200
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert f"An earlier run judged {num_done:,} of 1,200 films." in done.stderr
    assert content(out) == content(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([whole.name, out.name])


def test_heat_maps_go_on_too(tiny_model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, maps = tmp_path / "answers.jsonl", tmp_path / "maps"
    films = [folder / "000.png", folder / "001.png", folder / "002.png"] * 2
    options: dict[str, Any] = {"model": tiny_model, "output_format": "jsonl", "out": out, "heatmaps": maps}
    with monkeypatch.context() as patch, pytest.raises(Killed):
        stop_after(patch, 3)
        predict_films(films, **options)
    assert sorted(path.name for path in maps.iterdir()) == ["000.png", "001.png"]
    with pytest.raises(InputError, match="another folder for heat maps"):
        predict_films(films, **options | {"heatmaps": None}, resume=True)
    predict_films(films, **options, resume=True)
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [Path(line["heatmap"]).name for line in lines if "error" not in line] == [
        *("000.png", "001.png", "000-2.png", "001-2.png")
    ]
    assert len(list(maps.iterdir())) == 4


def test_another_model_or_other_films_are_refused(
    tiny_model: Path,
    write_model: Callable[..., Path],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, films = tmp_path / "answers.csv", [folder / "000.png", folder / "001.png"]
    options: dict[str, Any] = {"output_format": "csv", "out": out}
    with monkeypatch.context() as patch, pytest.raises(Killed):
        stop_after(patch, 1)
        predict_films(films, model=tiny_model, **options)
    other = write_model(tmp_path / "other.onnx", name="other")
    with pytest.raises(InputError, match="the earlier run had another model file"):
        predict_films(films, model=other, **options, resume=True)
    with pytest.raises(InputError, match="the earlier run had another list of films"):
        predict_films(films[::-1], model=tiny_model, **options, resume=True)
    assert not out.exists()
    predict_films(films, model=tiny_model, **options, resume=True)
    assert [row["file"] for row in csv.DictReader(io.StringIO(out.read_text()))] == [str(film) for film in films]


def test_resume_without_a_file_and_outputs_that_cannot_be(
    tiny_model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="Name it: --out FILE"):
        predict_films([folder], model=tiny_model, output_format="jsonl", resume=True)
    with pytest.raises(InputError, match="it is a folder"):
        predict_films([folder], model=tiny_model, output_format="jsonl", out=tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr(hilum.workflows.predict, "judge_films", None)  # it is told before any film is judged
    with pytest.raises(MissingExtra):
        predict_films([folder], model=tiny_model, output_format="parquet", out=tmp_path / "answers.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_films_and_a_list_on_standard_input(
    tiny_model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list.csv").write_text(f"age,path\n40,{folder / '000.png'}\n41,missing.png\n")
    command = [sys.executable, "-m", "hilum", "predict", "--model", tiny_model, "--format", "jsonl"]
    given = b"\0".join(str(folder / name).encode() for name in ("001.png", "002.png"))
    done = subprocess.run([*command, tmp_path / "list.csv", "-"], input=given, capture_output=True, check=False)
    assert done.returncode == 1, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(line["file"]).name for line in lines] == ["000.png", "missing.png", "001.png", "002.png"]
    assert ["error" in line for line in lines] == [False, True, False, True]
    assert lines[1]["error"]["message"] == f"Cannot read the film `{tmp_path / 'missing.png'}`: it does not exist."


def test_progress_is_told(tiny_model: Path, folder: Path, tmp_path: Path) -> None:
    class Counting(Console):
        def __init__(self) -> None:
            self.done, self.bars = 0, list[tuple[str, int, int]]()

        def films(self, label: str, total: int, done: int = 0) -> Any:
            from contextlib import contextmanager

            self.bars.append((label, total, done))

            @contextmanager
            def bar() -> Iterator[Callable[[int], None]]:
                yield self.advance

            return bar()

        def advance(self, number: int) -> None:
            self.done += number

    console = Counting()
    predict_films([folder], model=tiny_model, output_format="csv", out=tmp_path / "answers.csv", console=console)
    assert (console.done, console.bars) == (300, [("Judging 300 films", 300, 0)])


# --- nothing of the user's is written over --------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path, write_film: Callable[..., Path]) -> Path:
    """A folder with a film of the user's."""
    return write_film(tmp_path / "own" / "a.png").parent


def refuse(words: str, paths: list[Path], model: Path, **options: Any) -> None:
    """Expect a refusal before any film is judged, after which every file is as it was."""
    places = {path for one in (*paths, *options.values()) if isinstance(one, Path) for path in [one, one.parent]}
    before = {path: path.read_bytes() for place in places for path in place.glob("**/*") if path.is_file()}
    with pytest.MonkeyPatch.context() as patch, pytest.raises(InputError, match=words):
        patch.setattr(hilum.workflows.predict, "judge_films", None)
        predict_films(paths, model=model, **options)
    after = {path: path.read_bytes() for place in places for path in place.glob("**/*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize("more", [{}, {"overwrite": True}, {"resume": True, "out": True}])
@pytest.mark.parametrize("option", ["heatmaps", "lungs"])
def test_pictures_never_take_the_place_of_films(
    tiny_model: Path, own: Path, tmp_path: Path, option: str, more: dict[str, Any]
) -> None:
    if "out" in more:
        more = more | {"out": tmp_path / "answers.csv", "output_format": "csv"}
    (tmp_path / "link").symlink_to(own)
    for folder in (own, own / "maps", tmp_path / "link", own / ".." / "own"):
        refuse("lies in the film folder", [own], tiny_model, **{option: folder}, **more)
    for folder in (own, tmp_path / "link"):
        refuse("is not a picture made by hilum", [own / "a.png"], tiny_model, **{option: folder}, **more)
    refuse("it is a file", [own], tiny_model, **{option: own / "a.png"}, **more)


@pytest.mark.parametrize("option", ["heatmaps", "lungs"])
@pytest.mark.parametrize("folder", ["answers.csv", "answers.csv/maps", "./answers.csv"])
def test_answers_and_pictures_do_not_share_a_name(
    *, tiny_model: Path, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "answers.csv"
    refuse("the answers go to", [own], tiny_model, out=out, output_format="csv", **{option: Path(folder)})
    assert not out.exists()


def test_a_link_or_hard_link_in_the_folder_of_pictures_is_left_alone(
    tiny_model: Path, own: Path, tmp_path: Path
) -> None:
    maps, precious = tmp_path / "maps", tmp_path / "precious"
    maps.mkdir()
    precious.write_bytes(b"mine")
    for link in ((maps / "a.png").symlink_to, (maps / "a.png").hardlink_to):
        link(precious)
        refuse("is not a picture made by hilum", [own], tiny_model, heatmaps=maps, overwrite=True)
        (maps / "a.png").unlink()
    (maps / "a.png").symlink_to(tmp_path / "nowhere")
    refuse("is not a picture made by hilum", [own], tiny_model, lungs=maps, overwrite=True)


def test_pictures_of_an_earlier_run_are_replaced_where_that_is_asked(
    tiny_model: Path, own: Path, tmp_path: Path
) -> None:
    maps = tmp_path / "maps"
    predict_films([own], model=tiny_model, heatmaps=maps)
    (maps / "notes.txt").write_text("mine")
    refuse("is a picture of an earlier run. It was not changed. Add --overwrite", [own], tiny_model, heatmaps=maps)
    before = (maps / "a.png").stat().st_mtime_ns
    predict_films([own], model=tiny_model, heatmaps=maps, overwrite=True)
    assert (maps / "a.png").stat().st_mtime_ns > before
    assert sorted(path.name for path in maps.iterdir()) == ["a.png", "notes.txt"]


def test_no_film_model_list_or_file_of_anybody_else_becomes_an_output(
    tiny_model: Path, own: Path, tmp_path: Path
) -> None:
    table, link, hard = own / "list.csv", tmp_path / "link.csv", tmp_path / "hard.csv"
    table.write_text("path\na.png\n")
    link.symlink_to(own / "a.png")
    hard.hardlink_to(own / "a.png")
    words: dict[str, Any] = {"output_format": "csv"}
    for more in ({}, {"overwrite": True}, {"resume": True}):
        for out in (own / "a.png", hard, table, tiny_model, tmp_path / "own" / ".." / "own" / "a.png"):
            refuse(
                "this command reads it|was not made by `hilum predict`", [table], tiny_model, out=out, **words, **more
            )
        refuse("it is a link", [own], tiny_model, out=link, **words, **more)
        refuse("not a regular file", [own], tiny_model, out=Path("/dev/null"), **words, **more)
    (tmp_path / ".answers.csv.partial").write_bytes(b"mine")
    refuse("not a journal of hilum", [own], tiny_model, out=tmp_path / "answers.csv", overwrite=True, **words)


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_finished_file_asks_for_overwrite_or_resume(
    tiny_model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output_format: str
) -> None:
    if output_format == "parquet":
        pytest.importorskip("pyarrow")
    out, films = tmp_path / "answers", [folder / "000.png", folder / "002.png"]
    words: dict[str, Any] = {"model": tiny_model, "output_format": output_format, "out": out}
    assert predict_films(films, **words) == 1
    refuse(r"was finished by an earlier .*Add --overwrite to replace it, --resume", films, **words)
    finished = out.stat().st_mtime_ns
    if output_format == "table":  # does not tell of which films it is
        assert predict_films(films, **words, resume=True) == 1
    else:
        with monkeypatch.context() as patch:
            patch.setattr(hilum.workflows.predict, "judge_films", None)
            assert predict_films(films, **words, resume=True) == 1
            with pytest.raises(InputError, match="it is finished, and the earlier run had another list of films"):
                predict_films(films[:1], **words, resume=True)
        assert out.stat().st_mtime_ns == finished
    assert predict_films(films[:1], **words, overwrite=True) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["answers"]


def test_an_unfinished_run_is_not_lost_without_a_word(
    tiny_model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: dict[str, Any] = {"model": tiny_model, "output_format": "csv", "out": tmp_path / "answers.csv"}
    with monkeypatch.context() as patch, pytest.raises(Killed):
        stop_after(patch, 7)
        predict_films([folder], **words)
    refuse("did not finish; 7 films are judged", [folder], **words)
    judged = stop_after(monkeypatch, 1000)
    predict_films([folder], **words, overwrite=True)
    assert len(judged) == 300


def test_names_that_a_spreadsheet_would_run_are_paths_that_go_on_and_are_read_again(
    tiny_model: Path, write_film: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [*("=1+1.png", "+a.png", "-b.png", "@c.png", "\td.png"), "e.png"]
    films = [write_film(Path(name), seed=seed) for seed, name in enumerate(names)]
    out = Path("answers.csv")
    words: dict[str, Any] = {"model": tiny_model, "output_format": "csv", "out": out}
    with monkeypatch.context() as patch, pytest.raises(Killed):
        stop_after(patch, 3)
        predict_films(films, **words)
    assert predict_films(films, **words, resume=True) == 0
    with out.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["file"] for row in rows] == [*(f"./{name}" for name in names[:-1]), "e.png"]
    assert predict_films(films, **words, resume=True) == 0  # nothing is left to do
    with Path("list.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([["path"], *([row["file"]] for row in rows)])
    assert predict_films([Path("list.csv")], model=tiny_model, output_format="jsonl", out=Path("again.jsonl")) == 0


@pytest.mark.parametrize("output_format", [None, "jsonl", "csv", "parquet"])
def test_a_refused_film_is_not_unread(
    tiny_model: Path,
    tmp_path: Path,
    write_dicom: Callable[..., Path],
    output_format: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = Listening()
    write_dicom(tmp_path / "films" / "hand.dcm", BodyPartExamined="HAND")
    out = None if output_format is None else tmp_path / "answers"
    options: dict[str, Any] = {"model": tiny_model, "out": out, "output_format": output_format or "table"}
    assert predict_films([tmp_path / "films"], **options, console=console) == 0
    assert console.lines[-1 if out is None else -2] == "1 film: 1 refused."
    assert "cannot be read" not in capsys.readouterr().out
    (tmp_path / "films" / "broken.png").write_bytes(b"")
    assert predict_films([tmp_path / "films"], **options, overwrite=True, console=console) == 1
    assert console.lines[-1 if out is None else -2] == "2 films: 1 refused, 1 could not be read."
    if out is not None:  # finished: counted from the file
        assert predict_films([tmp_path / "films"], **options, resume=True, console=console) == 1


def test_the_end_of_a_run_says_where_the_time_went(tiny_model: Path, folder: Path, tmp_path: Path) -> None:
    console = Listening()
    words: dict[str, Any] = {"model": tiny_model, "output_format": "csv", "timings": True, "console": console}
    assert predict_films([folder / "000.png", folder / "002.png"], out=tmp_path / "out.csv", **words) == 1
    (said,) = (text for text in console.lines if "ms of a core" in text)
    assert [line.split("  ")[1] for line in said.splitlines()[1:-1]] == [str(part) for part in Part]
    assert said.endswith("most of the time.")
    assert predict_films([folder / "000.png", folder / "002.png"], out=tmp_path / "out.csv", resume=True, **words) == 1
    assert console.lines[-1] == "No film was judged, so no time was measured."
    with pytest.raises(InputError, match="no time is measured"):
        predict_films([folder], **words | {"cluster": Cluster("local"), "out": tmp_path / "out"})
