"""A search spread over processes by Ray: here, or on the machines of a cluster.

Ray starts the processes and starts them again where one dies; who judges which trial they settle among themselves
through the search's folder, as processes without Ray do. So a cluster needs nothing of hilum's but that folder and the
films, at the same path on each machine. Each process has one thread: trials side by side make better use of cores.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hilum.console import hushed
from hilum.errors import ConfigError, HilumError, InputError, MissingExtra
from hilum.train.config import RunConfig
from hilum.train.tune.settings import TuneSettings
from hilum.train.tune.worker import TuneWorker

__all__ = ["work_on_cluster"]

LOCAL = "local"
_POLL_SECONDS = 0.5
_STARTS = 3
_LOCAL_STORE_BYTES = 100_000_000  # nothing of size goes through Ray
_MOST_STARTS = 100  # of a process that dies; a trial that ends its process is given up long before
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def work_on_cluster(
    data: Path,
    out: Path,
    base: RunConfig,
    settings: TuneSettings,
    *,
    address: str,
    num_workers: int | None,
    doing: Callable[[str], None],
) -> None:
    """Have a search's trials judged by Ray's workers, until none is left.

    Args:
        data: The data set, at the same path on every machine.
        out: The search's folder, likewise.
        base: The settings to start from.
        settings: How long and how carefully.
        address: Of a cluster, as Ray takes it, or ``local`` for processes of this machine.
        num_workers: Processes; as many as there are cores where not given.
        doing: Told now and then.

    Raises:
        InputError: The cluster cannot be reached, or a worker cannot read films or folder.
        ConfigError: The number of workers is out of range.
        MissingExtra: Ray is not installed.
    """
    if num_workers is not None and num_workers < 1:
        raise ConfigError(f"The number of workers must be 1 or more; received {num_workers}.")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("Spreading trials over processes", "cluster") from error
    num_workers = _connected(ray, address, num_workers)
    try:
        task = ray.remote(num_cpus=1, max_retries=_MOST_STARTS)(_work)
        left = [task.remote(data.resolve(), out.resolve(), base, settings) for _ in range(num_workers)]
        while left:
            done, left = ray.wait(left, timeout=_POLL_SECONDS)
            doing(f"{len(left)} of {num_workers} processes at work")
            for one in done:
                _raise_its_error(one, ray)
    finally:
        ray.shutdown()


def _connected(ray: Any, address: str, num_workers: int | None) -> int:
    """Start Ray, or join a cluster; return the number of workers."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    words: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        words |= {"num_cpus": num_workers or here, "object_store_memory": _LOCAL_STORE_BYTES}
    failure: Exception | None = None
    for attempt in range(_STARTS if address == LOCAL else 1):  # it waits 30 s, too little on a busy computer
        time.sleep(attempt)
        try:
            with hushed():
                ray.init(address=address, runtime_env={"env_vars": _ONE_THREAD}, **words)
            return num_workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        except Exception as error:  # noqa: BLE001 - Ray raises plain exceptions too
            ray.shutdown()
            failure = error
    raise InputError(
        f"Cannot reach a Ray cluster at `{address}`: {type(failure).__name__}.",
        fix="Give the address that `ray start --head` has shown, or `local`.",
    ) from failure


def _work(data: Path, out: Path, base: RunConfig, settings: TuneSettings) -> None:
    """Be one process of the search; runs inside a worker."""
    worker = TuneWorker(data, out, base, settings)
    try:
        worker.work()
    finally:
        worker.store.close()


def _raise_its_error(task: Any, ray: Any) -> None:
    """Raise what a worker raised as if it had been raised here."""
    try:
        ray.get(task)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, HilumError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        raise InputError(
            f"A process of the search died again and again: {str(error).splitlines()[0]}",
            fix="Repeat the command without --cluster: it goes on with the search and shows what is wrong.",
        ) from error
