"""Reading films from the body of a request, in memory only: patients' films are never written to a disk.

Source: multipart/form-data, RFC 7578. Many programs also send ``filename*`` for names in other alphabets, RFC 8187 and
RFC 2231, which RFC 7578 does not allow.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from hilum.serve.httperror import HttpError
from hilum.serve.limits import Limits
from hilum.serve.queue import Upload

__all__ = ["FIELD", "Bodies", "Body", "ClientLeft", "Receive", "read_uploads", "too_large"]

FIELD = "files"
_MAX_PARTS_BESIDE_FILMS = 16

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientLeft(Exception):
    """The client closed the connection before its request was answered."""


class Bodies:
    """Counts the bytes of all bodies and unread responses in memory, and limits them."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.num_bytes = max_bytes, 0

    @contextmanager
    def body(self) -> Iterator[Body]:
        """Yield the counter of one body; leaving its context gives the bytes back."""
        one = Body(self)
        try:
            yield one
        finally:
            self.num_bytes -= one.num_bytes


class Body:
    """Counts the bytes of one body."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies, self.num_bytes = bodies, 0

    def take(self, num_bytes: int) -> None:
        """Count more bytes.

        Raises:
            HttpError: 503, the limit of all bodies is reached.
        """
        if self._bodies.num_bytes + num_bytes > self._bodies.max_bytes:
            raise HttpError(
                503,
                "Busy",
                "The server's memory for films is full.",
                fix="Send the request again in 2 s.",
                headers={"Retry-After": "2"},
            )
        self._bodies.num_bytes += num_bytes
        self.num_bytes += num_bytes


async def read_uploads(content_type: str, receive: Receive, body: Body, limits: Limits) -> list[Upload]:
    """Return the films in the field ``files`` of a multipart body.

    Args:
        content_type: The request's Content-Type, with the boundary.
        receive: The ASGI function that returns the body.
        body: Counts the bytes; the caller keeps it open while the films are in memory.
        limits: The limits of one request.

    Raises:
        HttpError: 400 the body is broken; 408 it takes too long; 413 it is too large or holds too many films; 415 it
            is not multipart; 422 it holds no film; 503 the memory for films is full.
        ClientLeft: The client closed the connection.
    """
    try:
        kind, options = parse_options_header(content_type)
    except UnicodeError:
        kind, options = b"", {}
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise HttpError(
            415,
            "UnsupportedMediaType",
            "The body is not multipart/form-data with a boundary.",
            fix=f"Send the films as files in the field `{FIELD}`: curl -F {FIELD}=@film.png ...",
        )
    form = _Form(limits.films)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in _chunks(receive):
                if body.num_bytes + len(chunk) > limits.body_bytes:
                    raise too_large(limits)
                body.take(len(chunk))
                parser.write(chunk)
        parser.finalize()
    except TimeoutError as error:
        raise HttpError(
            408,
            "TooSlow",
            f"The body did not arrive within {limits.body_seconds:g} s.",
            fix="Send fewer films at a time.",
        ) from error
    except (FormParserError, UnicodeError) as error:
        raise _broken() from error
    if not form.complete:
        raise _broken()
    if not form.films:
        raise HttpError(
            422,
            "InvalidRequest",
            f"The body holds no file in the field `{FIELD}`.",
            fix=f"Send the films as files in the field `{FIELD}`: curl -F {FIELD}=@film.png ...",
        )
    return form.uploads()


def too_large(limits: Limits) -> HttpError:
    """Return the error for a body that is too large."""
    return HttpError(
        413,
        "TooLarge",
        f"The body is larger than {limits.body_bytes // 2**20} MB.",
        fix="Send fewer films at a time.",
    )


def _broken() -> HttpError:
    return HttpError(400, "InvalidRequest", "The body is cut short or not well-formed multipart/form-data.")


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        yield message.get("body", b"")
        more = message.get("more_body", False)


def _disposition_options(disposition: str) -> dict[str, str]:
    """Return ``name`` and ``filename`` of a part; ``filename*`` is preferred to ``filename``."""
    plain = parse_options_header(disposition)[1]
    options = {name.decode("latin-1"): value.decode("utf-8", "replace") for name, value in plain.items()}
    if "*" not in disposition:
        return options
    header = Message()
    header["content-disposition"] = disposition
    try:
        extended = header.get_params([], "content-disposition")
    except (TypeError, ValueError):  # invalid numbers of continuations
        return options
    for name, value in extended:
        if isinstance(value, tuple):  # charset, language and text
            options[name.lower()] = collapse_rfc2231_value(value)
        else:
            options.setdefault(name.lower(), value)
    return options


class _Form:
    """The callbacks of the multipart parser."""

    def __init__(self, max_films: int) -> None:
        self._max_films = max_films
        self._num_parts = 0
        self._header, self._value, self._disposition = b"", b"", b""
        self._chunks: list[bytes] | None = None  # None: the part is not a film
        self.films: list[tuple[str, list[bytes]]] = []
        self.complete = False

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._field,
            "on_header_value": self._value_of,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def uploads(self) -> list[Upload]:
        """Return the films; the chunks of a film are freed when they are joined."""
        uploads = []
        for name, chunks in self.films:
            uploads.append(Upload(name, b"".join(chunks)))
            chunks.clear()
        return uploads

    def _begin(self) -> None:
        self._disposition = b""
        self._chunks = None
        self._num_parts += 1
        if self._num_parts > self._max_films + _MAX_PARTS_BESIDE_FILMS:
            raise self._too_many()

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _value_of(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _headers_end(self) -> None:
        options = _disposition_options(self._disposition.decode("latin-1"))
        if options.get("name") != FIELD or "filename" not in options:
            return
        if len(self.films) >= self._max_films:
            raise self._too_many()
        self._chunks = []
        self.films.append((options["filename"] or "film", self._chunks))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._chunks is not None:
            self._chunks.append(data[start:end])

    def _end(self) -> None:
        self.complete = True

    def _too_many(self) -> HttpError:
        return HttpError(
            413,
            "TooManyFilms",
            f"The body holds more than {self._max_films} films.",
            fix="Send fewer films at a time.",
        )
