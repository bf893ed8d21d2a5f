"""Health and metrics of the node: what they say while it works, stops and fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.errors import InputError
from hilum.serve.node_health import NodeHealth, NodeState, metrics_text

from .nodes import Running, closed_sockets, send

__all__ = ["closed_sockets"]

STATE = NodeState(True, False, {"judged": 3}, 2, 1)


def test_metrics_are_counters_and_gauges() -> None:
    text = metrics_text(STATE)
    assert 'hilum_node_films_total{event="judged"} 3\n' in text
    assert "# TYPE hilum_node_waiting_films gauge\nhilum_node_waiting_films 2\n" in text
    assert text.endswith("hilum_node_waiting_results 1\n")


def test_health_follows_the_state_of_the_node() -> None:
    state = STATE
    health = NodeHealth("127.0.0.1", 0, lambda: state)
    try:
        get = httpx.Client(base_url=f"http://127.0.0.1:{health.port}").get
        assert (get("/healthz").status_code, get("/readyz").json()) == (200, {"status": "ready"})
        state = replace(STATE, is_stopping=True)
        assert (get("/healthz").status_code, get("/readyz").status_code) == (200, 503)
        state = replace(STATE, is_alive=False)
        assert (get("/healthz").status_code, get("/healthz").json()) == (503, {"status": "failed"})
        assert get("/other").status_code == 404
        assert httpx.post(f"http://127.0.0.1:{health.port}/metrics").status_code == 501
        with pytest.raises(InputError, match="Choose another --health-port"):
            NodeHealth("127.0.0.1", health.port, lambda: state)
    finally:
        health.stop()


@pytest.mark.usefixtures("closed_sockets")
def test_a_node_counts_what_happens(
    tmp_path: Path, tiny_model: Path, write_dicom: Callable[..., Path], until: Callable[..., Any]
) -> None:
    running = Running(tiny_model, tmp_path / "spool", health_port=0)
    assert running.node.health is not None
    base = f"http://127.0.0.1:{running.node.health.port}"
    send(running.port, write_dicom(tmp_path / "film.dcm"))
    until(lambda: 'event="judged"} 1\n' in httpx.get(f"{base}/metrics").text)
    text = httpx.get(f"{base}/metrics").text
    assert 'event="received"} 1\n' in text
    assert 'event="sent"} 0\n' in text
    assert "hilum_node_waiting_results 1\n" in text
    running.node.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{base}/healthz")
