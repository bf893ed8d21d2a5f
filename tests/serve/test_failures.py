"""Where a failure happened, without its words."""

from __future__ import annotations

from hilum.serve.limits import where_it_failed


def test_where_it_failed_tells_lines_and_no_message() -> None:
    try:
        raise ValueError("Doe^Jane.dcm")
    except ValueError as error:
        text = where_it_failed(error)
    assert text.startswith("ValueError at test_failures.py:")
    assert "Doe" not in text
