"""How the REST service answers errors: in one JSON shape, whether they are hilum's, the framework's or unforeseen."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from hilum.errors import HilumError
from hilum.serve.httperror import HttpError, error_body, error_status, internal_error
from hilum.serve.metrics import Metrics

__all__ = ["ERRORS", "ErrorAnswers"]

_JSON = "application/json"
_KINDS = {404: "NotFound", 405: "MethodNotAllowed"}
ERRORS = {
    400: "The body is broken.",
    401: "The token is missing or wrong.",
    403: "The request names another host or comes from another site.",
    408: "The body took too long.",
    413: "The body is too large, or holds too many films.",
    415: "The body is not multipart, or no film is of a kind that can be judged.",
    422: "The body has no film, no film can be read, or a parameter is wrong.",
    500: "The server failed.",
    503: "The queue is full. Retry-After says when to try again.",
}


class ErrorAnswers:
    """Answers requests that fail, and counts them.

    Args:
        metrics: Where they are counted.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def add_to(self, api: FastAPI) -> None:
        """Answer the errors of a service."""
        api.add_exception_handler(HilumError, self._on_error)
        api.add_exception_handler(HTTPException, self._on_http_exception)
        api.add_exception_handler(RequestValidationError, self._on_invalid)
        api.add_exception_handler(Exception, self._on_failure)  # answered here, logged by the guard

    async def _on_error(self, _: Request, error: Exception) -> Response:
        if not isinstance(error, HilumError):
            raise error
        self._metrics.turned_away(error.to_dict()["type"])
        headers = error.headers if isinstance(error, HttpError) else {}
        return Response(error_body(error), status_code=error_status(error), media_type=_JSON, headers=headers)

    async def _on_failure(self, request: Request, _: Exception) -> Response:
        return await self._on_error(request, internal_error())

    async def _on_http_exception(self, request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        kind = _KINDS.get(error.status_code, "InvalidRequest")
        message = {
            "NotFound": "There is nothing at this path.",
            "MethodNotAllowed": "This path does not allow this method.",
        }.get(kind, "The request is not well-formed.")
        fix = "See /docs for all paths and methods."
        return await self._on_error(
            request, HttpError(error.status_code, kind, message, fix=fix, headers=error.headers)
        )

    async def _on_invalid(self, request: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError):
            raise error
        names = ", ".join(f"`{one['loc'][-1]}`" for one in error.errors())
        return await self._on_error(
            request, HttpError(422, "InvalidParameter", f"The parameter {names} must be true or false.")
        )
