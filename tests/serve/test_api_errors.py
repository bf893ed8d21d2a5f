"""Every error of the service has one shape: hilum's own, the framework's, and those that nobody foresaw."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from hilum.errors import InputError
from hilum.serve.api_errors import ERRORS, ErrorAnswers
from hilum.serve.httperror import HttpError
from hilum.serve.metrics import Metrics


def _fail(how: str, *, number: bool = False) -> None:
    if how == "busy":
        raise HttpError(503, "Busy", "The queue is full.", headers={"Retry-After": "3"})
    if how == "input":
        raise InputError("It cannot be read.", fix="Send it again.")
    if how == "bug":
        raise RuntimeError("a secret path")


async def _get(api: FastAPI, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path)


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/fail/busy", 503, "Busy"),
        ("/fail/input", 400, "InputError"),
        ("/fail/bug", 500, "InternalError"),
        ("/fail/none?number=many", 422, "InvalidParameter"),
        ("/elsewhere", 404, "NotFound"),
    ],
)
def test_an_error_says_its_kind_and_what_to_do(path: str, status: int, kind: str) -> None:
    api, metrics = FastAPI(), Metrics()
    api.add_api_route("/fail/{how}", _fail)
    ErrorAnswers(metrics).add_to(api)
    answer = asyncio.run(_get(api, path))
    said = answer.json()["error"]
    assert (answer.status_code, said["type"]) == (status, kind)
    assert set(said) == {"type", "message", "fix"}
    assert "secret" not in answer.text
    assert answer.headers.get("Retry-After") == ("3" if status == 503 else None)
    assert f'type="{kind}"' in metrics.text().decode()
    assert {422, 500, 503} <= set(ERRORS)
