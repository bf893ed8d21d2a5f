"""Judging films on many computers: shards of the list of films, spread by Ray, each a Parquet file in a folder.

    DIR/_plan.json            which model and which films; readers of Parquet folders leave out names with an underscore
    DIR/part-00000.parquet    the answers of the first shard, in the order of the films

A shard's file appears in one step when all of it is on the disk, and what is there is not computed again. So a run
that was ended goes on, with as many workers as there are then. Workers read films and model by their paths, and write
to DIR: all computers must see these under the same names.
"""

from __future__ import annotations

import io
import json
import os
import re
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hilum.console import Console, hushed
from hilum.data.filmlist import FilmList
from hilum.errors import HilumError, InputError, MissingExtra, ModelFileError
from hilum.files import replace_file, replacing
from hilum.results import json_with
from hilum.run.classifier import Classifier, judge_films
from hilum.run.finished import is_own_output
from hilum.run.memory import keep_memory_flat
from hilum.run.modelfile import read_model_file
from hilum.run.models import shipped_model
from hilum.run.writing import check_format, open_writer
from hilum.version import __version__

__all__ = ["LOCAL", "SHARD_FILMS", "Cluster", "connect", "predict_on_cluster"]

LOCAL = "local"
SHARD_FILMS = 256  # a minute's work of one core, so that a kill costs little and a worker is seldom idle at the end
_LEAST_SHARD_FILMS, _USUAL_SHARDS = 16, 64
_PLAN = "_plan.json"
_STARTS = 3
_WORKER_THREADS = 2  # one decodes while the other waits for the engine, which has one more
_LOCAL_STORE_BYTES = 128 * 2**20  # paths and counts are all that Ray carries


@dataclass(frozen=True)
class Cluster:
    """Where shards are judged.

    Attributes:
        address: ``local`` for processes on this computer, or the address of a Ray cluster.
        num_workers: How many workers judge at once; one a core of the cluster when None.
    """

    address: str
    num_workers: int | None = None


