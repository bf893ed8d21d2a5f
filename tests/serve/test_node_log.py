"""The node's log: a time, a level and what a line is about, and no words of a library's."""

from __future__ import annotations

import json
import logging
import re
import threading
import warnings
from datetime import datetime

import pytest

from hilum.serve.node_log import About, NodeLog, libraries_kept_quiet

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
