"""The bounds hold together."""

from __future__ import annotations

from hilum.film.decode import MAX_BYTES
from hilum.serve.limits import Limits, where_it_failed


def test_what_one_request_may_hold_fits_into_what_all_may() -> None:
    limits = Limits()
    assert limits.films <= limits.queue_films
    assert limits.body_bytes <= limits.bodies_bytes
    assert limits.body_bytes <= MAX_BYTES
    assert 1 <= limits.decoders <= 8


# --- where a failure happened, without its words ----------------------------------------------------------------------


def test_where_it_failed_tells_lines_and_no_message() -> None:
    try:
        raise ValueError("Doe^Jane.dcm")
    except ValueError as error:
        text = where_it_failed(error)
    assert text.startswith("ValueError at test_limits.py:")
    assert "Doe" not in text
