"""The process of `hilum serve`: its address, its connections and its shutdown."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from hilum.console import Console
from hilum.errors import ConfigError, InputError
from hilum.film.pool import decoders_end_after
from hilum.run.classifier import Classifier
from hilum.run.memory import keep_memory_flat
from hilum.serve.api import Service
from hilum.serve.guard import App, is_loopback
from hilum.serve.httperror import HttpError, error_body
from hilum.serve.limits import Limits

__all__ = ["DEFAULT_PORT", "Served", "Server", "ServerSettings", "check_token", "listen", "run_server"]

DEFAULT_PORT = 8000
_SHORTEST_TOKEN = 16
_KEEP_ALIVE_SECONDS = 30
_DECODING_SECONDS = 18.0  # time for decoding films after the shutdown began
_SHUTDOWN_SECONDS = 25  # time for answers after the shutdown began
_SILENCE_SECONDS = 2.0  # time for a connection without a request after the shutdown began


@dataclass(frozen=True)
class ServerSettings:
    """The addresses of a server.

    Attributes:
        host: The address to listen on. If other computers can reach it, a token is needed.
        port: 0 to 65535; 0 takes a free port and shows its number.
        token: The bearer token that clients must send; at least 16 ASCII characters.
        root_path: The path below which a proxy shows the server, such as ``/hilum``; "" for none.
        counts_folder: Where answers are counted by day; None to count them since the start only.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token: str | None = None
    root_path: str = ""
    counts_folder: Path | None = None


def run_server(models: Sequence[Path], settings: ServerSettings, console: Console | None = None) -> None:
    """Serve models until SIGINT or SIGTERM; accepted requests are finished first.

    Args:
        models: The model files. The first one answers requests that name none.
        settings: The addresses of the server.
        console: Where the address is shown.

    Raises:
        ConfigError: A token is needed, or it is too weak; or the root path is no path.
        InputError: The address cannot be listened on.
        ModelFileError: A model file cannot be used.
    """
    console, host = console or Console(), settings.host
    check_token(host, settings.token)
    _check_root_path(settings.root_path)
    keep_memory_flat()
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it warns about each unexpected byte
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    limits = Limits()
    listener = listen(host, settings.port)
    with listener:
        service = Service(
            *(Classifier(model) for model in models),
            token=settings.token,
            limits=limits,
            root_path=settings.root_path,
            counts_folder=settings.counts_folder,
        )
        server = Server(service, limits)
        names = ", ".join(model.name for model in service.models)
        address = f"[{host}]" if ":" in host else host
        console.say(f"hilum serves {names} on http://{address}:{listener.getsockname()[1]}")
        console.say("The page is at /, the service at /v1/predictions. Ctrl-C ends it.")
        server.run_until_signal(listener)
        console.say("The server has ended. Every accepted request was answered.")


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether to log a line of uvicorn; a client that did not read its response is not logged."""
    return not record.getMessage().startswith("ASGI callable returned without")


def check_token(host: str, token: str | None) -> None:
    """Raise ConfigError for a public address without a token, and for a token that is easy to guess."""
    if token is None:
        if not is_loopback(host):
            raise ConfigError(
                f"Other computers can reach the address `{host}`, but no token is set. Everyone could use the server.",
                fix="Set one: HILUM_TOKEN=... hilum serve ..., or leave --host at 127.0.0.1.",
            )
        return
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"The token must be {_SHORTEST_TOKEN} or more printable ASCII characters without spaces; "
            f"received {len(token)} characters.",
            fix="Make one: python -c 'import secrets; print(secrets.token_urlsafe())'",
        )


def _check_root_path(path: str) -> None:
    if path and not re.fullmatch(r"(/[\w.~-]+)+", path, re.ASCII):
        raise ConfigError(f"`{path}` is not a path of a proxy.", fix="Write it as --root-path /hilum.")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; errors as in `run_server`."""
    if not 0 <= port <= 65535:  # the system would use the port modulo 65536
        raise ConfigError(f"A port is a number from 0 to 65535; received {port}.", fix="Choose another: --port P.")
    try:
        kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=kind, backlog=512)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"Cannot listen on `{host}` port {port}: {reason}.", fix="Choose another: --port P, --host H."
        ) from error


class Served(Protocol):
    """What a server serves.

    Attributes:
        app: The application, with its guard.
        draining: Set when the shutdown begins.
    """

    app: App
    draining: bool


class Server(uvicorn.Server):
    """A server that returns after SIGINT or SIGTERM."""

    def __init__(self, service: Served, limits: Limits) -> None:
        super().__init__(
            uvicorn.Config(
                service.app,
                http=_protocol(limits.header_seconds, lambda: service.draining, limits.write_seconds),
                ws="none",
                lifespan="on",
                log_config=None,
                log_level="error",  # any client could cause warnings
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            )
        )
        self._service = service

    def run_until_signal(self, listener: socket.socket) -> None:
        """Serve until a signal. uvicorn raises the signal again at the end, which is ignored here."""
        quiet: dict[int, Any] = {
            number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            self.run(sockets=[listener])
        finally:
            for number, handler in quiet.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the shutdown."""
        self._service.draining = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept the connections that already wait, then finish and end."""
        for _ in range(3):  # the event loop accepts them between its rounds
            await asyncio.sleep(0)
        with decoders_end_after(_DECODING_SECONDS):
            await super().shutdown(sockets)


class _BoundedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol with time limits for headers and unread responses, and with hilum's errors."""

    header_seconds: float
    write_seconds: float
    is_draining: Callable[[], bool]
    _late: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # the next piece waits until this one is sent
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
        else:  # a request may already be on its way
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
        body = error_body(HttpError(400, "InvalidRequest", "This is not a well-formed HTTP request."))
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
    """Return the protocol class with its limits; uvicorn needs a class."""
    bounds = {
        "header_seconds": header_seconds,
        "write_seconds": write_seconds,
        "is_draining": staticmethod(is_draining),
    }
    return type("Protocol", (_BoundedProtocol,), bounds)
