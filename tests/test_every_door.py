"""Every door and every option takes the model that ships, named or not, and a file, and answers alike."""

from __future__ import annotations

import csv
import importlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hilum
import hilum.run.cluster
from hilum.errors import InputError
from hilum.run.models import DEFAULT_MODEL, SHIPPED

Command = Callable[..., Any]
MODELS = ("none named", "by name", "a file")


@pytest.fixture(scope="module", params=MODELS)
def words(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What names the model on the command line; all three are the same network."""
    if request.param == "none named":
        return []
    if request.param == "by name":
        return ["--model", DEFAULT_MODEL]
    path = tmp_path_factory.mktemp("model") / "mine.onnx"
    path.write_bytes(SHIPPED[DEFAULT_MODEL].path.read_bytes())
    return ["--model", str(path)]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory, write_film: Callable[..., Path]) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for seed in range(2):
        write_film(folder / f"{seed}.png", seed=seed, size_px=300)
    return folder


@pytest.fixture(scope="module")
def expected(films: Path) -> dict[str, dict[str, float]]:
    """What the model that ships says of each film."""
    classifier = hilum.load()
    return {path.name: dict(classifier.predict(path).probabilities) for path in sorted(films.iterdir())}


def check(rows: list[dict[str, Any]], expected: dict[str, dict[str, float]]) -> None:
    assert [Path(row["file"]).name for row in rows] == sorted(expected)
    for row in rows:
        said = row.get("probabilities") or {
            key.removeprefix("probability_"): float(value)
            for key, value in row.items()
            if key.startswith("probability_")
        }
        assert said == pytest.approx(expected[Path(row["file"]).name], abs=1e-6)


def test_predict_takes_it_with_every_input_and_every_format(
    *,
    command: Command,
    words: list[str],
    films: Path,
    expected: dict[str, dict[str, float]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = tmp_path / "list.csv"
    table.write_text("\n".join(["path", *map(str, sorted(films.iterdir()))]) + "\n")
    for given in ([films], sorted(films.iterdir()), [table]):
        result = command("predict", *words, *given, "--format", "jsonl")
        assert result.code == 0, result.err
        check([json.loads(line) for line in result.out.splitlines()], expected)
    listed = "\n".join(map(str, sorted(films.iterdir()))).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(listed)))
    result = command("predict", *words, "-", "--format", "csv")
    check(list(csv.DictReader(io.StringIO(result.out))), expected)
    result = command("predict", *words, films)
    assert result.code == 0
    assert "0.png" in result.out


def test_predict_takes_it_with_pictures_a_file_and_resume(
    command: Command, words: list[str], films: Path, expected: dict[str, dict[str, float]], tmp_path: Path
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "answers.parquet"
    more = ["--heatmaps", tmp_path / "maps", "--lungs", tmp_path / "lungs", "--format", "parquet", "--out", out]
    for option in ([], ["--resume"], ["--overwrite"]):
        result = command("predict", *words, films, *more, *option)
        assert result.code == 0, result.err
        check(parquet.read_table(out).to_pylist(), expected)
    for folder in ("maps", "lungs"):
        assert sorted(path.name for path in (tmp_path / folder).iterdir()) == ["0.png", "1.png"]


def test_a_cluster_takes_it(
    *,
    command: Command,
    words: list[str],
    films: Path,
    expected: dict[str, dict[str, float]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ray is stood in for: one worker, in this process."""
    parquet = pytest.importorskip("pyarrow.parquet")

    class Ray:
        @staticmethod
        def shutdown() -> None:
            pass

    def results(_: Any, shards: list[dict[str, Any]], task: dict[str, str], __: int) -> Iterator[dict[str, Any]]:
        judge = hilum.run.cluster._ShardJudge(**task)
        judge.ready()
        yield from map(judge.judge, shards)

    monkeypatch.setattr(hilum.run.cluster, "load_ray", lambda _: Ray)
    monkeypatch.setattr(hilum.run.cluster, "connect", lambda *_: 1)
    monkeypatch.setattr(hilum.run.cluster, "_results", results)
    more = ["--cluster", "local", "--format", "parquet", "--out", tmp_path / "many"]
    for option in ([], [], ["--overwrite"]):
        result = command("predict", *words, films, *more, *option)
        assert result.code == 0, result.err
        check(parquet.read_table(tmp_path / "many").to_pylist(), expected)


@pytest.mark.parametrize(
    ("arguments", "door"),
    [
        (["serve", "--port", "0"], "server.Service"),
        (["node", "--ae-title", "HILUM", "--port", "0"], "dicom_node.Node"),
    ],
)
def test_services_take_it(
    *,
    command: Command,
    words: list[str],
    arguments: list[str],
    door: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They come as far as the door with the model loaded."""

    def reached(classifier: Any, *_: Any, **__: Any) -> None:
        raise InputError(f"reached with {classifier.identity['sha256']}")

    module, _, name = door.partition(".")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.import_module(f"hilum.serve.{module}"), name, reached)
    result = command(*arguments, *words)
    assert f"reached with {SHIPPED[DEFAULT_MODEL].sha256}" in result.err


@pytest.mark.slow
def test_evaluate_and_python_take_it(command: Command, words: list[str], tmp_path: Path, tiny_data: Path) -> None:
    named = words or ["--model", DEFAULT_MODEL]  # evaluate asks for one
    result = command("evaluate", tiny_data, *named, "--out", tmp_path / "out")
    assert result.code == 0, result.err
    assert json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))["test"]["n"] == 15
    classifier = hilum.load(*words[1:])
    assert classifier.identity["sha256"] == SHIPPED[DEFAULT_MODEL].sha256
