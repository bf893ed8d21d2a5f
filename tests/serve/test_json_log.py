"""The log as JSON: one object a line, with no text of a client and no traceback."""

from __future__ import annotations

import json
import logging

from hilum.serve.json_log import json_line, json_log

from .nodes import Heard


def test_messages_and_records_become_lines_and_only_inside() -> None:
    heard, own = Heard(), logging.getLogger("hilum.serve")
    with json_log(heard) as console:
        console.say("hilum serves tiny")
        own.info("Answered a request.", extra={"fields": {"path": "/v1/model", "status": 200}})
        try:
            raise ValueError("Doe^Jane")
        except ValueError:
            logging.getLogger("some.library").warning("It failed.", exc_info=True)
        logging.getLogger("some.library").info("Too much.")
    own.info("Answered a request.")
    lines = [json.loads(line) for line in heard.lines]
    assert [line["message"] for line in lines] == ["hilum serves tiny", "Answered a request.", "It failed."]
    assert [line["level"] for line in lines] == ["INFO", "INFO", "WARNING"]
    assert (lines[1]["path"], lines[1]["status"]) == ("/v1/model", 200)
    assert "Doe" not in "".join(heard.lines)


def test_a_line_has_the_time_with_its_zone() -> None:
    line = json.loads(json_line("ERROR", "Full.", {"film": None}))
    assert set(line) == {"time", "level", "film", "message"}
    assert "T" in line["time"]
    assert line["time"][-6] in "+-"
