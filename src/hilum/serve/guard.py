"""The guard around the service: checks access, adds security headers, gives errors one shape, and counts requests.

A page on the internet can make a browser send requests to this computer. Without a token the server therefore accepts
only the names of this computer in Host (another name means DNS rebinding) and only its own page in Origin. With a token
both are ignored, because another page does not know the token. A request with two such headers is always refused,
because proxies may read different ones.

Source: OWASP REST Security Cheat Sheet; RFC 6750 (bearer tokens); RFC 9112, 3.2 (Host), 9.6 (closing a connection).
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from hilum.serve.httperror import HttpError, error_body, error_status, internal_error
from hilum.serve.limits import Limits
from hilum.serve.log import where_it_failed
from hilum.serve.metrics import Metrics

__all__ = ["Access", "Guard", "is_loopback"]

_LOG = logging.getLogger("hilum.serve")
_PROBES = {"/healthz", "/readyz", "/metrics"}  # asked every few seconds: logged only where they fail
_DISCARD_SECONDS = 10.0
_PIECE_BYTES = 64 * 1024  # size of a piece of a response; the server holds one until the client reads it
_MARGIN_SECONDS = 1.0  # lets the connection, which has the same limit, end first
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[0-9A-Za-z.-]+))(?::(?P<port>[0-9]{1,5}))?")
_SECURITY_HEADERS = tuple(
    (name.encode(), value.encode())
    for name, value in {
        "content-security-policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=()",
    }.items()
)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def is_loopback(host: str) -> bool:
    """Return whether a host name or address (without a port) always means this computer."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _names_this_computer(host: str) -> bool:
    """Return whether a Host header names this computer, with or without a port."""
    match = _HOST.fullmatch(host)
    if match is None or int(match["port"] or 0) > 65535:
        return False
    return is_loopback(match["v6"] or match["name"]) and (match["v6"] is None or ":" in match["v6"])


@dataclass(frozen=True)
class Access:
    """Which requests a guard lets through.

    Attributes:
        token: The token that clients must send, or None.
        open_paths: Paths that need no token: the page and the health checks.
        known_paths: The paths of the service; any other is counted as ``other``.
        root_path: A path that is taken off the front of requests, if a proxy has left it there.
    """

    token: str | None = field(default=None, repr=False)
    open_paths: frozenset[str] = frozenset()
    known_paths: frozenset[str] = frozenset()
    root_path: str = ""


