"""The logs: one line an event, with no text of a client, no words of a library's and no traceback."""

from __future__ import annotations

import json
import logging
import re
import threading
import warnings
from datetime import datetime

import pytest

from hilum.serve.log import About, NodeLog, json_line, json_log, libraries_kept_quiet, where_it_failed

from .nodes import Heard

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d"


def test_a_line_in_plain_text() -> None:
    said: list[str] = []
    node_log = NodeLog(said.append)
    node_log.info("Judged.", About(3, "1f2e3d4c", "0123456789ab"))
    node_log.warning("Set aside.", About(study="1f2e3d4c"))
    node_log.error("The spool cannot be used.")
    assert re.fullmatch(rf"{TIME} INFO    association 3, study 1f2e3d4c, film 0123456789ab: Judged\.", said[0])
    assert re.fullmatch(rf"{TIME} WARNING study 1f2e3d4c: Set aside\.", said[1])
    assert re.fullmatch(rf"{TIME} ERROR   The spool cannot be used\.", said[2])


def test_a_line_as_json() -> None:
    said: list[str] = []
    node_log = NodeLog(said.append, as_json=True)
    node_log.info("Judged.", About(3, "1f2e3d4c", "0123456789ab"))
    node_log.warning("Away.")
    first, second = (json.loads(line) for line in said)
    assert datetime.fromisoformat(first.pop("time")).tzinfo is not None
    assert first == {
        "level": "INFO",
        "association": 3,
        "study": "1f2e3d4c",
        "film": "0123456789ab",
        "message": "Judged.",
    }
    assert (second["association"], second["study"], second["film"]) == (None, None, None)


def test_libraries_say_nothing_and_a_failure_is_told_without_its_words(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []

    def fail() -> None:
        raise ValueError("SECRET")

    with warnings.catch_warnings():
        warnings.resetwarnings()
        with libraries_kept_quiet(NodeLog(said.append)):
            warnings.warn("SECRET", UserWarning, stacklevel=1)
            for name in ("pydicom", "pynetdicom.dul", "highdicom.sr"):
                logging.getLogger(name).error("SECRET")
            thread = threading.Thread(target=fail)
            thread.start()
            thread.join()
    captured = capfd.readouterr()
    assert "SECRET" not in captured.err + captured.out + caplog.text + "".join(said)
    (line,) = said
    assert "ERROR   A thread has ended: ValueError at" in line
    logging.getLogger("pynetdicom.dul").error("heard again")
    assert "heard again" in caplog.text


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


def test_where_it_failed_tells_lines_and_no_message() -> None:
    try:
        raise ValueError("Doe^Jane.dcm")
    except ValueError as error:
        text = where_it_failed(error)
    assert text.startswith("ValueError at test_log.py:")
    assert "Doe" not in text
