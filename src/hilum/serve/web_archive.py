"""The archive of a node over DICOMweb: its address, the login, and a client that reads within limits.

Source: DICOM PS3.18, 8.3 (transactions and their statuses).
"""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from dicomweb_client import DICOMwebClient
from requests.adapters import HTTPAdapter

from hilum.errors import ConfigError, InputError
from hilum.serve.limits import NodeLimits

__all__ = ["Login", "WebSettings", "archive_client", "checked_url", "is_of_one_film", "read_login", "what_failed"]

_CONNECT_SECONDS, _ANSWER_SECONDS = 10.0, 60.0
_OF_ALL_FILMS = frozenset({401, 403, 407, 408, 429, 502, 503, 504})  # statuses after which the next request fails too


@dataclass(frozen=True)
class Login:
    """How the node says who it is: a name and a password, or a bearer token."""

    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class WebSettings:
    """The archive of a node over DICOMweb.

    Attributes:
        url: Where its DICOMweb services are, such as http://localhost:8042/dicom-web.
        login: How the node says who it is; None for an archive that does not ask.
        every_seconds: The pause between two searches.
        days: Films of studies of the last so many days are judged; 0 for all.
        host: The address of /healthz, /readyz and /metrics.
        health_port: Their port; 0 for any free port, None for none.
        log_as_json: Write each line of the log as a JSON object.
        report_refused: Also send a report of a film that cannot be judged.
    """

    url: str
    login: Login | None = None
    every_seconds: float = 30.0
    days: int = 7
    host: str = "127.0.0.1"
    health_port: int | None = None
    log_as_json: bool = False
    report_refused: bool = False


def checked_url(text: str) -> str:
    """Return the URL of an archive without a slash at its end.

    Raises:
        ConfigError: It is not an http or https URL, or holds a password.
    """
    try:
        parts = urlsplit(text.strip())
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_good = False
    if not is_good or parts.query or parts.fragment:
        raise ConfigError("The DICOMweb URL is not valid.", fix="Example: http://localhost:8042/dicom-web.")
    if parts.username or parts.password:
        raise ConfigError(
            "The DICOMweb URL holds a name or a password, and other users of this computer can see it.",
            fix="Set HILUM_DICOMWEB_USER and HILUM_DICOMWEB_PASSWORD, or give a file: --dicomweb-login FILE.",
        )
    return text.strip().rstrip("/")


def read_login(file: Path | None, environment: Mapping[str, str]) -> Login | None:
    """Return the login in a file (USER:PASSWORD or Bearer TOKEN) or, without a file, in environment variables.

    Raises:
        ConfigError: The file has another form, or a name has no password.
        InputError: The file cannot be read.
    """
    if file is None:
        user, password, token = (
            environment.get(f"HILUM_DICOMWEB_{name}", "") for name in ("USER", "PASSWORD", "TOKEN")
        )
    else:
        try:
            text = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeError) as error:
            raise InputError(f"Cannot read the login in `{file}`.") from error
        token = text[7:].strip() if text.lower().startswith("bearer ") else ""
        user, _, password = ("", "", "") if token else text.partition(":")
        if not token and not (user and password):
            raise ConfigError(f"`{file}` holds no login.", fix="Its only line must be USER:PASSWORD or Bearer TOKEN.")
    if bool(user) != bool(password):
        raise ConfigError("Only one of HILUM_DICOMWEB_USER and HILUM_DICOMWEB_PASSWORD is set.", fix="Set both.")
    if any(not letter.isprintable() for letter in user + password + token):
        raise ConfigError("The login for DICOMweb holds letters that cannot be printed.")
    return Login(user, password, token) if user or token else None


class _TooLong(requests.RequestException):
    """An answer has more bytes than a film may have."""


class _Bounded(HTTPAdapter):
    """Reads whole answers, within limits of size and time."""

    def send(self, request: requests.PreparedRequest, *args: Any, **words: Any) -> requests.Response:
        limits, started = NodeLimits(), time.monotonic()
        response = super().send(request, *args, **{**words, "stream": True})
        pieces, num_bytes = [], 0
        try:
            while piece := response.raw.read(2**20, decode_content=True):
                pieces.append(piece)
                num_bytes += len(piece)
                if num_bytes > limits.film_bytes:
                    raise _TooLong
                if time.monotonic() - started > limits.film_seconds:
                    raise requests.exceptions.ReadTimeout("too slow")
        except urllib3.exceptions.ReadTimeoutError as error:
            raise requests.exceptions.ReadTimeout("too slow") from error
        except urllib3.exceptions.HTTPError as error:
            raise requests.exceptions.ConnectionError(type(error).__name__) from error
        finally:
            response.raw.close()
        response.raw = io.BytesIO(b"".join(pieces))
        return response


def archive_client(settings: WebSettings) -> DICOMwebClient:
    """Return a client of the archive. It reads answers within the limits of a film, and tries nothing again."""
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Bounded())
    login = settings.login
    if login is not None:
        session.auth = _Authorization(login)
    client = DICOMwebClient(
        settings.url,
        session=session,
        permissive_uid=True,
        timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS),
        chunk_size=NodeLimits().film_bytes,  # results go in one piece, as not every archive takes more
    )
    client.set_http_retry_params(retry=False)  # the node itself tries again
    return client


class _Authorization(requests.auth.AuthBase):
    def __init__(self, login: Login) -> None:
        self._login = login

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._login.token:
            request.headers["Authorization"] = f"Bearer {self._login.token}"
            return request
        user, password = (one.encode() for one in (self._login.user, self._login.password))
        return requests.auth.HTTPBasicAuth(user, password)(request)


def what_failed(error: Exception) -> str:
    """Return why a request failed, without its address, which may name a study."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        status = error.response.status_code
        words = {401: " (the login is wrong or missing)", 403: " (the login may not do this)", 404: " (not found)"}
        return f"status {status}{words.get(status, '')}"
    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return f"the spool cannot be used ({error.strerror})"
    if isinstance(error, _TooLong):
        return f"an answer of more than {NodeLimits().film_bytes // 2**20} MB"
    return f"an answer that cannot be read, {type(error).__name__}"


def is_of_one_film(error: Exception) -> bool:
    """Return whether a failed request says nothing about the next one."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code not in _OF_ALL_FILMS
    is_of_disk = isinstance(error, OSError) and not isinstance(error, requests.RequestException)
    return not is_of_disk and not isinstance(error, requests.ConnectionError | requests.exceptions.Timeout)
