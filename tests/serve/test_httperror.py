"""Errors of requests: their status, their shape."""

from __future__ import annotations

import json
import pickle

from hilum.errors import UnsupportedFilm
from hilum.serve.httperror import HttpError, error_body, error_status


def test_every_error_has_one_shape() -> None:
    busy = HttpError(503, "Busy", "Full.", fix="Wait.", headers={"Retry-After": "1"})
    assert (error_status(busy), error_status(UnsupportedFilm("A hip."))) == (503, 415)
    assert json.loads(error_body(busy)) == {"error": {"type": "Busy", "message": "Full.", "fix": "Wait."}}
    body = json.loads(error_body(UnsupportedFilm("A hip."), predictions=[]))
    assert body == {"error": {"type": "UnsupportedFilm", "message": "A hip.", "fix": ""}, "predictions": []}


def test_it_survives_a_process_boundary() -> None:
    again = pickle.loads(pickle.dumps(HttpError(503, "Busy", "Full.", headers={"Retry-After": "1"})))
    assert (again.status, again.kind, again.headers) == (503, "Busy", {"Retry-After": "1"})
