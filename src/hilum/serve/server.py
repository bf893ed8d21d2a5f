"""The process behind `hilum serve`: its address, its connections, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from hilum.console import Console
from hilum.errors import ConfigError, InputError
from hilum.film.pool import decoders_end_after
from hilum.run.classifier import Classifier
from hilum.run.memory import keep_memory_flat
from hilum.serve.api import Service
from hilum.serve.guard import is_loopback
from hilum.serve.httperror import HttpError, error_body
from hilum.serve.limits import Limits

__all__ = ["DEFAULT_PORT", "check_token", "run_server"]

DEFAULT_PORT = 8000
_SHORTEST_TOKEN = 16
_KEEP_ALIVE_SECONDS = 30
_DECODING_SECONDS = 18.0  # how long films are decoded after the server was told to end
_SHUTDOWN_SECONDS = 25  # how long answers may take then
_SILENCE_SECONDS = 2.0  # how long a connection without a request is kept when the server ends


def run_server(
    model: Path,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    token: str | None = None,
    limits: Limits | None = None,
    console: Console | None = None,
) -> None:
    """Serve a model until SIGINT or SIGTERM; what was accepted by then is finished first.

    Args:
        model: The model file.
        host: The address to listen on; any but this computer's own needs a token.
        port: 0 to 65535; 0 takes a free one and says which.
        token: What callers must send as a bearer token; at least 16 characters of ASCII.
        limits: How much the server takes on.
        console: Where the address is shown.

    Raises:
        ConfigError: A token is needed, or of no use.
        InputError: The address cannot be listened on.
        ModelFileError: The model file cannot be used.
    """
    console = console or Console()
    check_token(host, token)
    keep_memory_flat()
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it warns of each byte it did not expect
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    limits = limits or Limits()
    listener = _listen(host, port)
    with listener:
        classifier = Classifier(model)
        service = Service(classifier, token=token, limits=limits)
        server = _Server(service, limits)
        address = f"[{host}]" if ":" in host else host
        console.say(f"hilum serves {classifier.metadata.name} on http://{address}:{listener.getsockname()[1]}")
        console.say("The page is at /, the service at /v1/predictions. Ctrl-C ends it.")
        server.run_until_told(listener)
        console.say("The server has ended; every request it took was answered.")


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether a line of uvicorn's is worth logging: a client that left its answer unread is not."""
    return not record.getMessage().startswith("ASGI callable returned without")


def check_token(host: str, token: str | None) -> None:
    """Refuse an address that others reach without a token, and a token that is soon guessed.

    Raises:
        ConfigError: It is refused.
    """
    if token is None:
        if not is_loopback(host):
            raise ConfigError(
                f"Other computers can reach the address `{host}`, and no token is set: anybody could use it.",
                fix="Set one: HILUM_TOKEN=... hilum serve ..., or leave --host at 127.0.0.1.",
            )
        return
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"The token must be {_SHORTEST_TOKEN} or more printable ASCII characters without spaces; "
            f"received {len(token)} characters.",
            fix="Make one: python -c 'import secrets; print(secrets.token_urlsafe())'",
        )


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:  # the system would take what remains of it after division
        raise ConfigError(f"A port is a number from 0 to 65535; received {port}.", fix="Choose another: --port P.")
    try:
        kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=kind, backlog=512)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"Cannot listen on `{host}` port {port}: {reason}.", fix="Choose another: --port P, --host H."
        ) from error


class _Server(uvicorn.Server):
    """A server that ends by returning, whichever signal told it to."""

    def __init__(self, service: Service, limits: Limits) -> None:
        super().__init__(
            uvicorn.Config(
                service.app,
                http=_protocol(limits.header_seconds, lambda: service.draining, limits.write_seconds),
                ws="none",
                lifespan="on",
                log_config=None,
                log_level="error",  # a warning can be had by anybody who sends nonsense
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            )
        )
        self._service = service

    def run_until_told(self, listener: socket.socket) -> None:
        """Serve; uvicorn raises the signal again when all is done, which here means nothing any more."""
        quiet: dict[int, Any] = {
            number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            self.run(sockets=[listener])
        finally:
            for number, handler in quiet.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end."""
        self._service.draining = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take the connections that wait at the door, then close it and finish."""
        for _ in range(3):  # the loop takes them between two of its rounds
            await asyncio.sleep(0)
        with decoders_end_after(_DECODING_SECONDS):
            await super().shutdown(sockets)


class _BoundedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with bounds on how long headers and unread pieces may take, errors in hilum's shape."""

    header_seconds: float
    write_seconds: float
    is_draining: Callable[[], bool]
    _late: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # the next piece waits until this one has left
        self._await_headers()
        if self.is_draining():
            self.shutdown()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._late is None and self.timeout_keep_alive_task is None:
            self._await_headers()

    def shutdown(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            super().shutdown()
        else:  # a request may be on its way already
            self.loop.call_later(_SILENCE_SECONDS, self._end)

    def _end(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_watching()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_watching()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        body = error_body(HttpError(400, "InvalidRequest", "This is no well-formed HTTP request."))
        headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            events: tuple[h11.Event, ...] = (
                h11.Response(status_code=400, headers=[*headers, ("connection", "close")], reason=b"Bad Request"),
                h11.Data(data=body),
                h11.EndOfMessage(),
            )
            self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))
        self.transport.close()

    def _await_headers(self) -> None:
        close: Callable[[], None] = self.transport.close
        self._late = self.loop.call_later(self.header_seconds, close)

    def _stop_watching(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def _protocol(
    header_seconds: float, is_draining: Callable[[], bool], write_seconds: float = Limits.write_seconds
) -> type[asyncio.Protocol]:
    """Return the protocol with its bounds; uvicorn takes a class."""
    bounds = {
        "header_seconds": header_seconds,
        "write_seconds": write_seconds,
        "is_draining": staticmethod(is_draining),
    }
    return type("Protocol", (_BoundedProtocol,), bounds)
