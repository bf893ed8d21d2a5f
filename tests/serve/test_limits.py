"""The bounds hold together."""

from __future__ import annotations

from hilum.film.decode import MAX_BYTES
from hilum.serve.limits import Limits


def test_what_one_request_may_hold_fits_into_what_all_may() -> None:
    limits = Limits()
    assert limits.films <= limits.queue_films
    assert limits.body_bytes <= limits.bodies_bytes
    assert limits.body_bytes <= MAX_BYTES
    assert 1 <= limits.decoders <= 8
