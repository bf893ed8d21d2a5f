"""How Ray is started, and what is said where it is missing."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import pytest

import hilum.run.ray_cluster
from hilum.errors import InputError, MissingExtra
from hilum.extras import install_line
from hilum.run.ray_cluster import LOCAL, Cluster, connect, load_ray


def test_it_reports_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Ray is started with: no usage statistics, no dashboard, and of a local one the loopback address."""
    asked: dict[str, Any] = {}

    class Ray:
        @staticmethod
        def init(**words: Any) -> None:
            asked.update(words, **{key: value for key, value in os.environ.items() if key.startswith("RAY_")})
            raise ConnectionError("nobody there")

        @staticmethod
        def shutdown() -> None:
            pass

    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "RAY_worker_niceness"):
        monkeypatch.setenv(name, "1")  # and is taken back afterwards
    monkeypatch.delenv("RAY_worker_niceness")
    monkeypatch.setattr(hilum.run.ray_cluster, "STARTS", 1)
    monkeypatch.setitem(sys.modules, "ray", Ray)
    ray = load_ray(Cluster(LOCAL))
    with pytest.raises(InputError, match="Cannot reach a Ray cluster at `local`: ConnectionError"):
        connect(ray, Cluster(LOCAL), {"A": "1"})
    assert (asked["RAY_USAGE_STATS_ENABLED"], asked["include_dashboard"]) == ("0", False)
    assert asked["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"  # what makes it listen on the loopback address alone
    assert asked["RAY_worker_niceness"] == "0"  # other programs do not come before it
    assert asked["runtime_env"] == {"env_vars": {"A": "1"}}


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=re.escape(install_line("cluster"))):
        load_ray(Cluster(LOCAL))
