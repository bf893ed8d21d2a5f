"""Health and metrics of the DICOM node over HTTP, for containers and Prometheus. They name no patient and no film.

Source: Prometheus text-based exposition format 0.0.4.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from hilum.errors import InputError
from hilum.serve.answer_counts import METRIC_HEAD

__all__ = ["NodeHealth", "NodeState", "metrics_text"]

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class NodeState:
    """How a node is.

    Attributes:
        is_alive: Whether its threads run.
        is_stopping: Whether it accepts no more films.
        counts: {event: how often it happened since the start}, one of `NodeLog.EVENTS`.
        waiting_films: Films in the spool that wait to be judged.
        waiting_results: Results in the spool that wait to be sent.
        answers: The counts of answers as lines of Prometheus' text format.
    """

    is_alive: bool
    is_stopping: bool
    counts: Mapping[str, int]
    waiting_films: int
    waiting_results: int
    answers: str = ""


def metrics_text(state: NodeState) -> str:
    """Return the figures of a node in Prometheus' text format."""
    lines = ["# HELP hilum_node_films_total Films by event.", "# TYPE hilum_node_films_total counter"]
    lines += [f'hilum_node_films_total{{event="{event}"}} {number}' for event, number in state.counts.items()]
    for name, text, number in (
        ("waiting_films", "Films that wait to be judged.", state.waiting_films),
        ("waiting_results", "Results that wait to be sent.", state.waiting_results),
    ):
        lines += [f"# HELP hilum_node_{name} {text}", f"# TYPE hilum_node_{name} gauge", f"hilum_node_{name} {number}"]
    return "\n".join(lines) + "\n" + (f"{METRIC_HEAD}{state.answers}" if state.answers else "")


class NodeHealth:
    """Answers /healthz, /readyz and /metrics until it is stopped.

    Args:
        host: The address to listen on.
        port: The port; 0 for any free one.
        look: Returns the state of the node.

    Raises:
        InputError: The address cannot be listened on.
    """

    def __init__(self, host: str, port: int, look: Callable[[], NodeState]) -> None:
        try:
            self._server = ThreadingHTTPServer((host, port), type("Handler", (_Handler,), {"look": staticmethod(look)}))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(
                f"Cannot listen on {host}, port {port}: {reason}.", fix="Choose another --health-port."
            ) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="hilum-health", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Answer no more requests."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    look: Callable[[], NodeState]
    timeout = 10  # seconds without data
    server_version, sys_version = "hilum", ""

    def do_GET(self) -> None:
        """Answer one request."""
        state = self.look()
        if self.path == "/metrics":
            self._answer(200, metrics_text(state), _TEXT)
        elif self.path == "/healthz":
            self._answer_state(state.is_alive or state.is_stopping, "ok", "failed")
        elif self.path == "/readyz":
            self._answer_state(state.is_alive and not state.is_stopping, "ready", "not ready")
        else:
            self._answer(404, '{"status":"there is nothing at this path"}', "application/json")

    def log_message(self, *_: object) -> None:
        """Log nothing: a path is a text of a stranger."""

    def _answer_state(self, is_good: bool, good: str, bad: str) -> None:
        self._answer(200 if is_good else 503, f'{{"status":"{good if is_good else bad}"}}', "application/json")

    def _answer(self, status: int, text: str, media_type: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "no-store")
        self.end_headers()
        self.wfile.write(body)