class Guard:
    """An ASGI application around another.

    Args:
        app: The service.
        access: Which requests it lets through.
        metrics: Counts the requests.
        limits: How long a client may take to read a response.
    """

    def __init__(self, app: App, access: Access, *, metrics: Metrics, limits: Limits) -> None:
        self._app, self._access, self._metrics, self._limits = app, access, metrics, limits

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        root = self._access.root_path
        if root and scope["path"].startswith(f"{root}/"):
            scope = {**scope, "path": scope["path"].removeprefix(root)}
        started = time.perf_counter()
        exchange = _Exchange(scope, receive, send, self._limits)
        try:
            self._check(scope)
            await self._app(scope, exchange.receive, exchange.send)
        except HttpError as error:
            await self._answer(exchange, error)
        except _Unread:  # the client does not take its answer
            return
        except Exception as error:  # noqa: BLE001 - the client gets an answer, and the log holds no name
            _LOG.error("A request failed: %s", where_it_failed(error))
            await self._answer(exchange, internal_error())
        path = scope["path"] if scope["path"] in self._access.known_paths else "other"
        method = scope["method"] if scope["method"] in {"GET", "HEAD", "POST"} else "other"
        seconds = time.perf_counter() - started
        self._metrics.request(method=method, path=path, status=exchange.status, seconds=seconds)
        fields = {"method": method, "path": path, "status": exchange.status, "seconds": round(seconds, 4)}
        is_probe = path in _PROBES and exchange.status < 400
        _LOG.log(logging.DEBUG if is_probe else logging.INFO, "Answered a request.", extra={"fields": fields})

    async def _answer(self, exchange: _Exchange, error: HttpError) -> None:
        if exchange.status:  # the response has begun
            return
        self._metrics.turned_away(error.kind)
        body = error_body(error)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers += [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
        with contextlib.suppress(_Unread):
            await exchange.send({"type": "http.response.start", "status": error_status(error), "headers": headers})
            await exchange.send({"type": "http.response.body", "body": body})

    def _check(self, scope: MutableMapping[str, Any]) -> None:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        _check_once(scope["headers"])
        if self._access.token is None:
            _check_host(headers)
            return
        if scope["path"] in self._access.open_paths:
            return
        scheme, _, sent = headers.get(b"authorization", "").partition(" ")
        known = hmac.compare_digest(sent.strip().encode("latin-1"), self._access.token.encode())
        if scheme.lower() != "bearer" or not known:
            raise HttpError(
                401,
                "Unauthorized",
                "The token is wrong." if sent else "A token is needed.",
                fix="Send the header `Authorization: Bearer TOKEN` with the token the server was started with.",
                headers={"WWW-Authenticate": "Bearer"},
            )


def _check_once(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse a request with two Host or two Origin headers."""
    names = [name.lower() for name, _ in headers]
    for name, status, kind in ((b"host", 400, "InvalidRequest"), (b"origin", 403, "ForeignOrigin")):
        if names.count(name) > 1:
            title = name.decode().capitalize()
            raise HttpError(
                status, kind, f"The request has more than one {title} header.", fix=f"Send one {title} header."
            )


def _check_host(headers: dict[bytes, str]) -> None:
    """Refuse a request that another site made a browser send."""
    host = headers.get(b"host", "")
    if not _names_this_computer(host):
        raise HttpError(
            403,
            "ForeignHost",
            "The request names a host other than this computer.",
            fix="Use http://127.0.0.1 or http://localhost, or start the server with --token.",
        )
    origin = headers.get(b"origin")
    if origin is not None and origin.lower() not in {f"http://{host}".lower(), f"https://{host}".lower()}:
        raise HttpError(
            403,
            "ForeignOrigin",
            "The request comes from a page of another site.",
            fix="Use the server's own page, or start the server with --token.",
        )


class _Unread(Exception):
    """The client does not read its response."""


class _Exchange:
    """One request and its response.

    If a request is refused before its body was read, the rest of the body is read and discarded for a while. Without
    this, closing the connection would make the client's system discard the response.
    """

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send, limits: Limits) -> None:
        self._receive = receive
        self._send = send
        self._limits = limits
        names = {name for name, _ in scope["headers"]}
        self._body_left = bool(names & {b"content-length", b"transfer-encoding"})
        self.status = 0

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._body_left = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), *_SECURITY_HEADERS]
            if not any(name.lower() == b"cache-control" for name, _ in headers):
                headers.append((b"cache-control", b"no-store"))
            await self._write({**message, "headers": headers})
            return
        if message["type"] == "http.response.body" and not message.get("more_body", False) and self._body_left:
            await self._write({**message, "more_body": True})
            await self._discard_body()
            message = {"type": "http.response.body", "body": b""}
        await self._write(message)

    async def _write(self, message: Message) -> None:
        """Send a message; a long body goes in pieces, each after the client has read the one before."""
        body, seconds = message.get("body", b""), self._limits.write_seconds + _MARGIN_SECONDS
        try:
            async with asyncio.timeout(seconds + len(body) / self._limits.write_bytes_per_second):
                for start in range(0, len(body) - _PIECE_BYTES, _PIECE_BYTES):
                    piece = {"type": message["type"], "body": body[start : start + _PIECE_BYTES], "more_body": True}
                    async with asyncio.timeout(seconds):
                        await self._send(piece)
                if len(body) > _PIECE_BYTES:
                    message = {**message, "body": body[(len(body) - 1) // _PIECE_BYTES * _PIECE_BYTES :]}
                async with asyncio.timeout(seconds):
                    await self._send(message)
        except TimeoutError as error:
            raise _Unread from error

    async def _discard_body(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_SECONDS):
                while self._body_left:
                    await self.receive()
