"""Errors of HTTP requests; all have the same JSON shape."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hilum.errors import HilumError
from hilum.text import json_text

__all__ = ["HttpError", "error_body", "error_status", "internal_error", "shutting_down"]


class HttpError(HilumError):
    """The error of a refused request.

    Args:
        status: The HTTP status, 400 to 599.
        kind: The ``type`` in the JSON, such as ``Busy``.
        message: What happened.
        fix: What the caller can do about it.
        headers: Headers of the response, such as Retry-After.
    """

    def __init__(
        self, status: int, kind: str, message: str, *, fix: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, fix=fix)
        self.status = status
        self.kind = kind
        self.headers = dict(headers or {})

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.status, self.kind, self.message, self.fix, self.headers)

    def to_dict(self) -> dict[str, str]:
        """Return the JSON object of the error: type, message, fix."""
        return {"type": self.kind, "message": self.message, "fix": self.fix}


def _rebuild(status: int, kind: str, message: str, fix: str, headers: dict[str, str]) -> HttpError:
    return HttpError(status, kind, message, fix=fix, headers=headers)


def shutting_down() -> HttpError:
    """Return the error for a request during the shutdown."""
    return HttpError(503, "ShuttingDown", "The server is shutting down.", headers={"Retry-After": "5"})


def internal_error() -> HttpError:
    """Return the error for an unexpected failure; it holds no details."""
    return HttpError(500, "InternalError", "The server failed on this.", fix="Report it with the server's log.")


def error_status(error: HilumError) -> int:
    """Return the HTTP status of an error."""
    return error.status if isinstance(error, HttpError) else error.http_status


def error_body(error: HilumError, **more: Any) -> bytes:
    """Return the JSON of an error, ``{"error": {"type", "message", "fix"}}``, with further keys beside it."""
    return json_text(json.dumps({"error": error.to_dict(), **more}, ensure_ascii=False, allow_nan=False)).encode()
