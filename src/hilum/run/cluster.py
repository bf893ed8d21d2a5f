"""Judging films on many computers with Ray. The list of films is cut into shards; each becomes a Parquet file.

    DIR/_plan.json            the model and the films; Parquet readers ignore names that begin with an underscore
    DIR/part-00000.parquet    the answers of the first shard, in the order of the films

A shard's file appears only when it is complete, and a later run does not compute it again. So a stopped run can be
continued, with any number of workers. All computers must see the films, the model and DIR under the same paths.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hilum.console import Console
from hilum.data.filmlist import FilmList
from hilum.errors import HilumError, InputError, ModelFileError
from hilum.files import replace_file, replacing
from hilum.results import json_with
from hilum.run.classifier import Classifier, judge_films
from hilum.run.memory import keep_memory_flat
from hilum.run.modelfile import read_model_file
from hilum.run.models import shipped_model
from hilum.run.ray_cluster import STARTS, Cluster, connect, load_ray
from hilum.run.saved_answers import is_own_output
from hilum.run.writing import check_format, open_writer
from hilum.version import __version__

__all__ = ["SHARD_FILMS", "predict_on_cluster"]

SHARD_FILMS = 256  # one core needs about a minute, so a kill costs little and workers finish at about the same time
_LEAST_SHARD_FILMS, _USUAL_SHARDS = 16, 64
_PLAN = "_plan.json"
_WORKER_THREADS = 2  # one decodes while the other waits for the engine


@dataclass(frozen=True)
class _Shard:
    """The films of one file: its number, and their paths as bytes between zeros, as names need not be UTF-8."""

    number: int
    paths: bytes


@dataclass(frozen=True)
class _Judged:
    """What a worker answers: how many films of a shard it judged, or its error."""

    num_films: int = 0
    error: str = ""


def predict_on_cluster(
    films: FilmList,
    *,
    model: Path,
    out: Path,
    cluster: Cluster,
    overwrite: bool = False,
    console: Console | None = None,
) -> int:
    """Judge films on a cluster and write the Parquet files that are still missing.

    Args:
        films: The films.
        model: The model file; every worker must see it under this path.
        out: The folder for the Parquet files. It is made if it does not exist.
        cluster: Where to judge.
        overwrite: Replace the files of an earlier run on a cluster, also of other films or another model.
        console: Where progress is shown.

    Returns:
        How many of all films could not be read.

    Raises:
        InputError: The folder holds answers of another model or list of films, or cannot be written; or the cluster
            cannot be reached.
        MissingExtra: Ray is not installed.
        ModelFileError: The model file cannot be used.
    """
    check_format("parquet", out)
    shard_films = cluster.shard_films or min(SHARD_FILMS, max(_LEAST_SHARD_FILMS, -(-films.num_films // _USUAL_SHARDS)))
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
            "model": str(model if shipped_model(model) else model.absolute()),
            "sha256": str(plan["model"]),
            "out": str(out.absolute()),
            "hilum": __version__,
            "folder": str(Path.cwd()),
        }
        _judge_shards(_shards(films, shard_films, missing), task, cluster, (num_done, films.num_films), console)
    return sum(_num_unread(_part(out, number)) for number in range(num_shards))


def _judge_shards(
    shards: list[_Shard],
    task: Mapping[str, str],
    cluster: Cluster,
    done_of: tuple[int, int],
    console: Console | None,
) -> None:
    """Let the workers judge the missing shards; ``done_of`` is how many films are done, and how many there are."""
    ray, console = load_ray(cluster), console or Console()
    num_done, num_films = done_of
    console.say(f"Starting Ray ({cluster.address}).")
    num_workers = connect(ray, cluster)
    try:
        with console.films(f"Judging {num_films:,} films", num_films, num_done) as done:
            for judged in _results(ray, shards, task, num_workers):
                if judged.error:
                    raise InputError(
                        f"A worker of the cluster failed: {judged.error}",
                        fix="All computers need hilum and must see films, model and --out under the same paths.",
                    )
                done(judged.num_films)
    finally:
        ray.shutdown()


def _part(out: Path, number: int) -> Path:
    return out / f"part-{number:05}.parquet"


def _size(number: int, plan: Mapping[str, Any]) -> int:
    return int(min(plan["shard_films"], plan["num_films"] - number * plan["shard_films"]))


def _agree(out: Path, plan: Mapping[str, Any]) -> None:
    """Write the plan into the folder; refuse a folder with another plan."""
    try:
        earlier = json.loads((out / _PLAN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if next(out.glob("part-*.parquet"), None) is not None:
            raise InputError(
                f"`{out}` holds Parquet files, but no plan that says of which films.", fix="Give an empty folder."
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
                f"Cannot continue in `{out}`: the earlier run had another {other}.",
                fix="Repeat the earlier command, or give an empty folder.",
            )


def _clear(out: Path) -> None:
    """Remove the files of an earlier run if its plan is there; other files stay."""
    plan = out / _PLAN
    if not json_with(plan, ("model", "films", "num_films", "shard_films", "hilum")):
        return
    for part in out.glob("part-*.parquet"):
        if re.fullmatch(r"part-\d{5,}\.parquet", part.name) and not part.is_symlink() and is_own_output(part):
            part.unlink()
    plan.unlink()


def _shards(films: FilmList, shard_films: int, missing: set[int]) -> list[_Shard]:
    """Return the missing shards."""
    paths = iter(films)
    found: list[_Shard] = []
    number = 0
    while shard := list(islice(paths, shard_films)):
        if number in missing:
            found.append(_Shard(number, b"\0".join(os.fsencode(path) for path in shard)))
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
        """Load the model before the first shard comes. If this fails, the first shard reports the error."""
        with suppress(HilumError, OSError):
            self._classifier = self._load()

    def judge(self, shard: _Shard) -> _Judged:
        """Judge a shard and write its file."""
        try:
            paths = [Path(os.fsdecode(entry)) for entry in shard.paths.split(b"\0")]
            self._write(_part(self._out, shard.number), paths)
        except (HilumError, OSError) as error:
            return _Judged(error=str(error))
        return _Judged(len(paths))

    def _load(self) -> Classifier:
        import cv2

        if __version__ != self._hilum:
            raise InputError(
                f"A worker has hilum {__version__}, but the command has hilum {self._hilum}.",
                fix="Install the same version on all computers.",
            )
        os.chdir(self._folder)  # relative paths start from the folder of the command
        cv2.setNumThreads(1)
        keep_memory_flat()
        classifier = Classifier(Path(self._model), num_threads=1)
        if classifier.identity["sha256"] != self._sha256:
            raise ModelFileError(f"A worker finds another model file at `{self._model}`.")
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


def _results(ray: Any, shards: list[_Shard], task: Mapping[str, str], num_workers: int) -> Iterator[_Judged]:
    """Yield the result of each shard when it is ready. A worker that finishes a shard gets the next one.

    Ray restarts a worker that dies and repeats its shard. Ray Data is not used: its planning keeps a core busy.
    """
    options = {"num_cpus": 1, "max_restarts": STARTS, "max_task_retries": STARTS}
    worker = ray.remote(**options)(_ShardJudge)
    judges = [worker.remote(**task) for _ in range(min(num_workers, len(shards)))]
    running = {judge.ready.remote(): judge for judge in judges}  # a worker gets a shard only when it has a core
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
            f"A worker of the cluster died {STARTS + 1} times: {type(error).__name__}.",
            fix="Repeat the command; finished files are kept. Give the workers more memory, or use fewer workers.",
        ) from error
