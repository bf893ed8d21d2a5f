"""Processes started by Ray, here or on the machines of a cluster, that work on one search.

Ray starts the processes, and starts them again when one dies. They agree on who judges which trial through the
search's folder, as processes without Ray do. So a cluster needs only that folder and the films, at the same path on
each machine. Each process has one thread: trials side by side make better use of the cores.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hilum.errors import ConfigError, HilumError, InputError
from hilum.run.cluster import LOCAL, Cluster, connect

__all__ = ["work_on_cluster"]

_POLL_SECONDS = 0.5
_MOST_STARTS = 100  # of a process that dies; a trial that ends its process is given up long before
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def work_on_cluster(work: Callable[[], None], cluster: Cluster, doing: Callable[[str], None]) -> None:
    """Run a function in each worker of a Ray cluster and wait until all have returned.

    Args:
        work: The function; it must be importable on every machine.
        cluster: Where; as many workers as there are cores unless it names a number.
        doing: Gets a line now and then about how many workers are at work.

    Raises:
        InputError: The cluster cannot be reached, or a worker cannot read films or folder.
        ConfigError: The number of workers is out of range.
        MissingExtra: Ray is not installed.
    """
    if cluster.num_workers is not None and cluster.num_workers < 1:
        raise ConfigError(f"The number of workers must be 1 or more; received {cluster.num_workers}.")
    if cluster.address == LOCAL and cluster.num_workers is None and hasattr(os, "sched_getaffinity"):
        cluster = Cluster(LOCAL, len(os.sched_getaffinity(0)))
    ray, num_workers = connect(cluster, _ONE_THREAD)
    try:
        task = ray.remote(num_cpus=1, max_retries=_MOST_STARTS)(_call)
        left = [task.remote(work) for _ in range(num_workers)]
        while left:
            done, left = ray.wait(left, timeout=_POLL_SECONDS)
            doing(f"{len(left)} of {num_workers} processes at work")
            for one in done:
                _raise_its_error(one, ray)
    finally:
        ray.shutdown()


def _call(work: Callable[[], None]) -> None:
    """Call what is given: Ray makes tasks of functions only, and work may be a partial or a method."""
    work()


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
            f"A process of the search ended unexpectedly several times: {str(error).splitlines()[0]}",
            fix="Repeat the command without --cluster: it continues the search and shows what is wrong.",
        ) from error
