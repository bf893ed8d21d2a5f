"""The server's metrics in Prometheus' text format. They never name a film.

Source: Prometheus text-based exposition format 0.0.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from hilum.run.answer import Answer, UnreadFilm

__all__ = ["METRICS_TYPE", "Metrics"]

METRICS_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class Metrics:
    """The metrics of one server; ``models`` hold name and SHA-256 of each of its models."""

    def __init__(self, *models: Mapping[str, str]) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        info = Gauge("hilum_model_info", "A model that is served.", ("name", "sha256"), registry=registry)
        for model in models:
            info.labels(model.get("name", ""), model.get("sha256", "")).set(1)
        self._requests = Counter(
            "hilum_requests_total", "Requests answered.", ("method", "path", "status"), registry=registry
        )
        self._request_seconds = Histogram(
            "hilum_request_seconds", "Time for a request.", ("path",), buckets=_SECONDS, registry=registry
        )
        self._films = Counter("hilum_films_total", "Films by outcome.", ("outcome",), registry=registry)
        self._film_seconds = Histogram(
            "hilum_film_seconds", "Time to judge a film, without waiting.", buckets=_SECONDS, registry=registry
        )
        self._refusals = Counter(
            "hilum_refusals_total", "Refused films by reason; a film may have several.", ("reason",), registry=registry
        )
        self._turned_away = Counter(
            "hilum_turned_away_total", "Refused requests, by type of error.", ("type",), registry=registry
        )
        self._batch_films = Histogram(
            "hilum_batch_films", "Films in a micro-batch.", buckets=(1, 2, 4, 8, 16), registry=registry
        )
        self._queue_films = Gauge("hilum_queue_films", "Films waiting or being judged.", registry=registry)
        self._bodies_bytes = Gauge(
            "hilum_bodies_bytes", "Bytes of bodies and unread answers in memory.", registry=registry
        )
        for outcome in ("accepted", "refused", "unread"):
            self._films.labels(outcome)  # makes each start at 0

    def watch(self, *, queue_films: Callable[[], float], bodies_bytes: Callable[[], float]) -> None:
        """Set the functions that return the current length of the queue and the bytes in memory."""
        self._queue_films.set_function(queue_films)
        self._bodies_bytes.set_function(bodies_bytes)

    def request(self, *, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request; ``path`` is a path of the server, never a text of the client."""
        self._requests.labels(method, path, str(status)).inc()
        self._request_seconds.labels(path).observe(seconds)

    def film(self, answer: Answer | UnreadFilm, *, seconds: float) -> None:
        """Count a film."""
        self._film_seconds.observe(seconds)
        if isinstance(answer, UnreadFilm):
            self._films.labels("unread").inc()
            return
        self._films.labels("accepted" if answer.accepted else "refused").inc()
        for reason in answer.reasons:
            self._refusals.labels(reason.code).inc()

    def turned_away(self, kind: str) -> None:
        """Count a request that was answered with an error."""
        self._turned_away.labels(kind).inc()

    def batch(self, num_films: int) -> None:
        """Count a micro-batch."""
        self._batch_films.observe(num_films)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
