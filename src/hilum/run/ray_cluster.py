"""Ray, which spreads the work of `predict` and `tune` over many processes or computers: settings, start, and errors."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hilum.console import hushed
from hilum.errors import InputError, MissingExtra

__all__ = ["LOCAL", "STARTS", "Cluster", "connect", "load_ray"]

LOCAL = "local"
STARTS = 3  # of Ray itself, and of a worker or its task that dies
_LOCAL_STORE_BYTES = 128 * 2**20  # Ray carries only paths and counts


@dataclass(frozen=True)
class Cluster:
    """Where the work is done.

    Attributes:
        address: ``local`` for processes on this computer, or the address of a Ray cluster.
        num_workers: Number of workers; one for each core of the cluster by default.
        shard_films: Films in a file of `predict`; must stay the same between runs. By default the films are cut into
            64 files, of 16 to `SHARD_FILMS` (cluster.py) films each.
    """

    address: str
    num_workers: int | None = None
    shard_films: int | None = None


def load_ray(cluster: Cluster) -> Any:
    """Return the module `ray`, set up for a cluster.

    Raises:
        MissingExtra: Ray is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Ray sends no usage report
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # avoids a warning at each start
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_DATA_LOG_LEVEL", "ERROR")
    if cluster.address == LOCAL:  # Ray reads this when it is imported
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # makes Ray listen on 127.0.0.1 only
        os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("Working on a cluster", "cluster") from error
    return ray


def connect(ray: Any, cluster: Cluster, environment: Mapping[str, str] | None = None) -> int:
    """Start or join a cluster; return the number of workers.

    Args:
        ray: From `load_ray`.
        cluster: Where to connect.
        environment: Environment variables of the workers.

    Raises:
        InputError: The cluster cannot be reached.
    """
    words: dict[str, object] = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
    if environment is not None:
        words["runtime_env"] = {"env_vars": dict(environment)}
    if cluster.address == LOCAL:
        words |= {
            "num_cpus": cluster.num_workers or os.cpu_count() or 1,
            "object_store_memory": _LOCAL_STORE_BYTES,
        }
    for attempt in range(STARTS if cluster.address == LOCAL else 1):  # Ray gives up after 30 s on a busy computer
        try:
            with hushed():
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
