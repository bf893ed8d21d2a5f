"""A client of `hilum serve` in Python: it takes films and gives answers as a classifier does, and waits if it must."""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import cv2
import numpy as np

from hilum.api.answers import Answers, FilmAnswer
from hilum.api.classifier import ONE_FILM, each_film, is_several, without_file
from hilum.errors import ConfigError, HilumError, InputError, RefusedFilm, UndecodableFilm, UnsupportedFilm
from hilum.film.decode import read_bytes
from hilum.film.given import Film, film_name
from hilum.run.answer import Reason, UnreadFilm
from hilum.serve.httperror import HttpError

__all__ = ["Client"]

_FILMS, _BYTES = 16, 64 * 1024**2  # of one request; the server takes 32 films and 128 MB unless told otherwise
_ANSWER_SECONDS = 300  # longer than the server works on a request
_AGAIN_SECONDS = 2.0
_FILM_ERRORS = {one.__name__: one for one in (RefusedFilm, UndecodableFilm, UnsupportedFilm)}


class Client:
    """Sends films to a running ``hilum serve``. A busy server is asked again when it says (Retry-After).

    Args:
        url: The address of the server's page, such as ``http://127.0.0.1:8000``.
        token: The token that the server was started with.
        model: The name of the model to ask, if the server has several; its first one if None.
        patience_seconds: How long to wait for a busy server, or for one that answered before and is restarted, before
            it is an error.

    Raises:
        ConfigError: The address is not one of http or https.

    Example:
        >>> client = hilum.Client("http://127.0.0.1:8000")  # doctest: +SKIP
        >>> client.predict("film.png").finding  # doctest: +SKIP
        'Normal'
    """

    def __init__(
        self, url: str, token: str | None = None, *, model: str | None = None, patience_seconds: float = 600.0
    ) -> None:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise ConfigError(f"`{url}` is not the address of a server.", fix="Write it as http://HOST:PORT.")
        self._url = f"{url.rstrip('/')}/v1/predictions"
        if model is not None:
            self._url += f"?model={quote(model, safe='')}"
        self._token = token
        self._patience_seconds = patience_seconds
        self._has_answered = False
        self._opener = build_opener(_NoRedirect)  # a redirect would take the token elsewhere

    def predict(self, films: Film | Iterable[Film]) -> FilmAnswer | Answers:
        """Judge one film or several on the server.

        Args:
            films: As `FilmClassifier.predict` takes them: a path, bytes, an array (H, W) of uint8 or uint16, a PIL
                image; a folder, a list of paths in a file; a list or iterator of any of these.

        Returns:
            The answer for one film; of several films `Answers`, in their order. They have all that JSON carries:
            logits, evidence and features are empty, and no heat map is shown.

        Raises:
            UndecodableFilm, UnsupportedFilm: The one film cannot be read. Of several, it has an `UnreadFilm` instead.
            HttpError: The server refuses the request: the token is wrong, or it stayed busy. ``kind`` says which.
            InputError: The server cannot be reached, or the argument has another type or shape.
        """
        films = without_file(films)
        is_path = isinstance(films, str | os.PathLike)
        if (is_path and is_several(films)) or (isinstance(films, Iterable) and not isinstance(films, ONE_FILM)):  # type: ignore[arg-type]
            return Answers(self._answers(each_film([films] if is_path else films)))  # type: ignore[arg-type]
        (answer,) = self._answers([films])
        if isinstance(answer, UnreadFilm):
            raise answer.error
        return answer

    def __repr__(self) -> str:
        return f"<Client of {self._url}>"

    def _answers(self, films: Iterable[Film]) -> Iterator[FilmAnswer | UnreadFilm]:
        for some in _requests(films):
            sent = [one for one in some if isinstance(one, _Sent)]
            answers = iter(self._judge(sent))
            for one in some:
                yield one if isinstance(one, UnreadFilm) else next(answers)

    def _judge(self, films: Sequence[_Sent]) -> list[FilmAnswer | UnreadFilm]:
        """Return the answers of one request; it is halved where the server finds it too large."""
        if not films:
            return []
        found = self._send(films)
        if found.predictions is not None:
            return [_read(film.file, said) for film, said in zip(films, found.predictions, strict=True)]
        error = _error(found.error, found.status)
        if found.status != 413:
            raise error
        if len(films) == 1:
            return [UnreadFilm(films[0].file, error)]
        middle = len(films) // 2
        return [*self._judge(films[:middle]), *self._judge(films[middle:])]

    def _send(self, films: Sequence[_Sent]) -> _Reply:
        """Send one request until it is answered."""
        boundary = secrets.token_hex(16)
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        request = Request(self._url, _multipart(films, boundary), headers)
        last = time.monotonic() + self._patience_seconds
        while True:
            try:
                with self._opener.open(request, timeout=_ANSWER_SECONDS) as answer:
                    self._has_answered = True
                    return _body(answer, answer.status)
            except HTTPError as error:
                with error:
                    found, wait = _body(error, error.code), _seconds(error.headers)
                self._has_answered = True
                if error.code != 503 or time.monotonic() + wait > last:
                    return found
            except OSError as error:
                wait = _AGAIN_SECONDS
                if not self._has_answered or time.monotonic() + wait > last:
                    reason = getattr(error, "reason", None) or error
                    raise InputError(
                        f"The server at `{self._url}` cannot be reached: {reason}.", fix="Check that it is running."
                    ) from error
            time.sleep(wait)


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow no redirect."""


@dataclass(frozen=True)
class _Sent:
    """A film on its way: its name in answers, and its bytes."""

    file: str
    data: bytes


@dataclass(frozen=True)
class _Reply:
    """What a server answered: the JSON objects of the films, else that of the error of the whole request."""

    status: int
    predictions: Sequence[Mapping[str, Any]] | None
    error: Mapping[str, Any]


def _requests(films: Iterable[Film]) -> Iterator[list[_Sent | UnreadFilm]]:
    """Yield the films of each request; a file that cannot be opened has its error."""
    some: list[_Sent | UnreadFilm] = []
    num_bytes = 0
    for film in films:
        name = film_name(film)
        try:
            one: _Sent | UnreadFilm = _Sent(name, _bytes(film))
        except (UndecodableFilm, UnsupportedFilm) as error:
            one = UnreadFilm(name, error)
        size = len(one.data) if isinstance(one, _Sent) else 0
        if some and (len(some) == _FILMS or num_bytes + size > _BYTES):
            yield some
            some, num_bytes = [], 0
        some.append(one)
        num_bytes += size
    if some:
        yield some


def _bytes(film: Film) -> bytes:
    """Return a film as the bytes of a file; arrays and images become PNG."""
    if isinstance(film, str | os.PathLike):
        return read_bytes(Path(os.fsdecode(film)))
    if isinstance(film, bytes | bytearray | memoryview):
        return bytes(film)
    images = sys.modules.get("PIL.Image")
    if images is not None and isinstance(film, images.Image):
        stream = io.BytesIO()
        film.save(stream, "PNG")
        return stream.getvalue()
    if isinstance(film, np.ndarray) and film.ndim == 2 and film.dtype in (np.uint8, np.uint16):
        return bytes(cv2.imencode(".png", film)[1])
    raise InputError(
        f"Cannot send a film from a `{type(film).__name__}`; expected a path, bytes, a PIL image, or an array "
        "(H, W) of uint8 or uint16.",
        fix="Convert it.",
    )


def _multipart(films: Sequence[_Sent], boundary: str) -> bytes:
    """Return the body of a request. The server is told the names of the files, not their folders."""
    parts = []
    for film in films:
        name = quote(Path(film.file).name.encode("utf-8", "surrogateescape"), safe="")
        head = f"--{boundary}\r\nContent-Disposition: form-data; name=\"files\"; filename*=UTF-8''{name}\r\n\r\n"
        parts += [head.encode(), film.data, b"\r\n"]
    return b"".join([*parts, f"--{boundary}--\r\n".encode()])


def _body(stream: IO[bytes], status: int) -> _Reply:
    """Return what an answer holds; what is no JSON of hilum's, a proxy's page for example, becomes an error."""
    try:
        found = json.loads(stream.read())
    except ValueError:
        found = None
    if not isinstance(found, dict) or not {"predictions", "error"} & set(found):
        found = {"error": {"type": "NotHilum", "message": f"The server answered {status}, but not as hilum does."}}
    return _Reply(status, found.get("predictions"), found.get("error", {}))


def _seconds(headers: Message) -> float:
    said = str(headers.get("Retry-After", ""))
    return float(said) if re.fullmatch(r"\d{1,6}", said) else _AGAIN_SECONDS


def _read(file: str, said: Mapping[str, Any]) -> FilmAnswer | UnreadFilm:
    """Return the answer from the JSON object of a film."""
    if "error" in said:
        return UnreadFilm(file, _error(said["error"], 422))
    return FilmAnswer(
        file=file,
        probabilities=said["probabilities"],
        set=tuple(said["set"]),
        above_threshold=tuple(said["above_threshold"]),
        reasons=tuple(Reason(one["code"], one["message"]) for one in said["reasons"]),
        model=said["model"],
        logits=np.empty(0, np.float32),
        activation=np.empty((0, 0, 0), np.float32),
        disagreement=said.get("disagreement"),
        outlier_score=said.get("outlier_score"),
        exposure=said.get("exposure"),
    )


def _error(said: Mapping[str, Any], status: int) -> HilumError:
    """Return the error from its JSON object; that of a film has the class that reading it here would have."""
    kind, message, fix = said["type"], said["message"], said.get("fix", "")
    return _FILM_ERRORS[kind](message, fix=fix) if kind in _FILM_ERRORS else HttpError(status, kind, message, fix=fix)
