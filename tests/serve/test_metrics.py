"""Figures for an operator: what is counted, and that nothing else is there."""

from __future__ import annotations

import re

from hilum.errors import UndecodableFilm
from hilum.run.answer import UnreadFilm
from hilum.serve.metrics import METRICS_TYPE, Metrics


def value(text: bytes, series: str) -> float:
    """Return the value of one series."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", text.decode(), re.MULTILINE)
    assert found, f"{series} is not there"
    return float(found[1])


def test_what_happens_is_counted() -> None:
    metrics = Metrics({"name": "tiny", "sha256": "ab"})
    metrics.watch(queue_films=lambda: 3, bodies_bytes=lambda: 70)
    metrics.request(method="POST", path="/v1/predictions", status=200, seconds=0.2)
    metrics.film(UnreadFilm("Doe^Jane.png", UndecodableFilm("Cannot read `Doe^Jane.png`.")), seconds=0.1)
    metrics.turned_away("Busy")
    metrics.batch(3)
    text = metrics.text()
    assert value(text, 'hilum_requests_total{method="POST",path="/v1/predictions",status="200"}') == 1
    assert value(text, 'hilum_request_seconds_sum{path="/v1/predictions"}') == 0.2
    assert value(text, 'hilum_films_total{outcome="unread"}') == 1
    assert value(text, 'hilum_films_total{outcome="accepted"}') == 0
    assert value(text, 'hilum_turned_away_total{type="Busy"}') == 1
    assert value(text, 'hilum_batch_films_bucket{le="4.0"}') == 1
    assert value(text, "hilum_queue_films") == 3
    assert value(text, "hilum_bodies_bytes") == 70
    assert value(text, 'hilum_model_info{name="tiny",sha256="ab"}') == 1
    assert b"Doe" not in text
    assert METRICS_TYPE.startswith("text/plain")


def test_two_servers_count_apart() -> None:
    first, second = (Metrics({"name": "tiny", "sha256": "ab"}) for _ in range(2))
    first.turned_away("Busy")
    assert b"Busy" in first.text()
    assert b"Busy" not in second.text()