def predict_on_cluster(
    films: FilmList,
    *,
    model: Path,
    out: Path,
    cluster: Cluster,
    shard_films: int | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> int:
    """Judge films on a cluster; write the answers as Parquet files, those that are missing.

    Args:
        films: The films.
        model: The model file; every worker must see it under this path.
        out: The folder for the Parquet files, made where it does not exist.
        cluster: Where.
        shard_films: How many films make a file; not to be changed between runs. When not given, as many as make 64
            files, but 16 at least and `SHARD_FILMS` at most: no worker is idle for long at the end.
        overwrite: Replace what an earlier run on a cluster left in the folder, whatever its films and model.
        console: Where progress goes; nowhere by default.

    Returns:
        How many of all films could not be read.

    Raises:
        InputError: The folder holds answers of another model or list of films, or cannot be written; or the cluster
            cannot be reached.
        MissingExtra: Ray is not installed.
        ModelFileError: The model file cannot be used.
    """
    check_format("parquet", out)
    shard_films = shard_films or min(SHARD_FILMS, max(_LEAST_SHARD_FILMS, -(-films.num_films // _USUAL_SHARDS)))
    plan = {
        "model": read_model_file(model).sha256,
        "films": films.sha256,
        "num_films": films.num_films,
        "shard_films": shard_films,
        "hilum": __version__,
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot write to `{out}`: {error.strerror}.", fix="Give another --out.") from error
    if overwrite:
        _clear(out)
    _agree(out, plan)
    num_shards = -(-films.num_films // shard_films)
    missing = {number for number in range(num_shards) if not os.path.lexists(_part(out, number))}
    if missing:
        num_done = sum(_size(number, plan) for number in set(range(num_shards)) - missing)
        task = {
            "model": str(model if shipped_model(model) else model.absolute()),  # a name is a name everywhere
            "sha256": str(plan["model"]),
            "out": str(out.absolute()),
            "hilum": __version__,
            "folder": str(Path.cwd()),
        }
        _judge_shards(_shards(films, shard_films, missing), task, cluster, (num_done, films.num_films), console)
    return sum(_num_unread(_part(out, number)) for number in range(num_shards))


def _judge_shards(
    shards: list[dict[str, Any]],
    task: Mapping[str, str],
    cluster: Cluster,
    done_of: tuple[int, int],
    console: Console | None,
) -> None:
    """Let the workers judge what is missing; ``done_of`` is how many films are done, and how many there are."""
    ray, console = _ray(cluster), console or Console()
    num_done, num_films = done_of
    console.say(f"Starting Ray ({cluster.address}).")
    num_workers = _connect(ray, cluster)
    try:
        with console.films(f"Judging {num_films:,} films", num_films, num_done) as done:
            for row in _results(ray, shards, task, num_workers):
                _check(row)
                done(int(row["num_films"]))
    finally:
        ray.shutdown()


def _part(out: Path, number: int) -> Path:
    return out / f"part-{number:05}.parquet"


def _size(number: int, plan: Mapping[str, Any]) -> int:
    return int(min(plan["shard_films"], plan["num_films"] - number * plan["shard_films"]))


def _agree(out: Path, plan: Mapping[str, Any]) -> None:
    """Leave the plan in the folder; refuse a folder of another one."""
    try:
        earlier = json.loads((out / _PLAN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if next(out.glob("part-*.parquet"), None) is not None:
            raise InputError(
                f"`{out}` holds Parquet files and no plan: nobody knows of which films.", fix="Give an empty folder."
            ) from None
        replace_file(out / _PLAN, json.dumps(plan, indent=2) + "\n")
        return
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read `{out / _PLAN}`: it is damaged.", fix="Give an empty folder.") from error
    words = {
        "model": "model file",
        "films": "list of films",
        "shard_films": "number of films in a file",
        "hilum": "version of hilum",
    }
    for key, other in words.items():
        if not isinstance(earlier, dict) or earlier.get(key) != plan[key]:
            raise InputError(
                f"Cannot go on in `{out}`: the earlier run had another {other}.",
                fix="Repeat the earlier command, or give an empty folder.",
            )


def _clear(out: Path) -> None:
    """Remove the files of an earlier run, which its plan tells; anything else stays."""
    plan = out / _PLAN
    if not json_with(plan, ("model", "films", "num_films", "shard_films", "hilum")):
        return
    for part in out.glob("part-*.parquet"):
        if re.fullmatch(r"part-\d{5,}\.parquet", part.name) and not part.is_symlink() and is_own_output(part):
            part.unlink()
    plan.unlink()


def _shards(films: FilmList, shard_films: int, missing: set[int]) -> list[dict[str, Any]]:
    """Return number and paths of the shards that are missing; relative paths keep their names and get their folder."""
    paths = iter(films)
    found: list[dict[str, Any]] = []
    number = 0
    while shard := list(islice(paths, shard_films)):
        if number in missing:  # bytes, as names need not be UTF-8
            found.append({"shard": number, "paths": b"\0".join(os.fsencode(path) for path in shard)})
        number += 1
    return found


def _num_unread(part: Path) -> int:
    import pyarrow.parquet as pq

    rows = pq.read_table(part, columns=["error", "accepted"]).to_pylist()
    return sum(row["error"] is not None and row["accepted"] is None for row in rows)


# --- on the workers -------------------------------------------------------------------------------------------------


class _ShardJudge:
    """One worker: loads the model once, then judges shard after shard on one core."""

    def __init__(self, model: str, sha256: str, out: str, hilum: str, folder: str) -> None:
        self._model, self._sha256, self._out, self._hilum, self._folder = model, sha256, Path(out), hilum, folder
        self._classifier: Classifier | None = None

    def ready(self) -> None:
        """Load the model, so that the first shard need not wait for it; what goes wrong the first shard says."""
        with suppress(HilumError, OSError):
            self._classifier = self._load()

    def judge(self, row: dict[str, Any]) -> dict[str, Any]:
        """Do what a call does; Ray calls by name."""
        return self(row)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Judge a shard and write its file; return how many films it has, or what went wrong."""
        try:
            paths = [Path(os.fsdecode(entry)) for entry in row["paths"].split(b"\0")]
            self._write(_part(self._out, row["shard"]), paths)
        except (HilumError, OSError) as error:
            return {"num_films": 0, "error": str(error)}
        return {"num_films": len(paths), "error": ""}

    def _load(self) -> Classifier:
        import cv2

        if __version__ != self._hilum:
            raise InputError(f"A worker has hilum {__version__}, the command {self._hilum}.", fix="Install one.")
        os.chdir(self._folder)  # paths are as the command got them
        cv2.setNumThreads(1)
        keep_memory_flat()
        classifier = Classifier(Path(self._model), num_threads=1)
        if classifier.identity["sha256"] != self._sha256:
            raise ModelFileError(f"A worker sees another model file under `{self._model}`.")
        return classifier

    def _write(self, part: Path, paths: list[Path]) -> None:
        classifier = self._classifier = self._classifier or self._load()
        with replacing(part) as partial:
            writer = open_writer(
                "parquet", io.StringIO(), partial, classifier.findings, has_members=classifier.engine.has_members
            )
            for answer in judge_films(classifier, paths, num_threads=_WORKER_THREADS):
                writer.write(answer.to_dict())
            writer.close()


# --- Ray ------------------------------------------------------------------------------------------------------------


def connect(cluster: Cluster, environment: Mapping[str, str]) -> tuple[Any, int]:
    """Start or join a cluster; return the module `ray` and the number of workers.

    Args:
        cluster: Where.
        environment: Variables that its workers get.

    Raises:
        InputError: The cluster cannot be reached.
        MissingExtra: Ray is not installed.
    """
    ray = _ray(cluster)
    return ray, _connect(ray, cluster, runtime_env={"env_vars": dict(environment)})


def _check(row: Mapping[str, Any]) -> None:
    """Refuse to go on where a worker failed."""
    if row["error"]:
        raise InputError(
            f"A worker of the cluster failed: {row['error']}",
            fix="All computers need hilum and must see films, model and --out under the same paths.",
        )


def _ray(cluster: Cluster) -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is reported to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else a warning at each start
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its own words go to its own files
    os.environ.setdefault("RAY_DATA_LOG_LEVEL", "ERROR")
    if cluster.address == LOCAL:  # Ray looks at it when it is imported
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # one computer: it listens on 127.0.0.1, as it does there
    return _import_ray()


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("Working on a cluster", "cluster") from error
    return ray


def _connect(ray: Any, cluster: Cluster, **words: Any) -> int:
    """Start or join a cluster; return the number of workers."""
    words |= {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
    if cluster.address == LOCAL:
        words |= {
            "num_cpus": cluster.num_workers or os.cpu_count() or 1,
            "object_store_memory": _LOCAL_STORE_BYTES,
        }
    for attempt in range(_STARTS if cluster.address == LOCAL else 1):  # it waits 30 s, too little on a busy computer
        try:
            with hushed():  # Ray says that it was told to be quiet
                ray.init(address=cluster.address, **words)
            return cluster.num_workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        except Exception as error:  # noqa: BLE001 - Ray raises plain exceptions too
            ray.shutdown()
            failure = error
        time.sleep(attempt)
    raise InputError(
        f"Cannot reach a Ray cluster at `{cluster.address}`: {type(failure).__name__}.",
        fix="Give the address that `ray start --head` has shown, or `local`.",
    ) from failure


def _results(
    ray: Any, shards: list[dict[str, Any]], task: Mapping[str, str], num_workers: int
) -> Iterator[dict[str, Any]]:
    """Yield what came of each shard, as it comes. A worker gets its next shard when it is done with one.

    One that dies is started again, and its shard is judged again. Actors and nothing more: Ray Data would keep a core
    busy with planning, which on one computer is a core that judges.
    """
    options = {"num_cpus": 1, "max_restarts": _STARTS, "max_task_retries": _STARTS}
    worker = ray.remote(**options)(_ShardJudge)
    judges = [worker.remote(**task) for _ in range(min(num_workers, len(shards)))]
    running = {judge.ready.remote(): judge for judge in judges}  # one for whom there is no core yet gets no shard
    waiting, num_left = deque(shards), len(shards)
    try:
        while num_left:
            (done,), _ = ray.wait(list(running), num_returns=1)
            judge = running.pop(done)
            result = ray.get(done)
            if waiting:
                running[judge.judge.remote(waiting.popleft())] = judge
            if result is not None:
                num_left -= 1
                yield result
    except ray.exceptions.RayError as error:
        raise InputError(
            f"A worker of the cluster died {_STARTS + 1} times: {type(error).__name__}.",
            fix="Repeat the command: what is done stays. Give the workers more memory, or take fewer of them.",
        ) from error
