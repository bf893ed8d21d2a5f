"""Judging on a cluster: the same answers as without, a Parquet file a shard, and a rerun computes the missing ones."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hilum.run.cluster
import hilum.run.ray_cluster
from hilum.data.filmlist import FilmList, list_films
from hilum.errors import InputError, MissingExtra
from hilum.extras import install_line
from hilum.run.cluster import predict_on_cluster
from hilum.run.ray_cluster import LOCAL, Cluster
from hilum.workflows.predict import PredictOptions
from hilum.workflows.predict import predict_films as run_predict

parquet = pytest.importorskip("pyarrow.parquet")
SHARD = 4
SCRIPT = """
import sys
from pathlib import Path
from hilum.data.filmlist import list_films
from hilum.run.cluster import predict_on_cluster
from hilum.run.ray_cluster import Cluster

films, model, out = map(Path, sys.argv[1:])
places = (Cluster("local", 2, 4), Cluster("127.0.0.1:1", None, 4))
for place in places:  # nothing is asked of the second: all files are there
    print(predict_on_cluster(list_films([films]), model=model, out=out, cluster=place), flush=True)
"""


def predict_films(paths: Any, *, console: Any = None, standard_input: Any = None, **options: Any) -> int:
    """Call `predict_films` with its options by name."""
    return run_predict(paths, PredictOptions(**options), console=console, standard_input=standard_input)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, write_film: Callable[..., Path]) -> Path:
    """Ten films, the fourth broken."""
    base = tmp_path_factory.mktemp("films")
    for number in range(10):
        write_film(base / f"{number}.png", seed=number)
    (base / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return base


def in_this_process(*_: Any) -> Any:
    """Stands for Ray: one worker, in this process."""

    def results(_: Any, shards: list[dict[str, Any]], task: dict[str, str], __: int) -> Iterator[dict[str, Any]]:
        judge = hilum.run.cluster._ShardJudge(**task).judge
        for shard in shards:
            yield judge(shard)

    return results


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are called here, and nothing is started."""

    class Ray:
        @staticmethod
        def shutdown() -> None:
            pass

    monkeypatch.setattr(hilum.run.cluster, "load_ray", lambda _: Ray)
    monkeypatch.setattr(hilum.run.cluster, "connect", lambda *_: 1)
    monkeypatch.setattr(hilum.run.cluster, "_results", in_this_process())


def rows(out: Path) -> list[dict[str, Any]]:
    return parquet.read_table(out).sort_by("file").to_pylist()


def same(mine: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> bool:
    """Whether two lists of answers are equal, probabilities to 1e-6."""
    return len(mine) == len(theirs) and all(
        one.keys() == two.keys()
        and all(
            two[key] == (pytest.approx(one[key], abs=1e-6) if isinstance(one[key], float) else one[key]) for key in one
        )
        for one, two in zip(mine, theirs, strict=True)
    )


@pytest.mark.slow
def test_ray_says_what_one_process_says(tiny_model: Path, folder: Path, tmp_path: Path) -> None:
    """A real Ray of two workers."""
    pytest.importorskip("ray")
    alone, out = tmp_path / "alone.parquet", tmp_path / "many"
    assert predict_films([folder], model=tiny_model, output_format="parquet", out=alone) == 1
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, folder, tiny_model, out],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.stdout.split() == ["1", "1"], done.stderr
    assert done.stderr == ""
    assert same(rows(alone), rows(out))
    names = ["_plan.json", *(f"part-{number:05}.parquet" for number in range(3))]
    assert sorted(path.name for path in out.iterdir()) == names


