"""What an operator may watch: counts, latencies and depths in Prometheus' text format. Nothing names a film.

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
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from hilum.run.answer import Answer, UnreadFilm

__all__ = ["METRICS_TYPE", "Metrics"]

METRICS_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class Metrics:
    """The figures of one server.

    Args:
        model: Name and SHA-256 of the model that is served.
    """

    def __init__(self, model: Mapping[str, str]) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        Info("hilum_model", "The model that is served.", registry=registry).info(dict(model))
        self._requests = Counter(
            "hilum_requests_total", "Requests answered.", ("method", "path", "status"), registry=registry
        )
        self._request_seconds = Histogram(
            "hilum_request_seconds", "From headers to answer.", ("path",), buckets=_SECONDS, registry=registry
        )
        self._films = Counter("hilum_films_total", "Films by what became of them.", ("outcome",), registry=registry)
        self._film_seconds = Histogram(
            "hilum_film_seconds", "From bytes to answer, without waiting.", buckets=_SECONDS, registry=registry
        )
        self._refusals = Counter(
            "hilum_refusals_total", "Refused films by reason; a film may have several.", ("reason",), registry=registry
        )
        self._turned_away = Counter(
            "hilum_turned_away_total", "Requests turned away, by type of error.", ("type",), registry=registry
        )
        self._batch_films = Histogram(
            "hilum_batch_films", "Films in a micro-batch.", buckets=(1, 2, 4, 8, 16), registry=registry
        )
        self._queue_films = Gauge("hilum_queue_films", "Films waiting or being judged.", registry=registry)
        self._bodies_bytes = Gauge(
            "hilum_bodies_bytes", "Bytes of bodies and unread answers under way.", registry=registry
        )
        for outcome in ("accepted", "refused", "unread"):
            self._films.labels(outcome)  # so that each is there, at 0, from the beginning

    def watch(self, *, queue_films: Callable[[], float], bodies_bytes: Callable[[], float]) -> None:
        """Take the depths from where they are known, at the time they are asked for."""
        self._queue_films.set_function(queue_films)
        self._bodies_bytes.set_function(bodies_bytes)

    def request(self, *, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered; ``path`` is one of the server's own, never the client's text."""
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
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)