@pytest.mark.usefixtures("no_ray")
def test_only_missing_shards_are_computed(
    tiny_model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, out = tmp_path / "alone.parquet", tmp_path / "many"
    predict_films([folder], model=tiny_model, output_format="parquet", out=alone)
    words: dict[str, Any] = {"model": tiny_model, "out": out, "cluster": Cluster(LOCAL, shard_films=SHARD)}
    assert predict_on_cluster(list_films([folder]), **words) == 1
    assert same(rows(alone), rows(out))
    parts = sorted(out.glob("part-*.parquet"))
    assert [parquet.read_metadata(part).num_rows for part in parts] == [4, 4, 2]
    assert [row["file"] for row in parquet.read_table(parts[1]).to_pylist()] == [
        str(folder / f"{number}.png") for number in range(4, 8)
    ]
    times = [part.stat().st_mtime_ns for part in parts]
    parts[1].unlink()
    assert predict_on_cluster(list_films([folder]), **words) == 1
    assert [part.stat().st_mtime_ns == time for part, time in zip(parts, times, strict=True)] == [True, False, True]
    assert same(rows(alone), rows(out))
    monkeypatch.setattr(hilum.run.cluster, "load_ray", None)  # all are there: no Ray is started
    assert predict_on_cluster(list_films([folder]), **words) == 1


@pytest.mark.usefixtures("no_ray")
def test_relative_paths_and_names_that_are_no_utf8(
    tiny_model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = os.fsdecode(b"odd \xff.png")
    (tmp_path / odd).symlink_to(folder / "0.png")
    monkeypatch.chdir(tmp_path)
    films = FilmList([Path(odd)])
    assert predict_on_cluster(films, model=tiny_model, out=Path("out"), cluster=Cluster(LOCAL)) == 0
    assert [row["file"] for row in rows(tmp_path / "out")] == ["odd \\udcff.png"]


@pytest.mark.usefixtures("no_ray")
def test_a_worker_that_fails_leaves_no_file(
    tiny_model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films, words = list_films([folder]), {"model": tiny_model, "out": tmp_path / "out", "cluster": Cluster(LOCAL)}
    with monkeypatch.context() as patch:
        patch.setattr(hilum.run.cluster, "judge_films", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space")))
        with pytest.raises(InputError, match=r"A worker of the cluster failed: .*No space"):
            predict_on_cluster(films, **words)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["_plan.json"]
    task = {"model": str(tiny_model), "out": str(tmp_path), "folder": str(tmp_path), "hilum": hilum.__version__}
    shard = hilum.run.cluster._Shard(0, os.fsencode(folder / "0.png"))
    assert "another model file" in hilum.run.cluster._ShardJudge(**task, sha256="x").judge(shard).error
    assert "A worker has hilum" in hilum.run.cluster._ShardJudge(**task | {"hilum": "0"}, sha256="x").judge(shard).error


@pytest.mark.usefixtures("no_ray")
def test_a_folder_of_another_run_is_refused(
    tiny_model: Path, write_model: Callable[..., Path], folder: Path, tmp_path: Path
) -> None:
    words: dict[str, Any] = {"model": tiny_model, "out": tmp_path / "out", "cluster": Cluster(LOCAL)}
    predict_on_cluster(list_films([folder]), **words)
    with pytest.raises(InputError, match="another list of films"):
        predict_on_cluster(list_films([folder / "0.png"]), **words)
    with pytest.raises(InputError, match="another number of films in a file"):
        predict_on_cluster(list_films([folder]), **words | {"cluster": Cluster(LOCAL, shard_films=3)})
    with pytest.raises(InputError, match="another model file"):
        predict_on_cluster(list_films([folder]), **words | {"model": write_model(tmp_path / "b.onnx", name="b")})
    (tmp_path / "out" / "_plan.json").write_text("{")
    with pytest.raises(InputError, match="it is damaged"):
        predict_on_cluster(list_films([folder]), **words)
    (tmp_path / "out" / "_plan.json").unlink()
    with pytest.raises(InputError, match="holds Parquet files, but no plan"):
        predict_on_cluster(list_films([folder]), **words)


def test_what_a_cluster_does_not_do(
    tiny_model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: dict[str, Any] = {"model": tiny_model, "cluster": Cluster(LOCAL)}
    for output_format, out in (("csv", tmp_path / "x"), ("parquet", None)):
        with pytest.raises(InputError, match=r"writes Parquet files.*--format parquet --out DIR"):
            predict_films([folder], **words, output_format=output_format, out=out)
    words |= {"output_format": "parquet", "out": tmp_path / "out"}
    with pytest.raises(InputError, match="no pictures"):
        predict_films([folder], **words, heatmaps=tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="it is a file"):
        predict_films([folder], **words | {"out": tmp_path / "file"})
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=re.escape(install_line("cluster"))):
        predict_films([folder], **words)
